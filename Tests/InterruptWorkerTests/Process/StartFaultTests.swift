import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Synchronization
import Testing

@testable import InterruptWorker

/// An executor each of whose jobs has a thread of its own that ends with it.
private final class ShortLivedThreads: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work { job.runSynchronously(on: executor) }).toOpaque()
        let code = pthread_create(
            &thread,
            nil,
            { work in
                Unmanaged<Work>.fromOpaque(work!).takeRetainedValue().run()
                return nil
            },
            work
        )
        precondition(code == 0)
        pthread_detach(thread)
    }

    private final class Work {
        let run: () -> Void

        init(_ run: @escaping () -> Void) { self.run = run }
    }
}

/// How often something has happened.
private final class Count: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}

@Suite(.timeLimit(.minutes(2)), .serialized) struct `A start` {
    private func order(_ command: String...) throws -> RunOrder {
        let name = try Name("job")
        return RunOrder(run: .random(), job: name, queue: name, work: .command(command.map { Array($0.utf8) }))
    }

    private func runner(usesCgroups: Bool, in directory: TemporaryDirectory) -> ProcessRunner {
        ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: .seconds(5),
            baseEnvironment: ["PATH": "/usr/bin:/bin"],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: .seconds(30),
            usesCgroups: usesCgroups
        )
    }

    /// The end of a thread must not be the end of what was started from it.
    @Test(arguments: Hold.allCases) func `from a thread that ends at once does its job no harm`(hold: Hold) async throws
    {
        let directory = try TemporaryDirectory()
        let runner = runner(usesCgroups: hold == .cgroup, in: directory)
        let threads = ShortLivedThreads()
        // A thousand with both kinds of trees, ten at a time: each waits for threads more than it works.
        await withTaskGroup { group in
            for _ in 0..<10 {
                group.addTask(executorPreference: threads) {
                    for _ in 0..<50 {
                        guard let order = try? order("sh", "-c", "exit 7") else { return #expect(Bool(false)) }
                        let ending = await withInterruptScope(run: order.run) { scope in
                            await runner.run(order, scope: scope) { _ in }
                        }
                        #expect(ending?.bare == RunEnding(state: .failed, exitCode: 7))
                    }
                }
            }
        }
    }

    @Test(.enabled(if: ForeignGuard.isPossible), arguments: ["nproc", "nofile"])
    func `that finds no more processes or descriptors is a failure in words, and the next is not`(
        resource: String
    ) async throws {
        let directory = try TemporaryDirectory()
        let guardian = try ForeignGuard(in: directory)
        do {
            let runner = guardian.runner(in: directory)
            _ = try await runner.prepare()
            let open = guardian.openDescriptors
            func run() async throws -> RunEnding? {
                let order = try order("true")
                return await withInterruptScope(run: order.run) { scope in
                    await runner.run(order, scope: scope) { _ in }
                }?.bare
            }
            // One by one, so that each step of a start is what fails; without any, not even that can be told.
            func isIdle() async throws {
                try await eventually("all of earlier runs is freed") { guardian.openDescriptors == open }
            }
            for room in resource == "nproc" ? 0...0 : 1...12 {
                try await isIdle()
                try await guardian.limit(resource, to: resource == "nproc" ? "0" : "\(open + room)")
                let ending = try await run()
                try await guardian.limit(resource, to: nil)
                if ending?.state != .completed {
                    #expect(ending?.state == .failed)
                    let why = resource == "nproc" ? "Resource temporarily unavailable" : "Too many open files"
                    #expect(ending?.error?.hasSuffix(why) == true, "\(room): \(ending?.error ?? "")")
                } else {
                    #expect(resource != "nproc" && room > 6)
                }
            }
            #expect(try await run()?.state == .completed)
            try await isIdle()
        }
        try await guardian.end()
    }

    /// The first thing that it does is no earlier than its place in the tree.
    @Test(arguments: Hold.allCases)
    func `that is killed at any moment leaves nobody, of whatever it has started by then`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(usesCgroups: hold == .cgroup, in: directory)
        let started = Count()
        for round in 0..<100 {
            let order = try RunOrder(bash: "setsid sleep 100 & (setsid sleep 100 &); sleep 100 | sleep 100")
            let ending = await withInterruptScope(run: order.run) { scope in
                async let ending = runner.run(
                    order,
                    scope: scope,
                    started: { _ in started.add() },
                    output: { _ in }
                )
                // From before the packet has left to after all of it runs.
                for _ in 0..<(round * 20) { await Task.yield() }
                scope.interrupt(stage: .kill)
                return await ending
            }
            #expect(ending?.state == .interrupted && ending?.error == nil)
            #expect(carriers(of: order.run).isEmpty, "round \(round)")
        }
        // How many is the machine's business: on a busy one this task may be the last to run.
        #expect(started.value > 0, "some moments were after it had begun")
    }

    @Test(arguments: Hold.allCases)
    func `whose end races with an interrupt keeps the status that the process had`(hold: Hold) async throws {
        let directory = try TemporaryDirectory()
        let runner = runner(usesCgroups: hold == .cgroup, in: directory)
        let kinds = [
            ("exit 0", RunEnding(state: .completed, exitCode: 0)), ("exit 3", RunEnding(state: .failed, exitCode: 3)),
            ("kill -USR1 $$", RunEnding(state: .failed, termSignal: SIGUSR1)),
        ]
        for round in 0..<90 {
            let (script, own) = kinds[round % 3]
            let order = try order("sh", "-c", script)
            let ending = await withInterruptScope(run: order.run) { scope in
                await runner.run(
                    order,
                    scope: scope,
                    started: { _ in
                        for _ in 0..<(round * 2) { await Task.yield() }
                        scope.interrupt(stage: round % 2 == 0 ? .terminate : .kill)
                    },
                    output: { _ in }
                )
            }
            var byItself = own
            byItself.isLateInterrupt = true
            let signal = round % 2 == 0 ? SIGTERM : SIGKILL
            #expect(ending?.bare == byItself || ending?.bare == RunEnding(state: .interrupted, termSignal: signal))
        }
    }
}
