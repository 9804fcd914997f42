import InterruptCore
import InterruptRedis
import InterruptTesting
import InterruptWorker
import Logging
import Synchronization
import SystemPackage

/// A worker in this process, on a Redis of its own.
func withWorker<Result>(
    slots: Int,
    report: @escaping @Sendable (WorkerEvent) -> Void = { _ in },
    _ body: (InterruptClient, TestRedis) async throws -> Result
) async throws -> Result {
    try await withTemporaryDirectory { directory in
        try await withRedis { redis in
            let keys = try RedisKeys()
            let name = try Name("bench")
            let queue = try Name("default")
            let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
            let description = WorkerDescription(
                name: name,
                instance: RunID.random().rawValue,
                host: "bench",
                process: ProcessIdentity(pid: 1) ?? ProcessIdentity(boot: "", pid: 1, start: 0),
                slots: slots,
                version: "bench",
                queues: [queue],
                lease: .seconds(30)
            )
            let transport = RedisTransport(
                endpoint: redis.endpoint,
                keys: keys,
                worker: name,
                instance: description.instance,
                queues: [queue],
                logger: logger
            )
            let worker = Worker(
                configuration: .init(description: description),
                transport: transport,
                runner: ProcessRunner(
                    outputDirectory: FilePath(directory),
                    defaultGracePeriod: .seconds(5),
                    baseEnvironment: ["PATH": "/usr/bin:/bin"],
                    logger: logger,
                    runDirectory: "/dev/shm/interrupt-bench"  // as the daemon's, in memory
                ),
                logger: logger,
                report: report
            )
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await worker.run() }
                let client = InterruptClient(
                    commands: try await RedisConnection.connect(to: redis.endpoint),
                    keys: keys
                )
                let result = try await body(client, redis)
                worker.interrupt(.kill, reason: .systemShutdown)
                try await group.waitForAll()
                return result
            }
        }
    }
}

extension InterruptClient {
    /// Waits, by asking, until the job's newest run has ended; every 2 ms, which no figure depends on.
    func ending(of job: Name) async throws -> RunRecord {
        while true {
            if let record = try await newestRun(of: job), record.state.isEnd { return record }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
