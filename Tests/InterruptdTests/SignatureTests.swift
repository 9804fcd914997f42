import InterruptCore
import InterruptWorker
import Testing

@testable import interruptd

@Suite struct `The rules of a worker with a key` {
    private let unsigned = RunSignature.invalid("it is not signed")

    private func admit(
        _ words: [String],
        _ signature: RunSignature,
        anyCommand: Bool = false,
        hooks: RunHooks = RunHooks()
    ) throws -> Admission {
        let rules = CommandRules(
            worker: try Name("w"),
            allowsAnyCommand: anyCommand,
            jobs: try JobsFile(yaml: "jobs: {list: {command: [ls]}}", file: "j.yaml", name: "j.yaml"),
            patterns: [try CommandPattern("echo *", origin: "--allow")]
        )
        var order = RunOrder(
            run: RunID(rawValue: "r"),
            job: try Name("j"),
            queue: try Name("q"),
            work: .command(words.map { Array($0.utf8) }),
            hooks: hooks
        )
        order.signature = signature
        return rules.admit(order)
    }

    private func why(_ admission: Admission) -> String {
        if case .refused(let why) = admission { why } else { "\(admission)" }
    }

    @Test func `let everything run that is signed, hooks as well`() throws {
        #expect(try admit(["rm", "x"], .valid) == .asItIs)
        #expect(try admit(["rm", "x"], .valid, hooks: RunHooks(onEnd: "true")) == .asItIs)
        #expect(try admit(["rm", "x"], .unchecked) != .asItIs)
    }

    @Test func `let what is not signed run by another rule only, and say both`() throws {
        #expect(try admit(["echo", "x"], unsigned) == .asItIs)
        #expect(try admit(["rm", "x"], unsigned, anyCommand: true) == .asItIs)
        #expect(try why(admit(["rm", "x"], unsigned)).contains("no --allow pattern matches 'rm x'"))
        #expect(try why(admit(["rm", "x"], unsigned)).hasSuffix("; it is not signed"))
        let hooks = RunHooks(onEnd: "true")
        #expect(try why(admit(["echo", "x"], unsigned, hooks: hooks)).hasSuffix("lets run; it is not signed"))
        let alone = CommandRules(worker: try Name("w"))
        var order = RunOrder(
            run: RunID(rawValue: "r"),
            job: try Name("j"),
            queue: try Name("q"),
            work: .command([[120]])
        )
        order.signature = unsigned
        #expect(alone.admit(order) == .refused("refused: worker w takes only signed commands; it is not signed"))
    }

    @Test func `make what a name in the jobs file stands for of a signed run, too`() throws {
        guard case .run(let order) = try admit(["list"], .valid) else { throw JobRefusal("not the file's job") }
        #expect(order.work == .command([Array("ls".utf8)]))
        #expect(try why(admit(["list", "x"], .valid)).contains("no parameter 'x'"))
    }

    @Test func `are rules, so that an embedded Redis makes no exception`() throws {
        func rules(_ flags: [SettingsSource.Key: [String]]) throws -> CommandRules {
            let settings = try DaemonSettings(
                sources: [SettingsSource(flags: flags)],
                environment: [:],
                processorCount: 1
            )
            return CommandRules(settings, worker: try Name("w"), findProgram: { _ in nil })
        }
        #expect(try rules([:]).allowsAnyCommand)
        #expect(try !rules([.signKey: ["k"]]).allowsAnyCommand)
        #expect(try rules([.signKey: ["k"], .allowAnyCommand: ["true"]]).allowsAnyCommand)
    }
}
