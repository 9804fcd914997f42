internal import Glibc
internal import InterruptCore

/// A process that is still there after SIGKILL, and why.
struct Survivor: Equatable {
    enum Cause: Equatable {
        /// It belongs to somebody whom this worker may not signal.
        case notPermitted(user: uid_t?)
        /// It waits in the kernel, which lets nothing end it.
        case inKernel(waitChannel: String?)
        /// Neither: it should be gone any moment.
        case slow(state: Character)
    }

    let pid: pid_t
    let name: String
    let cause: Cause

    /// What is said about several of them: who, why, and what comes next.
    static func text(_ survivors: [Survivor]) -> String {
        if survivors.isEmpty {
            return
                "still there after SIGKILL: a process that has not begun its program; it ends as soon as the kernel lets it go"
        }
        let most = 5
        var list = survivors.prefix(most).map(\.text)
        if survivors.count > most { list.append("\(survivors.count - most) more") }
        var steps: [String] = []
        for survivor in survivors where !steps.contains(survivor.nextStep) { steps.append(survivor.nextStep) }
        return "still there after SIGKILL: \(list.joined(separator: ", ")); \(steps.joined(separator: "; "))"
    }

    private var text: String {
        let why =
            switch cause {
            case .notPermitted(let user): "not permitted: runs as \(user.map { "uid \($0)" } ?? "somebody else")"
            case .inKernel(let channel): "waits in the kernel" + (channel.map { " in \($0)" } ?? "")
            case .slow(let state): "has not reacted yet, state \(state)"
            }
        return "\(pid) (\(name.escapedForDisplay(limit: 32))) \(why.escapedForDisplay(limit: 100))"
    }

    private var nextStep: String {
        switch cause {
        case .notPermitted: "its own user or root must end what is not permitted"
        case .inKernel: "what waits in the kernel ends as soon as that lets it go"
        case .slow: "what has not reacted ends as soon as it runs again"
        }
    }
}

extension Survivor {
    /// Asks the kernel why the process is still there.
    init(_ status: ProcessStatus) {
        pid = status.pid
        name = status.name
        // Signal 0 only asks whether it is permitted.
        if kill(status.pid, 0) == -1, errno == EPERM {
            cause = .notPermitted(user: status.user)
        } else if status.state == "D" {
            cause = .inKernel(waitChannel: status.waitChannel)
        } else {
            cause = .slow(state: status.state)
        }
    }
}
