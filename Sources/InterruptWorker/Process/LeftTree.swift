internal import Glibc
internal import InterruptCore

/// What is left of a run that no launcher holds together any more: its cgroup, if it had one, its leader's session, and the
/// sessions of whoever carries the run's id.
///
/// Unsafe here: a cgroup is ended by its name, which is the run's id and nobody else's.
struct LeftTree {
    let run: RunID
    /// The leader, when it was recorded.
    let leader: ProcessIdentity?

    /// Kills what is there, and whoever that forks meanwhile, until a look finds nobody. Returns who is still there after
    /// `limit`. In a task that is cancelled it kills once and returns whom it has found.
    func end(within limit: Duration) async -> [ProcessStatus] {
        let deadline = ContinuousClock.now + limit
        while true {
            let (leaves, sessions) = (leaves(), sessions())
            let members =
                leaves.flatMap { TreeMembers.leaf(directory: $0).alive() }
                + sessions.flatMap { $0.members().compactMap(ProcessStatus.init(of:)) }
            if members.isEmpty || ContinuousClock.now >= deadline {
                for leaf in leaves { Self.remove(leaf) }
                return members
            }
            for leaf in leaves { Self.kill(leaf) }
            for session in sessions { session.kill() }
            if Task.isCancelled { return members }
            // Who does not end must not keep us from those that others fork meanwhile.
            let nextLook = min(deadline, .now + .milliseconds(100))
            for member in members { await ProcessSession.exit(of: member.pid, before: nextLook) }
        }
    }

    private func sessions() -> [ProcessSession] {
        (leader.map { [ProcessSession(leader: $0)] } ?? []) + ProcessSession.carrying(run)
    }

    /// The cgroups with the run's name, and those of its hooks, wherever the worker was that made them.
    private func leaves() -> [String] {
        guard let mount = try? CgroupPlace.ofProcess().get().mount else { return [] }
        var found: [String] = []
        var directories = [mount]
        while let directory = directories.popLast() {
            for name in CgroupPlace.names(below: directory) {
                let path = "\(directory)/\(name)"
                if name == run.rawValue || name.hasPrefix(run.rawValue + ".") {
                    found.append(path)
                } else {
                    directories.append(path)
                }
            }
        }
        return found
    }

    private static func kill(_ leaf: String) {
        let file = open(leaf + "/cgroup.kill", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = write(file, "1", 1)  // who is left is looked up
        close(file)
    }

    /// Removes the cgroup with those that the run made below it; one that somebody is in stays.
    private static func remove(_ leaf: String) {
        for name in CgroupPlace.names(below: leaf) { remove("\(leaf)/\(name)") }
        rmdir(leaf)
    }
}
