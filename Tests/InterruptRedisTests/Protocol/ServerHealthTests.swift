import Testing

@testable import InterruptRedis

@Suite struct `The health of a server` {
    private func findings(_ lines: String...) -> [ServerHealth.Finding] {
        ServerHealth(info: lines.joined(separator: "\r\n") + "\r\n").findings
    }

    @Test func `is judged by what it says only`() {
        #expect(findings("").isEmpty)
        #expect(findings("redis_version", "role:", ":", "maxmemory:x").map(\.subject) == ["role"])
    }

    @Test(arguments: [
        ("redis_version:6.0.20", ServerHealth.Grade.error), ("redis_version:5.0.14", .error),
        ("redis_version:6.2.0", .ok), ("redis_version:7.0.15", .ok), ("redis_version:255.255.255", .ok),
        ("role:master", .ok), ("role:slave", .error), ("loading:1", .error),
        ("aof_enabled:0", .warning), ("aof_enabled:1", .ok),
        ("aof_last_write_status:err", .error), ("rdb_last_bgsave_status:err", .error),
        ("aof_last_write_status:ok", .ok),
        ("maxmemory_policy:noeviction", .ok), ("maxmemory_policy:allkeys-random", .error),
    ])
    func `has a grade for each thing, and a remedy for what is not well`(line: String, grade: ServerHealth.Grade) {
        let found = findings(line)
        #expect(found.map(\.grade) == [grade])
        #expect((found.first?.remedy == nil) == (grade == .ok))
    }

    @Test func `is better where there is no limit yet, and worse where it is almost reached`() {
        #expect(findings("maxmemory:0", "maxmemory_policy:volatile-lru").map(\.grade) == [.warning])
        let full = findings("maxmemory:1000", "used_memory:950", "maxmemory_policy:noeviction")
        #expect(full.map(\.subject) == ["eviction", "memory"] && full.map(\.grade) == [.ok, .warning])
        #expect(findings("maxmemory:1000", "used_memory:500").isEmpty)
    }

    @Test func `names the product`() {
        #expect(findings("redis_version:7.2.4", "valkey_version:9.1.2").first?.text == "Valkey 9.1.2")
        #expect(findings("redis_version:7.0.15").first?.text == "Redis 7.0.15")
    }
}
