import Testing

@testable import InterruptRedis

@Suite struct `The RESP parser` {
    private func replies(
        to bytes: [UInt8],
        pieceLength: Int,
        _ parser: RESPParser = RESPParser()
    ) throws -> [RESPValue] {
        var replies: [RESPValue] = []
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            bytes[start..<min(bytes.count, start + pieceLength)].withUnsafeBytes { parser.feed($0) }
            while let reply = try parser.next() { replies.append(reply) }
        }
        return replies
    }

    @Test(arguments: [1, 2, 3, 7, 1_000])
    func `gives the same replies however the bytes are cut`(pieceLength: Int) throws {
        let binary: [UInt8] = [0, 13, 10, 255, 36]
        let text =
            "+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n*2\r\n*1\r\n$1\r\nx\r\n*2\r\n$-1\r\n:1\r\n$5\r\n"
        let expected: [RESPValue] = [
            .status("OK"), .error("ERR no"), .integer(-42), .null, .null, .array([]), .bulk([]),
            .array([.array([.bulk([120])]), .array([.null, .integer(1)])]), .bulk(binary),
        ]
        #expect(try replies(to: Array(text.utf8) + binary + [13, 10], pieceLength: pieceLength) == expected)
    }

    @Test(arguments: [1, 2, 3, 5, 8, 1_000])
    func `leaves out what a string has more than anybody needs, however the bytes are cut`(pieceLength: Int) throws {
        let text =
            "*4\r\n$4\r\nfour\r\n$9\r\nand\r\nmore\r\n$-1\r\n$5\r\nfive!\r\n:1\r\n$0\r\n\r\n+a line of its own\r\n"
        let replies = try replies(
            to: Array(text.utf8),
            pieceLength: pieceLength,
            RESPParser(longestString: 4)
        )
        let strings = ["four", "and\r"].map { RESPValue.bulk(Array($0.utf8)) }
        let list = strings + [.null, .bulk(Array("five".utf8))]
        #expect(replies == [.array(list), .integer(1), .bulk([]), .status("a line of its own")])
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-OpenSSH\r\n", "\u{15}\u{3}", ":abc\r\n"])
    func `refuses what is not a reply`(text: String) throws {
        #expect(throws: RESPParserError.self) { try replies(to: Array(text.utf8), pieceLength: 100) }
    }

    @Test func `reads lists seven deep, and then fails or reads on but never crashes`() throws {
        let seven = String(repeating: "*1\r\n", count: 7) + ":1\r\n"
        #expect(try replies(to: Array(seven.utf8), pieceLength: 100).count == 1)
        let many = String(repeating: "*1\r\n", count: 40) + ":1\r\n"
        do {
            // hiredis 1.x has no limit.
            #expect(try replies(to: Array(many.utf8), pieceLength: 100).count == 1)
        } catch let error as RESPParserError {
            #expect(error.problem.contains("depth > 7"))
        }
    }

    @Test func `reads numbers that are sent as text`() {
        #expect(RESPValue.bulk(Array("-17".utf8)).integer == -17)
        #expect(RESPValue.bulk(Array("x".utf8)).integer == nil)
        #expect(RESPValue.null.integer == nil)
        #expect(RESPValue.bulk([0x61, 0xFF]).text == "a\u{FFFD}")
    }
}

@Suite struct `An error reply` {
    @Test(arguments: [
        ("NOAUTH Authentication required.", RedisError.Code.authenticationFailed, "NOAUTH"),
        ("WRONGPASS invalid username-password pair", .authenticationFailed, "WRONGPASS"),
        ("NOPERM this user has no permissions", .notPermitted, "NOPERM"),
        ("LOADING Redis is loading the dataset in memory", .reply, "LOADING"),
        ("READONLY You can't write against a read only replica.", .reply, "READONLY"),
        ("NOREPLICAS Not enough good replicas to write.", .reply, "NOREPLICAS"),
        ("ERR unknown command", .reply, "ERR"), ("something else", .reply, ""), ("", .reply, ""),
    ])
    func `is sorted by its first word`(text: String, code: RedisError.Code, prefix: String) {
        let error = RedisError.fromReply(text)
        #expect(error.code == code)
        #expect((error.replyPrefix ?? "") == prefix)
        #expect(error.message == text)
        #expect(!error.isOutcomeUnknown)
    }

