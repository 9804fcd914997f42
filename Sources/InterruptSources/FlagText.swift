import InterruptCore
import InterruptJSON

/// What a file says, which is what a flag in Redis says.
enum FlagText {
    /// The interrupt that the text of a file asks for; `nil` for none. White space at its end is left out: `echo 1` and
    /// every editor write some.
    static func signal(_ text: [UInt8], for run: RunID?) throws(MalformedSignal) -> InterruptSignal? {
        let space: [UInt8] = [0x09, 0x0A, 0x0D, 0x20]
        let end = text.lastIndex { !space.contains($0) }.map { $0 + 1 } ?? 0
        return try FlagValue.read(Array(text[..<end]), for: run)?.checkerSignal
    }
}

extension SignalMessage {
    /// The interrupt that this asks for, found by a checker whatever it says of its source.
    var checkerSignal: InterruptSignal {
        var signal = signal(source: .checker, newID: .random())
        signal.source = .checker
        return signal
    }
}
