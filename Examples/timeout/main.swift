import InterruptCore

do {
    try await withInterruptScope { scope in
        scope.setTimeout(.milliseconds(200), warningAfter: 0.5)
        // A task of the scope: it ends with it.
        let events = scope.events
        scope.startTask("warnings") {
            for await case .timeoutApproaching in events { print("half of the time is over") }
        }
        print("waiting for an answer")
        try await scope.sleep(for: .seconds(3_600))
        print("never printed")
    }
} catch let error as InterruptedError {
    print("stopped: \(error.signal.reason): \(error)")
}
