import InterruptCore
import Synchronization

/// Where this program keeps what it was asked: a table in memory, as it could be one anywhere else.
final class Requests: Sendable {
    private let signals = Mutex<[RunID: InterruptSignal]>([:])

    func stop(_ run: RunID, message: String) {
        let signal = InterruptSignal(message: message, triggeredBy: "in-memory store", source: .checker)
        signals.withLock { $0[run] = signal }
    }

    func signal(for run: RunID) -> InterruptSignal? { signals.withLock { $0[run] } }
}

let requests = Requests()
let run = RunID.random()
do {
    try await withInterruptScope(run: run) { scope in
        scope.setChecker(
            InterruptChecker("requests", every: .milliseconds(50)) { () -> InterruptSignal? in
                requests.signal(for: run)
            }
        )
        print("at work")
        requests.stop(run, message: "not needed any more")
        try await scope.sleep(for: .seconds(3_600))
    }
} catch let error as InterruptedError {
    print("stopped: \(error)")
}
