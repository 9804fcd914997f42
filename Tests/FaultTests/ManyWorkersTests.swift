import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Logging
import Subprocess
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `Two hundred workers that lost their server` {
    /// Each question needs a connection of its own, in this process.
    private let pause = Duration.milliseconds(50)

    /// A command that the server got, from its own list.
    private struct Heard {
        var at: Double
        var client: Substring
        var words: Substring

        /// `1700000000.123456 [0 127.0.0.1:4711] "GET" "k"`; what scripts do is not from a client.
        init?(_ line: Substring) {
            let parts = line.split(separator: " ", maxSplits: 3)
            guard parts.count == 4, let at = Double(parts[0]), parts[2] != "lua]" else { return nil }
            (self.at, client, words) = (at, parts[2], parts[3])
        }
    }

    @Test func `come back without being refused, ask little, and are all watching again`() async throws {
        try raiseFileLimit()
        try await withRedis(tcp: true) { redis in
            let server = RedisEndpoint(address: .tcp(host: "127.0.0.1", port: redis.port!))
            try await withFaultProxy(to: server, listensOnTCP: true) { proxy in
                let names = try (0..<200).map { try Name("w\($0)") }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    defer { group.cancelAll() }
                    // Not all at once: only their return is a storm.
                    for (count, name) in zip(1..., names) {
                        let transport = try transport(name, proxy.endpoint)
                        group.addTask { await transport.run() }
                        group.addTask {
                            // The queue's connection; there is never anything in it.
                            while !Task.isCancelled { _ = try? await transport.offers(limit: 1) }
                        }
                        if count.isMultiple(of: 20) {
                            try await eventually("\(count) watch", every: pause) { await watchers(redis) == count }
                        }
                    }
                    // Each reads and tracks its own flag and its queue's, and the one for all.
                    let keys = 2 * names.count + 1
                    try await eventually("all have read", every: pause) {
                        await statistic("tracking_total_keys", of: redis) == keys
                    }
                    try await proxy.refuseConnections()
                    try await redis.restart()
                    // Long enough for their attempts to have grown rare.
                    try await Task.sleep(for: .seconds(2))
                    let log = "\(redis.directory)/monitor"
                    let (time, heard) = try await listening(to: redis, into: log) {
                        try await proxy.acceptConnections()
                        let begin = ContinuousClock.now
                        try await eventually("all are watching again", every: pause) {
                            await watchers(redis) == names.count
                        }
                        let time = begin.duration(to: .now)
                        try await Task.sleep(for: .seconds(1))  // the second that is counted
                        return time
                    }
                    // Since it was started again.
                    try await eventually("none was refused") { await statistic("rejected_connections", of: redis) == 0 }
                    judge(heard, time)
                }
            }
        }
    }

    private func judge(_ heard: [Heard], _ time: Duration) {
        let clients = Dictionary(grouping: heard, by: \.client).values.compactMap { commands -> [Heard]? in
            // Ours greet with a name; the test's own do not.
            commands.contains { $0.words.contains("setname") || $0.words.contains("SETNAME") } ? commands : nil
        }
        let begins = clients.compactMap(\.first?.at).sorted()
        let counts = clients.map { commands in commands.count { $0.at < commands[0].at + 1 } }
        let busyCount = counts.count { $0 > 5 }
        let busiest = begins.map { begin in begins.count { (begin..<begin + 0.1).contains($0) } }.max() ?? 0
        let mean = Double(counts.reduce(0, +)) / Double(max(1, counts.count))
        print(
            """
            200 workers: \(clients.count) connections, all watching after \(time); at most \(busiest) in a tenth of a \
            second; in its first second a connection sends \(mean) commands, \(busyCount) of them more than 5, at \
            most \(counts.max() ?? 0)
            """
        )
        // Who is not answered in time in the bustle comes back once more.
        #expect((600...1_200).contains(clients.count))
        // A name, where the keys are, and two or three more.
        #expect(counts.allSatisfy { $0 <= 5 })
    }

    // In the bustle the server may not answer in time: it is asked again then.

    private func watchers(_ redis: TestRedis) async -> Int {
        let reply = try? await redis.command("PUBSUB", "NUMSUB", "interrupt:signals")
        return Int(reply?.array?.last?.integer ?? 0)
    }

    private func statistic(_ name: String, of redis: TestRedis) async -> Int? {
        let reply = try? await redis.command("INFO", "stats")
        let lines = reply?.text?.split(whereSeparator: \.isNewline) ?? []
        return lines.first { $0.hasPrefix(name + ":") }.flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    private func transport(_ name: Name, _ endpoint: RedisEndpoint) throws -> RedisTransport {
        RedisTransport(
            endpoint: endpoint,
            keys: try RedisKeys(),
            worker: name,
            instance: "i-\(name)",
            queues: [name],
            // All of them are in one process here: the limits of a worker that has a processor would end what only is
            // late, and make it anew.
            connection: .patient,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// What the server hears during `body`.
    private func listening(
        to redis: TestRedis,
        into path: String,
        _ body: @Sendable () async throws -> Duration
    ) async throws -> (Duration, [Heard]) {
        let file = try FileDescriptor.open(path, .writeOnly, options: .create, permissions: .ownerReadWrite)
        let time = try await run(
            .name("redis-cli"),
            arguments: ["-s", redis.socketPath, "monitor"],
            input: .none,
            output: .fileDescriptor(file, closeAfterSpawningProcess: true),
            error: .discarded
        ) { execution in
            try await eventually("it listens") { try String(contentsOfFile: path, encoding: .utf8).hasPrefix("OK") }
            let time = try await body()
            try execution.send(signal: .terminate)
            return time
        }.closureResult
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return (time, text.split(separator: "\n").compactMap(Heard.init))
    }

    /// The proxy's two ends and the workers' own are 1,800 descriptors.
    private func raiseFileLimit() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 8_192)
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 && limit.rlim_cur > 2_000)
    }
}
