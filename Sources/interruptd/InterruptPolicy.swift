import InterruptCore

/// What an interrupt means for the jobs of each kind: the file of `--policy`.
///
///     "*":      {drain_limit: 5m}
///     uploads:  {finish_within: 30s}
///     previews: {stop_at_once: true}
struct InterruptPolicy: Equatable {
    /// What holds for one kind.
    struct Rule: Equatable {
        /// How long stage 2 is only stage 1.
        var finishLimit: Duration?
        /// Whether stage 1 is stage 2.
        var stopsAtOnce = false
        /// How long stage 1 is only stage 1.
        var drainLimit: Duration?
    }

    /// By queue, and `*` for all that have no rule of their own.
    private(set) var rules: [String: Rule] = [:]

    /// Without rules: every stage is what it says.
    init() {}

    /// - Parameter file: as messages call it.
    /// - Throws: ``InvalidSetting`` with file, line and column.
    init(yaml: String, file: String) throws(InvalidSetting) {
        for entry in try YAMLNode.entries(of: yaml, file: file) {
            let (kind, place) = (entry.name, entry.place)
            if kind != "*" {
                do throws(NameError) { _ = try Name(kind) } catch { throw InvalidSetting("\(place): \(error)") }
            }
            rules[kind] = try Rule(entry.value, kind: kind, place: place)
        }
    }

    /// Reads the file of `--policy`.
    init(path: String) throws(InvalidSetting) {
        let text = try SettingsFile.text(of: path, flag: "--policy")
        try self.init(yaml: text, file: path.escapedForDisplay())
    }

    /// What the runs of a queue are to be interrupted by.
    func strategies(for queue: Name) -> [any InterruptStrategy] {
        guard let rule = rules[queue.description] ?? rules["*"] else { return [] }
        var strategies: [any InterruptStrategy] = []
        if let limit = rule.finishLimit { strategies.append(FinishFirst(within: limit)) }
        if rule.stopsAtOnce { strategies.append(StopAtOnce()) }
        if let limit = rule.drainLimit { strategies.append(EscalateByTime(drainLimit: limit)) }
        return strategies
    }
}

extension InterruptPolicy.Rule {
    fileprivate init(_ node: YAMLNode, kind: String, place: String) throws(InvalidSetting) {
        for entry in try node.entries() {
            let (name, place, text) = (entry.name, entry.place, entry.value.text ?? "")
            switch name {
            case "finish_within": finishLimit = try Self.duration(text, place)
            case "drain_limit": drainLimit = try Self.duration(text, place)
            case "stop_at_once" where text == "true" || text == "false": stopsAtOnce = text == "true"
            case "stop_at_once":
                throw InvalidSetting(
                    "\(place): stop_at_once is '\(text.escapedForDisplay(limit: 40))', not true or false"
                )
            default:
                throw InvalidSetting(
                    "\(place): unknown rule '\(name.escapedForDisplay(limit: 40))': known are finish_within, "
                        + "stop_at_once, drain_limit"
                )
            }
        }
        if stopsAtOnce, finishLimit != nil || drainLimit != nil {
            throw InvalidSetting("\(place): \(kind) is to stop at once and to go on for a while: leave one of them out")
        }
    }

    private static func duration(_ text: String, _ place: String) throws(InvalidSetting) -> Duration {
        do throws(DurationError) {
            return try Duration(text: text)
        } catch {
            throw InvalidSetting("\(place): \(error)")
        }
    }
}
