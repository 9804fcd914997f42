internal import FoundationEssentials
internal import Glibc
internal import InterruptCore
internal import Logging
internal import Synchronization
internal import SystemPackage

/// Makes the private directories of a runner's runs, all in one that is this process's own and is locked as long as it
/// lives: so what a dead process has left is known, and removed.
final class RunDirectories: Sendable {
    private enum State {
        /// Then `made`, or `failed`.
        case unused
        /// With the descriptor that holds the lock.
        case made(FilePath, lock: Int32)
        /// Said once, with the reason; runs go without. Then `made`, when it is tried again for the next run.
        case failed
    }

    private let parent: FilePath
    private let logger: Logger
    private let state = Mutex(State.unused)

    /// - Parameter parent: made when it is missing; several processes may share it.
    init(in parent: FilePath, logger: Logger) {
        self.parent = parent
        self.logger = logger
    }

    deinit {
        guard case .made(let path, let lock) = state.withLock({ $0 }) else { return }
        try? FileManager.default.removeItem(atPath: path.string)  // else the next one does
        close(lock)
    }

    /// Makes a run's directory; `nil` when that cannot be, which is logged and stops no run.
    func make(for order: RunOrder) -> RunDirectory? {
        guard let own = own() else { return nil }
        do throws(Errno) {
            return try RunDirectory(for: order, in: own)
        } catch {
            logger.warning("no run directory", metadata: ["run": "\(order.run)", "why": "\(error)"])
            return nil
        }
    }

    private func own() -> FilePath? {
        state.withLock { state in
            if case .made(let path, _) = state { return path }
            do throws(Errno) {
                let (path, lock) = try makeOwn()
                state = .made(path, lock: lock)
                return path
            } catch {
                if case .unused = state {
                    logger.warning("runs have no directory", metadata: ["in": "\(parent)", "why": "\(error)"])
                }
                state = .failed
                return nil
            }
        }
    }

    /// Whoever takes it for one that was left, before it is locked, has removed it when it is: then there is another.
    private func makeOwn() throws(Errno) -> (FilePath, lock: Int32) {
        guard mkdir(parent.string, 0o700) == 0 || errno == EEXIST else { throw Errno(rawValue: errno) }
        removeLeft()
        for _ in 0..<100 {
            let path = parent.appending("\(getpid())-\(UInt32.random(in: 0 ... .max))")
            guard mkdir(path.string, 0o700) == 0 else { throw Errno(rawValue: errno) }
            do throws(Errno) {
                let lock = try Self.lockedDirectory(path)
                var (named, locked) = (stat(), stat())
                let isThere =
                    stat(path.string, &named) == 0 && fstat(lock, &locked) == 0 && named.st_ino == locked.st_ino
                if isThere { return (path, lock) }
                close(lock)
            } catch {
                guard error == .wouldBlock || error == .noSuchFileOrDirectory else { throw error }
            }
        }
        throw .wouldBlock
    }

    private func removeLeft() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: parent.string)) ?? []
        for name in names {
            let path = parent.appending(name)
            // It is somebody's who lives, or nothing that could be locked.
            guard let lock = try? Self.lockedDirectory(path) else { continue }
            try? FileManager.default.removeItem(atPath: path.string)  // else the next one does
            close(lock)
        }
    }

    private static func lockedDirectory(_ path: FilePath) throws(Errno) -> Int32 {
        let directory = open(path.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { throw Errno(rawValue: errno) }
        guard flock(directory, LOCK_EX | LOCK_NB) == 0 else {
            let problem = Errno(rawValue: errno)
            close(directory)
            throw problem
        }
        return directory
    }
}
