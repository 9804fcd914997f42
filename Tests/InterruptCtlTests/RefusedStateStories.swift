import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

/// What may be the matter with a server.
enum Trouble: String, CaseIterable {
    case replica, noReplicas, full, cannotSave, busy, pausedForAll, pausedForWrites, stopped, noRoom, loading

    /// What the server needs from its start on.
    func arguments(in directory: String) -> [String] {
        switch self {
        // What it cannot save goes elsewhere than its socket.
        case .cannotSave: ["--dir", directory, "--save", "3600 1000000"]
        case .busy: ["--busy-reply-threshold", "50"]
        case .loading: ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"]
        default: []
        }
    }

    /// The exit status of what writes, and of what reads.
    var statuses: (write: Int32, read: Int32) {
        switch self {
        case .replica, .noReplicas, .full, .cannotSave: (1, 0)
        case .pausedForWrites: (69, 0)
        case .busy, .pausedForAll, .stopped, .noRoom, .loading: (69, 69)
        }
    }

    /// What is said to those who write, and what to do about it.
    var texts: (error: String, hint: String) {
        switch self {
        case .replica: ("refused by Redis: READONLY", "pass the primary's URL")
        case .noReplicas: ("refused by Redis: NOREPLICAS", "min-replicas-to-write")
        case .full: ("refused by Redis: OOM", "raise maxmemory")
        case .cannotSave: ("refused by Redis: MISCONF", "see its log and its disk")
        case .busy: ("BUSY", "try again in a moment")
        case .loading: ("LOADING", "try again in a moment")
        case .pausedForAll, .stopped: ("no answer in time", "nothing was sent")
        case .pausedForWrites: ("unknown whether it is recorded", "with the same --request-id")
        case .noRoom: ("max number of clients reached", "raise maxclients")
        }
    }

    /// Brings the server into this state for the length of `body`.
    func befall(_ redis: TestRedis, _ directory: String, during body: () async throws -> Void) async throws {
        switch self {
        case .replica:
            try await redis.command("REPLICAOF", "127.0.0.1", "1")
            try await body()
        case .noReplicas:
            try await redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
            try await body()
            try await redis.command("CONFIG", "SET", "min-replicas-to-write", "0")
        case .full:
            try await redis.command("CONFIG", "SET", "maxmemory", "1")
            try await body()
        case .cannotSave:
            rmdir(directory)
            try await redis.command("BGSAVE")
            try await eventually("a save has failed") {
                try await redis.command("INFO", "persistence").text?.contains("rdb_last_bgsave_status:err") == true
            }
            try await body()
        case .busy:
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            async let script = try? connection.send(
                [RedisCommand("EVAL", "while true do end", "0")],
                timeout: .seconds(30)
            )
            try await eventually("a script hangs") {
                do {
                    try await redis.command("PING")
                    return false
                } catch let error as RedisError { return error.replyPrefix == "BUSY" }
            }
            try await body()
            // The greeting of a connection would be refused.
            connection.close()
            redis.stop()
            _ = await script
        case .pausedForAll, .pausedForWrites:
            let connection = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            let kind = self == .pausedForAll ? "ALL" : "WRITE"
            try await connection.send(RedisCommand("CLIENT", "PAUSE", "30000", kind))
            try await body()
            connection.close()
        case .stopped:
            redis.stop()
            try await body()
            redis.resume()
        case .noRoom:
            let only = try await RedisConnection.connect(to: redis.endpoint, configuration: .patient)
            try await only.send(RedisCommand("CONFIG", "SET", "maxclients", "1"))
            try await body()
            only.close()
        case .loading:
            try await redis.command("EVAL", "for i = 1, 8000 do redis.call('SET', 'k' .. i, i) end", "0")
            try await redis.command("SAVE")
            async let restarted: Void = redis.restart()
            try await eventually("the server loads") {
                do {
                    try await redis.command("PING")
                    return false
                } catch let error as RedisError { return error.replyPrefix == "LOADING" }
            }
            try await body()
            // The rest of it is of no use.
            try await redis.command("CONFIG", "SET", "key-load-delay", "0")
            try await restarted
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(2))) struct `A server in trouble` {
    @Test(arguments: Trouble.allCases)
    func `is said in a line and a hint within five seconds, and nothing is called recorded`(trouble: Trouble)
        async throws
    {
        try await withTemporaryDirectory { directory in
            let sub = "\(directory)/data"
            mkdir(sub, 0o700)
            try await withRedis(arguments: trouble.arguments(in: sub)) { redis in
                let control = Control(redis: redis)
                _ = try await control("submit", "--id", "a", "--request-id", "r1", "--", "x")
                try await redis.command("HSET", "interrupt/run/r1", "state", "running", "worker", "w1")
                // What the programs themselves take here and now.
                let started = ContinuousClock.now
                for _ in 0..<5 { _ = try await control("status", "a") }
                let programs = started.duration(to: .now)
                try await trouble.befall(redis, sub) {
                    try await expectWords(of: trouble, from: control, within: .seconds(10) + programs * 2)
                }
                // One that was asked again and again may still be stopped or hang.
                guard trouble.statuses.write == 1 || [.stopped, .loading].contains(trouble) else { return }
                #expect(try await redis.command("EXISTS", "interrupt/request/r1", "interrupt/job/b").integer == 0)
                #expect(try await redis.command("HGET", "interrupt/run/r1", "state").text == "running")
            }
        }
    }

    private func expectWords(of trouble: Trouble, from control: Control, within limit: Duration) async throws {
        let started = ContinuousClock.now
        async let submit = control("submit", "--id", "b", "--", "x")
        async let cancel = control("cancel", "a")
        async let noWait = control("cancel", "a", "--no-wait")
        async let status = control("status", "a")
        async let wait = control("wait", "a", "--wait", "100ms")
        for result in try await [submit, cancel, noWait] {
            #expect(result.status == trouble.statuses.write, "\(trouble): \(result)")
            let lines = result.error.split(separator: "\n")
            #expect(lines.count == 2 && result.output.isEmpty, "\(trouble): \(result)")
            #expect(
                lines.first?.hasPrefix("error: ") == true && lines.first!.contains(trouble.texts.error),
                "\(result)"
            )
            #expect(lines.last?.hasPrefix("hint: ") == true && lines.last!.contains(trouble.texts.hint), "\(result)")
        }
        let read = try await status
        #expect(read.status == trouble.statuses.read, "\(trouble): \(read)")
        #expect(read.error.split(separator: "\n").count == (read.status == 0 ? 0 : 2))
        #expect(try await wait.status == 125)
        let time = started.duration(to: .now)
        print("\(trouble): all five have answered after \(time)")
        #expect(time < limit)
    }

