import InterruptCore
import Testing

@testable import InterruptRedis
@testable import interruptctl

@Suite struct `Waiting for several answers` {
    private let signal = InterruptSignal(id: RequestID(rawValue: "q1"))
    private let acknowledged = ["stage": "2", "requested_at_ms": "5000", "acknowledged_at_ms": "5003", "via": "push"]

    private func wait(for jobs: [String] = ["nightly"], limit: Duration? = nil) -> RequestWait<StopFollower> {
        let followers = jobs.map { job in
            StopFollower(makeReceipt(.accepted, job: job, run: "r-\(job)"), signal: signal)
        }
        return RequestWait(followers: followers, limit: limit)
    }

    private func record(_ job: String = "nightly", _ fields: [String: String] = [:]) -> RunRecord {
        makeRecord(["job": job, "run": "r-\(job)"].merging(fields) { $1 })
    }

    @Test func `without a receipt, it is asked again when it is time`() {
        var wait = wait(for: ["a", "b"])
        #expect(wait.dueAgain(at: .milliseconds(999)).isEmpty)
        #expect(wait.dueAgain(at: .seconds(1)) == [RunID(rawValue: "r-a"), RunID(rawValue: "r-b")])
        _ = wait.observe([record("b", acknowledged)], elapsed: .zero)
        #expect(wait.dueAgain(at: .seconds(1)) == [RunID(rawValue: "r-a")])
        _ = wait.observe([record("a", acknowledged)], elapsed: .zero)
        #expect(wait.dueAgain(at: .seconds(100)).isEmpty)
    }

    @Test func `that Redis had lost a request is said, and of the others nothing`() {
        var wait = wait(for: ["a", "b", "c"])
        let outcomes: [(String, InterruptReceipt.Outcome)] = [("a", .known), ("b", .accepted), ("c", .already)]
        let said = wait.observe(
            repetitions: outcomes.map { job, outcome in
                StopFollower(makeReceipt(outcome, job: job, run: "r-\(job)"), signal: signal, isRepetition: true)
            },
            now: .now
        )
        let lines = said.flatMap { wait.lines($0, on: Screen()) }
        #expect(lines == ["b: Redis had lost the request; it is on record again"])
    }

    @Test func `a job that is tried again is asked at once, and its last worker is of no interest`() {
        var wait = wait(for: ["a", "b"])
        wait.reassertion.asserted(at: .seconds(1), hasArrived: true, random: 0.5)
        _ = wait.observe([record("a"), record("b", acknowledged)], elapsed: .zero)
        #expect(wait.dueAgain(at: .milliseconds(1_100)).isEmpty && wait.workersOfOpenRuns == ["alpha"])
        let ended = record("a", ["state": "failed", "next_run": "r2"])
        #expect(wait.observe([ended], elapsed: .zero).isEmpty)
        #expect(wait.dueAgain(at: .milliseconds(1_100)) == [RunID(rawValue: "r-a")] && wait.reassertion.isAfterLoss)
        #expect(wait.workersOfOpenRuns.isEmpty)
        wait.reassertion.asserted(at: .milliseconds(1_100), hasArrived: false, random: 0.5)
        _ = wait.observe([ended], elapsed: .zero)
        #expect(wait.dueAgain(at: .milliseconds(1_200)).isEmpty, "what was refused is said again after a second")
        let repetition = StopFollower(makeReceipt(.accepted, job: "a", run: "r2"), signal: signal, isRepetition: true)
        let said = wait.observe(repetitions: [repetition], now: .now)
        #expect(said.map(\.index) == [0] && wait.openRuns == [RunID(rawValue: "r2"), RunID(rawValue: "r-b")])
    }

    @Test func `a silent worker is said once, and not after its receipt`() {
        let now = Timestamp(milliseconds: 40_000)
        var wait = wait(for: ["a", "b"])
        #expect(wait.observe(makeWorker(seenAt: 5_000), now: now).isEmpty, "nobody knows yet whose run it is")
        _ = wait.observe([record("a"), record("b", acknowledged)], elapsed: .zero)
        #expect(wait.workersOfOpenRuns == ["alpha"])
        #expect(wait.observe(makeWorker(seenAt: 15_000), now: now).isEmpty)
        let said = wait.observe(makeWorker(seenAt: 5_000), now: now)
        let text = "a: worker 'alpha' is silent for 35.0s: the request stays on record and is applied when it is back"
        #expect(said.flatMap { wait.lines($0, on: Screen()) } == [text])
        #expect(wait.observe(makeWorker(seenAt: 5_000), now: now).isEmpty)
    }

    @Test func `a worker that honours only what is signed is said once, unless the request is`() {
        let now = Timestamp(milliseconds: 40_000)
        let worker = makeWorker(seenAt: 40_000, signedOnly: true)
        let followers = [StopFollower(makeReceipt(.accepted, job: "a", run: "r-a"), signal: signal)]
        for isHeeded in [true, false] {
            var wait = RequestWait(followers: followers, limit: nil, isHeeded: isHeeded)
            _ = wait.observe([record("a")], elapsed: .zero)
            let lines = wait.observe(worker, now: now).flatMap { wait.lines($0, on: Screen()) }
            #expect(lines == (isHeeded ? [] : ["worker 'alpha' honours only what is signed, and this request is not"]))
            #expect(wait.remedy(for: 0)?.contains("--sign-key FILE") == (isHeeded ? nil : true))
            #expect(wait.observe(worker, now: now).isEmpty)
            // Whoever is silent honours nothing at all.
            let late = wait.observe(worker, now: Timestamp(milliseconds: 80_000))
            let said = late.flatMap { wait.lines($0, on: Screen()) }
            #expect(said.first?.contains("is silent for 40.0s") == true && said.count == 1)
        }
    }

    @Test func `of several, each line names its job; of one, none does`() {
        for (jobs, prefix) in [(["a"], ""), (["a", "b"], "a: ")] {
            var wait = wait(for: jobs)
            let line = wait.begin(now: .now).first.map { wait.lines($0, on: Screen()) }?.first
            #expect(line?.hasPrefix(prefix + "⏹ Interrupt signal sent...") == true)
        }
    }

    @Test func `is over with the last answer, or when its time is`() {
        var wait = wait(for: ["a", "b"], limit: .seconds(3))
        _ = wait.observe([record("a", ["state": "interrupted"])], elapsed: .zero)
        #expect(!wait.isOver(after: .milliseconds(2_999)) && wait.isOver(after: .seconds(3)))
        #expect(wait.concerns("r-b") && !wait.concerns("r-a"))
        _ = wait.observe([record("b", ["state": "completed"])], elapsed: .zero)
        #expect(wait.isOver(after: .zero) && wait.openRuns.isEmpty)
    }

    @Test func `waits as long as the slowest of those that are open`() {
        var wait = wait(for: ["a", "b"])
        _ = wait.observe([record("a", ["grace_ms": "60000"]), record("b", ["grace_ms": "1000"])], elapsed: .zero)
        #expect(!wait.isOver(after: .seconds(64)) && wait.isOver(after: .seconds(65)))
        _ = wait.observe([record("a", ["state": "interrupted"])], elapsed: .zero)
        #expect(wait.isOver(after: .seconds(6)))
    }
}
