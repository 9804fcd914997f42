internal import CLaunch
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A run's processes, as `interrupt-launch` has them: what is asked of them, and what it tells.
///
/// Unsafe here: events are fixed structures that are received into memory. The socket is closed when the last event has
/// come or by ``letGo()``, under the lock that every use of it takes.
final class LaunchedTree: Sendable {
    enum Request: UInt8 {
        /// SIGTERM and SIGCONT for the whole tree but its leader, which only goes on.
        case terminate = 1
        /// SIGKILL for the whole tree, until it is empty.
        case kill
        /// Nothing of it runs any more.
        case freeze
        /// It goes on.
        case thaw
        /// SIGTERM and SIGCONT for the whole tree.
        case terminateAll
    }

    enum Event {
        /// The leader runs. Without a cgroup it has a supervisor.
        case started(RunLeader, supervisor: pid_t?)
        /// The last event.
        case failed(Step, Errno)
        case frozen(Errno?)
        case thawed(Errno?)
        /// How the leader ended, and how many processes of the tree were killed for want of memory, where that is known.
        /// The last event when nothing of the tree is left.
        /// `isFenced`: its fence had been reached.
        case exited(JobOutcome.WaitStatus, memoryKills: Int?, isEmpty: Bool, isFenced: Bool)
        /// Nothing of it is left. The last event.
        case empty
        /// The same, but nobody knows how the leader ended. The last event.
        case lost
        /// The launcher has gone, and nothing is known of the tree. The last event.
        case abandoned

        enum Step: Int32 {
            case spec = 1
            case cgroup
            case fork
            case directory
            case exec
            /// It would have been killed by now.
            case fence
        }

        var isLast: Bool {
            switch self {
            case .failed, .empty, .lost, .abandoned: true
            case .exited(_, _, let isEmpty, _): isEmpty
            case .started, .frozen, .thawed: false
            }
        }
    }

    private enum State {
        /// Then listening or closed.
        case open
        /// Then closed.
        case listening(DescriptorEvents.Watch)
        case closed
    }

    private let socket: Int32
    private let state = Mutex(State.open)

    /// Takes the worker's end of a run's socket.
    init(socket: Int32) {
        self.socket = socket
    }

    deinit {
        if case .open = state.withLock({ $0 }) { close(socket) }
    }

    /// Calls `onEvent` with each event, on the thread of events, up to the last one. It must return at once.
    func listen(_ onEvent: @escaping @Sendable (Event) -> Void) {
        state.withLock { state in
            guard case .open = state else { return }
            state = .listening(DescriptorEvents.ofProcess.watch(socket) { self.receive(onEvent) })
        }
    }

    /// Asks, without waiting for the answer. Of a tree that has ended nothing can be asked any more.
    func ask(_ request: Request) {
        state.withLock { state in
            if case .closed = state { return }
            var byte = request.rawValue
            // It fails only when nobody listens any more, which is an event of its own.
            _ = send(socket, &byte, 1, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    /// Has it killed at another instant than was said before, if any was said.
    func moveFence(to instant: BootTime) {
        state.withLock { state in
            if case .closed = state { return }
            var fence = launch_fence(request: UInt8(LAUNCH_FENCE.rawValue), instant: instant.milliseconds)
            // When nobody listens any more, or the socket is full, the earlier one holds.
            _ = send(socket, &fence, MemoryLayout<launch_fence>.size, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    /// Says no more of it: the launcher kills what is left of the tree, and nobody hears of that.
    func letGo() {
        state.withLock { state in
            switch state {
            case .open: close(socket)
            case .listening(let watch):
                DescriptorEvents.ofProcess.end(watch)
                close(socket)
            case .closed: return
            }
            state = .closed
        }
    }

    private func receive(_ onEvent: @Sendable (Event) -> Void) {
        while let event = next() {
            onEvent(event)
            if event.isLast { return letGo() }
        }
        state.withLock { state in
            if case .listening(let watch) = state { DescriptorEvents.ofProcess.again(watch) }
        }
    }

    /// The next event that has come; `nil` when there is none now.
    private func next() -> Event? {
        state.withLock { state -> Event? in
            guard case .listening = state else { return nil }
            while true {
                var event = launch_event()
                var descriptor: Int32 = -1
                let count = launch_receive_event(socket, &event, &descriptor)
                if count < 0, errno == EAGAIN { return Event?.none }
                // A reset comes once, before what is still to be read: the launcher was done when it was asked something.
                if count < 0, errno == EINTR || errno == ECONNRESET { continue }
                return count == MemoryLayout<launch_event>.size ? Event(event, descriptor) : Event.abandoned
            }
        }
    }
}

extension LaunchedTree.Event {
    fileprivate init(_ event: launch_event, _ descriptor: Int32) {
        let (first, second) = (event.first, event.second)
        self =
            switch launch_event_kind(rawValue: UInt32(event.kind)) {
            case LAUNCH_STARTED:
                .started(RunLeader(pid: first, descriptor: descriptor), supervisor: second == 0 ? nil : second)
            case LAUNCH_FAILED: .failed(Step(rawValue: first) ?? .spec, Errno(rawValue: second))
            case LAUNCH_FROZEN: .frozen(first == 0 ? nil : Errno(rawValue: first))
            case LAUNCH_THAWED: .thawed(first == 0 ? nil : Errno(rawValue: first))
            case LAUNCH_EXITED:
                .exited(
                    JobOutcome.WaitStatus(code: first, status: second),
                    memoryKills: event.third < 0 ? nil : Int(event.third),
                    isEmpty: event.fourth & Int32(LAUNCH_EXIT_EMPTY.rawValue) != 0,
                    isFenced: event.fourth & Int32(LAUNCH_EXIT_FENCED.rawValue) != 0
                )
            case LAUNCH_EMPTY: .empty
            case LAUNCH_LOST: .lost
            default: .abandoned
            }
    }
}

extension JobOutcome.WaitStatus {
    /// From what the kernel tells with SIGCHLD.
    fileprivate init(code: Int32, status: Int32) {
        self =
            switch Int(code) {
            case Int(CLD_EXITED): .exited(code: status)
            case Int(CLD_DUMPED): .signalled(signal: status, dumpedCore: true)
            default: .signalled(signal: status, dumpedCore: false)
            }
    }
}