    @Test func `is told apart from one that is none, from a wrong password and from the wrong scheme`() async throws {
        try await withTemporaryDirectory { directory in
            let files = try await RedisCertificates.make(in: directory)
            try await withRedis(certificates: files) { secure in
                try await withRedis(arguments: ["--requirepass", "s3cret"], tcp: true) { plain in
                    try await expectWords(about: secure, and: plain)
                }
            }
        }
    }

    private func expectWords(about secure: TestRedis, and plain: TestRedis) async throws {
        let control = Control(redis: plain)
        let cases: [(url: String, status: Int32, error: String, hint: String)] = [
            ("redis://127.0.0.1:\(plain.port!)", 77, "NOAUTH", "--redis-password-file"),
            ("redis://:wrong@127.0.0.1:\(plain.port!)", 77, "WRONGPASS", "--redis-password-file"),
            ("rediss://127.0.0.1:\(plain.port!)", 69, "does the server speak TLS?", "check --redis"),
            ("redis://127.0.0.1:\(secure.port!)", 69, "TLS", "check scheme, host and port"),
            ("rediss://localhost:\(secure.port!)", 69, "certificate", "--tls-ca"),
        ]
        for (url, status, error, hint) in cases {
            async let submit = control("submit", "--redis", url, "--", "x")
            async let cancel = control("cancel", "a", "--redis", url)
            async let look = control("status", "--redis", url)
            async let wait = control("wait", "a", "--redis", url)
            for result in try await [submit, cancel, look] { #expect(result.status == status, "\(url): \(result)") }
            #expect(try await wait.status == 125)
            for result in try await [submit, cancel, look, wait] {
                let lines = result.error.split(separator: "\n")
                #expect(lines.count == 2 && lines[0].contains(error) && lines[1].contains(hint), "\(url): \(result)")
            }
        }
    }
}
