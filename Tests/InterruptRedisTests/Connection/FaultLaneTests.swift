import Testing

@testable import InterruptTesting

@Suite struct `One direction through the proxy` {
    private typealias Lane = FaultLane<ContinuousClock.Instant>

    private let start = ContinuousClock.now

    private func after(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

    /// All steps at one instant, up to the one after which there is nothing to do.
    private func steps(_ lane: inout Lane, at milliseconds: Int, _ way: FaultRules.Way) -> [Lane.Step] {
        var steps: [Lane.Step] = []
        while true {
            steps.append(lane.step(at: after(milliseconds), under: way, ending: .reset))
            guard case .write = steps.last else { return steps }
        }
    }

    @Test func `hands on what arrives, and ends when its source has`() {
        var lane = Lane()
        lane.receive([1, 2], at: start, under: .init())
        #expect(steps(&lane, at: 0, .init()) == [.write([1, 2]), .rest])
        lane.receive([3], at: start, under: .init())
        lane.sourceEnded()
        #expect(steps(&lane, at: 0, .init()) == [.write([3]), .end(.close)])
    }

    @Test(arguments: 0...5)
    func `is cut after exactly so many bytes, wherever the pieces end`(limit: Int) {
        var lane = Lane()
        lane.receive([0, 1, 2], at: start, under: .init())
        lane.receive([3, 4, 5], at: start, under: .init())
        var bytes: [UInt8] = []
        for step in steps(&lane, at: 0, .cut(after: limit)) {
            if case .write(let written) = step { bytes += written } else { #expect(step == .end(.reset)) }
        }
        #expect(bytes == Array(0..<UInt8(limit)))
    }

    @Test func `holds everything while it is silent, its end too, and lets it go on in order`() {
        var lane = Lane()
        lane.receive([1], at: start, under: .silent)
        lane.receive([2], at: start, under: .silent)
        lane.sourceEnded()
        #expect(steps(&lane, at: 60_000, .silent) == [.rest])
        #expect(steps(&lane, at: 60_000, .init()) == [.write([1]), .write([2]), .end(.close)])
    }

    @Test func `takes its time with each piece, and never overtakes`() {
        var lane = Lane()
        let way = FaultRules.Way.delayed(.milliseconds(100), jitter: .milliseconds(50))
        lane.receive([1], at: start, under: way, random: 0.999_999_999)
        lane.receive([2], at: start, under: way, random: 0)
        guard case .wait(let due) = lane.step(at: start, under: way) else {
            Issue.record("it went on at once")
            return
        }
        #expect(start.duration(to: due) > .milliseconds(149) && start.duration(to: due) <= .milliseconds(150))
        #expect(steps(&lane, at: 150, way) == [.write([1]), .write([2]), .rest])
        lane.receive([3], at: after(150), under: way, random: 0)
        #expect(steps(&lane, at: 150, way) == [.wait(until: after(200))])
    }

    @Test func `trickles a part at a time`() {
        var lane = Lane()
        let way = FaultRules.Way.trickling(bytes: 2, every: .milliseconds(20))
        lane.receive([1, 2, 3, 4, 5], at: start, under: way)
        #expect(steps(&lane, at: 0, way) == [.write([1, 2]), .wait(until: after(20))])
        #expect(steps(&lane, at: 19, way) == [.wait(until: after(20))])
        #expect(steps(&lane, at: 20, way) == [.write([3, 4]), .wait(until: after(40))])
        #expect(steps(&lane, at: 40, way) == [.write([5]), .rest])
    }

    @Test(arguments: [1, 2, 3, 7, 1_000])
    func `doubles each message of a subscription and nothing else, however it is cut into pieces`(size: Int) {
        let subscribed = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        let push = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\n\r\n*3\r\r\n"
        let changed = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*2\r\n$1\r\nk\r\n$-1\r\n"
        let replies = "+OK\r\n*0\r\n*-1\r\n$0\r\n\r\n*2\r\n*1\r\n:1\r\n$7\r\nmessage\r\n-ERR no\r\n"
        let all = Array((subscribed + push + replies + changed + push).utf8)
        var lane = Lane()
        for begin in stride(from: 0, to: all.count, by: size) {
            let piece = Array(all[begin..<min(begin + size, all.count)])
            lane.receive(piece, at: start, under: .init(), duplicatesPushes: true)
        }
        let bytes = steps(&lane, at: 0, .init()).flatMap { if case .write(let bytes) = $0 { bytes } else { [UInt8]() } }
        let expected = subscribed + push + push + replies + changed + changed + push + push
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
    }

    @Test func `takes nothing for a message in what is not RESP`() {
        var frames = PushFrames()
        let push = Array("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n".utf8)
        #expect(frames.pushes(completedBy: Array("HTTP/1.1 200 OK\r\n".utf8) + push).isEmpty)
        var others = PushFrames()
        #expect(others.pushes(completedBy: push) == [.init(bytes: push, end: push.count)])
    }

    @Test func `is as random each time with the same seed`() {
        var (one, same, other) = (SeededRandom(seed: 7), SeededRandom(seed: 7), SeededRandom(seed: 8))
        let numbers = (0..<50).map { _ in UInt64.random(in: 0..<1_000_000, using: &one) }
        #expect(numbers == (0..<50).map { _ in UInt64.random(in: 0..<1_000_000, using: &same) })
        #expect(numbers != (0..<50).map { _ in UInt64.random(in: 0..<1_000_000, using: &other) })
    }
}
