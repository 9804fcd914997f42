import Foundation
import Glibc
import InterruptRedis
import InterruptTesting
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(4 * faultScale))) struct `A program that dies in the middle of an interrupt` {
    /// The steps of a worker, with what is recorded of the request by then.
    @Test(arguments: ["signal", "acknowledge", "escalate", "record"], ["exit", "abort"])
    func `leaves nothing alive, and the next worker puts one end on record`(step: String, action: String) async throws {
        try await withFleet { fleet in
            let breaking = fleet.breaking(at: "\(step):\(action)")
            for _ in 0..<(action == "exit" ? 3 : 1) * faultScale {
                try await withRequester(fleet.redis.endpoint) { requester in
                    let runs = try await breaking.worker("w1") { daemon in
                        let runs = try await fleet.start(1, .deaf)
                        #expect(await requester.interrupt(runs[0]) == .recorded)
                        try await eventually("the worker is gone") { !isRunning(daemon) }
                        return runs
                    }
                    try await eventually("nothing is left", within: .seconds(10)) {
                        livingRuns(among: Set(runs)).isEmpty
                    }
                    #expect(try await !fleet.records(of: runs)[0].state.isEnd)
                    try await fleet.worker("w1") { _ in
                        try await fleet.ended(runs)
                        #expect(try await fleet.records(of: runs)[0].state == .lost)
                        let facts = try await fleet.facts(of: runs, asked: requester.asked)
                        #expect(facts.violations == [])
                    }
                }
            }
        }
    }

    @Test(arguments: [[], ["--without-cgroups"]])
    func `with fifty jobs, leaves none of their processes`(arguments: [String]) async throws {
        try await withFleet { fleet in
            let runs = try await fleet.worker("w1", ["--concurrency", "50"] + arguments) { daemon in
                let runs = try await fleet.start(40, .deaf) + fleet.start(10, .escaping)
                let begin = ContinuousClock.now
                kill(daemon, SIGKILL)
                try await eventually("nothing is left", within: .seconds(10)) { livingRuns(among: Set(runs)).isEmpty }
                print("killed with fifty jobs: nothing is left after \(begin.duration(to: .now))")
                return runs
            }
            try await fleet.worker("w1", arguments) { _ in
                try await fleet.ended(runs)
                #expect(try await fleet.records(of: runs).allSatisfy { $0.state == .lost })
                #expect(try await fleet.facts(of: runs, asked: []).violations == [])
            }
        }
    }

    @Test(arguments: ["acknowledge", "record"])
    func `or cannot write what it has to ends the run all the same, and the next worker records it`(step: String)
        async throws
    {
        try await withFleet { fleet in
            try await withRequester(fleet.redis.endpoint) { requester in
                let runs = try await fleet.breaking(at: "\(step):error").worker("w1") { daemon in
                    let runs = try await fleet.start(1, .escaping)
                    #expect(await requester.interrupt(runs[0]) == .recorded)
                    try await eventually("nothing is left", within: .seconds(10)) {
                        livingRuns(among: Set(runs)).isEmpty
                    }
                    #expect(try await !fleet.records(of: runs)[0].state.isEnd, "its end cannot be written")
                    kill(daemon, SIGKILL)
                    return runs
                }
                try await fleet.worker("w1") { _ in
                    try await fleet.ended(runs)
                    #expect(try await fleet.facts(of: runs, asked: requester.asked).violations == [])
                }
            }
        }
    }

    @Test(arguments: ["signal", "acknowledge", "escalate", "record"])
    func `or only hesitates changes nothing but the time`(step: String) async throws {
        try await withFleet { fleet in
            try await fleet.breaking(at: "\(step):sleep=300ms").worker("w1") { _ in
                try await withRequester(fleet.redis.endpoint) { requester in
                    let runs = try await fleet.start(1, .deaf)
                    #expect(await requester.interrupt(runs[0]) == .recorded)
                    try await fleet.ended(runs, within: .seconds(10))
                    let facts = try await fleet.facts(of: runs, asked: requester.asked)
                    #expect(facts.violations == [] && facts.runs[0].state == .interrupted)
                }
            }
        }
    }

    @Test(arguments: ["exit", "error"])
    func `after its request was recorded may ask again with the same id, and it counts once`(action: String)
        async throws
    {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                for number in 0..<5 * faultScale {
                    let runs = try await fleet.start(1)
                    let job = try #require(try await fleet.records(of: runs).first?.job)
                    let id = "q\(number)"
                    let breaking = fleet.breaking(at: "request:\(action)")
                    let died = try await breaking.control("cancel", job, "--request-id", id)
                    #expect(died.exitCode != 0, "\(died)")
                    let again = try await fleet.control("cancel", job, "--request-id", id, "--if-running")
                    #expect(again.exitCode == 0, "\(again)")
                    try await fleet.ended(runs)
                    let asked = Invariants.Asked(request: RequestID(rawValue: id), run: runs[0], answer: .recorded)
                    #expect(try await fleet.facts(of: runs, asked: [asked]).violations == [])
                }
            }
        }
    }
}

@Suite struct `A failpoint` {
    #if DEBUG  // there is nothing to read it elsewhere
        @Test func `is a step and an action, and nothing else`() {
            #expect(Failpoint.read("signal:exit").map { $0 == (.signal, .exit) } == true)
            #expect(Failpoint.read("request:error").map { $0 == (.request, .error) } == true)
            #expect(Failpoint.read("record:sleep=250ms").map { $0 == (.record, .sleep(milliseconds: 250)) } == true)
            for text in ["", "signal", "signal:", "sign:exit", "signal:sleep=", "signal:sleep=5s", "signal:sleep=-1ms"]
            {
                #expect(Failpoint.read(text) == nil, "\(text)")
            }
        }
    #endif

    /// The condition is what keeps them out of release builds: everything that reads the variable stands below it.
    @Test func `is compiled into debug builds only`() throws {
        let file = String(#filePath.split(separator: "/Tests/")[0]) + "/Sources/InterruptCore/Failpoint.swift"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let parts = text.split(separator: "#if !DEBUG")
        try #require(parts.count == 2)
        let release = parts[1].split(separator: "#else")[0]
        #expect(release.contains("func reached() -> Bool { false }"))
        for name in ["getenv", "_exit", "abort", "usleep"] {
            #expect(!parts[0].contains("\(name)(") && !release.contains("\(name)("))
        }
    }
}
