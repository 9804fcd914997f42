import InterruptCore

extension TransportError {
    /// What the server answered is a refusal; everything else may be better in a moment.
    init(_ error: RedisError) {
        let passing: Set<String> = [
            "LOADING", "BUSY", "MASTERDOWN", "READONLY", "NOREPLICAS", "MISCONF", "OOM", "TRYAGAIN",
            "CLUSTERDOWN", "MOVED", "ASK", "UNBLOCKED",
        ]
        switch error.code {
        // A key that the role may not write stays so; a command may be allowed in a moment.
        case .notPermitted where error.replyPrefix == "ERR": self = .refused(error.message)
        case .reply where !passing.contains(error.replyPrefix ?? "") && error.replyPrefix != "NOGROUP":
            self = .refused(error.message)
        default:
            self = .unavailable(error.message)
        }
    }
}

extension WorkerRecord {
    var nameHolder: NameHolder {
        NameHolder(
            instance: instance,
            host: host,
            process: ProcessIdentity(boot: boot, pid: pid, start: processStart)
        )
    }
}

extension LeftRun {
    init?(reply: RESPValue) {
        guard let parts = reply.array?.map({ $0.text ?? "" }), parts.count == 5 else { return nil }
        let process: ProcessIdentity? =
            if let pid = Int32(parts[2]), let start = UInt64(parts[3]) {
                ProcessIdentity(boot: parts[1], pid: pid, start: start)
            } else {
                nil
            }
        self.init(run: RunID(rawValue: parts[0]), process: process, isInProcess: !parts[4].isEmpty)
    }
}