    @Test(arguments: [
        (
            "OOM command not allowed when used memory > 'maxmemory'. script: 38f2, on @user_script:64.",
            "OOM command not allowed when used memory > 'maxmemory'.", "OOM", RedisError.Code.reply
        ),
        (
            "READONLY You can't write against a read only replica. script: 38f2, on @user_script:64.",
            "READONLY You can't write against a read only replica.", "READONLY", .reply
        ),
        (
            "ERR ACL failure in script: No permissions to access a key script: 38f2, on @user_script:5.",
            "ERR ACL failure in script: No permissions to access a key", "ERR", .notPermitted
        ),
        (
            "ERR Error running script (call to f_38f2): @user_script:64: @user_script: 64: -OOM command not allowed",
            "OOM command not allowed", "OOM", .reply
        ),
        (
            "ERR Error running script (call to f_38f2): @user_script:6: @user_script: 6: -NOPERM no access to a key",
            "NOPERM no access to a key", "NOPERM", .notPermitted
        ),
        (
            "ERR Error running script (call to f_38f2): @user_script:1: user_script:1: no global 'x'",
            "ERR Error running script (call to f_38f2): @user_script:1: user_script:1: no global 'x'", "ERR", .reply
        ),
    ])
    func `a reply from within a script is read without its place there`(
        text: String,
        message: String,
        prefix: String,
        code: RedisError.Code
    ) {
        let error = RedisError.fromReply(text)
        #expect(error.message == message && error.replyPrefix == prefix && error.code == code)
    }
}

@Suite struct `SHA-1` {
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (String(repeating: "a", count: 1_000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
    ])
    func `gives the published digests`(text: String, digest: String) {
        #expect(SHA1.hexadecimalDigest(of: text.utf8) == digest)
    }
}

@Suite struct `The backoff` {
    @Test func `doubles its bound up to two seconds`() {
        var backoff = Backoff()
        let delays = (0..<8).map { _ in backoff.delay(afterLifetime: nil, random: 1) }
        #expect(delays == [50, 100, 200, 400, 800, 1_600, 2_000, 2_000].map { .milliseconds($0) })
        #expect(backoff.delay(afterLifetime: nil, random: 0) == .zero)
    }

    @Test func `begins anew after a connection that lived, but not after one that was dropped at once`() {
        var backoff = Backoff()
        for _ in 0..<5 { _ = backoff.delay(afterLifetime: nil, random: 1) }
        #expect(backoff.delay(afterLifetime: .milliseconds(10), random: 1) == .milliseconds(1_600))
        #expect(backoff.delay(afterLifetime: .seconds(1), random: 1) == .milliseconds(50))
    }

    @Test func `log lets one line through per interval and counts the others`() {
        let start = ContinuousClock.now
        var log = LogThrottle<ContinuousClock.Instant>(interval: .seconds(1))
        #expect(log.line(at: start) == 0)
        #expect(log.line(at: start + .milliseconds(400)) == nil)
        #expect(log.line(at: start + .milliseconds(900)) == nil)
        #expect(log.line(at: start + .milliseconds(1_000)) == 2)
    }
}

@Suite struct `A missing right` {
    private let script = RedisScript(
        name: "pause",
        source: """
            local ns = ARGV[1]
            local text = redis.call('GET', ns .. '/pause/' .. target)
            redis.call('HSET', ns .. '/run/' .. run, 'a', text, 'b', 1)
            local name, other = ns .. '/gate/' .. ARGV[2], ARGV[3]
            if redis.call('EXISTS', name) == redis.call('EXISTS', key) then redis.pcall('DEL', ns .. '/meta') end
            return text
            """
    )

    @Test(arguments: [
        (2, "GET interrupt/pause/*"), (3, "HSET interrupt/run/*"),
        (5, "EXISTS interrupt/gate/* or EXISTS * or DEL interrupt/meta"),
    ])
    func `is named by the line of the script that has failed`(line: Int, right: String) {
        for answer in [
            "ERR The user executing the script can't run this command or subcommand script: 38f2, on @user_script:\(line).",
            "ERR ACL failure in script: No permissions to access a key script: 38f2, on @user_script:\(line).",
            "ERR Error running script (call to f_38f2): @user_script:\(line): @user_script: \(line): -NOPERM no rights",
        ] {
            let error = RedisError.fromReply(answer, to: script, keys: ["h"], namespace: "interrupt")
            #expect(error.code == .notPermitted)
            #expect(error.message.hasSuffix(" (\(right), in the script 'pause')"), "\(error.message)")
        }
    }

    @Test func `is named by the command where no script has failed, and nothing else is`() {
        let noKey = "NOPERM this user has no permissions to access one of the keys used as arguments"
        func message(_ words: String...) -> String {
            let command = RedisCommand(arguments: words.map { Array($0.utf8) })
            return RedisError.fromReply(noKey, to: command).message
        }
        #expect(message("GET", "interrupt/env/r") == "\(noKey) (GET interrupt/env/r)")
        #expect(message("SET", "k", "s3cret") == "\(noKey) (SET k)")
        #expect(
            message("XREAD", "COUNT", "1", "STREAMS", "interrupt/output/r", "0")
                == "\(noKey) (XREAD interrupt/output/r)"
        )
        let ofKeys = RedisError.fromReply(noKey, to: script, keys: ["interrupt/history"], namespace: "interrupt")
        #expect(ofKeys.message == "\(noKey) (EVALSHA interrupt/history, in the script 'pause')")
        let other = RedisError.fromReply("OOM no memory", to: script, keys: [], namespace: "interrupt")
        #expect(other.message == "OOM no memory")
    }
}
