import InterruptCore

/// How far a run is, for people.
enum ProgressText {
    static func of(_ progress: WorkProgress, remaining: Duration?, on screen: Screen) -> String {
        let message = progress.message.map { "  \(screen.shown($0, limit: 200))" } ?? ""
        let rest = remaining.flatMap { $0 > .zero ? "  (about \($0.displayText) left)" : nil } ?? ""
        return progress.percentText + message + rest
    }
}
