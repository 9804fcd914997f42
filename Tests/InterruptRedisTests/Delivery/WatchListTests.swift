import InterruptCore
import Testing

@testable import InterruptRedis

/// An instant that only a test moves.
private struct Tick: InstantProtocol {
    var offset: Duration
    func advanced(by duration: Duration) -> Tick { Tick(offset: offset + duration) }
    func duration(to other: Tick) -> Duration { other.offset - offset }
    static func < (left: Tick, right: Tick) -> Bool { left.offset < right.offset }
    static func at(_ milliseconds: Int) -> Tick { Tick(offset: .milliseconds(milliseconds)) }
}

@Suite struct `The watch list` {
    private typealias List = WatchList<Tick>
    private let interval = Duration.seconds(1)

    private func order(_ run: String, job: String = "j", groups: [String] = []) throws -> RunOrder {
        RunOrder(
            run: RunID(rawValue: run),
            job: try Name(job),
            queue: try Name("q"),
            groups: try groups.map { try Name($0) },
            work: .command([[0x78]])
        )
    }

    /// A list that has just polled at 0, so that the next poll is at 1,000 ms.
    private func list(watching orders: [RunOrder] = []) throws -> List {
        var list = List(keys: try RedisKeys(), always: [.all], now: .at(-30))
        for order in orders { list.watch(order, now: .at(-30)) }
        _ = list.step(now: .at(0), pollInterval: interval)
        return list
    }

    private func read(_ step: List.Step) -> List.Read? {
        if case .read(let read) = step { read } else { nil }
    }

    @Test func `the first step is a poll of what is always watched`() throws {
        var list = List(keys: try RedisKeys(), always: [.all, .queue(try Name("q"))], now: .at(0))
        let step = list.step(now: .at(0), pollInterval: interval)
        #expect(step == .read(.init(keys: ["interrupt:all", "interrupt:queue:q"], way: .poll)))
        #expect(list.step(now: .at(1), pollInterval: interval) == .wait(until: .at(1_000)))
    }

    @Test func `a new run is read once in the batch 20 ms later, together with those that came meanwhile`() throws {
        var list = try list()
        list.watch(try order("r1", job: "a"), now: .at(100))
        list.watch(try order("r2", job: "b", groups: ["g"]), now: .at(110))
        #expect(list.step(now: .at(111), pollInterval: interval) == .wait(until: .at(120)))
        let keys = ["interrupt/request/r1", "interrupt/request/r2", "interrupt:a", "interrupt:b", "interrupt:group:g"]
        #expect(list.step(now: .at(120), pollInterval: interval) == .read(.init(keys: keys, way: .start)))
        #expect(list.step(now: .at(121), pollInterval: interval) == .wait(until: .at(1_000)))
    }

    @Test func `whether a run is to be paused is read together with the rest, and only if somebody wants to know`()
        throws
    {
        var list = try list()
        list.watch(try order("r1", job: "a"), isPausable: true, now: .at(100))
        list.watch(try order("r2", job: "b"), now: .at(100))
        let keys = ["interrupt/pause/r1", "interrupt/request/r1", "interrupt/request/r2", "interrupt:a", "interrupt:b"]
        #expect(list.step(now: .at(120), pollInterval: interval) == .read(.init(keys: keys, way: .start)))
        let all = List.Read(keys: keys + ["interrupt:all"], way: .poll).keys.sorted()
        #expect(read(list.step(now: .at(1_000), pollInterval: interval))?.keys == all)
        list.unwatch(RunID(rawValue: "r1"))
        let rest = all.filter { !$0.hasSuffix("r1") && $0 != "interrupt:a" }
        #expect(read(list.step(now: .at(2_000), pollInterval: interval))?.keys == rest)
    }

