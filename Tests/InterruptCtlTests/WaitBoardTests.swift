import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Waiting for several jobs` {
    @Test func `the first status in order that is not 0 counts, with --any the first to end`() {
        let first = makeRecord(["job": "a", "run": "ra", "exit_code": "2"], state: .failed)
        let second = makeRecord(["job": "b", "run": "rb", "exit_code": "0"], state: .completed)
        var all = WaitBoard(jobs: ["a", "b"], isAny: false)
        #expect(all.observe(makeRecord(["job": "a", "run": "ra"])) == nil)
        #expect(all.observe(second) == second)
        #expect(all.openRuns == [RunID(rawValue: "ra")])
        #expect(all.status == nil)
        #expect(all.observe(first) == first)
        #expect(all.status == 2)
        var any = WaitBoard(jobs: ["a", "b"], isAny: true)
        _ = any.observe(second)
        #expect(any.status == 0)
    }
}
