import InterruptCore

/// Knows nothing of scopes, and can be interrupted all the same.
func resize(_ image: Int) throws {
    try Interrupt.checkpoint()
    print("resized image \(image)")
}

do {
    try await withInterruptScope(timeout: .seconds(300)) { scope in
        for image in 1...1_000 {
            try scope.checkpoint()
            try resize(image)
            // Somebody else would do this, on any thread.
            if image == 3 { scope.interrupt(message: "three are enough", triggeredBy: "ann") }
        }
    }
} catch let error as InterruptedError {
    print("stopped: \(error), asked by \(error.signal.triggeredBy ?? "nobody")")
}
