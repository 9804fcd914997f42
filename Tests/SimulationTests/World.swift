import InterruptCore
import InterruptTesting

@testable import InterruptRedis

/// Time, chance, and what everybody in one simulated schedule shares. Nothing in it waits: it is driven by its agenda.
final class World {
    private var agenda = Agenda()
    private var numbers: SeededRandom
    private var lastID = 0
    private(set) var now = VirtualInstant(microseconds: 0)
    /// How many things have happened.
    private(set) var steps = 0
    /// Whether lines are kept of what happens.
    let isTraced: Bool
    private(set) var trace: [String] = []
    let promises = Promises()

    init(seed: UInt64, isTraced: Bool) {
        numbers = SeededRandom(seed: seed)
        self.isTraced = isTraced
    }

    // MARK: Time

    func after(_ delay: Duration, _ act: @escaping () -> Void) { agenda.add(now.advanced(by: delay), act) }

    func at(_ instant: VirtualInstant, _ act: @escaping () -> Void) { agenda.add(max(now, instant), act) }

    func run(until end: VirtualInstant) {
        while let (instant, act) = agenda.next(until: end) {
            now = instant
            steps += 1
            // A world in which time stands still has a loop in it.
            if steps > 1_000_000 { return broken("time does not pass any more") }
            act()
        }
        now = end
    }

    // MARK: Chance

    func chance(_ percent: Int) -> Bool { number(below: 100) < percent }

    func number(below bound: Int) -> Int { Int(numbers.next() % UInt64(bound)) }

    func fraction() -> Double { Double(numbers.next() >> 11) / Double(1 << 53) }

    func milliseconds(_ range: Range<Int>) -> Duration {
        .milliseconds(range.lowerBound + number(below: range.count))
    }

    static let longestLatency = Duration.milliseconds(80)

    /// The way of a message: short as a rule.
    func latency() -> Duration {
        chance(95) ? .microseconds(50 + number(below: 500)) : milliseconds(1..<80)
    }

    func newID() -> Int {
        lastID += 1
        return lastID
    }

    // MARK: Telling

    func tell(_ text: @autoclosure () -> String) {
        if isTraced { trace.append("\(now.microseconds / 1_000) ms  \(text())") }
    }

    func broken(_ text: String) {
        tell("BROKEN: \(text)")
        promises.broken.append(text)
    }
}
