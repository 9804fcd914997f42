import Testing

@testable import InterruptRedis

@Suite struct `The route to the owner of the keys` {
    private let a = RedisNode(host: "10.0.0.1", port: 6_379)
    private let b = RedisNode(host: "10.0.0.2", port: 6_379)
    private let c = RedisNode(host: "10.0.0.3", port: 6_379)

    @Test func `to a single server is its address and nothing else`() {
        var route = SlotRoute()
        #expect(route.next() == .given)
        #expect(!route.isChoice)
        #expect(route.next() == nil)
    }

    @Test func `leads to the node that was named`() {
        var route = SlotRoute()
        #expect(route.next() == .given)
        route.moved(to: a)
        #expect(route.next() == .node(a))
        #expect(route.isChoice)
        #expect(route.next() == nil)
    }

    @Test func `begins with the last owner, then the given address, then all others`() {
        var route = SlotRoute(owner: b, nodes: [a, b, c])
        #expect(route.next() == .node(b))
        #expect(route.next() == .given)
        #expect(route.next() == .node(a))
        #expect(route.next() == .node(c))
        #expect(route.next() == nil)
    }

    @Test func `asks further when those who answer still name the dead owner`() {
        var route = SlotRoute(owner: b, nodes: [a, b, c])
        #expect(route.next() == .node(b))
        #expect(route.next() == .given)
        route.moved(to: b)
        #expect(route.next() == .node(a))
        route.moved(to: c)
        #expect(route.next() == .node(c))
    }

    @Test func `ends when nodes send it on and on`() {
        var route = SlotRoute()
        #expect(route.next() == .given)
        for port in 1...SlotRoute.maximumRedirections {
            route.moved(to: RedisNode(host: "n", port: port))
            #expect(route.next() == .node(RedisNode(host: "n", port: port)))
        }
        route.moved(to: a)
        #expect(route.next() == nil)
    }
}
