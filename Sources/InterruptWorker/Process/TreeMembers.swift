internal import Glibc
internal import InterruptCore

/// Looks up who belongs to a run's tree. For reports and measures only: whoever is named here may be gone already.
enum TreeMembers: Equatable {
    /// All in this directory of the cgroup file system, and below it.
    case leaf(directory: String)
    /// All below this process.
    case below(supervisor: pid_t)
    /// There are none, or it is not known who they are.
    case nobody

    init(_ containment: Containment, run: RunID, supervisor: pid_t?) {
        switch containment {
        case .cgroup(let directory, _): self = .leaf(directory: "\(directory)/\(run)")
        case .supervisor: self = supervisor.map(TreeMembers.below) ?? .nobody
        }
    }

    /// Those that run, zombies left out.
    func alive() -> [ProcessStatus] {
        let all =
            switch self {
            case .leaf(let directory): Self.listed(in: directory).compactMap(ProcessStatus.init(of:))
            case .below(let supervisor): Self.descendants(of: supervisor)
            case .nobody: [ProcessStatus]()
            }
        return all.filter(\.isAlive)
    }

    private static func listed(in directory: String) -> [pid_t] {
        let text = kernelText(of: directory + "/cgroup.procs", limit: 1 << 20) ?? ""
        var pids = text.split(separator: "\n").compactMap { pid_t($0) }
        for name in CgroupPlace.names(below: directory) { pids += listed(in: "\(directory)/\(name)") }
        return pids
    }

    private static func descendants(of root: pid_t) -> [ProcessStatus] {
        let children = Dictionary(
            grouping: ProcessStatus.allProcesses().compactMap(ProcessStatus.init(of:)),
            by: \.parent
        )
        var found = children[root] ?? []
        var index = 0
        while index < found.count {
            found += children[found[index].pid] ?? []
            index += 1
        }
        return found
    }
}
