/// Shows events to a person, as lines for a terminal or a log.
///
///     let printer = InterruptPrinter(style: .color)
///     for await event in scope.events { for line in printer.lines(for: event) { print(line) } }
public struct InterruptPrinter: Sendable {
    /// What the place where the lines are shown can do.
    public enum Style: Sendable {
        /// A terminal with colours.
        case color
        /// No colours, but any character.
        case text
        /// ASCII only.
        case ascii
    }

    /// The width of the box.
    static let width = 70

    /// What may be used.
    public let style: Style

    /// A printer; see ``DisplayEnvironment`` for what suits a process.
    public init(style: Style) { self.style = style }

    /// What is shown for an event, without line ends; nothing for what only programs need.
    public func lines(for event: ScopeEvent) -> [String] {
        switch event {
        case .interrupted(let event): box(event)
        case .accepted(let event):
            [red("\(icon(event.signal.reason)) Interrupt accepted: \(text(event.signal.summary))")]
        case .passedOver(let signal): ["Interrupt passed over: \(text(signal.summary))"]
        case .status(let status): ["Status: \(status.rawValue)"]
        case .timeoutApproaching(let remaining): [sign("⏰", "[!]") + " Timeout in \(remaining.displayText)"]
        case .ignored(let stage, let limit, let last):
            [
                "\(sign("⚠️", "[!]")) Still at work \(limit.displayText) after \(stage.name) was asked"
                    + (last.map { ", last checkpoint: \(text($0))" } ?? "")
            ]
        case .uninterruptible(let section, let elapsed):
            ["\(sign("⚠️", "[!]")) Cannot be interrupted yet: \(text(section)), for \(elapsed.displayText) now"]
        case .degraded(let source, let why): ["\(sign("⚠️", "[!]")) Watch degraded: \(text(source)): \(text(why))"]
        case .restored(let source): ["Watch restored: \(text(source))"]
        case .progress(let counts):
            [
                "\(counts.completed) completed, \(counts.failed) failed, \(counts.running) running, "
                    + "\(counts.terminated + counts.cancelled) cancelled of \(counts.total)"
            ]
        case .reported(let progress):
            ["\(progress.percentText) done" + (progress.message.map { ": \(text($0))" } ?? "")]
        case .cleanup(let step, nil): ["Cleaned up: \(text(step))"]
        case .cleanup(let step, let failure?):
            ["\(sign("⚠️", "[!]")) Clean-up failed: \(text(step)): \(text(failure))"]
        case .notice(let notice): [text(notice)]
        }
    }

    /// What is shown for something that is none of these events.
    public func line(forUnknown event: Any) -> String {
        "\(sign("⚠️", "[!]")) Unknown event: \(text("\(event)"))"
    }

    private func box(_ event: InterruptEvent) -> [String] {
        let signal = event.signal
        let rule = red(String(repeating: sign("━", "="), count: Self.width))
        var lines = [rule, red("\(sign("🛑", "[X]")) EXECUTION INTERRUPTED"), rule]
        lines.append("\(icon(signal.reason)) Reason: \(text(signal.reason.displayText))")
        if let message = signal.message { lines.append("Message: \(text(message))") }
        if let name = signal.triggeredBy { lines.append("Triggered by: \(text(name))") }
        lines.append("Time: \(signal.triggeredAt.rfc3339)")
        switch event.checkpoint {
        case nil: break
        case .saved?: lines.append("Checkpoint: \(sign("✅", "[x]")) Saved")
        case .failed(let why)?: lines.append("Checkpoint: \(sign("❌", "[ ]")) Not saved: \(text(why))")
        case .skipped?: lines.append("Checkpoint: \(sign("❌", "[ ]")) Not saved: skipped on request")
        }
        return lines + [rule]
    }

    /// One for each reason; an unknown one has that of `custom`.
    private func icon(_ reason: InterruptReason) -> String {
        switch reason.kind {
        case .userCancelled: sign("👤", "[user]")
        case .timeout: sign("⏰", "[time]")
        case .resourceLimit: sign("💾", "[limit]")
        case .errorThreshold: sign("⚠️", "[errors]")
        case .priorityOverride: sign("⚡", "[priority]")
        case .systemShutdown: sign("🔧", "[shutdown]")
        case .custom: sign("🛑", "[custom]")
        }
    }

    private func sign(_ symbol: String, _ plain: String) -> String {
        if case .ascii = style { plain } else { symbol }
    }

    private func red(_ text: String) -> String {
        if case .color = style { "\u{1B}[31m\(text)\u{1B}[0m" } else { text }
    }

    /// Text from elsewhere.
    private func text(_ text: String) -> String {
        let escaped = text.escapedForDisplay(limit: 1_000)
        guard case .ascii = style else { return escaped }
        return String(escaped.unicodeScalars.map { $0.isASCII ? Character($0) : "?" })
    }
}

extension InterruptSignal {
    fileprivate var summary: String {
        let name = triggeredBy.map { " by \($0)" } ?? ""
        return "\(stage.name), \(reason.displayText)\(name)" + (message.map { ": \($0)" } ?? "")
    }
}
