import Glibc
import InterruptCore

/// What scopes cost: a checkpoint, an interrupt that wakes who waits, a group of many, memory.
enum Scopes {
    static let checkpoints = 20_000_000
    static let wakes = 2_000
    static let members = 10_000
    static let timeouts = 100_000

    static func run() async throws {
        try await checkpoint()
        try await wake()
        await group()
        await memory()
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

    private static func group() async {
        await withInterruptScope { group in
            let (waiting, waits) = AsyncStream.makeStream(of: Void.self)
            let took = await withTaskGroup(of: Void.self) { tasks in
                for _ in 0..<members {
                    tasks.addTask {
                        await withInterruptScope { scope in
                            waits.yield()
                            try? await scope.sleep(for: .longestAccepted)  // ends with the interrupt
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
                let told = monotonicNanoseconds() - began
                await tasks.waitForAll()
                return (told, monotonicNanoseconds() - began)
            }
            print("\(members) scopes of a group: told in \(milliseconds(took.0)), all ended in \(milliseconds(took.1))")
        }
    }

    private static func memory() async {
        let count = 20_000
        let idle = await kept(by: count) { _ in }
        let armed = await kept(by: count) { $0.setTimeout(.seconds(3_600)) }
        print("an idle scope: \(idle / count) bytes; a timeout of it: \((armed - idle) / count) bytes")
        let before = residentBytes()
        for _ in 0..<timeouts {
            await withInterruptScope(timeout: .seconds(3_600)) { $0.cancelTimeout() }
        }
        print("\(timeouts) timeouts armed and cancelled: \(residentBytes() - before) bytes kept")
    }

    /// What as many scopes need, one below the other: their tasks have one frame more for each, too.
    private static func kept(by count: Int, _ arrange: @escaping @Sendable (InterruptScope) -> Void) async -> Int {
        let before = residentBytes()
        return await nest(count, arrange) { residentBytes() - before }
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