    @Test func `that a pause is there is news once, and that it is gone too`() throws {
        var list = try list()
        let run = RunID(rawValue: "r1")
        list.watch(try order("r1"), isPausable: true, now: .at(100))
        let key = "interrupt/pause/r1"
        #expect(list.newValue(nil, of: key) == nil, "it never was")
        for _ in 1...2 {
            #expect(list.newValue([0x7B], of: key) == .pause(run))
            #expect(list.newValue([0x7B], of: key) == nil)
            #expect(list.newValue(nil, of: key) == .pause(run))
            #expect(list.newValue(nil, of: key) == nil)
        }
    }

    @Test func `a run that ends before its batch costs no read`() throws {
        var list = try list()
        list.watch(try order("r1"), now: .at(100))
        list.unwatch(RunID(rawValue: "r1"))
        #expect(list.step(now: .at(120), pollInterval: interval) == .wait(until: .at(1_000)))
    }

    @Test func `an invalidation is read at once, and those that follow at most every 20 ms`() throws {
        var list = try list(watching: [try order("r1")])
        #expect(list.invalidated(["interrupt:j"], now: .at(500)) == true)
        #expect(list.step(now: .at(500), pollInterval: interval) == .read(.init(keys: ["interrupt:j"], way: .tracked)))
        #expect(list.invalidated(["interrupt:j"], now: .at(501)) == true)
        #expect(list.invalidated(["interrupt/request/r1"], now: .at(502)) == false, "it is due already")
        #expect(list.step(now: .at(502), pollInterval: interval) == .wait(until: .at(520)))
        let both = List.Read(keys: ["interrupt/request/r1", "interrupt:j"], way: .tracked)
        #expect(list.step(now: .at(520), pollInterval: interval) == .read(both))
    }

    @Test func `a storm of invalidations costs 50 reads a second`() throws {
        var list = try list(watching: [try order("r1")])
        var reads = 0
        for time in 1..<1_000 {
            _ = list.invalidated(["interrupt:j"], now: .at(time))
            if read(list.step(now: .at(time), pollInterval: interval)) != nil { reads += 1 }
        }
        #expect((45...50).contains(reads), "\(reads)")
    }

    @Test func `an invalidation of a foreign key is passed over`() throws {
        var list = try list()
        #expect(list.invalidated(["interrupt:other"], now: .at(500)) == false)
        #expect(list.step(now: .at(500), pollInterval: interval) == .wait(until: .at(1_000)))
    }

    @Test func `an invalidation without keys means that any may have changed`() throws {
        var list = try list(watching: [try order("r1")])
        #expect(list.invalidated(nil, now: .at(500)) == true)
        let all = ["interrupt/request/r1", "interrupt:all", "interrupt:j"]
        #expect(list.step(now: .at(500), pollInterval: interval) == .read(.init(keys: all, way: .tracked)))
    }

    @Test func `after a reconnect everything is read`() throws {
        var list = try list(watching: [try order("r1")])
        #expect(list.reconnected(now: .at(500)) == true)
        let all = ["interrupt/request/r1", "interrupt:all", "interrupt:j"]
        #expect(list.step(now: .at(500), pollInterval: interval) == .read(.init(keys: all, way: .reconnect)))
    }

    @Test(arguments: [(200, 200), (1_000, 1_000), (60_000, 1_000)])
    func `a new connection waits a poll for the subscription, a second at most`(poll: Int, patience: Int) throws {
        let all = ["interrupt/request/r1", "interrupt:all", "interrupt:j"]
        let reading = List.Step.read(.init(keys: all, way: .reconnect))
        let interval = Duration.milliseconds(poll)
        for now in [500, 1_500] {
            var list = try list(watching: [try order("r1")])
            _ = list.commandsReconnected(isSubscribed: false, pollInterval: interval, now: .at(now))
            #expect(list.step(now: .at(now + 100), pollInterval: interval) == .wait(until: .at(now + patience)))
            var late = list
            #expect(late.step(now: .at(now + patience), pollInterval: interval) == reading)
            #expect(list.reconnected(now: .at(now + 100)) == true)
            #expect(list.step(now: .at(now + 100), pollInterval: interval) == reading)
        }
    }

