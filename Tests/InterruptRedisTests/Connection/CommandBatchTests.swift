import Testing

@testable import InterruptRedis

@Suite struct `A batch of commands` {
    private let here = RedisEndpoint.Address.tcp(host: "here", port: 1)
    private let other = RedisNode(host: "10.0.0.2", port: 7_000)
    private let commands = [RedisCommand("PING"), RedisCommand("GET", "a"), RedisCommand("GET", "b")]
    private let value = RESPValue.bulk([1])

    private func batch(_ following: RedisEndpoint.Following = .owner) -> CommandBatch {
        CommandBatch(commands, following: following)
    }

    @Test func `is finished when every command has a reply, an error too`() {
        var batch = batch()
        #expect(batch.openCommands == commands)
        #expect(batch.received([.status("PONG"), value, .error("WRONGTYPE no")], from: here) == .finished)
        #expect(batch.replies == [.status("PONG"), value, .error("WRONGTYPE no")])
    }

    @Test func `sends to the new owner only what the old one refused`() {
        var batch = batch()
        let moved = RESPValue.error("MOVED 7 10.0.0.2:7000")
        #expect(batch.received([.status("PONG"), moved, moved], from: here) == .reconnect(other))
        #expect(batch.openCommands == [commands[1], commands[2]])
        #expect(batch.hasBegun)
        #expect(batch.received([value, .null], from: .tcp(host: "10.0.0.2", port: 7_000)) == .finished)
        #expect(batch.replies == [.status("PONG"), value, .null])
    }

    @Test func `has not begun while nothing was carried out`() {
        var batch = CommandBatch([commands[1]], following: .owner)
        #expect(batch.received([.error("MOVED 7 10.0.0.2:7000")], from: here) == .reconnect(other))
        #expect(!batch.hasBegun)
    }

    @Test func `asks the node that has a moving key, each command with its own word`() {
        var batch = batch()
        let ask = RESPValue.error("ASK 7 10.0.0.2:7000")
        #expect(batch.received([.status("PONG"), value, ask], from: here) == .ask(other))
        #expect(batch.askingCommands(for: other, from: here) == [RedisCommand("ASKING"), commands[2]])
        #expect(batch.answered([.status("OK"), .null], from: here) == .finished)
        #expect(batch.replies == [.status("PONG"), value, .null])
    }

    @Test func `waits when neither node has all keys, and begins again with the first`() {
        var batch = CommandBatch([commands[1]], following: .owner)
        #expect(batch.received([.error("ASK 7 10.0.0.2:7000")], from: here) == .ask(other))
        _ = batch.askingCommands(for: other, from: here)
        #expect(batch.answered([.status("OK"), .error("TRYAGAIN part")], from: here) == .wait)
        #expect(batch.openCommands == [commands[1]])
        #expect(batch.received([.error("CLUSTERDOWN down")], from: here) == .wait)
    }

    @Test func `waits when the node that was asked no longer expects the slot`() {
        var batch = CommandBatch([commands[1]], following: .owner)
        #expect(batch.received([.error("ASK 7 10.0.0.2:7000")], from: here) == .ask(other))
        _ = batch.askingCommands(for: other, from: here)
        #expect(batch.answered([.status("OK"), .error("MOVED 7 here:1")], from: here) == .wait)
    }

    @Test(arguments: ["READONLY You can't write against a read only replica.", "UNBLOCKED force unblock"])
    func `leaves a replica where sentinels know the master`(reply: String) {
        var batch = CommandBatch([commands[1]], following: .master)
        #expect(batch.received([.error(reply)], from: here) == .reconnect(nil))
        #expect(batch.openCommands == [commands[1]])
    }

    @Test func `tells of a replica where nobody knows a master`() {
        var batch = CommandBatch([commands[1]], following: .owner)
        #expect(batch.received([.error("READONLY no")], from: here) == .finished)
        #expect(batch.isFromReplica)
    }

    @Test func `of an endpoint without keys takes every reply as it is`() {
        var batch = CommandBatch([commands[1]], following: .nobody)
        #expect(batch.received([.error("MOVED 7 10.0.0.2:7000")], from: here) == .finished)
        #expect(batch.replies == [.error("MOVED 7 10.0.0.2:7000")])
    }

    @Test(arguments: [
        ("10.0.0.2:7000", "10.0.0.2:7000"), (":7000", "here:7000"), ("?:7000", "here:7000"),
        ("[::1]:7000", "[::1]:7000"), ("::1:7000", "[::1]:7000"), ("node-2.example:7000", "node-2.example:7000"),
    ])
    func `reads where it is sent`(text: String, node: String) {
        #expect(RedisNode(redirection: Substring(text), from: here)?.description == node)
    }

    @Test(arguments: ["", "host", "host:", "host:0", "host:65536", "host:x"])
    func `is not sent where no node can be`(text: String) {
        #expect(RedisNode(redirection: Substring(text), from: here) == nil)
    }
}
