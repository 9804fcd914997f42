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

    /// Kills what is there, and whoever that forks meanwhile. Returns who is still there after `limit`.
    func end(within limit: Duration) async -> [ProcessStatus] {
        let deadline = ContinuousClock.now + limit
        var left: [ProcessStatus] = []
        repeat {
            left = []
            for leaf in leaves() { left += await Self.end(leaf, before: deadline) }
            for session in sessions() {
                if await !session.kill(within: max(.zero, ContinuousClock.now.duration(to: deadline))) {
                    left += session.members().compactMap(ProcessStatus.init(of:))
                }
            }
        } while !left.isEmpty && ContinuousClock.now < deadline
        return left
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
            for name in Self.directories(in: directory) {
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

    private static func directories(in path: String) -> [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            guard entry.pointee.d_type == DT_DIR, entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) else { continue }
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            )
        }
        return names
    }

    private static func end(_ leaf: String, before deadline: ContinuousClock.Instant) async -> [ProcessStatus] {
        let members = TreeMembers.leaf(directory: leaf)
        let file = open(leaf + "/cgroup.kill", O_WRONLY | O_CLOEXEC)
        if file >= 0 {
            _ = write(file, "1", 1)  // who is left is looked up below
            close(file)
        }
        while true {
            let left = members.alive()
            guard let one = left.first, ContinuousClock.now < deadline else {
                if left.isEmpty { rmdir(leaf) }
                return left
            }
            await ProcessSession.exit(of: one.pid, before: deadline)
        }
    }
}
