import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import Testing

@testable import InterruptWorker

/// What a worker logs as a warning or worse.
final class SeenLog: Sendable {
    private struct Handler: LogHandler {
        let log: SeenLog
        var logLevel = Logger.Level.warning
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.state.withLock { $0.append("\(event.message) \(event.metadata?["why"] ?? "")") }
        }
    }

    private let state = Mutex<[String]>([])

    var lines: [String] { state.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }
}

/// A step of a run's end that can fail, and the one line that is said of it.
private enum Step: String, CaseIterable, CustomTestStringConvertible {
    case `an on-interrupt hook that fails` = "the on-interrupt hook failed with exit code 7 "
    case `an on-interrupt hook that hangs` = "the on-interrupt hook was killed after its limit of 5.0s "
    case `an on-interrupt hook that cannot start` =
        "the on-interrupt hook could not be started: '/no/hook' cannot be run: No such file or directory "
    case `an on-end hook that fails` = "the on-end hook failed with exit code 7 "
    case `an on-end hook that hangs` = "the on-end hook was killed after its limit of 500 ms "
    case `an on-end hook that cannot start` =
        "the on-end hook could not be started: '/no/hook' cannot be run: No such file or directory "
    case `an output file that cannot be made` =
        "interruptd: output file: File exists; output from byte 0 on is not kept "
    case `an output file that cannot go on` =
        "interruptd: output file: Is a directory; output from byte "
    case `a run directory that cannot be removed` = "the run directory is left Directory not empty"
    case `a receipt that is refused` = "a receipt was refused refused: test"
    case `an end that is refused` = "an end was refused refused: test"

    var testDescription: String { "\(self)" }

    var hooks: RunHooks {
        var hooks = RunHooks(onEnd: "echo cleaned", limit: .seconds(20))
        switch self {
        case .`an on-interrupt hook that fails`: hooks.onInterrupt = "exit 7"
        case .`an on-interrupt hook that hangs`:
            hooks.onInterrupt = "setsid sleep 1000 & trap '' TERM; sleep 1000"
            hooks.limit = .seconds(5)  // of the other hook as well, which is to end
        case .`an on-interrupt hook that cannot start`: hooks.onInterrupt = .program([Array("/no/hook".utf8)])
        case .`an on-end hook that fails`: hooks.onEnd = "exit 7"
        case .`an on-end hook that hangs`:
            hooks.onEnd = "setsid sleep 1000 & trap '' TERM; sleep 1000"
            hooks.limit = .milliseconds(500)
        case .`an on-end hook that cannot start`: hooks.onEnd = .program([Array("/no/hook".utf8)])
        default: break
        }
        return hooks
    }

    /// What the job does to that end. It runs in the directory of the output.
    var script: String {
        switch self {
        case .`an output file that cannot go on`: "mkdir $INTERRUPT_RUN.log.1; head -c 65536 /dev/zero; echo"
        case .`a run directory that cannot be removed`:
            "mkdir $INTERRUPT_RUN_DIR/mount; mount -t tmpfs none $INTERRUPT_RUN_DIR/mount"
        case .`an output file that cannot be made`: "echo"
        default: ":"
        }
    }

    var refused: [String: Int] {
        switch self {
        case .`a receipt that is refused`: ["acknowledge": 1]
        case .`an end that is refused`: ["end": 1]
        default: [:]
        }
    }

    var isPossible: Bool { self != .`a run directory that cannot be removed` || getuid() == 0 }
}

@Suite(.timeLimit(.minutes(2))) struct `A step that fails at the end of a run` {
    @Test(arguments: Hold.allCases, Step.allCases.filter(\.isPossible))
    private func `is said once, stops no other one, and the next run works`(hold: Hold, step: Step) async throws {
        let log = SeenLog()
        let test = try WorkerUnderTest(slots: 1, hold: hold, outputLimit: 128 << 10, logger: log.logger)
        defer { Self.unmount(below: test.directory) }
        test.transport.faults.withLock { $0.refused = step.refused }
        let script = "cd \(test.directory.path); \(step.script); echo ready; exec sleep 1000"
        let run = try test.submit("bash", "-c", script, hooks: step.hooks)
        if step == .`an output file that cannot be made` { _ = try test.directory.write("old", to: "\(run).log") }
        let next = try test.submit("sh", "-c", "exit 3")
        try await test.run {
            try await eventually("it is ready") { try text(of: run, test).contains("ready\n") }
            test.transport.base.interrupt(run, InterruptSignal())
            await test.events.waitForEnds(2)
        }
        #expect(log.lines.count == 1 && log.lines[0].hasPrefix(step.rawValue), "\(log.lines)")
        let isHook = step.rawValue.hasPrefix("the on-")
        let ending = try #require(test.events.all.endings.first)
        #expect(ending.state == .interrupted && ending.termSignal == SIGTERM)
        #expect(ending.hookErrors == (isHook ? [String(step.rawValue.dropLast())] : []))
        #expect(try text(of: run, test).contains("cleaned\n") != step.rawValue.hasPrefix("the on-end"))
        #expect(carriers(of: run).isEmpty)
        #expect(try test.record(next).ending?.bare == RunEnding(state: .failed, exitCode: 3))
    }

    private func text(of run: RunID, _ test: WorkerUnderTest) throws -> String {
        String(decoding: try test.record(run).output.flatMap(\.bytes), as: UTF8.self)
    }

    private static func unmount(below directory: TemporaryDirectory) {
        for line in (kernelText(of: "/proc/self/mounts", limit: 1 << 20) ?? "").split(separator: "\n") {
            let path = line.split(separator: " ")[1]
            if path.hasPrefix("\(directory.path)/") { umount2(String(path), Int32(MNT_DETACH)) }
        }
    }
}
