import Testing

@testable import InterruptRedis

@Suite struct `A Redis URL` {
    @Test(arguments: [
        ("redis://host", "redis://host:6379/0"),
        ("redis://host:7000/3", "redis://host:7000/3"),
        ("redis://host/", "redis://host:6379/0"),
        ("rediss://:secret@host", "rediss://:***@host:6379/0"),
        ("redis://user:secret@host:1/2", "redis://user:***@host:1/2"),
        ("redis://user@host", "redis://user@host:6379/0"),
        ("redis://u%40x:p%40%3A%2F@host", "redis://u%40x:***@host:6379/0"),
        ("redis://user:s@cret@host", "redis://user:***@host:6379/0"),
        ("redis://[::1]:6380", "redis://[::1]:6380/0"),
        ("redis://[fe80::1]", "redis://[fe80::1]:6379/0"),
        ("redis+unix:///run/a%20b.sock", "redis+unix:///run/a b.sock"),
        ("unix:///run/redis.sock?db=7", "redis+unix:///run/redis.sock?db=7"),
        ("unix://user:secret@/run/redis.sock", "redis+unix://user:***@/run/redis.sock"),
        ("redis+sentinel://a/main", "redis+sentinel://a:26379/main/0"),
        (
            "redis+sentinel://u:secret@a:1,b,[::1]:3/main-1.x_y/2",
            "redis+sentinel://u:***@a:1,b:26379,[::1]:3/main-1.x_y/2"
        ),
        ("rediss+sentinel://:se@cret@a,b/main/", "rediss+sentinel://:***@a:26379,b:26379/main/0"),
    ])
    func `is shown without its password`(url: String, shown: String) throws {
        #expect(try RedisEndpoint(url: url).description == shown)
    }

    @Test(arguments: [
        ("redis://user:s@cret@host:1/2", "redis://user:******@host:1/2"), ("redis://:ä@host", "redis://:**@host"),
        ("rediss+sentinel://u:x@a:1,b/main", "rediss+sentinel://u:*@a:1,b/main"), ("unix://u:x@/a", "unix://u:*@/a"),
        ("redis://user@host:1", "redis://user@host:1"), ("redis://host:1", "redis://host:1"), ("a:b@c", "a:b@c"),
    ])
    func `is overwritten where its password is`(url: String, hidden: String) {
        var bytes = Array(url.utf8)
        for offset in HiddenPassword.range(in: url) ?? 0..<0 { bytes[offset] = UInt8(ascii: "*") }
        #expect(String(decoding: bytes, as: UTF8.self) == hidden)
    }

    @Test func `is decoded into its parts`() throws {
        let endpoint = try RedisEndpoint(url: "rediss://u%40x:p%40%3A%2F%25@host:1/2")
        #expect(endpoint.username == "u@x")
        #expect(endpoint.password == "p@:/%")
        #expect(endpoint.address == .tcp(host: "host", port: 1))
        #expect(endpoint.database == 2)
        #expect(endpoint.usesTLS && endpoint.tls == nil)
        #expect(try RedisEndpoint(url: "redis://[::1]").address == .tcp(host: "::1", port: 6379))
    }

    @Test func `names sentinels and their master`() throws {
        let endpoint = try RedisEndpoint(url: "rediss+sentinel://u:p@a:1,b/main/3")
        let nodes = [RedisNode(host: "a", port: 1), RedisNode(host: "b", port: 26_379)]
        #expect(endpoint.address == .sentinels(RedisSentinels(nodes, master: "main")))
        #expect(endpoint.username == "u" && endpoint.password == "p" && endpoint.database == 3 && endpoint.usesTLS)
    }

    @Test func `turns TLS on when a certificate authority is named`() throws {
        var endpoint = try RedisEndpoint(url: "redis://host")
        endpoint.tls = RedisEndpoint.TLSFiles(certificateAuthority: "/ca.crt")
        #expect(endpoint.usesTLS)
    }

    @Test(arguments: [
        ("localhost:6379", "scheme"), ("", "scheme"), ("http://host", "'http'"), ("redis://host:0", "port"),
        ("redis://host:65536", "port"), ("redis://host:abc", "port"), ("redis://host:", "port"),
        ("redis://host:+1", "port"), ("redis://host/-1", "database"), ("redis://host/65536", "database"),
        ("redis://host/x", "database"), ("redis://", "host"), ("redis://:6379", "host"), ("redis://ho st", "host"),
        ("redis://::1:6379", "brackets"), ("redis://[::1", "bracket"), ("redis://[::1]x", "port"),
        ("redis://[host]", "brackets"), ("redis://user:%zz@host", "password"), ("redis://%+1@host", "user"),
        ("redis+unix://", "path"), ("redis+unix:///", "path"), ("redis+unix://run/redis.sock", "three slashes"),
        ("unix:///a?x=1", "?db=N"), ("unix:///a?db=-1", "database"),
        ("unix:///" + String(repeating: "a", count: 107), "108 bytes"),
        ("redis+sentinel://a,b", "master's name"), ("redis+sentinel://a,b/", "master's name"),
        ("redis+sentinel://a/ma in", "master's name"), ("redis+sentinel:///main", "host"),
        ("redis+sentinel://a,,b/main", "host"), ("redis+sentinel://a:x,b/main", "port"),
        ("redis+sentinel://a/main/x", "database"), ("redis+sentinel://a/main?x=1", "master's name"),
    ])
    func `that is wrong is refused with the part that is wrong`(url: String, part: String) throws {
        let error = #expect(throws: RedisURLError.self) { try RedisEndpoint(url: url) }
        #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }

    @Test(arguments: [
        "redis://user:secret@host:x", "redis://user:secret@", "redis://u:secret@[::1", "redis://u:%secret@h",
        "redis://u:secret@ho st", "redis://u:secret@host/x", "user:secret@host", "unix://u:secret@x/y",
        "redis+sentinel://u:secret@a,b", "redis+sentinel://u:secret/x@a b/main", "redis+sentinel://u:secret,a/b",
        "redis+sentinel://u:%secret@a/main", "redis+sentinel://a/secret@",
        "redis://user:secret#x", "redis://u:secret/y@host:1:2", "redis:u:secret@h://x", "u:secret@redis://h",
    ])
    func `that is wrong never has its password in the error`(url: String) throws {
        let error = #expect(throws: RedisURLError.self) { try RedisEndpoint(url: url) }
        #expect(error?.description.contains("secret") == false)
    }
}
