internal import CLaunch
internal import Dispatch
internal import Glibc
internal import InterruptCore
internal import Logging
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// How the processes of a run are held together, so that none of them gets away.
public enum Containment: Hashable, Sendable, CustomStringConvertible {
    /// Each run has a cgroup of its own in this directory, where the kernel itself limits what is said here.
    case cgroup(directory: String, limits: Set<KernelLimit>)
    /// Each run has a supervisor that is the subreaper of all that is below it, because of what is said here.
    case supervisor(why: String)

    /// One line: which of the two, and why not the other.
    public var description: String {
        switch self {
        case .cgroup(let directory, []): "cgroups in \(directory)"
        case .cgroup(let directory, let limits):
            "cgroups in \(directory), with limits of \(limits.map(\.rawValue).sorted().joined(separator: " and "))"
        case .supervisor(let why): "supervisors, no cgroups: \(why)"
        }
    }
}

/// What the kernel limits in a cgroup where it was asked to.
public enum KernelLimit: String, Hashable, Sendable {
    /// How much memory all its processes have together.
    case memory
    /// How many processes there are.
    case processes
}

/// The worker's end of `interrupt-launch`, the small process that starts all jobs and keeps hold of them. It ends every
/// tree when this process goes, however it goes.
///
/// Unsafe here: descriptors are numbers, and one C function fills a structure. The socket is closed with the last
/// reference; the guard then ends when its last tree has.
final class Launcher: Sendable {
    /// A guard that answers.
    struct Guard: Sendable {
        let socket: Socket
        let containment: Containment
    }

    /// Closed with the last reference: whoever starts a run holds one, so that the number is nobody else's meanwhile.
    final class Socket: Sendable {
        let descriptor: Int32

        init(_ descriptor: Int32) { self.descriptor = descriptor }

        deinit { close(descriptor) }
    }

    private enum State {
        /// Then starting.
        case idle
        /// Somebody starts it, others wait. Then ready or idle.
        case starting([CheckedContinuation<Void, Never>])
        /// Then idle, when it has died.
        case ready(Guard)
    }

    private let program: FilePath?
    private let usesCgroups: Bool
    private let jobDescriptors: UInt64?
    private let logger: Logger
    private let state = Mutex(State.idle)

    /// Starts nothing yet.
    ///
    /// - Parameters:
    ///   - program: the file of `interrupt-launch`; `nil` looks beside this program, in `../libexec` and in `PATH`.
    ///   - usesCgroups: whether cgroups are used where they can be.
    ///   - jobDescriptors: how many descriptors a job may have open; `nil` is as many as this process.
    init(program: FilePath?, usesCgroups: Bool, jobDescriptors: UInt64?, logger: Logger) {
        self.program = program
        self.usesCgroups = usesCgroups
        self.jobDescriptors = jobDescriptors
        self.logger = logger
    }

    /// The guard, started if there is none.
    func ready() async throws(SpawnFailure) -> Guard {
        while true {
            switch await takeTurn() {
            case .ready(let guardian): return guardian
            case .wait: continue
            case .start:
                let result: Result<Guard, SpawnFailure>
                do throws(SpawnFailure) {
                    result = .success(try await start())
                } catch {
                    result = .failure(error)
                }
                finishTurn(result)
                return try result.get()
            }
        }
    }

    /// Starts a run. Returns the worker's end of the run's own socket, where all else is told, also that it failed, and
    /// the guard that has it.
    func start(
        _ spec: LaunchSpec,
        input: Int32,
        output: Int32,
        error: Int32
    ) async throws(SpawnFailure) -> (socket: Int32, guardian: Guard) {
        for attempt in 1...2 {
            let guardian = try await ready()
            let sockets = try Self.makeSockets()
            let problem = await Self.send(spec, [sockets.1, input, output, error], to: guardian.socket)
            close(sockets.1)
            if problem == 0 { return (sockets.0, guardian) }
            close(sockets.0)
            // Whatever else is wrong, a lack of memory or descriptors, is no reason to start another guard.
            guard problem == EPIPE || problem == ECONNRESET || problem == ENOTCONN else {
                throw SpawnFailure(text: "the run could not be handed over: \(Errno(rawValue: problem))")
            }
            logger.error("the guard has ended: starting another", metadata: ["why": "\(Errno(rawValue: problem))"])
            forget(guardian)
            if attempt == 2 { throw SpawnFailure(text: "interrupt-launch does not stay: \(Errno(rawValue: problem))") }
        }
        throw SpawnFailure(text: "interrupt-launch does not stay")
    }

