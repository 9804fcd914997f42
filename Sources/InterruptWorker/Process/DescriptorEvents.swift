internal import CEpoll
internal import Glibc
internal import Synchronization

/// Tells when descriptors become readable, on one thread for the whole process.
///
/// In place of Dispatch sources: on Linux these crash the process now and then when many of them come and go, because a
/// record is freed that the kernel's next event still points to. Here an event carries a number, and a number that is
/// not known any more means nothing.
///
/// A kernel that watches nothing more for this user makes it slower, and ends nothing.
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
        /// Those that the kernel does not watch for this user any more, who has too many: asked every 10 ms.
        var unwatched: [UInt64: Int32] = [:]
    }

    static let ofProcess = DescriptorEvents()

    private let queue = epoll_create1(Int32(EPOLL_CLOEXEC))
    /// Becomes readable when the thread has to look at `unwatched`. Its number in the queue is 0.
    private let news = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    private let state = Mutex(State())

    private init() {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        let isReady = queue >= 0 && news >= 0 && epoll_ctl(queue, EPOLL_CTL_ADD, news, &event) == 0
        precondition(isReady, "no descriptor is free to watch others with")
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
        state.withLock { state in
            state.handlers[watch.number] = nil
            state.unwatched[watch.number] = nil
        }
        var event = epoll_event()
        epoll_ctl(queue, EPOLL_CTL_DEL, watch.descriptor, &event)  // it may be an unwatched one
    }

    private func control(_ operation: Int32, _ watch: Watch) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLONESHOT.rawValue
        event.data.u64 = watch.number
        if epoll_ctl(queue, operation, watch.descriptor, &event) == 0 { return }
        state.withLock { $0.unwatched[watch.number] = watch.descriptor }
        eventfd_write(news, 1)
    }

    private func run() -> Never {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let isAsking = state.withLock { !$0.unwatched.isEmpty }
            let count = epoll_wait(queue, &events, Int32(events.count), isAsking ? 10 : -1)
            for event in events.prefix(Int(max(0, count))) {  // negative: a Unix signal came
                var ignored: eventfd_t = 0
                if event.data.u64 == 0 { eventfd_read(news, &ignored) }
                call(event.data.u64)
            }
            if isAsking { for number in readableUnwatched() { call(number) } }
        }
    }

    private func call(_ number: UInt64) {
        let handler = state.withLock { $0.handlers[number] }
        handler?()
    }

    /// Under the lock, so that none of them is closed meanwhile.
    private func readableUnwatched() -> [UInt64] {
        state.withLock { state in
            let readable = state.unwatched.filter { _, descriptor in
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                return poll(&entry, 1, 0) == 1
            }
            for number in readable.keys { state.unwatched[number] = nil }  // once, as the others
            return readable.keys.sorted()
        }
    }
}
