import InterruptCore
import Testing

@testable import InterruptRedis

@Suite struct `Held queues` {
    private let start = ContinuousClock.now

    private func offer(_ run: String, _ queue: String = "a") throws -> RunOffer {
        RunOffer(run: RunID(rawValue: run), queue: try Name(queue), entry: "1-1")
    }

    private func make() throws -> HeldQueues<ContinuousClock.Instant> {
        HeldQueues(queues: [try Name("a"), try Name("b")])
    }

    private func open(_ held: inout HeldQueues<ContinuousClock.Instant>, after seconds: Duration = .zero) -> [String] {
        held.open(at: start + seconds).queues.map(\.description)
    }

    @Test func `that are paused themselves are left alone for a second, and others not`() throws {
        var held = try make()
        #expect(open(&held) == ["a", "b"])
        held.meet(try offer("r1"), behind: .queue(try Name("a")), now: start)
        #expect(open(&held) == ["b"])
        #expect(held.open(at: start).next == start + .seconds(1))
        #expect(open(&held, after: .milliseconds(999)) == ["b"])
        #expect(open(&held, after: .seconds(1)) == ["a", "b"])
        #expect(held.open(at: start + .seconds(1)).next == nil)
    }

    @Test func `are all left alone when the worker or everything is behind a gate`() throws {
        for target in [InterruptTarget.all, .worker(try Name("w"))] {
            var held = try make()
            held.meet(try offer("r1"), behind: target, now: start)
            #expect(open(&held) == [])
        }
    }

    @Test func `of which a group is held are left alone once its runs come round`() throws {
        var held = try make()
        let group = InterruptTarget.group(try Name("g"))
        for run in ["r1", "r2"] { held.meet(try offer(run), behind: group, now: start) }
        #expect(open(&held) == ["a", "b"], "there may be others behind them")
        held.meet(try offer("r1"), behind: group, now: start)
        #expect(open(&held) == ["b"])
        held.meet(try offer("r2"), behind: group, now: start + .seconds(1))
        #expect(open(&held, after: .seconds(1)) == ["a", "b"], "the next round")
    }

    @Test func `cost 50 looks a second at most, however many are held`() throws {
        var held = try make()
        let group = InterruptTarget.group(try Name("g"))
        var looks = 0
        while open(&held).contains("a") {
            looks += 1
            held.meet(try offer("r\(looks)"), behind: group, now: start)
        }
        #expect(looks == 50)
    }
}
