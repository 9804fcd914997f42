import Testing

@testable import InterruptRedis

@Suite struct `A greeting` {
    private let ok = RESPValue.status("OK")
    private let id = RESPValue.integer(7)

    private func greeting(namespace: String? = nil, isMasterNeeded: Bool = false) throws -> Greeting {
        var endpoint = RedisEndpoint(address: .tcp(host: "here", port: 1))
        endpoint.keys = try namespace.map { try RedisKeys(namespace: $0) }
        return Greeting(endpoint: endpoint, name: nil, isMasterNeeded: isMasterNeeded)
    }

    private func failure(_ greeting: Greeting, _ replies: [RESPValue]) -> RedisError? {
        #expect(throws: RedisError.self) { try greeting.answer(replies) }
    }

    @Test func `asks nothing but its number where nobody is followed`() throws {
        let greeting = try greeting()
        #expect(greeting.commands == [RedisCommand("CLIENT", "ID")])
        #expect(try greeting.answer([id]) == .welcome(clientID: 7, nodes: []))
        #expect(try greeting.answer([.error("NOPERM no")]) == .welcome(clientID: nil, nodes: []))
    }

    @Test func `learns where the keys are`() throws {
        let greeting = try greeting(namespace: "{i}")
        let moved = RESPValue.error("MOVED 7 10.0.0.2:7000")
        #expect(try greeting.answer([id, moved, .array([])]) == .moved(RedisNode(host: "10.0.0.2", port: 7_000)))
        let single = RESPValue.error("ERR This instance has cluster support disabled")
        #expect(try greeting.answer([id, .integer(0), single]) == .welcome(clientID: 7, nodes: []))
    }

    @Test func `asks for no number where that is of no use`() throws {
        var greeting = try greeting(namespace: "i")
        greeting.isNumbered = false
        #expect(greeting.commands.map(\.name) == ["EXISTS"])
        #expect(try greeting.answer([.integer(0)]) == .welcome(clientID: nil, nodes: []))
    }

    @Test(arguments: ["ASK 7 10.0.0.2:7000", "TRYAGAIN part of it", "NOPERM no"])
    func `stays with the owner of a slot that is leaving, and where it may not ask`(reply: String) throws {
        let greeting = try greeting(namespace: "i")
        #expect(try greeting.answer([id, .error(reply)]) == .welcome(clientID: 7, nodes: []))
    }

    @Test func `learns the nodes of the cluster`() throws {
        func node(_ host: RESPValue, _ port: Int64) -> RESPValue { .array([host, .integer(port), .bulk([1])]) }
        let slots = RESPValue.array([
            .array([.integer(0), .integer(99), node(.status("a"), 1), node(.status("b"), 2)]),
            .array([.integer(100), .integer(16_383), node(.null, 3), node(.status("a"), 1)]),
        ])
        let nodes = [("a", 1), ("b", 2), ("here", 3)].map { RedisNode(host: $0, port: $1) }
        let answer = try greeting(namespace: "{i}").answer([id, .integer(0), slots])
        #expect(answer == .welcome(clientID: 7, nodes: nodes))
    }

    @Test func `refuses a cluster that tears the namespace apart, and says what to do`() throws {
        let error = failure(try greeting(namespace: "team"), [id, .error("CROSSSLOT Keys in request…")])
        #expect(error?.code == .unsuitableNamespace)
        #expect(error?.message.contains("--namespace '{team}'") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("CROSSSLOT") == false)
    }

    @Test func `refuses a replica where a master is needed`() throws {
        let greeting = try greeting(isMasterNeeded: true)
        #expect(try greeting.answer([id, .array([.status("master")])]) == .welcome(clientID: 7, nodes: []))
        let replica = failure(greeting, [id, .array([.status("slave")])])
        #expect(replica?.code == .cannotConnect && replica?.message.contains("replica") == true)
        let secret = failure(greeting, [id, .error("NOPERM no")])
        #expect(secret?.code == .notPermitted && secret?.message.contains("+role") == true)
    }
}
