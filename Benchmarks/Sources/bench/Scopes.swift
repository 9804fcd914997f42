import Glibc
import InterruptCore
import Subprocess

/// What scopes cost: a checkpoint, an interrupt that wakes who waits, a group of many, memory.
enum Scopes {
    static let checkpoints = 20_000_000
    static let wakes = 2_000
    static let members = 10_000
    static let timeouts = 100_000
    static let count = 20_000

    static func run() async throws {
        try await checkpoint()
        await small()
        try await wake()
        await group()
        try await memory()
    }

    private static func checkpoint() async throws {
        try await withInterruptScope { scope in
            try measure("a checkpoint through a scope", checkpoints) { try scope.checkpoint() }
            try measure("a checkpoint of the current scope", checkpoints / 10) { try Interrupt.checkpoint() }
        }
    }

    private static func measure(_ name: String, _ count: Int, _ body: () throws -> Void) rethrows {
        var best = UInt64.max
        for _ in 0..<5 {
            let began = monotonicNanoseconds()
            for _ in 0..<count { try body() }
            best = min(best, monotonicNanoseconds() - began)
        }
        print("\(name): \(rounded(Double(best) / Double(count))) ns")
    }

    /// What is done once a run, not once a turn of a loop.
    private static func small() async {
        await withInterruptScope { scope in
            measure("a timeout, set and taken back", checkpoints / 100) {
                scope.setTimeout(.seconds(3_600))
                scope.cancelTimeout()
            }
            scope.interrupt(message: "make room", triggeredBy: "ann")
            guard let cause = scope.cause else { return }
            let printer = InterruptPrinter(style: .text)
            let event = ScopeEvent.interrupted(InterruptEvent(run: scope.run, signal: cause))
            measure("the box of an interrupt, made", checkpoints / 1_000) { _ = printer.lines(for: event) }
        }
    }

    /// From the interrupt to the first statement after the wait.
    private static func wake() async throws {
        var sample = Sample()
        for _ in 0..<wakes {
            let (asked, woken) = await withInterruptScope { scope in
                let (waiting, waits) = AsyncStream.makeStream(of: Void.self)
                async let woken = wait(in: scope, waits)
                for await _ in waiting {}
                usleep(200)  // until it waits
                let asked = monotonicNanoseconds()
                scope.interrupt()
                return (asked, await woken)
            }
            sample.add(woken - asked)
        }
        print(sample.line("an interrupt to the one who waits"))
    }

    private static func wait(in scope: InterruptScope, _ waits: AsyncStream<Void>.Continuation) async -> UInt64 {
        waits.finish()
        try? await scope.sleep(for: .longestAccepted)  // ends with the interrupt
        return monotonicNanoseconds()
    }

    /// How long one interrupt takes until every scope below has it; and where somebody waits in each, until all are woken.
    private static func group() async {
        // Either ends with the interrupt, or with its task when the time was taken.
        let told = await group { try? await Task.sleep(for: .longestAccepted) }
        let woken = await group { try? await Interrupt.sleep(for: .longestAccepted) }
        print(
            "\(members) scopes of a group: told in \(milliseconds(told)), waiting ones woken in \(milliseconds(woken))"
        )
    }

    /// - Parameter wait: what each member does meanwhile.
    private static func group(_ wait: @escaping @Sendable () async -> Void) async -> UInt64 {
        var best = UInt64.max
        for _ in 0..<5 {
            await withInterruptScope { group in
                let (waiting, waits) = AsyncStream.makeStream(of: Void.self)
                await withTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<members {
                        tasks.addTask {
                            await withInterruptScope { _ in
                                waits.yield()
                                await wait()
                            }
                        }
                    }
                    var count = 0
                    for await _ in waiting {
                        count += 1
                        if count == members { break }
                    }
                    try? await Task.sleep(for: .milliseconds(200))  // until all wait
                    let began = monotonicNanoseconds()
                    group.interrupt()
                    best = min(best, monotonicNanoseconds() - began)
                    tasks.cancelAll()
                }
            }
        }
        return best
    }

    private static func memory() async throws {
        let (scope, idle, armed) = (try await kept("scopes"), try await kept("blocks"), try await kept("timeouts"))
        print(
            "an idle scope: \(scope / count) bytes, and \((idle - scope) / count) in its task for the block; "
                + "a timeout of it: \((armed - idle) / count) bytes"
        )
        let before = residentBytes()
        for _ in 0..<timeouts {
            await withInterruptScope(timeout: .seconds(3_600)) { $0.cancelTimeout() }
        }
        print("\(timeouts) timeouts armed and cancelled: \(residentBytes() - before) bytes kept")
    }

    /// In a process of its own, where nothing was freed before.
    private static func kept(_ what: String) async throws -> Int {
        let result = try await Subprocess.run(
            .path("/proc/self/exe"),
            arguments: ["kept", what],
            output: .string(limit: 100)
        )
        return Int(result.standardOutput) ?? 0
    }

    /// What as many scopes need by themselves, or as blocks one below the other, without or with a timeout.
    static func printKept(_ what: String) async {
        let before = residentBytes()
        var scopes: [InterruptScope] = []
        scopes.reserveCapacity(count)
        if what == "scopes" {
            for _ in 0..<count { await withInterruptScope { scopes.append($0) } }
            print(residentBytes() - before, terminator: "")
        } else {
            let isTimed = what == "timeouts"
            let after = await nest(count, { if isTimed { $0.setTimeout(.seconds(3_600)) } }, { residentBytes() })
            print(after - before, terminator: "")
        }
    }

    private static func nest(
        _ depth: Int,
        _ arrange: @escaping @Sendable (InterruptScope) -> Void,
        _ look: @escaping @Sendable () -> Int
    ) async -> Int {
        await withInterruptScope { scope in
            arrange(scope)
            return depth == 1 ? look() : await nest(depth - 1, arrange, look)
        }
    }

    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 256)
        guard fgets(&text, 256, file) != nil else { return 0 }
        let pages = String(decoding: text.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self).split(separator: " ")
        return (Int(pages[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE))
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String { "\(rounded(Double(nanoseconds) / 1e6)) ms" }
}
