import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.timeLimit(.minutes(1))) struct `Asked to have it on a replica too` {
    /// A primary with one replica that is up to date, and the command against it.
    private func withReplica(
        _ body: @Sendable (Control, _ primary: TestRedis, _ replica: TestRedis) async throws -> Void
    ) async throws {
        let arguments = ["--repl-diskless-sync-delay", "0", "--appendonly", "yes"]
        try await withRedis(arguments: arguments, tcp: true) { primary async throws in
            try await withRedis(arguments: ["--replicaof", "127.0.0.1", "\(primary.port!)"]) { replica async throws in
                try await eventually("the replica is up to date") {
                    let text = try await primary.command("INFO", "replication").text ?? ""
                    return text.contains("state=online")
                }
                try await body(Control(redis: primary), primary, replica)
            }
        }
    }

    /// How a replica is cut off.
    enum Cut: CaseIterable {
        case stopped, unlinked

        func off(_ replica: TestRedis, from primary: TestRedis) async throws {
            switch self {
            case .stopped: replica.stop()
            case .unlinked:
                try await replica.command("REPLICAOF", "NO", "ONE")
                try await primary.command("CLIENT", "KILL", "TYPE", "replica")
            }
        }
    }

    private func running(_ control: Control, _ job: String) async throws {
        _ = try await control("submit", "--id", job, "--request-id", "r-\(job)", "--", "x")
        try await control.redis.command("HSET", "interrupt/run/r-\(job)", "state", "running", "worker", "w1")
    }

    /// Asks about one job after the other until the replica was in time: a busy machine may let it wait for longer than
    /// a command waits for it.
    private func inTime(
        _ ask: (_ number: Int) async throws -> ControlResult
    ) async throws -> (number: Int, ControlResult) {
        var (number, result) = (1, try await ask(1))
        while number < 9, (result.output + result.error).contains("stored on 0 of ") {
            number += 1
            result = try await ask(number)
        }
        return (number, result)
    }

    @Test func `a request that the replica has says so`() async throws {
        try await withReplica { control, _, replica in
            let (a, submit) = try await inTime {
                try await control("submit", "--id", "a\($0)", "--durability", "replicas:1", "--", "x")
            }
            #expect(submit.status == 0, "\(submit)")
            #expect(try await replica.command("HGET", "interrupt/job/a\(a)", "run").text != nil)
            let (b, cancel) = try await inTime {
                try await running(control, "b\($0)")
                return try await control("cancel", "b\($0)", "--no-wait", "--durability", "replicas:1")
            }
            #expect(cancel.status == 0 && cancel.error.isEmpty, "\(cancel)")
            #expect(cancel.output.hasSuffix("\nstored on 1 of 1 replicas\n"))
            #expect(try await replica.command("EXISTS", "interrupt/request/r-b\(b)").integer == 1)
            let (_, json) = try await inTime {
                try await running(control, "c\($0)")
                return try await control("kill", "c\($0)", "--no-wait", "--durability", "replicas:1", "-o", "json")
            }
            #expect(json.status == 0 && json.output.contains(#""replicas":1"#), "\(json)")
            let (_, more) = try await inTime {
                try await running(control, "d\($0)")
                return try await control("kill", "d\($0)", "--no-wait", "--durability", "replicas:2")
            }
            #expect(more.status == 5 && more.error.contains("stored on 1 of 2 replicas"), "\(more)")
        }
    }

    @Test(arguments: Cut.allCases)
    func `a request that only the primary has stays there, and is not called stored`(cut: Cut) async throws {
        try await withReplica { control, primary, replica in
            try await running(control, "a")
            _ = try await control("submit", "--id", "queued", "--", "x")
            try await cut.off(replica, from: primary)
            let cancel = try await control("cancel", "a", "--no-wait", "--durability", "replicas:1", "-o", "json")
            #expect(cancel.status == 5, "\(cancel)")
            #expect(cancel.output.contains(#""replicas":0"#) && cancel.output.contains("stored on 0 of 1 replicas"))
            let lines = cancel.error.split(separator: "\n")
            #expect(lines.first == "error: the interrupt of job 'a' is recorded, but stored on 0 of 1 replicas")
            #expect(lines.count == 2 && lines.last?.hasPrefix("hint: nothing was undone") == true)
            #expect(try await primary.command("EXISTS", "interrupt/request/r-a").integer == 1)
            // The end of what never began is on record only.
            let queued = try await control("cancel", "queued", "--durability", "replicas:1")
            #expect(queued.status == 5 && queued.error.contains("the end of queued job 'queued'"), "\(queued)")
            let drain = try await control("drain", "queue:q", "--yes", "--durability", "replicas:1")
            #expect(drain.status == 5, "\(drain)")
            #expect(drain.error.hasPrefix("error: nothing new starts under 'queue:q', but stored on 0 of 1 replicas\n"))
            let submit = try await control("submit", "--id", "b", "--durability", "replicas:1", "--", "x")
            #expect(
                submit.status == 5 && submit.output == "b\n" && submit.error.contains("job 'b' is queued, but stored")
            )
            if cut == .stopped { replica.resume() }
        }
    }

    @Test func `a stop that its worker confirms is done, whatever the replicas have`() async throws {
        try await withWorker { control, _, worker async throws in
            _ = try await control("submit", "--id", "a", "--", "x")
            _ = try await firstOrder(worker)
            let cancel = try await control("cancel", "a", "--durability", "replicas:1")
            #expect(cancel.status == 0, "\(cancel)")
            #expect(cancel.output.contains("stored on 0 of 1 replicas"))
            #expect(cancel.output.contains("Command interrupted by user"))
            #expect(
                cancel.error
                    == "warning: not durable: this Redis has no append-only file; a restart of it loses requests\n"
            )
        }
    }

    @Test func `who may not wait for replicas is told before anything is recorded`() async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            try await running(control, "a")
            try await redis.command("ACL", "SETUSER", "blind", "on", ">pw", "~*", "&*", "+@all", "-wait")
            let url = "redis+unix://blind:pw@\(redis.socketPath)"
            let cancel = try await control("cancel", "a", "--redis", url, "--durability", "replicas:1")
            #expect(cancel.status == 77 && cancel.error.contains("'wait'"), "\(cancel)")
            #expect(try await redis.command("EXISTS", "interrupt/request/r-a").integer == 0)
        }
    }
}
