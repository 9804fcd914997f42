import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging
import SystemPackage

/// One worker on one Redis, with its Unix signals and its terminal.
struct Daemon {
    let settings: DaemonSettings
    let current: CurrentSettings
    let signals: UnixSignals
    let endpoint: RedisEndpoint
    let keys: RedisKeys
    let signingKey: SigningKey?
    let state: StateDirectory
    let logger: Logger

    func run() async throws {
        try await checkRedis()
        let outputDirectory = FilePath(try state.directory("output"))
        let runner = makeRunner(outputDirectory: outputDirectory)
        let description = try describeWorker(try await containment(of: runner))
        let notifier = ServiceNotifier(environment: ProcessInfo.processInfo.environment)
        let reporter = Reporter(
            logger: logger,
            description: description,
            isTerminal: settings.logFormat == .text && isatty(STDERR_FILENO) == 1,
            isDetailed: settings.isDetailed,
            isPlain: DisplayEnvironment.isPlain(ProcessInfo.processInfo.environment)
        )
        let transport = makeTransport(description)
        let upkeep = Upkeep(directory: outputDirectory, settings: current, logger: logger)
        let worker = makeWorker(description, transport, runner) { event in
            reporter.report(event)
            notifier?.report(event)
            if case .ended = event { upkeep.runEnded() }
        }
        notifier?.ready()
        let result = await withTaskGroup(of: Result<Void, WorkerError>?.self) { group in
            group.addTask {
                do throws(WorkerError) {
                    try await worker.run()
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                let policy = SignalPolicy(worker: worker, settings: current, logger: logger) {
                    if let count = await transport.waitingCount() { reporter.report(waiting: count) }
                }
                await policy.apply(signals)
                return nil
            }
            group.addTask {
                await notifier?.beat()
                return nil
            }
            group.addTask {
                await upkeep.run()
                return nil
            }
            // The others end only when the worker has.
            for await case let result? in group {
                group.cancelAll()
                return result
            }
            return .success(())
        }
        do {
            try result.get()
        } catch {
            let hint: String? = if case .nameInUse = error { "pass another --name" } else { nil }
            throw StartFailure(status: 1, message: "worker \(name): \(error)", hint: hint)
        }
    }

    private var name: Name { settings.name ?? Self.hostName }

    /// The host's name with every character that a worker's name may not have replaced.
    private static var hostName: Name {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")
        let text = String(WorkerDescription.hostName.prefix(Name.maximumLength).map { allowed.contains($0) ? $0 : "-" })
        // A host without a usable name gets one that always is.
        return (try? Name(text)) ?? (try! Name("worker"))
    }

    private func containment(of runner: ProcessRunner) async throws -> Containment {
        do {
            let containment = try await runner.prepare()
            logger.debug("trees of processes", metadata: ["held_by": "\(containment)"])
            return containment
        } catch {
            throw StartFailure(status: 1, message: "\(error)")
        }
    }

    private func describeWorker(_ containment: Containment) throws -> WorkerDescription {
        let description = WorkerDescription(
            name: name,
            slots: settings.concurrency,
            queues: settings.queues,
            version: Interruptd.version,
            lease: settings.lease,
            containment: containment
        )
        guard let description else {
            throw StartFailure(status: 1, message: "/proc is not mounted: no process can be identified")
        }
        return description
    }

    private func makeTransport(_ description: WorkerDescription) -> RedisTransport {
        var checking = RedisInterruptChecker.Configuration()
        checking.pollInterval = settings.pollInterval
        checking.signingKey = signingKey
        return RedisTransport(
            endpoint: endpoint,
            keys: keys,
            worker: description.name,
            instance: description.instance,
            queues: description.queues,
            checking: checking,
            logger: logger
        )
    }

    /// In memory, where the user has a place there; else beside the output.
    private var runDirectory: FilePath? {
        let runtime = settings.endpoint.runtimeDirectory
        do throws(SettingsError) {
            try runtime.create()
            return FilePath(runtime.path).appending("runs")
        } catch {
            logger.debug("run directories are kept on disk", metadata: ["why": "\(error)"])
            return nil
        }
    }

    private func makeRunner(outputDirectory: FilePath) -> ProcessRunner {
        ProcessRunner(
            outputDirectory: outputDirectory,
            defaultGracePeriod: settings.gracePeriod,
            baseEnvironment: ProcessInfo.processInfo.environment,
            logger: logger,
            outputLimit: settings.outputLimit,
            runDirectory: runDirectory,
            moreTime: settings.moreTime,
            usesCgroups: settings.usesCgroups,
            jobDescriptors: OpenFileLimit.raise()
        )
    }

    private func makeWorker(
        _ description: WorkerDescription,
        _ transport: RedisTransport,
        _ runner: ProcessRunner,
        report: @escaping @Sendable (WorkerEvent) -> Void
    ) -> Worker<RedisTransport> {
        var configuration = Worker<RedisTransport>.Configuration(description: description)
        configuration.drainWarning = settings.drainWarning
        configuration.strategies = { [current] in current.policy.strategies(for: $0.queue) }
        configuration.outbox = FilePath(state.path).appending("outbox")
        configuration.isOnlyMachine = settings.endpoint.usesEmbeddedServer
        configuration.admission = { [current] order in
            let rules = CommandRules(current.all, worker: description.name) {
                runner.program(of: $0).map { Array($0.string.utf8) }
            }
            let admission = rules.admit(order)
            if case .refused = admission { transport.countRefusedSubmission() }
            return admission
        }
        return Worker(
            configuration: configuration,
            transport: transport,
            runner: runner,
            logger: logger,
            report: report
        )
    }

    /// Ends the start when Redis can never be used with these settings; one that is only out of reach is waited for later.
    private func checkRedis() async throws {
        let connection: RedisConnection
        do throws(RedisError) {
            connection = try await RedisConnection.connect(to: endpoint)
        } catch {
            if let failure = StartFailure(error) { throw failure }
            return logger.warning("Redis cannot be reached yet", metadata: ["why": "\(error)"])
        }
        defer { connection.close() }
        // A role that may not ask, or a connection that is lost again: nothing is known then.
        guard let info = try? await connection.send(RedisCommand("INFO")) else { return }
        for finding in ServerHealth(info: info.text ?? "").findings where finding.grade != .ok {
            logger.warning(
                "\(finding.text.escapedForDisplay(limit: 200))",
                metadata: finding.remedy.map { ["hint": "\($0)"] } ?? [:]
            )
        }
    }
}
