internal import CLaunch
internal import Glibc
internal import InterruptCore

/// Why runs get no cgroups.
struct CgroupProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The cgroup, version 2, below which each run gets a leaf: `interrupt` below that of this process.
struct CgroupPlace: Equatable {
    /// Where the file system is that has it.
    let mount: String
    /// The path there, which is also what the kernel calls the cgroup.
    let path: String

    /// Where it is found.
    var directory: String { mount + path }

    /// The one of this process. A guard may have moved that into `daemon`, below the cgroup that was given to us.
    static func ofProcess() -> Result<CgroupPlace, CgroupProblem> {
        let own = kernelText(of: "/proc/self/cgroup", limit: 8_192) ?? ""
        let mounts = kernelText(of: "/proc/self/mountinfo", limit: 65_536) ?? ""
        return Result { () throws(CgroupProblem) in
            let place = try CgroupPlace(own: own, mounts: mounts)
            guard let above = place.aboveDaemon else { return place }
            return launch_is_delegated(above.mount + above.path.dropLast("/interrupt".count)) == 1 ? above : place
        }
    }

    /// - Parameters:
    ///   - own: `/proc/self/cgroup`.
    ///   - mounts: `/proc/self/mountinfo`.
    init(own: String, mounts: String) throws(CgroupProblem) {
        let line = own.split(separator: "\n").first { $0.hasPrefix("0::/") }
        guard let line else { throw CgroupProblem("no cgroup of version 2") }
        // "36 25 0:31 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw"
        let mount = mounts.split(separator: "\n").first { line in
            line.split(separator: " ").drop { $0 != "-" }.dropFirst().first == "cgroup2"
        }
        guard let fields = mount?.split(separator: " "), fields.count > 5 else {
            throw CgroupProblem("no cgroup file system of version 2 is mounted")
        }
        guard fields[3] == "/" else { throw CgroupProblem("only a part of the cgroup file system is mounted") }
        // A path with a space or a backslash is written with an escape; then cgroups are not used.
        guard !fields[4].contains("\\") else { throw CgroupProblem("the cgroup file system's path has a space") }
        self.mount = String(fields[4])
        let path = line.dropFirst("0::".count)
        self.path = (path == "/" ? "" : path) + "/interrupt"
    }

    private init(mount: String, path: String) { (self.mount, self.path) = (mount, path) }

    /// The same a level higher, if this process is in a cgroup called `daemon`.
    var aboveDaemon: CgroupPlace? {
        let own = path.dropLast("/interrupt".count)
        guard own.hasSuffix("/daemon") else { return nil }
        return CgroupPlace(mount: mount, path: own.dropLast("/daemon".count) + "/interrupt")
    }

    /// The names of the cgroups right below the one at `directory`; none when it has gone.
    ///
    /// Unsafe here: a name is an array of characters within the entry, which lives until the next one is read.
    static func names(below directory: String) -> [String] {
        guard let listing = opendir(directory) else { return [] }
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
}
