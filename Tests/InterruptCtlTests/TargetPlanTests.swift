import ArgumentParser
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import Testing

@testable import interruptctl

@Suite struct `What is interrupted after a yes` {
    private let running = RunID(rawValue: "r1")

    private func found(_ targets: [InterruptTarget], newest: [Name: RunID] = [:], live: [RunID]) -> TargetPlan.Found {
        var found = TargetPlan.Found(targets: targets)
        found.newest = newest
        found.records = live.map { makeRecord(["run": $0.rawValue]) }
        return found
    }

    @Test func `of a job, the run that was seen and no later one`() throws {
        let job = try Name("a")
        let plan = TargetPlan(confirmed: found([.job(job)], newest: [job: running], live: [running]))
        #expect(plan.parts == [.one(.run(running), expected: nil)])
    }

    @Test func `of a job without a run, nothing`() throws {
        let job = try Name("a")
        let plan = TargetPlan(confirmed: found([.job(job)], live: []))
        #expect(plan.parts == [.one(.job(job), expected: RunID(rawValue: "-"))])
        #expect(plan.only == [])
    }

    @Test func `what is asked names the runs, or what is held back where none is there`() throws {
        let confirmation = Confirmation.pause(try ConfirmationOptions.parse([]))
        let queue = try InterruptTarget("queue:q")
        #expect(confirmation.effect(on: found([queue], live: [running])) == "pause 1 run")
        #expect(confirmation.effect(on: found([queue, .all], live: [])) == "let nothing start under queue:q, all")
    }

    @Test func `of a target of many, the runs that were listed`() throws {
        let group = try InterruptTarget("group:g")
        let others = [running, RunID(rawValue: "r2")]
        let plan = TargetPlan(confirmed: found([group, .all], live: others))
        #expect(plan.parts == [.wide(group), .wide(.all)])
        #expect(plan.only == Set(others))
    }
}

@Suite(.timeLimit(.minutes(1))) struct `At a terminal` {
    private let question = "Interrupt 3 runs? [y/N] "

    private func withGroup(_ body: (Control, TestRedis) async throws -> Void) async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            for job in ["a", "b", "c"] {
                #expect(try await control("submit", "--id", job, "--group", "g", "--", "x").status == 0)
            }
            try await body(control, redis)
        }
    }

    @Test func `a no interrupts nothing`() async throws {
        try await withGroup { control, redis async throws in
            let terminal = try Terminal()
            for answer in ["n", "", "yep"] {
                let status = try await terminal.run(control, ["cancel", "group:g"]) { terminal async throws in
                    try await terminal.wait(for: question)
                    try terminal.type(answer + "\n")
                }
                #expect(status == .exited(1))
                #expect(terminal.text.contains("not confirmed: nothing was interrupted"))
            }
            let live = try await control("list", "--state", "queued")
            #expect(live.output.split(separator: "\n").count == 4)
            #expect(try await redis.command("EXISTS", "interrupt/gate/group:g").integer == 0)
        }
    }

    @Test func `a yes interrupts what was listed, says what ended meanwhile, and holds nothing new back`() async throws
    {
        try await withGroup { control, _ async throws in
            let terminal = try Terminal()
            let status = try await terminal.run(control, ["cancel", "group:g"]) { terminal async throws in
                try await terminal.wait(for: question)
                #expect(try await control("cancel", "c").status == 0)
                #expect(try await control("submit", "--id", "d", "--group", "g", "--", "x").status == 0)
                try terminal.type("y\n")
            }
            #expect(status == .exited(0), "\(terminal.text)")
            let lines = terminal.text.split(whereSeparator: \.isNewline)
            #expect(lines.first == "Confirm Interrupt")
            #expect(lines.dropFirst().first?.contains("JOB  ") == true)
            #expect(terminal.text.contains("1 run ended meanwhile"))
            for job in ["a", "b"] { #expect(terminal.text.contains("\(job): ⏹ Command interrupted before it started")) }
            #expect(try await control("submit", "--id", "e", "--group", "g", "--", "x").status == 0)
            for (job, state) in [("a", "interrupted"), ("b", "interrupted"), ("d", "queued"), ("e", "queued")] {
                #expect(try await control("status", job, "-o", "json").output.contains(#""state":"\#(state)""#))
            }
        }
    }

    @Test func `one run is asked about in the singular, and a run that came in its place is not touched`() async throws
    {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            _ = try await control("submit", "--id", "a", "--group", "g", "--", "x")
            let terminal = try Terminal()
            let status = try await terminal.run(control, ["cancel", "group:g"]) { terminal async throws in
                try await terminal.wait(for: "Are you sure you want to interrupt the running command? [y/N] ")
                _ = try await control("cancel", "a")
                _ = try await control("submit", "--id", "a", "--group", "g", "--", "x")
                try terminal.type("yes\n")
            }
            #expect(status == .exited(0))
            #expect(terminal.text.contains("1 run ended meanwhile"))
            #expect(terminal.text.contains("nothing to interrupt"))
            #expect(try await control("status", "a").output.contains("State:     queued"))
        }
    }

    @Test(arguments: [
        ("cancel", "⏹ Interrupting...", "⏹ Command interrupted"),
        ("kill", "⏹ Emergency stop - terminating execution...", "⏹ Command interrupted before it started"),
    ])
    func `a stop is answered at once, also while Redis is paused, and its end is said last`(
        verb: String,
        first: String,
        last: String
    ) async throws {
        try await withGroup { control, redis async throws in
            for words in [[verb, "a"], [verb, "b", "c", "--yes"]] {
                let terminal = try Terminal()
                redis.stop()
                let status = try await terminal.run(control, words) { terminal async throws in
                    defer { redis.resume() }
                    try await terminal.wait(for: first)
                }
                #expect(status == .exited(0), "\(terminal.text)")
                let lines = terminal.text.split(whereSeparator: \.isNewline)
                #expect(lines.first == first[...])
                #expect(lines.last?.contains(last) == true, "\(terminal.text)")
            }
        }
    }

    @Test func `what is only listed, or not confirmed, is not announced`() async throws {
        try await withGroup { control, _ async throws in
            let terminal = try Terminal()
            _ = try await terminal.run(control, ["kill", "group:g", "--dry-run"]) { _ in }
            #expect(terminal.text.contains("JOB  ") && !terminal.text.contains("Emergency stop"))
            _ = try await terminal.run(control, ["kill", "group:g"]) { terminal async throws in
                try await terminal.wait(for: question)
                try terminal.type("n\n")
            }
            #expect(!terminal.text.contains("Emergency stop"), "\(terminal.text)")
            for words in [["kill", "a"], ["kill", "b", "-o", "json"]] {
                let elsewhere = try await control.call(words)
                #expect(elsewhere.status == 0 && !(elsewhere.output + elsewhere.error).contains("Emergency stop"))
            }
        }
    }
}
