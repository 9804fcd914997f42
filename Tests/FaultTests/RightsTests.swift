import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2 * faultScale))) struct `A worker whose rights are taken away` {
    @Test func `polls without channels, waits without any, never exits, and is well with a new password`()
        async throws
    {
        try await withFleet { fleet in
            let password = "\(fleet.directory)/password"
            _ = try writeSecret("secret\n", to: password)
            @Sendable func user(_ rules: String...) async throws {
                let connection = try await RedisConnection.connect(to: fleet.redis.endpoint, configuration: .patient)
                defer { connection.close() }
                try await connection.send(RedisCommand("ACL", (["SETUSER", "agent"] + rules).map { .text($0) }))
            }
            try await user("on", ">secret", "~*", "&*", "+@all")
            let arguments = [
                "--redis", "redis+unix://agent@\(fleet.redis.socketPath)", "--redis-password-file", password,
                "--concurrency", "12",
            ]
            try await fleet.worker("w1", arguments) { daemon in
                try await withRequester(fleet.redis.endpoint) { requester in
                    let all = try await fleet.start(12)
                    let groups = [Array(all[0..<3]), Array(all[3..<6]), Array(all[6..<12])]
                    try await user("resetchannels")
                    for run in groups[0] { await requester.interrupt(run) }
                    try await fleet.ended(groups[0])
                    #expect(try await fleet.ways(of: groups[0]) == "poll 3")
                    try await user("reset")
                    for run in groups[1] { await requester.interrupt(run) }
                    try await fleet.log(of: "w1", has: "no connection to Redis")
                    #expect(livingRuns(among: Set(groups[1])).count == 3)
                    try await user("on", ">other", "~*", "&*", "+@all")
                    #expect(livingRuns(among: Set(groups[1])).count == 3, "the password is another one")
                    _ = try writeSecret("other\n", to: password)
                    try await fleet.ended(groups[1])
                    try await eventually("the subscription stands") {
                        let channel = "interrupt:signals:w1"
                        return try await fleet.redis.command("PUBSUB", "NUMSUB", channel).array?.last?.integer == 1
                    }
                    // The first one may be found by the reading that follows the subscription, and any of them by a
                    // reading that happens to be quicker than its push; not all.
                    for run in groups[2] {
                        await requester.interrupt(run)
                        try await fleet.ended([run])
                    }
                    let ways = try await fleet.ways(of: groups[2])
                    let facts = try await fleet.facts(of: all, asked: requester.asked)
                    print("rights taken away and given back: \(facts.summary); then by \(ways)")
                    #expect(ways.contains("push"), "\(ways)")
                    #expect(facts.violations == [])
                    #expect(isRunning(daemon))
                }
            }
        }
    }
}
