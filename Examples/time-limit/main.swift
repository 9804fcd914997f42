import InterruptCore

do {
    try await withInterruptScope { scope in
        let events = scope.events
        scope.setTimeout(.seconds(2), warningAfter: 0.5)
        print("waiting for an answer")
        for await case .timeoutApproaching in events {
            print("half of the time is over")
            break
        }
        try await scope.sleep(for: .seconds(3_600))
        print("never printed")
    }
} catch let error as InterruptedError {
    print("stopped: \(error.signal.reason): \(error)")
}
