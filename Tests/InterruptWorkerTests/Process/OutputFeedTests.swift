import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `Output backlog` {
    @Test func `hands out everything once, in order, in pieces`() {
        var backlog = OutputBacklog(limit: 100_000)
        backlog.append(count: 3_000, of: .output, at: 0)
        backlog.append(count: 2_000, of: .output, at: 3_000)
        backlog.append(count: 10, of: .error, at: 5_000)
        #expect(
            backlog.take(atMost: 4_500, pieceSize: 2_000) == [
                .init(stream: .output, range: 0..<2_000), .init(stream: .output, range: 2_000..<4_000),
                .init(stream: .output, range: 4_000..<4_500),
            ]
        )
        #expect(
            backlog.take(atMost: 4_500, pieceSize: 2_000) == [
                .init(stream: .output, range: 4_500..<5_000), .init(stream: .error, range: 5_000..<5_010),
            ]
        )
        #expect(backlog.isEmpty && backlog.waiting == 0)
        #expect(backlog.take(atMost: 4_500, pieceSize: 2_000) == [])
    }

    @Test(arguments: [1, 100, 4_096, 65_536, 3_000_000]) func `stays below its bound and keeps the newest`(size: Int) {
        var backlog = OutputBacklog(limit: 1 << 20)
        var end: Int64 = 0
        for round in 0..<5_000 {
            backlog.append(count: size, of: round % 3 == 0 ? .error : .output, at: end)
            end += Int64(size)
            #expect(backlog.waiting <= 1 << 20)
        }
        let pieces = backlog.take(atMost: .max, pieceSize: .max)
        #expect(pieces.count <= 1_024)
        #expect(pieces.last?.range.upperBound == end)
        #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.range.upperBound == $1.range.lowerBound })
    }

    @Test func `leaves out the oldest, a part of a stretch too`() {
        var backlog = OutputBacklog(limit: 100_000)
        backlog.append(count: 50_000, of: .output, at: 0)
        backlog.append(count: 30_000, of: .error, at: 50_000)
        backlog.leaveOut(downTo: 40_000)
        #expect(
            backlog.take(atMost: .max, pieceSize: .max) == [
                .init(stream: .output, range: 40_000..<50_000), .init(stream: .error, range: 50_000..<80_000),
            ]
        )
    }
}

@Suite struct `Output pace` {
    private typealias Pace = OutputPace<ContinuousClock.Instant>
    private let start = ContinuousClock.now
    private let batch = 256 << 10

    @Test func `what trickles in goes in batches, what waits goes at once`() {
        var pace = Pace()
        #expect(pace.rest(after: 10, isMoreWaiting: false, now: start) == .milliseconds(50))
        #expect(pace.rest(after: batch, isMoreWaiting: true, now: start) == .zero)
    }

    @Test func `a flood is slowed down when its credit is used, and gets new credit while it rests`() {
        var pace = Pace()
        for _ in 0..<(64 << 20) / batch {
            #expect(pace.rest(after: batch, isMoreWaiting: true, now: start) == .zero)
        }
        let rest = pace.rest(after: batch, isMoreWaiting: true, now: start)
        #expect(rest == .seconds(1) / 4 && pace.isFlood, "1 MiB/s")
        #expect(pace.rest(after: batch, isMoreWaiting: true, now: start + rest) == rest)
        #expect(pace.rest(after: batch, isMoreWaiting: true, now: start + .seconds(3_600)) == .zero)
    }

    @Test func `credit is bounded, however long the rest`() {
        var pace = Pace()
        _ = pace.rest(after: 0, isMoreWaiting: true, now: start)
        let later = start + .seconds(1_000_000)
        #expect(pace.rest(after: 64 << 20, isMoreWaiting: true, now: later) == .zero)
        #expect(pace.rest(after: 1 << 20, isMoreWaiting: true, now: later) == .seconds(1))
    }
}
