import ArgumentParser
import Glibc
import InterruptCore
import InterruptRedis

/// The control command. Parsing comes first and touches neither Redis nor NIO, so that `--version` costs nothing.
@main
struct InterruptControl: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "interruptctl",
        abstract: "Submit jobs, interrupt them, watch them.",
        discussion: """
            Examples:
              interruptctl run -- find /usr -type f          stay attached; Ctrl-C stops it
              interruptctl submit --id nightly -- make all   prints the job's id
              interruptctl cancel nightly --message "wrong branch"
              interruptctl list
              interruptctl history nightly

            Also: 'interruptctl help interrupts' explains the three stages, and \
            'interruptctl --generate-completion-script bash' (or zsh, fish) prints what completes commands on Tab.
            """,
        version: version,
        groupedSubcommands: [
            CommandGroup(name: "Start work", subcommands: [Run.self, Submit.self, Wait.self]),
            CommandGroup(
                name: "Stop work",
                subcommands: [Cancel.self, Drain.self, Kill.self, Pause.self, Resume.self, Forget.self]
            ),
            CommandGroup(
                name: "Look",
                subcommands: [
                    Status.self, List.self, Logs.self, Watch.self, History.self, Workers.self, Doctor.self,
                ]
            ),
        ]
    )

    private static var commandNames: [String] {
        var names = ["help"]
        for group in configuration.groupedSubcommands {
            for command in group.subcommands { names.append(String(describing: command).lowercased()) }
        }
        return names
    }

    static func main() async {
        let arguments = RawArguments.ofProcess
        HiddenPassword.hide()
        do {
            let words = try arguments.texts()
            if words == ["help", "interrupts"] {
                StandardStreams.out(HelpTopic.interrupts)
                return
            }
            guard let first = words.first else {
                StandardStreams.error(helpMessage())
                throw CommandFailure.silent(CommandStatus.usage.rawValue)
            }
            if let failure = UsageText.unknownCommand(first, known: commandNames) { throw failure }
            var command = try await asyncParseAsRoot(words)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            failure.report(on: .unparsed(arguments))
            Glibc.exit(failure.status)
        } catch {
            let code = exitCode(for: error)
            if code == .validationFailure {
                StandardStreams.error(Screen.unparsed(arguments).fitted(UsageText.shown(fullMessage(for: error))))
            }
            if code == .validationFailure || error is ExitCode { Glibc.exit(code.rawValue) }
            exit(withError: error)
        }
    }
}
