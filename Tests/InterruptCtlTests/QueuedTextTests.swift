import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `Why a run has not started` {
    private let now = Timestamp(milliseconds: 60_000)

    private func line(_ record: RunRecord, holder: InterruptTarget? = nil, _ workers: [WorkerRecord]?) -> String {
        QueuedText(record: record, holder: holder, workers: workers, now: now).line(on: Screen())
    }

    @Test func `is a pause, before anything else`() throws {
        let record = makeRecord(state: .queued)
        let text = "Queued... (job nightly, queue default): all is paused; 'interruptctl resume all' lets it start"
        #expect(line(record, holder: .all, [makeWorker(seenAt: 60_000)]) == text)
    }

    @Test func `is that no worker is there, or none for its queue, or only one that is silent`() {
        let nobody = "no worker takes jobs from it"
        let record = makeRecord(state: .queued)
        let other = makeRecord(["queue": "def"], state: .queued)
        let handler = makeRecord(["handler": "resize"], state: .queued)
        #expect(line(record, []) == "Queued... (job nightly, queue default): \(nobody); 'interruptd' does")
        #expect(line(record, [makeWorker(seenAt: 29_000)]).hasSuffix("\(nobody); 'interruptd' does"))
        #expect(line(other, [makeWorker(seenAt: 60_000)]).hasSuffix("\(nobody); 'interruptd --queue def' does"))
        #expect(line(handler, []).hasSuffix(nobody), "which program has the handler is not known")
    }

    @Test func `is its turn where a worker is there`() {
        let text = line(makeRecord(state: .queued), [makeWorker(seenAt: 1), makeWorker(seenAt: 60_000)])
        #expect(text.hasSuffix(": its turn has not come; 'interruptctl list --state running' shows what runs"))
    }

    @Test func `is left out when nobody may say`() {
        #expect(line(makeRecord(state: .queued), nil) == "Queued... (job nightly, queue default)")
    }
}
