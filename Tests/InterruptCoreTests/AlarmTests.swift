import Synchronization
import Testing

@testable import InterruptCore

@Suite struct `Alarms in a queue` {
    private let start = ContinuousClock.now

    @Test func `come out by their instants, whatever the order they came in`() {
        var queue = AlarmQueue<Int>()
        let areEarliest = [3, 1, 2].map { queue.insert($0, at: start + .seconds($0)) }
        #expect(areEarliest == [true, true, false])
        let due = [0, 2, 9].map { queue.removeDue(at: start + .seconds($0)) }
        #expect(due == [[], [1, 2], [3]])
        #expect(queue.next == nil)
    }

    @Test func `are taken out once most of them are useless`() {
        var queue = AlarmQueue<Int>()
        for number in 0..<100_000 {
            _ = queue.insert(number, at: start + .seconds(number))
            if number > 0 { queue.noteUseless { $0 > 0 } }
            #expect(queue.count <= 131)
        }
        #expect(queue.next == start)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Alarm clock` {
    @Test func `rings in the order of the instants, and not what was cancelled`() async {
        var isLate = true
        while isLate {
            let (rings, ring) = AsyncStream.makeStream(of: Int.self)
            let now = ContinuousClock.now
            let clock = AlarmClock.ofProcess
            let alarms = [3, 1, 2].map { number in
                clock.setAlarm(at: now + .milliseconds(100 * number)) {
                    ring.yield(number)
                    if number == 3 { ring.finish() }
                }
            }
            alarms[2].cancel()
            // Others were due before all was set and cancelled: once more.
            isLate = now.duration(to: .now) >= .milliseconds(100)
            var rung: [Int] = []
            for await number in rings { rung.append(number) }
            #expect(isLate || rung == [1, 3])
            #expect(ContinuousClock.now >= now + .milliseconds(300))
        }
    }

    @Test func `rings at once what is due already`() async {
        let (rings, ring) = AsyncStream.makeStream(of: Void.self)
        let alarm = AlarmClock.ofProcess.setAlarm(at: .now - .seconds(1)) { ring.finish() }
        for await _ in rings {}
        alarm.cancel()
    }

    @Test func `keeps nothing of 100,000 alarms that were cancelled`() {
        let before = AlarmClock.ofProcess.alarmCount
        for _ in 0..<100_000 { AlarmClock.ofProcess.setAlarm(at: .now + .seconds(3_600)) {}.cancel() }
        #expect(AlarmClock.ofProcess.alarmCount <= before + 1_000)
    }
}
