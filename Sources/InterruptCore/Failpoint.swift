#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A step of an interrupt at which a debug build can be told to break, by `INTERRUPT_FAILPOINT=STEP:ACTION`, so that tests
/// can show that what is on record survives. In a release build ``reached()`` does nothing.
///
/// An action is `exit`, `abort`, `sleep=…ms` or, where the step can fail, `error`. It is taken each time the step is reached.
package enum Failpoint {
    /// A requester has recorded its request and has not been told.
    case request
    /// A worker is about to write its receipt; the run has been told.
    case acknowledge
    /// A run's processes are about to be asked to end.
    case signal
    /// They are about to be forced.
    case escalate
    /// Nothing of a run is left, and its end is about to be written.
    case record

    #if !DEBUG
        /// Does nothing in a release build.
        @inlinable @discardableResult
        package func reached() -> Bool { false }
    #else
        /// Breaks here if that was asked for; answers whether the step is to fail.
        @discardableResult
        package func reached() -> Bool {
            guard let asked = Self.asked, asked.step == self else { return false }
            switch asked.action {
            case .exit: _exit(86)  // at once, as nobody who is killed says goodbye
            case .abort: abort()
            case .sleep(let milliseconds):
                usleep(milliseconds * 1_000)  // to hold the thread up is the fault that is asked for
                return false
            case .error: return true
            }
        }

        enum Action: Equatable {
            case exit, abort, error
            case sleep(milliseconds: UInt32)
        }

        private static let asked: (step: Failpoint, action: Action)? = getenv("INTERRUPT_FAILPOINT").map {
            // A typing error must not make a test pass.
            guard let asked = read(String(cString: $0)) else { fatalError("INTERRUPT_FAILPOINT is not STEP:ACTION") }
            return asked
        }

        /// Reads `STEP:ACTION`.
        static func read(_ text: String) -> (step: Failpoint, action: Action)? {
            let parts = text.split(separator: ":", maxSplits: 1)
            let steps: [Substring: Failpoint] = [
                "request": .request, "acknowledge": .acknowledge, "signal": .signal, "escalate": .escalate,
                "record": .record,
            ]
            guard parts.count == 2, let step = steps[parts[0]] else { return nil }
            switch parts[1] {
            case "exit": return (step, .exit)
            case "abort": return (step, .abort)
            case "error": return (step, .error)
            default:
                guard parts[1].hasPrefix("sleep="), parts[1].hasSuffix("ms"),
                    let milliseconds = UInt32(parts[1].dropFirst(6).dropLast(2)), milliseconds <= 600_000
                else { return nil }
                return (step, .sleep(milliseconds: milliseconds))
            }
        }
    #endif
}
