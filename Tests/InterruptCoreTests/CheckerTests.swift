import Glibc
import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Checkers of a scope` {
    private struct Broken: Error, CustomStringConvertible { var description: String { "out of reach" } }

    private static let found = InterruptSignal(reason: .priorityOverride, message: "found")

    private static let forms: [(String, InterruptChecker, String?)] = [
        ("yes", InterruptChecker("a") { true }, "Interrupt signal detected from external source"),
        ("no", InterruptChecker("a") { false }, nil),
        (
            "async yes",
            InterruptChecker("a") {
                await Task.yield()
                return true
            }, "Interrupt signal detected from external source"
        ),
        ("signal", InterruptChecker("a") { found }, "found"),
        (
            "async signal",
            InterruptChecker("a") {
                await Task.yield()
                return found
            }, "found"
        ),
        ("optional", InterruptChecker("a") { () -> InterruptSignal? in found }, "found"),
        ("optional none", InterruptChecker("a") { () -> InterruptSignal? in nil }, nil),
        (
            "async optional",
            InterruptChecker("a") { () async -> InterruptSignal? in
                await Task.yield()
                return found
            }, "found"
        ),
        ("async optional none", InterruptChecker("a") { () async -> InterruptSignal? in nil }, nil),
        ("failing", InterruptChecker("a") { () throws -> Bool in throw Broken() }, nil),
        ("async failing", InterruptChecker("a") { () async throws -> InterruptSignal? in throw Broken() }, nil),
    ]

    @Test(arguments: 0..<forms.count) func `each of the six forms is asked, and a failure is no interrupt`(
        index: Int
    ) async {
        let (form, original, message) = Self.forms[index]
        var checker = original
        checker.limit = .longestAccepted
        await withInterruptScope { scope in
            scope.setChecker(checker)
            do throws(InterruptedError) {
                try await scope.checkInterrupt()
                #expect(message == nil, "\(form)")
            } catch {
                #expect(error.signal.message == message, "\(form)")
            }
        }
    }

    @Test func `a plain yes has the documented reason and name`() async {
        await withInterruptScope { scope in
            scope.setChecker(InterruptChecker("flag") { true })
            let signal = await scope.signals.first { _ in true }
            #expect(signal?.reason == .custom && signal?.triggeredBy == "external_checker")
            #expect(signal?.source == .checker && signal?.stage == .terminate)
        }
    }

    @Test func `it is asked at its interval, and what it finds again and again counts once`() async {
        let count = Atomic<Int>(0)
        await withInterruptScope { scope in
            scope.setChecker(
                InterruptChecker("flag", every: .milliseconds(1)) { count.add(1, ordering: .relaxed).newValue > 3 }
            )
            for await _ in scope.signals { break }
            let asked = count.load(ordering: .relaxed)
            #expect(asked > 3)
            while count.load(ordering: .relaxed) < asked + 10 { await Task.yield() }
            #expect(scope.late.isEmpty)
        }
    }

    @Test func `one that fails is degraded once, restored once, and never interrupts`() async {
        let answers = Mutex<[Bool?]>([nil, nil, false, nil, true])
        await withInterruptScope { scope in
            let events = scope.events
            scope.setChecker(
                InterruptChecker("database", every: .zero, limit: .longestAccepted) { () throws -> Bool in
                    guard let answer = answers.withLock({ $0.count > 1 ? $0.removeFirst() : $0[0] }) else {
                        throw Broken()
                    }
                    return answer
                }
            )
            var seen: [String] = []
            for await event in events {
                switch event {
                case .degraded(let source, let why): seen.append("degraded \(source): \(why)")
                case .restored(let source): seen.append("restored \(source)")
                case .accepted: seen.append("accepted")
                default: continue
                }
                if seen.last == "accepted" { break }
            }
            let down = "degraded database: out of reach"
            #expect(seen == [down, "restored database", down, "restored database", "accepted"])
        }
    }

    @Test func `one that hangs is degraded after its limit, asked no second time, and delays no other`() async {
        let asked = Atomic<Int>(0)
        let mayGoOn = Atomic<Bool>(false)
        await withInterruptScope { scope in
            let events = scope.events
            scope.setChecker(
                InterruptChecker("slow", every: .zero, limit: .milliseconds(5)) { () async -> Bool in
                    asked.add(1, ordering: .relaxed)
                    // Does not heed its cancellation, as a blocking call.
                    while !mayGoOn.load(ordering: .relaxed) { await Task.yield() }
                    return true
                }
            )
            for await event in events {
                guard case .degraded(let source, let why) = event else { continue }
                #expect(source == "slow" && why == "no answer within 5 ms")
                break
            }
            // The limit counts from when it is to be asked.
            while asked.load(ordering: .relaxed) == 0 { await Task.yield() }
            scope.setChecker(InterruptChecker("quick") { Self.found })
            for await _ in scope.signals { break }
            #expect(scope.cause?.message == "found" && asked.load(ordering: .relaxed) == 1)
            mayGoOn.store(true, ordering: .relaxed)
        }
    }

    @Test func `those that block their threads hold up no task`() async {
        let isBlocked = Atomic<Int>(0)
        let mayGoOn = Atomic<Bool>(false)
        await withInterruptScope { scope in
            for number in 0..<8 {
                scope.setChecker(
                    InterruptChecker("\(number)") { () -> Bool in
                        isBlocked.add(1, ordering: .relaxed)
                        // Blocks its thread, as a call to a database would.
                        while !mayGoOn.load(ordering: .relaxed) { usleep(100) }
                        return false
                    }
                )
            }
            while isBlocked.load(ordering: .relaxed) < 8 { await Task.yield() }
            mayGoOn.store(true, ordering: .relaxed)
        }
    }

    @Test func `set, replaced, cleared: what is taken back is asked no more and finds nothing`() async throws {
        let log = Mutex<[String]>([])
        try await withInterruptScope { scope in
            scope.setChecker(
                InterruptChecker("a", every: .zero) { () async -> Bool in
                    log.withLock { $0.append("old") }
                    return false
                }
            )
            while log.withLock({ $0.isEmpty }) { await Task.yield() }
            scope.setChecker(
                InterruptChecker("a", every: .zero) { () async -> Bool in
                    log.withLock { $0.append("new") }
                    return false
                }
            )
            let before = log.withLock { $0.count { $0 == "old" } }
            while log.withLock({ !$0.contains("new") }) { await Task.yield() }
            #expect(log.withLock { $0.count { $0 == "old" } } <= before + 1)
            scope.clearChecker(named: "a")
            let after = log.withLock { $0.count }
            for _ in 0..<100 { try await scope.checkInterrupt() }
            #expect(log.withLock { $0.count } <= after + 1)
        }
    }

    @Test func `the local flag comes first`() async {
        await withInterruptScope { scope in
            scope.interrupt(message: "local")
            let isAsked = Atomic<Bool>(false)
            scope.setChecker(
                InterruptChecker("a", every: .longestAccepted) { () async -> Bool in
                    isAsked.store(true, ordering: .relaxed)
                    return true
                }
            )
            while !isAsked.load(ordering: .relaxed) { await Task.yield() }
            let error = await #expect(throws: InterruptedError.self) { try await scope.checkInterrupt() }
            #expect(error?.signal.message == "local")
        }
    }

    @Test func `of 10,000 that race with being cleared none finds anything afterwards`() async {
        for _ in 0..<10_000 {
            await withInterruptScope { scope in
                scope.setChecker(InterruptChecker("flag") { () async -> Bool in true })
                if Bool.random() { await Task.yield() }
                scope.clearChecker(named: "flag")
                let isInterrupted = scope.isInterrupted
                await Task.yield()
                await Task.yield()
                #expect(scope.isInterrupted == isInterrupted)
            }
        }
    }

    @Test func `of 10,000 that replaced each other nothing is kept`() async {
        await withInterruptScope { scope in
            for _ in 0..<10_000 { scope.setChecker(InterruptChecker("flag") { () async -> Bool in false }) }
            while scope.state.withLock({ $0.ownTasks.count }) > 1 { await Task.yield() }
            #expect(scope.state.withLock { $0.checkers.count } == 1)
        }
    }

    @Test func `no interval and no limit is too long or too short`() async {
        let extremes: [Duration] = [.seconds(Int64.max), .seconds(Int64.min), .zero]
        for (interval, limit) in zip(extremes, extremes) {
            await withInterruptScope { scope in
                scope.setChecker(InterruptChecker("a", every: interval, limit: limit) { () async -> Bool in false })
                await Task.yield()
            }
        }
    }
}
