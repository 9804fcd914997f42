import Foundation
import Glibc
import InterruptCore
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `A run directory` {
    private let directory: TemporaryDirectory
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let runs: RunDirectories

    init() throws {
        directory = try TemporaryDirectory()
        runs = RunDirectories(in: directory.path.appending("runs"), logger: logger)
    }

    private var parent: FilePath { directory.path.appending("runs") }

    private func order(timeout: Duration? = nil) throws -> RunOrder {
        let name = try Name("job")
        return RunOrder(run: .random(), job: name, queue: name, work: .command([]), timeout: timeout)
    }

    private func fields(_ path: FilePath, _ name: String) throws -> [String: String] {
        let text = try String(contentsOfFile: path.appending(name).string, encoding: .utf8)
        let pairs = text.split(separator: "\n").map { line in
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), String(parts[1]))
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    @Test func `is the user's alone, tells the run, and is gone with it`() throws {
        let order = try order(timeout: .seconds(60))
        let run = try #require(runs.make(for: order))
        var status = stat()
        #expect(stat(run.path.string, &status) == 0 && status.st_mode & 0o777 == 0o700)
        let fields = try fields(run.path, "run")
        #expect(fields["run"] == order.run.rawValue && fields["job"] == "job" && fields["attempt"] == "1")
        #expect(fields["deadline"]?.hasSuffix("Z") == true)
        // A job may leave anything there.
        try FileManager.default.createDirectory(atPath: "\(run.path)/a/b", withIntermediateDirectories: true)
        #expect(run.remove() == nil)
        #expect(!FileManager.default.fileExists(atPath: run.path.string))
    }

    @Test func `tells what is asked, the first reason with the hardest stage, on one line each`() throws {
        let run = try #require(runs.make(for: try order()))
        #expect(!FileManager.default.fileExists(atPath: "\(run.path)/interrupt"))
        let first = InterruptSignal(
            stage: .drain,
            reason: .userCancelled,
            message: "a\nstage=3",
            triggeredBy: "kim",
            savesCheckpoint: false
        )
        run.announce(first, deadline: nil)
        var fields = try fields(run.path, "interrupt")
        #expect(fields["stage"] == "1" && fields["stage_name"] == "drain" && fields["deadline"] == "")
        run.announce(InterruptSignal(stage: .terminate, reason: .timeout), deadline: .now)
        fields = try self.fields(run.path, "interrupt")
        #expect(fields["stage"] == "2" && fields["reason"] == "user_cancelled" && fields["triggered_by"] == "kim")
        #expect(fields["message"] == "a\\nstage=3" && fields["save_checkpoint"] == "0")
        #expect(fields["request_id"] == first.id.rawValue && fields["deadline"]?.hasSuffix("Z") == true)
    }

    @Test func `is never waited for, whatever the job puts in the place of its files`() throws {
        let run = try #require(runs.make(for: try order()))
        try #require(mkfifo("\(run.path)/.interrupt", 0o600) == 0)
        run.announce(InterruptSignal(stage: .terminate, reason: .userCancelled), deadline: nil)
        unlink("\(run.path)/.interrupt")
        let victim = try directory.write("mine", to: "victim")
        try #require(symlink(victim, "\(run.path)/.interrupt") == 0)
        run.announce(InterruptSignal(stage: .terminate, reason: .userCancelled), deadline: nil)
        #expect(try String(contentsOfFile: victim, encoding: .utf8) == "mine")
    }

    @Test func `that a dead process has left is removed by the next one, that of a live one is not`() throws {
        let run = try #require(runs.make(for: try order()))
        try FileManager.default.createDirectory(atPath: "\(parent)/1-dead/run/x", withIntermediateDirectories: true)
        let next = RunDirectories(in: parent, logger: logger)
        let other = try #require(next.make(for: try order()))
        #expect(!FileManager.default.fileExists(atPath: "\(parent)/1-dead"))
        #expect(FileManager.default.fileExists(atPath: run.path.string))
        #expect(FileManager.default.fileExists(atPath: other.path.string))
        withExtendedLifetime(next) {}
    }

    @Test func `that cannot be made stops no run`() async throws {
        var job = try JobUnderTest(bash: "echo \"dir=${INTERRUPT_RUN_DIR-none}\"")
        _ = try job.directory.write("a file in its place", to: "runs")
        let ending = await job.run()
        #expect(ending == RunEnding(state: .completed, exitCode: 0))
        #expect(job.seen.text() == "dir=none\n")
        job.order.run = RunID(rawValue: "../escape")
        #expect(runs.make(for: job.order) == nil)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A job with its run directory` {
    /// Runs it and keeps its notes.
    private func run(
        _ job: JobUnderTest,
        during: @escaping @Sendable (InterruptScope, SeenOutput) async -> Void
    ) async -> (ending: RunEnding, notes: [RunNote], progress: WorkProgress?) {
        let notes = Mutex<[RunNote]>([])
        return await withInterruptScope(run: job.order.run) { scope in
            async let other: Void = during(scope, job.seen)
            let ending = await job.runner.run(
                job.order,
                scope: scope,
                told: { note in notes.withLock { $0.append(note) } },
                output: { job.seen.take($0) }
            )
            await other
            return (ending?.bare ?? RunEnding(state: .lost), notes.withLock { $0 }, scope.progress)
        }
    }

    @Test func `reads why it is asked to end when it gets the signal`() async throws {
        let job = try JobUnderTest(
            bash: """
                trap 'trap "" TERM; grep -E "^(stage|reason|message)=" "$INTERRUPT_RUN_DIR/interrupt"; exit 3' TERM
                ls "$INTERRUPT_RUN_DIR"; echo ready; while :; do sleep 0.05; done
                """
        )
        let result = await run(job) { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(reason: .priorityOverride, message: "make room")
        }
        #expect(result.ending == RunEnding(state: .interrupted, exitCode: 3))
        #expect(job.seen.text() == "run\ntell\nready\nstage=2\nreason=priority_override\nmessage=make room\n")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(job.directory.path)/runs").isEmpty)
    }

    @Test func `tells its progress and a checkpoint, also with its last breath`() async throws {
        let job = try JobUnderTest(
            bash: """
                echo '{"progress": 0.25, "message": "a"}' > "$INTERRUPT_RUN_DIR/tell"
                echo 'nonsense' > "$INTERRUPT_RUN_DIR/tell"
                echo '{"checkpoint": "page 12", "progress": 0.5}' > "$INTERRUPT_RUN_DIR/tell"
                """
        )
        let result = await run(job) { _, _ in }
        #expect(result.ending == RunEnding(state: .completed, exitCode: 0))
        #expect(result.notes == [.checkpoint("page 12")])
        #expect(result.progress == (try WorkProgress(0.5)))
    }

    /// Needs half a second more than its grace period, and says whether it got that.
    private let slow = """
        trap 'trap "" TERM; echo "{\\"more_time\\": \\"20s\\"}" > "$INTERRUPT_RUN_DIR/tell"; sleep 0.6; echo saved; exit 0' TERM
        echo ready; while :; do sleep 0.02; done
        """

    @Test func `gets more time when it asks, and is told until when`() async throws {
        for grace in [0.3, 1, 4, 15] {
            var job = try JobUnderTest(bash: slow.replacing("sleep 0.6", with: "sleep \(grace + 0.3)"))
            job.grace = .seconds(grace)
            let result = await run(job) { scope, seen in
                await seen.wait(for: "ready")
                scope.interrupt(stage: .terminate)
            }
            // It had no processor to ask in time: then once more with a longer grace period.
            if result.notes.isEmpty, grace < 15 { continue }
            #expect(result.ending == RunEnding(state: .interrupted, exitCode: 0))
            #expect(job.seen.text() == "ready\nsaved\n")
            guard case .moreTime(let length)? = result.notes.first else {
                return #expect(Bool(false), "\(result.notes)")
            }
            #expect(length >= .seconds(20 - grace) && length < .seconds(30) && result.notes.count == 1)
            return
        }
    }

    @Test func `gets none from a worker that is to end`() async throws {
        var job = try JobUnderTest(bash: slow.replacing("sleep 0.6", with: "sleep 300"))
        job.grace = .milliseconds(300)
        let result = await run(job) { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(reason: .systemShutdown)
        }
        #expect(result.ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
        #expect(result.notes.isEmpty)
    }

    @Test func `is killed at once by who does not want to wait`() async throws {
        let job = try JobUnderTest(bash: slow.replacing("sleep 0.6", with: "echo asked; sleep 300"))
        let result = await run(job) { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(stage: .terminate)
            await seen.wait(for: "asked")
            scope.interrupt(stage: .kill)
        }
        #expect(result.ending == RunEnding(state: .interrupted, termSignal: SIGKILL))
    }
}
