internal import CEpoll
internal import Glibc
internal import Synchronization

/// Tells when descriptors become readable, on one thread for the whole process.
///
/// In place of Dispatch sources: on Linux these crash the process now and then when many of them come and go, because a
/// record is freed that the kernel's next event still points to. Here an event carries a number, and a number that is
/// not known any more means nothing.
///
/// Unsafe here: the system's calls take pointers, to values that live as long as the call.
final class DescriptorEvents: Sendable {
    /// A descriptor that is watched.
    struct Watch: Sendable {
        fileprivate let number: UInt64
        fileprivate let descriptor: Int32
    }

    private struct State {
        var lastNumber: UInt64 = 0
        var handlers: [UInt64: @Sendable () -> Void] = [:]
    }

    static let ofProcess = DescriptorEvents()

    private let queue = epoll_create1(Int32(EPOLL_CLOEXEC))
    private let state = Mutex(State())

    private init() {
        precondition(queue >= 0, "no descriptor is free to watch others with")
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, { _ in DescriptorEvents.ofProcess.run() }, nil)
        precondition(code == 0, "no thread is free to watch descriptors on")
        pthread_detach(thread)
    }

    /// Calls `onReadable` once, on the thread of events, when the descriptor is readable or at its end; at once if it is
    /// already. It must return at once.
    func watch(_ descriptor: Int32, onReadable: @escaping @Sendable () -> Void) -> Watch {
        let number = state.withLock { state in
            state.lastNumber += 1
            state.handlers[state.lastNumber] = onReadable
            return state.lastNumber
        }
        let watch = Watch(number: number, descriptor: descriptor)
        control(EPOLL_CTL_ADD, watch)
        return watch
    }

    /// Lets `onReadable` be called once more.
    func again(_ watch: Watch) { control(EPOLL_CTL_MOD, watch) }

    /// Ends a watch; the descriptor is to be closed only after this. A call that has begun may still be under way.
    func end(_ watch: Watch) {
        control(EPOLL_CTL_DEL, watch)
        state.withLock { $0.handlers[watch.number] = nil }
    }

    private func control(_ operation: Int32, _ watch: Watch) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLONESHOT.rawValue
        event.data.u64 = watch.number
        let code = epoll_ctl(queue, operation, watch.descriptor, &event)
        // Pipes and pidfds can always be watched; a wait that nobody ends would be worse.
        precondition(code == 0, "descriptor \(watch.descriptor) cannot be watched: error \(errno)")
    }

    private func run() -> Never {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(queue, &events, Int32(events.count), -1)
            for event in events.prefix(Int(max(0, count))) {  // negative: a Unix signal came
                let handler = state.withLock { $0.handlers[event.data.u64] }
                handler?()
            }
        }
    }
}
