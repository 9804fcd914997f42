import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(1))) struct `The queue connection` {
    @Test func `offers all pending entries after a restart, however many are asked for at a time`() async throws {
        func leavePending(_ scene: Scene) async throws {
            let earlier = try await ScriptWorker(scene, "w1", instance: "i1")
            for index in 0..<5 { try await scene.submit("j\(index)") }
            #expect(try await earlier.offers().count == 5)
        }
        try await withWatching(prepare: leavePending) { watching in
            try await watching.scene.submit("new")
            var offers: [RunOffer] = []
            while offers.count < 6 { offers += try await watching.transport.offers(limit: 2) }
            #expect(Set(offers.map(\.run)).count == 6)
            for offer in offers {
                let result = try await watching.transport.start(offer, gracePeriod: .seconds(10))
                guard case .started = result else { Issue.record("gone"); continue }
            }
        }
    }

    @Test func `lets anyone have after some seconds what was offered to it and is not started`() async throws {
        func leavePending(_ scene: Scene) async throws {
            let earlier = try await ScriptWorker(scene, "w1", instance: "i1")
            for index in 0..<101 { try await scene.submit("j\(index)") }
            #expect(try await earlier.offers().count == 101)
        }
        // As a worker without a free slot, it asks for nothing.
        try await withWatching(prepare: leavePending) { watching in
            let other = try await ScriptWorker(watching.scene, "w2", instance: "i2")
            var started = 0
            try await watching.scene.until {
                started += try await other.startAll().count
                return started == 101
            }
        }
    }

    @Test func `leaves the first second of the connection for commands to what cannot wait`() async throws {
        var lost = ContinuousClock.now
        try await withWatching { watching in
            let scene = watching.scene
            func hasLooked() async throws -> Bool {
                try await scene.command("INFO", "commandstats").text?.contains("cmdstat_xpending:") ?? false
            }
            /// Seconds that the worker's connection of this name is old; `nil` without one.
            func age(of name: String) async throws -> Int? {
                let list = try await scene.command("CLIENT", "LIST").text ?? ""
                let line = list.split(separator: "\n").first { $0.contains(" name=\(name):w1 ") }
                let age = line?.split(separator: " ").first { $0.hasPrefix("age=") }
                return age.flatMap { Int($0.dropFirst("age=".count)) }
            }
            // Meanwhile nobody else may have what was offered on the connection before.
            try await scene.until { try await age(of: "interrupt-queue") ?? 0 >= 5 }
            for _ in 0..<7 {
                let now = ContinuousClock.now
                try await watching.kill("interruptd:w1")
                if try await hasLooked() { break }
                lost = now
                try await scene.until {
                    if try await hasLooked() { return true }
                    return try await age(of: "interruptd") != nil
                }
            }
            try await scene.until(hasLooked)
            #expect(lost.duration(to: .now) >= .seconds(1))
        }
    }

    @Test func `claims nothing that had to wait for a connection, because the worker may be told to stop meanwhile`()
        async throws
    {
        var connection = RedisConnectionConfiguration.patient
        connection.commandTimeout = .seconds(3_600)
        try await withWatching(connection: connection) { watching in
            try await watching.scene.submit("j")
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            try await watching.scene.redis.takeAway()
            try await eventually("the connection is lost") { !watching.transport.isReachable }
            let error = try await #require(throws: TransportError.self) {
                try await watching.transport.start(offer, gracePeriod: .seconds(10))
            }
            guard case .unavailable = error else { Issue.record("\(error)"); return }
        }
    }

    @Test func `fails a run whose record is about another one`() async throws {
        try await withWatching { watching in
            let run = try await watching.scene.submit("j")
            try await watching.scene.command("HSET", "interrupt/run/\(run)", "run", "another")
            let offer = try #require(try await watching.transport.offers(limit: 1).first)
            let result = try await watching.transport.start(offer, gracePeriod: .seconds(10))
            if case .started = result { Issue.record("it is started") }
            #expect(try await watching.scene.command("HGET", "interrupt/run/\(run)", "state").text == "failed")
            #expect(try await watching.scene.command("EXISTS", "interrupt/run/another").integer == 0)
        }
    }

    @Test func `offers at most what was asked for, the first queue first`() async throws {
        try await withWatching(queues: ["urgent", "default"]) { watching in
            for queue in ["default", "urgent"] {
                for index in 0..<3 { try await watching.scene.submit("\(queue)\(index)", queue: queue) }
            }
            let first = try await watching.transport.offers(limit: 2)
            let second = try await watching.transport.offers(limit: 2)
            let third = try await watching.transport.offers(limit: 2)
            #expect(first.map(\.queue.description) == ["urgent", "urgent"])
            #expect(second.map(\.queue.description) == ["urgent", "default"])
            #expect(third.map(\.queue.description) == ["default", "default"])
        }
    }

    @Test func `offers what one queue has given although another one cannot be read`() async throws {
        try await withWatching(queues: ["urgent", "default"]) { watching in
            let scene = watching.scene
            let first = try await scene.submit("first", queue: "urgent")
            #expect(try await watching.transport.offers(limit: 2).map(\.run) == [first])
            try await scene.command("SET", "other", "no stream")
            for (key, name) in [("interrupt/queue/default", "aside"), ("other", "interrupt/queue/default")] {
                try await scene.command("RENAME", key, name)
            }
            let run = try await scene.submit("second", queue: "urgent")
            #expect(try await watching.transport.offers(limit: 2).map(\.run) == [run])
            await #expect(throws: TransportError.self) { try await watching.transport.offers(limit: 2) }
        }
    }

    @Test func `offers again what could not be given back, without waiting for a reconnect`() async throws {
        try await withWatching { watching in
            let run = try await watching.scene.submit("j")
            let offers = try await watching.transport.offers(limit: 1)
            try await watching.scene.command("HSET", "interrupt/meta", "v", "2")
            await #expect(throws: TransportError.self) { try await watching.transport.giveBack(offers) }
            try await watching.scene.command("HSET", "interrupt/meta", "v", "1")
            try await watching.scene.submit("later")
            #expect(try await watching.transport.offers(limit: 1).map(\.run) == [run])
        }
    }

    @Test func `keeps its connection on leaving when nothing waits on it`() async throws {
        try await withWatching { watching in
            let run = try await watching.scene.submit("j")
            #expect(try await watching.transport.offers(limit: 1).map(\.run) == [run])
            func connection() async throws -> Substring? {
                let list = try await watching.scene.command("CLIENT", "LIST").text ?? ""
                return list.split(separator: "\n").first { $0.contains("name=interrupt-queue:w1") }?
                    .prefix { $0 != " " }
            }
            let before = try #require(try await connection())
            await watching.transport.leave()
            #expect(try await connection() == before)
            #expect(try await ScriptWorker(watching.scene, "w2", instance: "i2").startAll() == [run])
        }
    }

    @Test func `keeps its worker on the list while something that it was offered is not given back`() async throws {
        try await withWatching { watching in
            let scene = watching.scene
            let run = try await scene.submit("j")
            #expect(try await watching.transport.offers(limit: 1).map(\.run) == [run])
            try await scene.command("ACL", "SETUSER", "default", "-xrange")
            await watching.transport.leave()
            #expect(try await scene.client.workers().map(\.name) == ["w1"], "others take back what it was offered")
            try await scene.command("ACL", "SETUSER", "default", "+xrange")
            try await scene.until {
                await watching.transport.leave()
                return try await scene.client.workers().isEmpty
            }
            #expect(try await ScriptWorker(scene, "w2", instance: "i2").startAll() == [run])
        }
    }

    @Test func `gives back on leaving what was offered and not started`() async throws {
        // Less than the wait for offers may take: given up, that closes its connection, as in a worker.
        var connection = RedisConnectionConfiguration.patient
        connection.commandTimeout = .seconds(6)
        try await withWatching(connection: connection) { watching in
            let run = try await watching.scene.submit("j")
            let waiting = Task { try await watching.transport.offers(limit: 1) }
            #expect(try await waiting.value.map(\.run) == [run])
            let start = ContinuousClock.now
            let idle = Task { try await watching.transport.offers(limit: 1) }
            try await watching.scene.until {
                try await watching.scene.info("clients", "blocked_clients") == 1
            }
            idle.cancel()
            _ = await idle.result
            try await watching.scene.until {
                try await watching.scene.info("clients", "blocked_clients") == 0
            }
            await watching.transport.leave()
            print("leaving took \(start.duration(to: .now))")
            let other = try await ScriptWorker(watching.scene, "w2", instance: "i2")
            #expect(try await other.startAll() == [run])
            #expect(try await watching.scene.client.workers().map(\.name) == ["w2"])
        }
    }
}
