import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis
import InterruptWorker
import Logging

/// A program with Swift jobs of its own, which `interruptctl` starts and stops as it does with processes:
///
///     embedded-worker alpha &
///     interruptctl run --queue functions --handler count --input '{"to": 100, "pause_ms": 50}'
///
/// It takes runs from the queue `functions`, on the Redis that `INTERRUPT_REDIS_URL` names or on that of `interruptd`.
@main
struct EmbeddedWorker {
    static func main() async throws {
        let name = try Name(CommandLine.arguments.dropFirst().first ?? "embedded")
        let settings = EndpointSettings(environment: ProcessInfo.processInfo.environment)
        guard let description = WorkerDescription(name: name, slots: 4, queues: [try Name("functions")]) else {
            fatalError("/proc is not mounted: no process can be identified")
        }
        let logger = Logger(label: "embedded-worker") { StreamLogHandler.standardError(label: $0) }
        let transport = RedisTransport(
            endpoint: try settings.endpoint(),
            keys: try settings.keys(),
            worker: description.name,
            instance: description.instance,
            queues: description.queues,
            logger: logger
        )
        let worker = Worker(
            configuration: .init(description: description),
            transport: transport,
            runner: nil,  // no commands: whoever may submit could run anything
            jobs: try Jobs.registry,
            logger: logger
        ) { event in
            if case .holdsOut(let order, let holdout) = event { logger.warning("\(order.job) \(holdout.text)") }
        }
        try await withUnixSignals([SIGINT, SIGTERM]) { signals in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await worker.run() }
                group.addTask {
                    // Each signal is harder than the one before: what runs may finish, is asked to end, is forced.
                    var stages = InterruptStage.allCases.makeIterator()
                    for await _ in signals { worker.interrupt(stages.next() ?? .kill, reason: .systemShutdown) }
                }
                try await group.next()
                group.cancelAll()
            }
        }
    }
}