    /// Returns 0 or an error number.
    private static func send(_ spec: LaunchSpec, _ descriptors: [Int32], to socket: Socket) async -> Int32 {
        let bytes = spec.bytes
        let problem = launch_send_run(socket.descriptor, bytes, bytes.count, descriptors, Int32(MSG_DONTWAIT))
        guard problem == EAGAIN else { return problem }
        // The guard is behind. Waiting for it takes a thread that nothing else of ours waits for.
        return await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: launch_send_run(socket.descriptor, bytes, bytes.count, descriptors, 0))
            }
        }
    }

    private enum Turn {
        case ready(Guard)
        /// Somebody else was starting it, and is done.
        case wait
        case start
    }

    private func takeTurn() async -> Turn {
        let turn = state.withLock { state -> Turn in
            switch state {
            case .ready(let guardian): return .ready(guardian)
            case .starting: return .wait
            case .idle:
                state = .starting([])
                return .start
            }
        }
        guard case .wait = turn else { return turn }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard case .starting(let waiters) = state else { return true }
                state = .starting(waiters + [continuation])
                return false
            }
            if isOver { continuation.resume() }
        }
        return .wait
    }

    private func finishTurn(_ result: Result<Guard, SpawnFailure>) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard case .starting(let waiters) = state else { return [] }
            state = (try? result.get()).map(State.ready) ?? .idle  // who waits tries for itself
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The guard has ended, or is about to: a run that it had was abandoned. The kernel may close the sockets of runs
    /// before the one on which runs are started.
    func forget(_ old: Guard) {
        state.withLock { state in
            guard case .ready(let guardian) = state, guardian.socket === old.socket else { return }
            state = .idle
        }
    }

    private func start() async throws(SpawnFailure) -> Guard {
        guard let program = program ?? Self.find() else {
            throw SpawnFailure(text: "interrupt-launch is not installed: it belongs beside interruptd, or in PATH")
        }
        let place = usesCgroups ? CgroupPlace.ofProcess() : .failure(CgroupProblem("switched off"))
        let sockets = try Self.makeSockets()
        let socket = Socket(sockets.0)
        // A guard that takes no packet for so long does not run.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(socket.descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let (mount, path) = (try? place.get()).map { ($0.mount, $0.path) } ?? ("-", "-")
        do {
            _ = try await Subprocess.run(
                .path(program),
                arguments: [mount, path, "\(jobDescriptors ?? 0)"],
                input: .fileDescriptor(FileDescriptor(rawValue: sockets.1), closeAfterSpawningProcess: true),
                output: .discarded,
                error: .discarded
            )
            let event = try await Self.firstEvent(of: socket)
            guard event.third != 0 else {
                throw SpawnFailure(text: "this kernel does not list children (CONFIG_PROC_CHILDREN)")
            }
            let containment: Containment =
                switch place {
                case .success(let place) where event.first == 1:
                    .cgroup(directory: place.directory, limits: KernelLimit.all(in: event.fourth))
                case .success(let place):
                    .supervisor(why: "\(place.directory): \(Errno(rawValue: event.second))")
                case .failure(let problem): .supervisor(why: problem.description)
                }
            logger.debug("the guard runs", metadata: ["containment": "\(containment)"])
            return Guard(socket: socket, containment: containment)
        } catch {
            if let failure = error as? SpawnFailure { throw failure }
            throw SpawnFailure(text: "'\(program)' cannot be run: \(error)")
        }
    }

    private static func makeSockets() throws(SpawnFailure) -> (Int32, Int32) {
        var sockets: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutablePointer(to: &sockets) { pair in
            pair.withMemoryRebound(to: Int32.self, capacity: 2) { launch_make_sockets($0) }
        }
        guard made == 0 else { throw SpawnFailure(text: "no socket for interrupt-launch: \(Errno(rawValue: errno))") }
        return sockets
    }

    private static func firstEvent(of socket: Socket) async throws(SpawnFailure) -> launch_event {
        await DescriptorWatch(socket.descriptor).readable(before: .now + .seconds(10))
        var event = launch_event()
        let count = recv(socket.descriptor, &event, MemoryLayout<launch_event>.size, Int32(MSG_DONTWAIT))
        guard count == MemoryLayout<launch_event>.size, event.kind == LAUNCH_READY.rawValue else {
            throw SpawnFailure(
                text: "interrupt-launch did not start: it is of another version, was ended, or is too slow"
            )
        }
        return event
    }

    private static func find() -> FilePath? {
        let name = "interrupt-launch"
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = FilePath(String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self))
        let directory = own.removingLastComponent()
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let places =
            [directory, directory.removingLastComponent().appending("libexec")]
            + path.split(separator: ":").map { FilePath(String($0)) }
        return places.map { $0.appending(name) }.first { $0.isAbsolute && access($0.string, X_OK) == 0 }
    }
}
