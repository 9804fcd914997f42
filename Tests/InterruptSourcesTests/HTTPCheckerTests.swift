import InterruptCore
import InterruptSources
import NIOHTTP1
import Testing

@Suite(.timeLimit(.minutes(2))) struct `An HTTP server` {
    @Test func `interrupts with all that it says`() async throws {
        let body =
            #"{"interrupted": true, "reason": "priority_override", "message": "make room", "triggered_by": "ops", "#
            + #""stage": 1, "save_checkpoint": false, "source": "flag"}"#
        try await AnsweringServer.running { server in
            let signal = try #require(await ask(.http(server.url("body/" + body.inPercents))).signal)
            #expect(signal.reason == .priorityOverride && signal.message == "make room" && signal.triggeredBy == "ops")
            #expect(signal.stage == .drain && !signal.savesCheckpoint && signal.source == .checker)
            let plain = try #require(await ask(.http(server.url("body/" + "{\"interrupted\":true}".inPercents))).signal)
            #expect(plain.reason == .userCancelled && plain.stage == .terminate && plain.message == nil)
        }
    }

    @Test func `that knows nothing of the work, or says no, does not`() async throws {
        try await AnsweringServer.running { server in
            for path in ["status/204", "status/404", "body/" + "{\"interrupted\": false, \"stage\": 3}".inPercents] {
                #expect(await ask(.http(server.url(path))) == .none, "\(path)")
            }
        }
    }

    @Test(arguments: [201, 206, 302, 304, 400, 401, 403, 429, 500, 503])
    func `of any other status fails, whatever else it says`(status: Int) async throws {
        try await AnsweringServer.running { server in
            let url = server.url("status/\(status)")
            #expect(await ask(.http(url)) == .failed("\(url) answered \(status)"))
        }
    }

    @Test(arguments: [
        ("", "it is not JSON"), ("1", "wrong type"), ("true", "wrong type"), ("<html>yes</html>", "it is not JSON"),
        ("{}", "it has no field interrupted"), ("{\"status\": \"ok\"}", "it has no field interrupted"),
        ("{\"interrupted\": 1}", "it has no field interrupted"), ("{\"interrupted\": \"true\"}", "it has no field"),
        ("{\"interrupted\": null}", "it has no field interrupted"), ("{\"interrupted\": true", "it is not JSON"),
        ("{\"interrupted\": true, \"stage\": 9}", "stage 9"), ("{\"interrupted\": true, \"reason\": {}}", "reason"),
        ("[{\"interrupted\": true}]", "wrong type"),
    ])
    func `that says anything else fails`(body: String, why: String) async throws {
        try await AnsweringServer.running { server in
            let url = server.url("body/" + body.inPercents)
            let failure = try #require(await ask(.http(url)).failure)
            #expect(failure.hasPrefix("the answer of http://127.0.0.1:") && failure.contains("cannot be read: "))
            #expect(failure.contains(why))
        }
    }

    @Test func `is not left for another one`() async throws {
        try await AnsweringServer.running { server in
            #expect(await ask(.http(server.url("elsewhere"))) == .failed("\(server.url("elsewhere")) answered 302"))
            #expect(await server.requests.first { _ in true }?.uri == "/elsewhere")
            _ = await ask(.http(server.url("last")))
            // The first may have been asked twice.
            #expect(await server.requests.first { $0.uri != "/elsewhere" }?.uri == "/last")
        }
    }

    @Test func `that hangs up half-way fails`() async throws {
        try await AnsweringServer.running { server in
            let failure = try #require(await ask(.http(server.url("half"))).failure)
            #expect(failure.hasPrefix("no answer from \(server.url("half")): "))
        }
    }

    @Test(arguments: ["large", "endless"]) func `that sends 10 MB is not listened to`(path: String) async throws {
        try await AnsweringServer.running { server in
            let failure = await ask(.http(server.url(path))).failure
            #expect(failure == "the answer of \(server.url(path)) is larger than 65536 bytes")
            var hangUps = server.hangUps.makeAsyncIterator()
            #expect(await hangUps.next() == path)
        }
    }

    @Test(arguments: ["never", "trickle"]) func `that takes too long is hung up on`(path: String) async throws {
        #expect(InterruptChecker.http("http://127.0.0.1/").limit == .seconds(2))
        try await AnsweringServer.running { server in
            await withInterruptScope { scope in
                let events = scope.events
                // Again and again: of a question that is over soon enough the server has not heard.
                scope.setChecker(.http(server.url(path), every: .milliseconds(1), limit: .milliseconds(50)))
                let failure = await events.first { if case .degraded = $0 { true } else { false } }
                #expect(failure == .degraded(source: server.url(path), why: "no answer within 50 ms"))
                #expect(await server.hangUps.first { !$0.isEmpty } == path)
            }
        }
    }

    @Test func `that is slow delays neither another checker nor the work`() async throws {
        try await AnsweringServer.running { server in
            try await withInterruptScope { scope in
                let events = scope.events
                scope.setChecker(.http(server.url("never"), limit: .longestAccepted))
                var requests = server.requests.makeAsyncIterator()
                #expect(await requests.next()?.uri == "/never")
                for _ in 0..<1_000 { try scope.checkpoint() }
                scope.setChecker(.http(server.url("yes"), limit: .longestAccepted))
                #expect(await scope.signals.first { _ in true }?.message == "stop")
                scope.notice("over")
                // It still waits for the slow one: nothing was given up.
                for await event in events {
                    if case .degraded(_, let why) = event { Issue.record("\(why)") }
                    if event == .notice("over") { break }
                }
            }
            var hangUps = server.hangUps.makeAsyncIterator()
            #expect(await hangUps.next() == "never")
        }
    }

    @Test func `gets a token, and nobody else does`() async throws {
        try await AnsweringServer.running { server in
            let secret = "Bearer s3cret"
            let url = "http://user:s3cret@127.0.0.1:\(server.port)/status/403?token=s3cret#s3cret"
            let checker = InterruptChecker.http(url, headers: ["Authorization": secret])
            let failure = try #require(await ask(checker).failure)
            var requests = server.requests.makeAsyncIterator()
            #expect(await requests.next()?.headers["Authorization"] == [secret])
            #expect(checker.name == server.url("status/403"))
            #expect(failure == "\(checker.name) answered 403")
            // A header that cannot be sent is not shown either.
            for header in [("Authorization", "s3cret\r\nX: y"), ("A s3cret", "s3cret")] {
                let why = await ask(.http(server.url("yes"), headers: [header.0: header.1])).failure
                #expect(
                    why?.hasPrefix("no answer from \(server.url("yes")): ") == true && why?.contains("s3cret") == false
                )
            }
        }
    }

    @Test(arguments: ["", "nonsense", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:1/\u{1B}"])
    func `that cannot be reached fails`(url: String) async throws {
        let failure = try #require(await ask(.http(url)).failure)
        #expect(failure.hasPrefix("no answer from ") && !failure.contains("\u{1B}"))
    }
}