    @Test func `a new connection does not wait when the one before was lost unread, and waits again after a reading`()
        throws
    {
        var list = try list(watching: [try order("r1")])
        let failed = try #require(read(list.step(now: .at(1_000), pollInterval: interval)))
        list.readFailed(failed, now: .at(1_000))
        _ = list.commandsReconnected(isSubscribed: false, pollInterval: interval, now: .at(1_100))
        #expect(list.step(now: .at(1_200), pollInterval: interval) == .wait(until: .at(2_100)))
        _ = list.commandsReconnected(isSubscribed: false, pollInterval: interval, now: .at(1_300))
        #expect(read(list.step(now: .at(1_300), pollInterval: interval))?.keys == failed.keys)
        list.readSucceeded()
        _ = list.commandsReconnected(isSubscribed: false, pollInterval: interval, now: .at(1_400))
        #expect(list.step(now: .at(1_500), pollInterval: interval) == .wait(until: .at(2_400)))
    }

    @Test func `a new connection reads at once where there is a subscription, and polls a little later`() throws {
        var list = try list(watching: [try order("r1")])
        #expect(list.commandsReconnected(isSubscribed: true, pollInterval: interval, now: .at(500)) == true)
        #expect(read(list.step(now: .at(500), pollInterval: interval))?.ways["interrupt:j"] == .reconnect)
        #expect(list.step(now: .at(501), pollInterval: interval) == .wait(until: .at(1_625)))
    }

    @Test func `a poll reads everything and takes what is dirty with it, each key for its own reason`() throws {
        var list = try list(watching: [try order("r1")])
        _ = list.invalidated(["interrupt:j"], now: .at(1_000))
        let all = ["interrupt/request/r1", "interrupt:all", "interrupt:j"]
        let ways: [String: DeliveryWay] = [
            "interrupt/request/r1": .poll, "interrupt:all": .poll, "interrupt:j": .tracked,
        ]
        #expect(list.step(now: .at(1_000), pollInterval: interval) == .read(.init(keys: all, ways: ways)))
        #expect(list.step(now: .at(1_001), pollInterval: interval) == .wait(until: .at(2_000)))
    }

    @Test func `a malformed key is read at every 30th poll only, or when it changes`() throws {
        var list = try list(watching: [try order("r1")])
        _ = list.newValue([0], of: "interrupt:j")
        list.malformed("interrupt:j")
        // The poll of `list()` was the first.
        let polls = (2...60).filter { poll in
            read(list.step(now: .at(poll * 1_000), pollInterval: interval))?.keys.contains("interrupt:j") == true
        }
        #expect(polls == [30, 60])
        _ = list.invalidated(["interrupt:j"], now: .at(60_500))
        #expect(read(list.step(now: .at(60_500), pollInterval: interval))?.keys == ["interrupt:j"])
        #expect(list.newValue(Array("1".utf8), of: "interrupt:j") != nil)
        #expect(read(list.step(now: .at(62_000), pollInterval: interval))?.keys.contains("interrupt:j") == true)
    }

    @Test func `ending an older run of a job keeps the flag of the newer one`() throws {
        var list = try list(watching: [try order("old"), try order("new")])
        list.unwatch(RunID(rawValue: "old"))
        let job = try Name("j")
        #expect(list.newValue([0x31], of: "interrupt:j") == .jobFlag(RunID(rawValue: "new"), job))
        #expect(list.newValue([0x31], of: "interrupt/request/old") == nil)
        list.unwatch(RunID(rawValue: "new"))
        #expect(list.newValue([0x32], of: "interrupt:j") == nil)
    }

