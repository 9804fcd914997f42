import InterruptCore

/// What must be given back, whatever happens.
actor License {
    private var isHeld = false

    func take() {
        isHeld = true
        print("license taken")
    }

    /// Takes a moment, as with a server that is asked.
    func giveBack() async throws {
        try await Interrupt.sleep(for: .milliseconds(50))
        isHeld = false
        print("license given back")
    }
}

/// Cannot stop half-way, as a call into a library that knows of no interrupts.
func load() async throws -> Int {
    try await Task.sleep(for: .milliseconds(50))
    return 7
}

let license = License()
do {
    try await withInterruptScope { scope in
        await license.take()
        let model = try await scope.uninterruptible("load the model") { try await load() }
        print("model \(model) loaded")
        _ = scope.onEnd("give the license back", limit: .seconds(5)) { try await license.giveBack() }
        do {
            scope.interrupt(message: "enough")
            try scope.checkpoint()
        } catch {
            // Work that is interrupted may still finish what it began, for a while.
            try await withInterruptShield(limit: .seconds(10)) { shield in
                try shield.checkpoint()
                print("partial result saved")
            }
            throw error
        }
    }
} catch let error as InterruptedError {
    print("stopped: \(error)")
}
