import Glibc
import InterruptCore
import Logging
import SystemPackage
import Testing

@testable import InterruptWorker

/// A worker on real child processes with everything that is needed around it.
struct WorkerUnderTest: Sendable {
    let transport: TroubledTransport
    let worker: Worker<TroubledTransport>
    let events = SeenEvents()
    let directory: TemporaryDirectory

    init(
        slots: Int = 4,
        grace: Duration = .seconds(20),
        lease: Duration = .seconds(30),
        drainWarning: Duration = .seconds(60),
        gated: Bool = false,
        jobs: JobRegistry = JobRegistry(),
        giveUpAfter: Duration = StopLimits.survival,
        hold: Hold = .cgroup,
        outputLimit: Int64 = 1 << 30,
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        transport: TroubledTransport? = nil,
        outbox: FilePath? = nil,
        admission: @escaping @Sendable (RunOrder) -> Admission = { _ in .asItIs }
    ) throws {
        self.transport = transport ?? TroubledTransport(gated: gated)
        directory = try TemporaryDirectory()
        let description = WorkerDescription(
            name: try Name("w"),
            instance: RunID.random().rawValue,
            host: "here",
            process: try #require(ProcessIdentity(pid: getpid())),
            slots: slots,
            version: "0",
            queues: [try Name("q")],
            lease: lease
        )
        var configuration = Worker<TroubledTransport>.Configuration(description: description)
        configuration.admission = admission
        configuration.outbox = outbox
        configuration.drainWarning = drainWarning
        configuration.giveUpAfter = giveUpAfter
        worker = Worker(
            configuration: configuration,
            transport: self.transport,
            runner: ProcessRunner(
                outputDirectory: directory.path,
                defaultGracePeriod: grace,
                baseEnvironment: ["PATH": "/usr/local/bin:/usr/bin:/bin"],
                logger: logger,
                outputLimit: outputLimit,
                usesCgroups: hold == .cgroup
            ),
            jobs: jobs,
            logger: logger,
            report: events.take
        )
    }

    func submit(
        _ command: String...,
        timeout: Duration? = nil,
        chargesPausedTime: Bool = false,
        limits: RunLimits = RunLimits(),
        hooks: RunHooks = RunHooks(),
        retries: Int = 0
    ) throws -> RunID {
        var order = RunOrder(
            run: .random(),
            job: try Name("job"),
            queue: try Name("q"),
            work: .command(command.map { Array($0.utf8) }),
            timeout: timeout,
            chargesPausedTime: chargesPausedTime,
            limits: limits,
            hooks: hooks
        )
        order.retries = retries
        transport.base.submit(order)
        return order.run
    }

    func submit(handler: String, _ input: String = "", timeout: Duration? = nil) throws -> RunID {
        let order = RunOrder(
            run: .random(),
            job: try Name("job"),
            queue: try Name("q"),
            work: .handler(try Name(handler), input: input),
            timeout: timeout
        )
        transport.base.submit(order)
        return order.run
    }

    func record(_ run: RunID) throws -> InMemoryTransport.Run { try #require(transport.base.run(run)) }

    /// Runs the worker with `body` beside it, and drains it when `body` has returned.
    func run(_ body: () async throws -> Void) async throws {
        let running = Task { try await worker.run() }
        do {
            try await body()
        } catch {
            worker.interrupt(.kill, reason: .systemShutdown)
            _ = await running.result
            throw error
        }
        worker.interrupt(.drain, reason: .systemShutdown)
        try await running.value
        #expect(worker.heldCount == 0)
        for pid in events.all.pids where pid != getpid() { #expect(!isRunning(pid)) }
    }
}
