import Testing

@testable import InterruptCore

@Suite struct `Printer of events` {
    private func event(_ reason: InterruptReason, _ checkpoint: CheckpointOutcome? = .saved) -> ScopeEvent {
        let signal = InterruptSignal(
            id: RequestID(rawValue: "q"),
            reason: reason,
            message: "make\nroom",
            triggeredBy: "ann",
            triggeredAt: Timestamp(milliseconds: 1_763_719_060_123)
        )
        return .interrupted(InterruptEvent(run: RunID(rawValue: "r"), signal: signal, checkpoint: checkpoint))
    }

    private static let icons: [(InterruptReason, String, String)] = [
        (.userCancelled, "👤", "[user]"), (.timeout, "⏰", "[time]"), (.resourceLimit, "💾", "[limit]"),
        (.errorThreshold, "⚠️", "[errors]"), (.priorityOverride, "⚡", "[priority]"),
        (.systemShutdown, "🔧", "[shutdown]"), (.custom, "🛑", "[custom]"),
    ]

    @Test(arguments: icons) func `each of the seven reasons has its box`(
        reason: InterruptReason,
        icon: String,
        plain: String
    ) {
        func box(_ rule: String, _ stop: String, _ icon: String, _ saved: String) -> [String] {
            let rule = String(repeating: rule, count: 70)
            return [
                rule, "\(stop) EXECUTION INTERRUPTED", rule, "\(icon) Reason: \(reason)", "Message: make\\nroom",
                "Triggered by: ann", "Time: 2025-11-21T09:57:40.123Z", "Checkpoint: \(saved) Saved", rule,
            ]
        }
        #expect(InterruptPrinter(style: .text).lines(for: event(reason)) == box("━", "🛑", icon, "✅"))
        #expect(InterruptPrinter(style: .ascii).lines(for: event(reason)) == box("=", "[X]", plain, "[x]"))
        #expect(InterruptReason.Kind.allCases.count == Self.icons.count)
    }

    @Test func `only the rules and the heading are red, and only where colours are`() {
        let lines = InterruptPrinter(style: .color).lines(for: event(.timeout))
        let red = lines.map { $0.hasPrefix("\u{1B}[31m") && $0.hasSuffix("\u{1B}[0m") }
        #expect(red == [true, true, true, false, false, false, false, false, true])
        for style in [InterruptPrinter.Style.text, .ascii] {
            let lines = InterruptPrinter(style: style).lines(for: event(.timeout))
            #expect(!lines.joined().contains("\u{1B}"))
        }
    }

    @Test func `the checkpoint is told truthfully`() {
        let printer = InterruptPrinter(style: .text)
        func line(_ outcome: CheckpointOutcome?) -> String? {
            printer.lines(for: event(.timeout, outcome)).first { $0.hasPrefix("Checkpoint") }
        }
        #expect(line(.saved) == "Checkpoint: ✅ Saved")
        #expect(line(.failed("disk full\u{7}")) == "Checkpoint: ❌ Not saved: disk full\\x07")
        #expect(line(.skipped) == "Checkpoint: ❌ Not saved: skipped on request")
        #expect(line(nil) == nil)
    }

    @Test func `text from elsewhere steers no terminal, and is ASCII where only that is shown`() {
        let hostile = "\u{1B}[2J\u{202E}é\n"
        let signal = InterruptSignal(reason: .init(rawValue: hostile), message: hostile, triggeredBy: hostile)
        let interrupt = InterruptEvent(run: .random(), signal: signal, checkpoint: .failed(hostile))
        let events: [ScopeEvent] = [
            .interrupted(interrupt), .accepted(interrupt), .notice(hostile), .degraded(source: hostile, why: hostile),
            .restored(source: hostile), .cleanup(step: hostile, failure: hostile),
            .cleanup(step: hostile, failure: nil),
            .uninterruptible(section: hostile, elapsed: .seconds(3)),
            .ignored(stage: .drain, for: .seconds(5), lastCheckpoint: hostile),
        ]
        for event in events {
            for style in [InterruptPrinter.Style.text, .ascii] {
                let lines = InterruptPrinter(style: style).lines(for: event)
                let scalars = lines.joined().unicodeScalars
                #expect(!lines.isEmpty && scalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
                if style == .ascii { #expect(scalars.allSatisfy { $0.isASCII }) }
            }
        }
    }

    @Test func `what a scope publishes is printed as it happens, and the box is the last of it`() async {
        let events = await withInterruptScope { scope in
            let events = scope.events
            scope.interrupt(reason: .priorityOverride, message: "make room", triggeredBy: "ann")
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
            return events
        }
        let printer = InterruptPrinter(style: .text)
        let lines = await events.reduce(into: []) { $0 += printer.lines(for: $1) }
        #expect(lines.first == "⚡ Interrupt accepted: terminate, priority_override by ann: make room")
        #expect(lines[1] == "Status: cancelling")
        #expect(lines[3] == "🛑 EXECUTION INTERRUPTED" && lines.last == lines[2])
    }

    @Test func `every other event is one line, and an unknown one is a warning`() {
        let printer = InterruptPrinter(style: .text)
        var counts = WorkCounts(total: 8)
        (counts.completed, counts.running) = (3, 2)
        let lines: [(ScopeEvent, String)] = [
            (.status(.humanIntervention), "Status: human_intervention"),
            (.passedOver(InterruptSignal(stage: .drain)), "Interrupt passed over: drain, user_cancelled"),
            (.timeoutApproaching(remaining: .seconds(20)), "⏰ Timeout in 20.0s"),
            (.progress(counts), "3 completed, 0 failed, 2 running, 0 cancelled of 8"),
            (
                .uninterruptible(section: "loading", elapsed: .seconds(3)),
                "⚠️ Cannot be interrupted yet: loading, for 3.0s now"
            ),
            (
                .ignored(stage: .terminate, for: .seconds(5), lastCheckpoint: "page 7"),
                "⚠️ Still at work 5.0s after terminate was asked, last checkpoint: page 7"
            ),
            (.degraded(source: "redis", why: "refused"), "⚠️ Watch degraded: redis: refused"),
        ]
        for (event, line) in lines { #expect(printer.lines(for: event) == [line]) }
        #expect(printer.line(forUnknown: "x\n") == "⚠️ Unknown event: x\\n")
    }
}
