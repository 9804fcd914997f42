import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3 * faultScale))) struct `While Redis dies and hangs` {
    /// With `everysec` it may keep what it has to write while the disk is busy: then a kill loses what it has called
    /// recorded, and no client can help that.
    @Test func `no recorded interrupt is lost, however often it is killed`() async throws {
        try await withFleet(redis: ["--appendfsync", "always"]) { fleet in
            try await fleet.worker("w1", ["--concurrency", "10"]) { daemon in
                var random = SeededRandom(seed: 1)
                var all: [RunID] = []
                var crashes = 0
                // Only a crash leaves it unknown whether something is recorded.
                try await withRequester(fleet.redis.endpoint, configuration: .patient) { requester in
                    for round in 0..<10 * faultScale {
                        let runs = try await fleet.start(10, round % 5 == 0 ? .deaf : .stub)
                        all += runs
                        let delay = Duration.microseconds(Int.random(in: 0...30_000, using: &random))
                        let isCrash = round % 2 == 0
                        if isCrash { crashes += 1 }
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            if isCrash {
                                group.addTask {
                                    try await Task.sleep(for: delay)  // the moment at which it is killed
                                    try await fleet.redis.restart()
                                }
                            }
                            group.addTask { for run in runs { await requester.interrupt(run) } }
                            try await group.waitForAll()
                        }
                        try await fleet.ended(runs)
                    }
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    print("killed \(crashes) times: \(facts.summary); unknown for a while \(requester.unknownCount)")
                    #expect(facts.violations == [])
                    #expect(requester.unknownCount <= crashes, "one requester, one request under way")
                    #expect(isRunning(daemon))
                }
            }
        }
    }

    @Test(arguments: [["--appendonly", "no"], ["--maxmemory-policy", "allkeys-random"]])
    func `that it would lose what is on record is said at the start`(arguments: [String]) async throws {
        try await withFleet(redis: arguments) { fleet in
            try await fleet.worker("w1") { _ in try await fleet.log(of: "w1", has: "not durable") }
        }
    }

    @Test func `nothing is called recorded that is not, and what was sent is applied when it goes on, once`()
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--concurrency", "2"]) { daemon in
                let runs = try await fleet.start(2)
                let job = try #require(try await fleet.records(of: runs).first?.job)
                try await withRequester(fleet.redis.endpoint) { requester in
                    fleet.redis.stop()
                    let begin = ContinuousClock.now
                    async let insisting = requester.interrupt(runs[1])
                    let asked = try await fleet.control("cancel", job, "--no-wait", "--request-id", "q1")
                    let time = begin.duration(to: .now)
                    print("redis stopped: answered \(asked.exitCode ?? -1) after \(time): \(asked.errors)")
                    #expect(asked.exitCode == 69 && time < .seconds(10))
                    // How long it is stopped.
                    try await Task.sleep(for: .seconds(min(10, 4 * faultScale)) - begin.duration(to: .now))
                    #expect(requester.asked.isEmpty && livingRuns(among: Set(runs)).count == 2)
                    fleet.redis.resume()
                    let back = ContinuousClock.now
                    try await eventually("who has insisted is heard", within: .seconds(10)) {
                        livingRuns(among: [runs[1]]).isEmpty
                    }
                    print("redis goes on: applied after \(back.duration(to: .now))")
                    #expect(await insisting == .recorded)
                    let again = try await fleet.control("cancel", job, "--request-id", "q1")
                    #expect(again.exitCode == 0, "\(again)")
                    let asks = Invariants.Asked(request: RequestID(rawValue: "q1"), run: runs[0], answer: .recorded)
                    let facts = try await fleet.facts(of: runs, asked: requester.asked + [asks])
                    #expect(facts.violations == [] && isRunning(daemon))
                }
            }
        }
    }

    @Test func `a worker that is asked to end ends all the same, and its next start says what came of its jobs`()
        async throws
    {
        try await withFleet { fleet in
            let runs = try await fleet.worker("w1", ["--concurrency", "3"]) { daemon in
                let runs = try await fleet.start(2) + fleet.start(1, .deaf)
                fleet.redis.stop()
                let begin = ContinuousClock.now
                kill(daemon, SIGTERM)
                try await eventually("it has gone, and its jobs with it", within: .seconds(20)) {
                    livingRuns(among: Set(runs)).isEmpty && !isRunning(daemon)
                }
                print("asked to end while redis is stopped: gone after \(begin.duration(to: .now))")
                fleet.redis.resume()
                return runs
            }
            try await fleet.worker("w1") { _ in
                try await fleet.ended(runs)
                let records = try await fleet.records(of: runs)
                #expect(records.allSatisfy { $0.state == .interrupted && $0.reason == .systemShutdown }, "\(records)")
                #expect(try await fleet.facts(of: runs, asked: [], endedByOthers: Set(runs)).violations == [])
            }
        }
    }

    @Test(arguments: ["DEBUG SLEEP 10", "CLIENT PAUSE 10000 ALL"])
    func `a timeout ends its run in time though the server answers nobody`(command: String) async throws {
        try await withFleet(redis: ["--enable-debug-command", "local"]) { fleet in
            try await fleet.worker("w1") { _ in
                let runs = try await fleet.start(1, timeout: .seconds(5))
                let words = command.split(separator: " ").map { Array($0.utf8) }
                let connection = try await RedisConnection.connect(to: fleet.redis.endpoint, configuration: .patient)
                defer { connection.close() }
                let begin = ContinuousClock.now
                // Its answer comes when the server has slept.
                async let slept = connection.send([RedisCommand("PING"), RedisCommand(arguments: words)])
                try await eventually("it is gone") { livingRuns(among: Set(runs)).isEmpty }
                #expect(begin.duration(to: .now) < .seconds(10), "the server answers nobody yet")
                _ = try? await slept
                try await eventually("it answers again") { (try? await fleet.redis.command("PING")) != nil }
                try await fleet.ended(runs)
                #expect(try await fleet.records(of: runs).first?.reason == .timeout)
                let facts = try await fleet.facts(of: runs, asked: [], endedByOthers: Set(runs))
                #expect(facts.violations == [])
            }
        }
    }

    @Test func `an interrupt that is on record is found by polling while writing is suspended`() async throws {
        try await withFleet { fleet in
            // With so long a lease it writes nothing by itself meanwhile: what it reads would have to wait behind that.
            try await fleet.worker("w1", ["--lease", "1h"]) { daemon in
                let runs = try await fleet.start(1)
                let connection = try await RedisConnection.connect(to: fleet.redis.endpoint, configuration: .patient)
                defer { connection.close() }
                let signal = InterruptSignal()
                // The subscription dies before, and writing ends before the worker goes on: no message and no receipt.
                try await stop(daemon)
                try await connection.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub"))
                let client = InterruptClient(commands: connection, keys: try RedisKeys())
                #expect(try await client.interrupt([.run(runs[0])], signal).first?.outcome == .accepted)
                try await connection.send(RedisCommand("CLIENT", "PAUSE", "60000", "WRITE"))
                kill(daemon, SIGCONT)
                try await eventually("it is gone") { livingRuns(among: Set(runs)).isEmpty }
                #expect(try await fleet.records(of: runs).first?.state == .running, "its receipt has to wait")
                try await connection.send(RedisCommand("CLIENT", "UNPAUSE"))
                try await fleet.ended(runs)
                let asked = Invariants.Asked(request: signal.id, run: runs[0], answer: .recorded)
                #expect(try await fleet.facts(of: runs, asked: [asked]).violations == [])
            }
        }
    }

    @Test func `loading a large file it is waited for, which is said once a second at most`() async throws {
        // Each key takes so long to load, and others are answered in between.
        let slow = [
            "--appendfsync", "always", "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024",
        ]
        try await withFleet(redis: slow) { fleet in
            try await fleet.worker("w1") { daemon in
                let runs = try await fleet.start(1)
                try await fleet.redis.command("EVAL", "for i = 1, 6000 do redis.call('SET', 'k' .. i, i) end", "0")
                let before = try fleet.lines(of: "w1").count
                let begin = ContinuousClock.now
                try await withRequester(fleet.redis.endpoint) { requester in
                    async let answer = requester.interrupt(runs[0])
                    try await fleet.redis.restart()
                    #expect(await answer == .recorded)
                    let time = begin.duration(to: .now)
                    try await fleet.ended(runs)
                    let said = try fleet.lines(of: "w1").dropFirst(before)
                    let seconds = Int(begin.duration(to: .now) / .seconds(1))
                    let waiting = said.count { $0.contains("no connection to Redis") }
                    print("loading: recorded after \(time), \(said.count) lines, \(waiting) of them about Redis")
                    #expect(time > .seconds(2), "it did load for a while")
                    #expect((1...seconds + 1).contains(waiting), "\(said)")
                    // What became of the run, and what could not be done meanwhile.
                    #expect(said.count <= seconds + 5, "\(said)")
                    #expect(try await fleet.facts(of: runs, asked: requester.asked).violations == [])
                    #expect(isRunning(daemon))
                }
            }
        }
    }

    @Test func `a worker says that it is gone, and then that it is back, and counts that`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", ["--lease", "5s"]) { _ in
                @Sendable func outages() async throws -> Int? {
                    try await fleet.asking { try await $0.worker("w1")?.outages }
                }
                // None, unless the machine let its first connections wait.
                let before = try #require(try await outages())
                let said = try fleet.lines(of: "w1").count
                try await fleet.redis.restart()
                try await eventually("all connections are back") {
                    let last = try fleet.lines(of: "w1").dropFirst(said).last { $0.contains(" Redis") }
                    return last?.contains("connected to Redis after") == true
                }
                let lines = try fleet.lines(of: "w1").dropFirst(said)
                let gone = lines.count { $0.contains("warning no connection to Redis") }
                #expect(gone >= 1 && lines.count { $0.contains("connected to Redis after") } <= gone, "\(lines)")
                try await eventually("its heartbeat has said so") { try await outages() ?? 0 > before }
            }
        }
    }
}