    @Test func `a group is watched as long as one of its runs is, however often a run is announced`() throws {
        let first = try order("r1", job: "a", groups: ["g"])
        var list = try list(watching: [first, first, try order("r2", job: "b", groups: ["g"])])
        list.unwatch(RunID(rawValue: "r1"))
        list.unwatch(RunID(rawValue: "r1"))
        #expect(list.newValue([0x31], of: "interrupt:group:g") == .wideFlag(.group(try Name("g"))))
        list.unwatch(RunID(rawValue: "r2"))
        #expect(list.newValue([0x32], of: "interrupt:group:g") == nil)
    }

    @Test func `a value counts once, and again when it was gone or is to be forgotten`() throws {
        var list = try list(watching: [try order("r1")])
        let one = Array("1".utf8)
        #expect(list.newValue(one, of: "interrupt:j") != nil)
        #expect(list.newValue(one, of: "interrupt:j") == nil)
        #expect(list.newValue(nil, of: "interrupt:j") == nil)
        #expect(list.newValue(one, of: "interrupt:j") != nil)
        list.forgetValue(of: "interrupt:j")
        #expect(list.newValue(one, of: "interrupt:j") != nil)
    }

    @Test func `a value about which nothing could be done is read again after a second, if it is watched still`() throws
    {
        var list = try list(watching: [try order("r1")])
        let one = Array("1".utf8)
        let hour = Duration.seconds(3_600)
        _ = list.step(now: .at(1_000), pollInterval: hour)
        #expect(list.newValue(one, of: "interrupt:j") != nil)
        list.tryAgain("interrupt:j", .tracked, now: .at(1_000))
        list.tryAgain("interrupt:gone", .tracked, now: .at(1_000))
        #expect(list.step(now: .at(1_999), pollInterval: hour) == .wait(until: .at(2_000)))
        #expect(
            list.step(now: .at(2_000), pollInterval: hour) == .read(.init(keys: ["interrupt:j"], way: .tracked))
        )
        #expect(list.newValue(one, of: "interrupt:j") != nil)
    }

    @Test func `what a failed read should have read is due long before the next poll, malformed keys too`() throws {
        var list = try list(watching: [try order("r1")])
        _ = list.newValue([0], of: "interrupt:j")
        list.malformed("interrupt:j")
        list.readFailed(.init(keys: ["interrupt:j", "interrupt:gone"], way: .tracked), now: .at(500))
        #expect(list.step(now: .at(500), pollInterval: interval) == .wait(until: .at(550)))
        #expect(list.step(now: .at(550), pollInterval: interval) == .read(.init(keys: ["interrupt:j"], way: .tracked)))
    }

    @Test func `reads that fail in a row come at longer and longer distances, up to a second`() throws {
        var list = try list(watching: [try order("r1")])
        let failed = List.Read(keys: ["interrupt:j"], way: .tracked)
        let hour = Duration.seconds(3_600)
        _ = list.step(now: .at(1_000), pollInterval: hour)
        var now = 1_000
        var distances: [Int] = []
        for _ in 1...7 {
            list.readFailed(failed, now: .at(now))
            guard case .wait(let due) = list.step(now: .at(now), pollInterval: hour) else { break }
            distances.append(Int(Tick.at(now).duration(to: due).milliseconds))
            now += distances.last!
            #expect(list.step(now: due, pollInterval: hour) == .read(failed))
        }
        #expect(distances == [50, 100, 200, 400, 800, 1_000, 1_000])
        list.readSucceeded()
        list.readFailed(failed, now: .at(now))
        #expect(list.step(now: .at(now), pollInterval: hour) == .wait(until: .at(now + 50)))
    }

    @Test func `a reconnect does not wait for what is left of that distance`() throws {
        var list = try list(watching: [try order("r1")])
        for _ in 1...5 { list.readFailed(.init(keys: ["interrupt:j"], way: .tracked), now: .at(100)) }
        #expect(list.reconnected(now: .at(120)) == true)
        #expect(read(list.step(now: .at(120), pollInterval: interval))?.ways["interrupt:j"] == .reconnect)
    }
}
