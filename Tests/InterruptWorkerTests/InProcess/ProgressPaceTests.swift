import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptWorker

@Suite struct `The pace of progress` {
    private let start = ContinuousClock.now

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

    @Test func `writes the first at once and then the newest twice a second, and nothing that is written`() throws {
        var pace = ProgressPace<ContinuousClock.Instant>()
        let (first, second, third) = (try WorkProgress(0.1), try WorkProgress(0.2), try WorkProgress(0.3))
        #expect(pace.step(nil, now: at(0)) == .rest)
        #expect(pace.step(first, now: at(0)) == .write(first))
        pace.wrote(first, succeeded: true, now: at(10))
        #expect(pace.step(first, now: at(20)) == .rest)
        #expect(pace.step(second, now: at(20)) == .wait(until: at(510)))
        #expect(pace.step(third, now: at(510)) == .write(third))
        pace.wrote(third, succeeded: true, now: at(510))
        #expect(pace.step(third, now: at(99_999)) == .rest)
        #expect(pace.written == third)
    }

    @Test func `tries again what could not be written, no faster`() throws {
        var pace = ProgressPace<ContinuousClock.Instant>()
        let progress = try WorkProgress(0.1)
        pace.wrote(progress, succeeded: false, now: at(0))
        #expect(pace.step(progress, now: at(100)) == .wait(until: at(500)))
        #expect(pace.step(progress, now: at(500)) == .write(progress))
        #expect(pace.written == nil)
    }

    @Test func `keeps a job that tells all the time at two writes a second`() throws {
        var pace = ProgressPace<ContinuousClock.Instant>()
        var writes = 0
        for millisecond in 0..<10_000 {
            let progress = try WorkProgress(Double(millisecond) / 10_000)
            if case .write(let progress) = pace.step(progress, now: at(millisecond)) {
                writes += 1
                pace.wrote(progress, succeeded: true, now: at(millisecond))
            }
        }
        #expect(writes == 20)
    }
}
