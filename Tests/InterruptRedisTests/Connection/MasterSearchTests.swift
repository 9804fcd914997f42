import Testing

@testable import InterruptRedis

@Suite struct `The search for a master` {
    private let a = RedisNode(host: "a", port: 26_379)
    private let b = RedisNode(host: "b", port: 26_379)
    private let first = RedisNode(host: "10.0.0.1", port: 6_379)
    private let second = RedisNode(host: "10.0.0.2", port: 6_379)

    private func search(startingWith sentinel: RedisNode? = nil) -> MasterSearch {
        MasterSearch(RedisSentinels([a, b], master: "main"), first: sentinel)
    }

    @Test func `asks one sentinel after the other until one answers`() {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.failed("connection refused")) == .ask(b))
        #expect(search.answered(.master(first)) == .connect(first))
    }

    @Test func `begins with the sentinel that knew it last`() {
        var search = search(startingWith: b)
        #expect(search.next() == .ask(b))
        #expect(search.answered(.failed("no answer in time")) == .ask(a))
    }

    @Test func `hears the others when the server that is named is no master`() {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.master(first)) == .connect(first))
        #expect(search.masterFailed("it is no master but a replica") == .ask(b))
        #expect(search.answered(.master(second)) == .connect(second))
    }

    @Test func `does not try a server twice, and says what each one said`() {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.master(first)) == .connect(first))
        #expect(search.masterFailed("connection refused") == .ask(b))
        #expect(
            search.answered(.master(first)) == .giveUp(.cannotConnect, "10.0.0.1:6379: connection refused")
        )
    }

    @Test func `ends with who does not know the name`() {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.unknown) == .ask(b))
        let all = "sentinel a:26379 does not know 'main'; sentinel b:26379 does not know 'main'"
        #expect(search.answered(.unknown) == .giveUp(.wrongSettings, all))
    }

    @Test func `does not call a name unknown while a sentinel is out of reach`() {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.unknown) == .ask(b))
        let all = "sentinel a:26379 does not know 'main'; sentinel b:26379: connection refused"
        #expect(search.answered(.failed("connection refused")) == .giveUp(.cannotConnect, all))
    }

    @Test(arguments: [
        (MasterSearch.Answer.refused("NOAUTH"), RedisError.Code.refusedBySentinels), (.unknown, .cannotConnect),
    ])
    func `calls a password wrong only if all sentinels do`(
        second: MasterSearch.Answer,
        code: RedisError.Code
    ) {
        var search = search()
        #expect(search.next() == .ask(a))
        #expect(search.answered(.refused("NOAUTH")) == .ask(b))
        let end = search.answered(second)
        guard case .giveUp(code, let why) = end else {
            Issue.record("it is \(end)")
            return
        }
        #expect(why.hasPrefix("sentinel a:26379: NOAUTH; sentinel b:26379"))
    }
}
