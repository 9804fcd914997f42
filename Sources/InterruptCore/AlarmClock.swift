internal import HeapModule
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// One call at an instant, unless it is cancelled before.
package final class Alarm: Sendable {
    private let action: Mutex<(@Sendable () -> Void)?>

    fileprivate init(_ action: @escaping @Sendable () -> Void) {
        self.action = Mutex(action)
    }

    /// Takes the alarm back. A call that has begun may still be under way.
    package func cancel() {
        let wasSet = action.withLock { $0.take() } != nil
        if wasSet { AlarmClock.ofProcess.noteCancellation() }
    }

    fileprivate func ring() { action.withLock { $0.take() }?() }

    fileprivate var isCancelled: Bool { action.withLock { $0 == nil } }
}

/// Alarms by their instants. Never waits, locks or reads a clock.
struct AlarmQueue<Element> {
    private struct Entry: Comparable {
        let instant: ContinuousClock.Instant
        let element: Element

        static func < (left: Self, right: Self) -> Bool { left.instant < right.instant }
        static func == (left: Self, right: Self) -> Bool { left.instant == right.instant }
    }

    private var heap: Heap<Entry> = []
    /// How many elements are in the queue although nobody waits for them.
    private var uselessCount = 0

    var count: Int { heap.count }

    /// The earliest instant.
    var next: ContinuousClock.Instant? { heap.min?.instant }

    /// Answers whether the new element is the earliest.
    mutating func insert(_ element: Element, at instant: ContinuousClock.Instant) -> Bool {
        let isEarliest = next.map { instant < $0 } ?? true
        heap.insert(Entry(instant: instant, element: element))
        return isEarliest
    }

    /// Takes out what is due.
    mutating func removeDue(at now: ContinuousClock.Instant) -> [Element] {
        var due: [Element] = []
        while let first = heap.min, first.instant <= now { due.append(heap.removeMin().element) }
        return due
    }

    /// Notes that an element became useless. Useless ones are taken out when they are more than half of many: on average
    /// that costs each of them one step.
    mutating func noteUseless(_ isUseless: (Element) -> Bool) {
        uselessCount += 1
        guard uselessCount > 64, uselessCount > heap.count / 2 else { return }
        heap = Heap(heap.unordered.filter { !isUseless($0.element) })
        uselessCount = 0
    }
}

/// Rings alarms, on one thread for the whole process: not on the pool that runs tasks, which a job that blocks its thread
/// can hold up. The clock is monotonic. While the machine sleeps so does the thread: what is due meanwhile may ring later by
/// as long as the machine slept.
///
/// Unsafe here: the calls of the system take pointers, to values that live as long as the call.
package final class AlarmClock: Sendable {
    package static let ofProcess = AlarmClock()

    private let queue = Mutex(AlarmQueue<Alarm>())
    /// The thread waits at one end; a byte at the other tells it that an earlier alarm was set.
    private let readEnd: Int32
    private let writeEnd: Int32

    private init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no descriptor is free to wake the alarm clock with")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
        #if canImport(Darwin)
            var thread: pthread_t?
            let code = pthread_create(&thread, nil, { _ in AlarmClock.ofProcess.run() }, nil)
            if let thread { pthread_detach(thread) }
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, nil, { _ in AlarmClock.ofProcess.run() }, nil)
            if code == 0 { pthread_detach(thread) }
        #endif
        precondition(code == 0, "no thread is free for the alarm clock")
    }

    /// Calls `action` at `instant`, on the clock's own thread; at once if the instant has passed. It must return at once.
    package func setAlarm(at instant: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> Alarm {
        let alarm = Alarm(action)
        if queue.withLock({ $0.insert(alarm, at: instant) }) {
            var byte: UInt8 = 0
            _ = write(writeEnd, &byte, 1)  // a full pipe wakes the thread as well
        }
        return alarm
    }

    fileprivate func noteCancellation() {
        queue.withLock { $0.noteUseless(\.isCancelled) }
    }

    /// How many alarms are set, among them such as were cancelled a short while ago.
    var alarmCount: Int { queue.withLock { $0.count } }

    private func run() -> Never {
        var bytes = [UInt8](repeating: 0, count: 64)
        while true {
            let (due, next) = queue.withLock { ($0.removeDue(at: .now), $0.next) }
            for alarm in due { alarm.ring() }
            if !due.isEmpty { continue }
            wait(until: next)
            while read(readEnd, &bytes, bytes.count) > 0 {}
        }
    }

    /// Waits until `instant` or until an earlier alarm was set. `poll` knows whole milliseconds only; the rest is slept,
    /// which an alarm that is set meanwhile may wait for.
    private func wait(until instant: ContinuousClock.Instant?) {
        var end = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        let duration = instant.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
        if let duration, duration < .milliseconds(1) {
            var rest = timespec(tv_sec: 0, tv_nsec: Int(duration.components.attoseconds / 1_000_000_000))
            nanosleep(&rest, nil)
        } else {
            _ = poll(&end, 1, duration.map { Int32(clamping: $0.milliseconds) } ?? -1)
        }
    }
}
