import Foundation
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptRedis

@Suite(.serialized, .timeLimit(.minutes(2))) struct `A Redis user without a right` {
    private static let files = String(#filePath.split(separator: "/Tests/")[0]) + "/Docs/acl"

    /// A server with the users of all roles, from the files that users copy.
    private func withRoles(_ body: (Control, TestRedis) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let names = try FileManager.default.contentsOfDirectory(atPath: Self.files).sorted()
            let all = try names.map { try String(contentsOfFile: "\(Self.files)/\($0)", encoding: .utf8) }.joined()
            try all.write(toFile: "\(directory)/users.acl", atomically: false, encoding: .utf8)
            try await withRedis(arguments: ["--aclfile", "\(directory)/users.acl"]) { redis in
                try await body(Control(redis: redis), redis)
            }
        }
    }

    @Test func `is told which one by every command, with status 77`() async throws {
        try await withRoles { control, redis async throws in
            #expect(try await control("submit", "--id", "nightly", "--group", "g", "--", "make").status == 0)
            let run = try #require(try await redis.command("HGET", "interrupt/job/nightly", "run").text)
            try await redis.command("HSET", "interrupt/run/\(run)", "state", "running")
            let cases: [(role: String, words: [String], right: String)] = [
                ("canceller", ["submit", "--", "make"], "script 'submit'"),
                ("canceller", ["pause", "nightly"], "GET interrupt/pause/*, in the script 'pause'"),
                ("canceller", ["pause", "group:g", "--yes"], "interrupt/pause/*, in the script 'hold'"),
                (
                    "canceller", ["drain", "group:g", "--yes"],
                    "PTTL interrupt/gate/* or HGET interrupt/gate/*, in the script 'close_gate'"
                ),
                ("canceller", ["resume", "group:g"], "interrupt/"),
                ("canceller", ["logs", "nightly"], "'xread' command"),
                ("canceller", ["watch"], "'subscribe' command"),
                ("canceller", ["history"], "'xrevrange' command"),
                ("viewer", ["submit", "--", "make"], "'evalsha' command"),
                ("viewer", ["cancel", "nightly"], "'evalsha' command"),
                ("viewer", ["kill", "nightly"], "'evalsha' command"),
                ("viewer", ["resume", "nightly"], "'evalsha' command"),
                ("requester", ["status"], "'zrange' command"), ("requester", ["status", "nightly"], "'hget' command"),
                ("requester", ["list"], "'zrange' command"), ("requester", ["workers"], "'smembers' command"),
                ("requester", ["logs", "nightly"], "'hget' command"),
                ("requester", ["wait", "nightly"], "'hget' command"),
                ("worker", ["history"], "'xrevrange' command"),
            ]
            for (role, words, right) in cases {
                let url = "redis+unix://\(role):change-me@\(redis.socketPath)"
                let options = ["--redis", url]
                let separator = words.firstIndex(of: "--") ?? words.endIndex
                let all = Array(words[..<separator]) + options + words[separator...]
                let result = try await control.call(all)
                let isAttached = words[0] == "wait"
                #expect(result.status == (isAttached ? 125 : 77), "\(role) \(words): \(result)")
                #expect(result.error.contains("error: not permitted: "), "\(role) \(words): \(result)")
                #expect(result.error.contains(right), "\(role) \(words): \(result.error)")
                #expect(result.error.contains("'Rights' in Docs/Protocol.md") && !result.error.contains("change-me"))
            }
            #expect(try await control("status", "nightly").output.contains("running"))
        }
    }

    @Test func `has no need of others for what its role is for`() async throws {
        try await withRoles { control, redis async throws in
            func call(_ role: String, _ words: String...) async throws -> ControlResult {
                let options = ["--redis", "redis+unix://\(role):change-me@\(redis.socketPath)"]
                let separator = words.firstIndex(of: "--") ?? words.endIndex
                return try await control.call(Array(words[..<separator]) + options + words[separator...])
            }
            #expect(try await call("controller", "submit", "--id", "nightly", "--group", "g", "--", "make").status == 0)
            for words in [["status"], ["status", "nightly"], ["list"], ["workers"], ["history"], ["logs", "nightly"]] {
                for role in ["controller", "viewer"] {
                    let all = words + ["--redis", "redis+unix://\(role):change-me@\(redis.socketPath)"]
                    let result = try await control.call(all)
                    #expect(result.status == 0, "\(role) \(words): \(result)")
                }
            }
            #expect(try await call("canceller", "cancel", "nightly", "--no-wait").status == 0)
            #expect(try await call("controller", "pause", "group:g", "--yes").status == 0)
            #expect(try await call("controller", "resume", "group:g").status == 0)
            #expect(try await call("controller", "drain", "group:g", "--yes").status == 0)
        }
    }
}
