import Glibc

/// How many descriptors this process may have open at a time.
enum OpenFileLimit {
    /// Raises it: each run needs six of them, and the usual 1,024 are meant for programs that call `select`. 65,536 are
    /// enough for ten thousand runs; fewer where not so many are allowed.
    ///
    /// - Returns: what it was before, which is what jobs get.
    static func raise() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        let before = limit.rlim_cur
        limit.rlim_cur = max(before, min(limit.rlim_max, 65_536))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)  // where that fails, all is as it was
        return UInt64(before)
    }
}
