import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

/// A way in which a server takes nothing more, by the word that it says then.
private enum Refusal: String, CaseIterable, CustomTestStringConvertible {
    case outOfMemory = "OOM"
    case withoutReplicas = "NOREPLICAS"
    case replica = "READONLY"
    case cannotSave = "MISCONF"

    var testDescription: String { rawValue }

    func begin(on redis: TestRedis) async throws {
        switch self {
        case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "1")
        case .withoutReplicas: try await redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
        case .replica: try await redis.command("REPLICAOF", "127.0.0.1", "1")
        case .cannotSave:
            // The directory of its dumps is gone, and it has noticed.
            let place = "\(redis.directory)/dumps"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            try await redis.command("CONFIG", "SET", "appendonly", "no")
            try await redis.command("CONFIG", "SET", "save", "3600 1000000")
            try await redis.command("CONFIG", "SET", "dir", place)
            try FileManager.default.removeItem(atPath: place)
            try await save(on: redis, status: "err")
        }
    }

    func end(on redis: TestRedis) async throws {
        switch self {
        case .outOfMemory: try await redis.command("CONFIG", "SET", "maxmemory", "0")
        case .withoutReplicas: try await redis.command("CONFIG", "SET", "min-replicas-to-write", "0")
        case .replica: try await redis.command("REPLICAOF", "NO", "ONE")
        case .cannotSave:
            try await redis.command("CONFIG", "SET", "dir", redis.directory)
            try await save(on: redis, status: "ok")
        }
    }

    private func save(on redis: TestRedis, status: String) async throws {
        try await redis.command("BGSAVE")
        try await eventually("saving is \(status)") {
            try await redis.command("INFO", "persistence").text?.contains("rdb_last_bgsave_status:\(status)") == true
        }
    }
}

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A server that takes nothing more` {
    @Test(arguments: Refusal.allCases)
    private func `has its words handed on, tells no worker, and lets what runs run`(refusal: Refusal) async throws {
        try await withFleet(redis: ["--enable-protected-configs", "local"]) { fleet in
            try await refuses(refusal.rawValue, fleet) {
                try await refusal.begin(on: fleet.redis)
            } end: {
                try await refusal.end(on: fleet.redis)
            }
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can mount a small file system"))
    func `because its disk is full is no different, and doctor says so`() async throws {
        try await withFleet(redis: ["--enable-protected-configs", "local"]) { fleet in
            let disk = "\(fleet.redis.directory)/disk"
            try await shell("mkdir '\(disk)' && mount -t tmpfs -o size=1m tmpfs '\(disk)'")
            let result: Result<Void, any Error>
            do {
                try await keep(fleet.redis, on: disk)
                try await refuses("MISCONF", fleet) {
                    try await shell("head -c 2M /dev/zero > '\(disk)/filler' || true")
                    try await written(fleet.redis, status: "err")
                    let sick = try await fleet.control("doctor")
                    #expect(sick.exitCode == 1 && sick.text.contains("MISCONF"), "\(sick)")
                } end: {
                    try await shell("rm '\(disk)/filler'")
                    try await written(fleet.redis, status: "ok")
                }
                #expect(try await fleet.control("doctor").exitCode == 0)
                result = .success(())
            } catch {
                result = .failure(error)
            }
            try await shell("umount -l '\(disk)'")
            try result.get()
        }
    }

    /// Has what the server knows kept in this directory.
    private func keep(_ redis: TestRedis, on disk: String) async throws {
        try await redis.command("CONFIG", "SET", "appendonly", "no")
        try await redis.command("CONFIG", "SET", "dir", disk)
        try await redis.command("CONFIG", "SET", "appendonly", "yes")
        try await eventually("it is kept there") {
            let state = try await redis.command("INFO", "persistence").text ?? ""
            return state.contains("aof_rewrite_in_progress:0") && state.contains("aof_last_bgrewrite_status:ok")
        }
    }

    /// Waits until the server finds that it can write its file, or cannot.
    private func written(_ redis: TestRedis, status: String) async throws {
        try await eventually("writing is \(status)") {
            _ = try await redis.command("SET", "something", "new")
            return try await redis.command("INFO", "persistence").text?.contains("aof_last_write_status:\(status)")
                == true
        }
    }

    /// What holds while a server refuses whatever is to be recorded, and once it no longer does.
    private func refuses(
        _ word: String,
        _ fleet: Fleet,
        begin: @escaping @Sendable () async throws -> Void,
        end: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await fleet.worker("w1") { daemon in
            let runs = try await fleet.start(1)
            let job = try #require(try await fleet.records(of: runs).first?.job)
            try await begin()
            let refused = try await fleet.control("cancel", job, "--no-wait", "--request-id", "q1")
            print("\(word): \(refused.exitCode ?? -1) \(refused.errors.split(separator: "\n").first ?? "")")
            #expect(refused.exitCode == 1 && refused.errors.contains(word), "\(refused)")
            // Told of, it would be gone by now: the next poll has been.
            try await Task.sleep(for: .milliseconds(1_300))
            #expect(livingRuns(among: Set(runs)).count == 1)
            try await end()
            var asked = [Invariants.Asked(request: RequestID(rawValue: "q1"), run: runs[0], answer: .refused)]
            #expect(try await fleet.facts(of: runs, asked: asked).violations == [])
            let taken = try await fleet.control("cancel", job, "--request-id", "q2")
            #expect(taken.exitCode == 0, "\(taken)")
            asked.append(.init(request: RequestID(rawValue: "q2"), run: runs[0], answer: .recorded))
            #expect(try await fleet.facts(of: runs, asked: asked).violations == [])
            #expect(isRunning(daemon))
        }
    }

    @Test func `because it is a replica is never said to have taken anything`() async throws {
        try await withRedis(tcp: true) { primary in
            let address = ["--replicaof", "127.0.0.1", "\(primary.port!)"]
            try await withTemporaryDirectory { directory in
                try await withRedis(arguments: address) { replica in
                    let (main, copy) = (
                        Fleet(redis: primary, directory: directory), Fleet(redis: replica, directory: directory)
                    )
                    try await main.worker("w1") { _ in
                        let runs = try await main.start(1)
                        let job = try #require(try await main.records(of: runs).first?.job)
                        try await eventually("it has the run") { try await copy.records(of: runs).count == 1 }
                        let refused = try await copy.control("cancel", job, "--no-wait", "--request-id", "q1")
                        #expect(refused.exitCode == 1 && refused.errors.contains("this is a replica"), "\(refused)")
                        let asked = [
                            Invariants.Asked(request: RequestID(rawValue: "q1"), run: runs[0], answer: .refused)
                        ]
                        #expect(try await main.facts(of: runs, asked: asked).violations == [])
                        #expect(try await main.control("cancel", job).exitCode == 0)
                    }
                }
            }
        }
    }

    @Test func `because it has no room for another client is named, and healed from`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { daemon in
                let runs = try await fleet.start(1)
                let keeper = try await RedisConnection.connect(to: fleet.redis.endpoint, configuration: .patient)
                defer { keeper.close() }
                // The worker's three and this one.
                try await keeper.send(RedisCommand("CONFIG", "SET", "maxclients", "4"))
                try await eventually("it is full") {
                    (try await keeper.send(RedisCommand("CLIENT", "LIST")).text ?? "").split(separator: "\n").count >= 4
                }
                let refused = try await fleet.control("cancel", "j", "--no-wait")
                #expect(refused.exitCode == 69, "\(refused)")
                #expect(refused.errors.contains("max number of clients"), "\(refused)")
                try await keeper.send(RedisCommand("CONFIG", "SET", "maxclients", "3"))
                try await keeper.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub"))
                try await fleet.log(of: "w1", has: "max number of clients")
                try await keeper.send(RedisCommand("CONFIG", "SET", "maxclients", "1000"))
                try await withRequester(fleet.redis.endpoint) { requester in
                    #expect(await requester.interrupt(runs[0]) == .recorded)
                    try await fleet.ended(runs)
                    #expect(try await fleet.facts(of: runs, asked: requester.asked).violations == [])
                }
                #expect(isRunning(daemon))
            }
        }
    }

    @Test func `that forgets its scripts 100 times a second shows that to nobody`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "20"]) { _ in
                var all: [RunID] = []
                try await withRequester(fleet.redis.endpoint) { requester in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            while !Task.isCancelled {
                                _ = try? await fleet.redis.command("SCRIPT", "FLUSH")
                                // The storm's own pace; it ends with the test.
                                try? await Task.sleep(for: .milliseconds(10))
                            }
                        }
                        defer { group.cancelAll() }
                        for _ in 0..<5 * faultScale {
                            let runs = try await fleet.start(20)
                            all += runs
                            for run in runs { #expect(await requester.interrupt(run) == .recorded) }
                            try await fleet.ended(runs)
                        }
                        for _ in 0..<5 {
                            let ran = try await fleet.control("run", "--", "echo", "well")
                            #expect(ran.text == "well\n", "\(ran)")
                        }
                    }
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    print("scripts flushed: \(facts.summary)")
                    #expect(facts.violations == [] && requester.refusals == [])
                    #expect(try !fleet.lines(of: "w1").contains { $0.contains("NOSCRIPT") })
                }
            }
        }
    }
}
