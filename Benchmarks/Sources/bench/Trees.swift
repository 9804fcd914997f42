import Glibc
import InterruptCore
import InterruptTesting
import InterruptWorker
import Logging
import SystemPackage

/// What keeping hold of whole trees costs, beside what the system alone does in the same run.
enum Trees {
    private static let spawns = 2_000
    private static let kills = 100
    private static let stops = 1_000
    private static let runs = 10_000
    /// Ten processes: the shell and nine that wait.
    private static let tree = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo ready; wait"]

    static func run() async throws {
        try await withTemporaryDirectory { directory in
            for usesCgroups in [true, false] {
                let runner = ProcessRunner(
                    outputDirectory: FilePath(directory),
                    defaultGracePeriod: .seconds(1),
                    baseEnvironment: ["PATH": "/usr/bin:/bin"],
                    logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() },
                    runDirectory: "/dev/shm/interrupt-bench",  // as the daemon's, in memory
                    usesCgroups: usesCgroups
                )
                print("\(try await runner.prepare())")
                try await compareSpawning(runner)
                try await compareKilling(runner)
                try await stopMany(runner)
                try await leakNothing(runner)
            }
        }
    }

    // MARK: Short commands

    private static func compareSpawning(_ runner: ProcessRunner) async throws {
        var ratios: [Double] = []
        for _ in 0..<7 {
            let bare = rate(of: spawns) { spawnAndWait(spawns, atATime: 8) }
            let began = monotonicNanoseconds()
            try await runShort(spawns, runner)
            let ours = Double(spawns) * 1e9 / Double(monotonicNanoseconds() - began)
            ratios.append(ours / bare)
            print("  short commands: \(Int(ours)) a second, posix_spawn and waitpid \(Int(bare)) a second")
        }
        print("  ratio \(percent(ratios.sorted()[3])) (70 %)")
    }

    private static func runShort(_ count: Int, _ runner: ProcessRunner) async throws {
        let order = try order(["true"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= 8 { try await group.next() }
                group.addTask {
                    var order = order
                    order.run = .random()
                    let ending = await withInterruptScope(run: order.run) { scope in
                        await runner.run(order, scope: scope) { _ in }
                    }
                    guard ending?.state == .completed else {
                        throw WrongResult(description: "a short command ended as \(String(describing: ending))")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func rate(of count: Int, _ body: () -> Void) -> Double {
        let began = monotonicNanoseconds()
        body()
        return Double(count) * 1e9 / Double(monotonicNanoseconds() - began)
    }

    private static func spawnAndWait(_ count: Int, atATime most: Int) {
        var running: [pid_t] = []
        for _ in 0..<count {
            if running.count == most { waitpid(running.removeFirst(), nil, 0) }
            running.append(spawn(["true"], output: nil))
        }
        for pid in running { waitpid(pid, nil, 0) }
    }

    private static func spawn(_ command: [String], output: Int32?) -> pid_t {
        var pid = pid_t()
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, 0x80)  // POSIX_SPAWN_SETSID
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        if let output { posix_spawn_file_actions_adddup2(&actions, output, 1) }
        var arguments = command.map { strdup($0) } + [nil]
        var variables = [strdup("PATH=/usr/bin:/bin"), nil]
        posix_spawn(&pid, "/usr/bin/\(command[0])", &actions, &attributes, &arguments, &variables)
        for pointer in arguments + variables { free(pointer) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        return pid
    }

    // MARK: Kills

    private static func compareKilling(_ runner: ProcessRunner) async throws {
        var bare: [UInt64] = []
        var ours: [UInt64] = []
        for _ in 0..<kills {
            bare.append(killBare())
            ours.append(try await stop(tree, .kill, runner).nanoseconds)
        }
        let (a, b) = (median(ours), median(bare))
        print("  kill of ten processes until it is confirmed: p50 \(a / 1_000) us; kill to waitpid \(b / 1_000) us")
        print("  ratio \(percent(Double(a) / Double(b))) (200 %)")
    }

    private static func killBare() -> UInt64 {
        var ends: [Int32] = [0, 0]
        pipe(&ends)
        let pid = spawn(tree, output: ends[1])
        close(ends[1])
        var text = [UInt8](repeating: 0, count: 16)
        _ = read(ends[0], &text, text.count)
        let began = monotonicNanoseconds()
        kill(-pid, SIGKILL)
        waitpid(pid, nil, 0)
        // The rest of the tree holds the pipe open as long as it lives.
        while read(ends[0], &text, text.count) > 0 { continue }
        let took = monotonicNanoseconds() - began
        close(ends[0])
        return took
    }

    /// Starts a tree, interrupts it once it has said that it is ready, and returns how long the end took.
    private static func stop(
        _ command: [String],
        _ stage: InterruptStage,
        _ runner: ProcessRunner
    ) async throws -> (nanoseconds: UInt64, ending: RunEnding?) {
        let order = try order(command)
        return await withInterruptScope(run: order.run) { scope in
            let (times, time) = AsyncStream.makeStream(of: UInt64.self)
            let ending = await runner.run(order, scope: scope) { _ in
                time.yield(monotonicNanoseconds())  // the first one counts
                scope.interrupt(stage: stage)
            }
            let end = monotonicNanoseconds()
            let began = await times.first { _ in true } ?? end
            return (end - began, ending)
        }
    }

    private static func stopMany(_ runner: ProcessRunner) async throws {
        var worst: UInt64 = 0
        for _ in 0..<stops {
            let (took, ending) = try await stop(tree, .terminate, runner)
            guard ending?.state == .interrupted else {
                throw WrongResult(description: "a stop ended as \(String(describing: ending))")
            }
            worst = max(worst, took)
        }
        print("  \(stops) stops of ten processes: the slowest \(worst / 1_000_000) ms (grace 1 s, and 1 s)")
    }

    // MARK: Leaks

    private static func leakNothing(_ runner: ProcessRunner) async throws {
        let before = descriptorCount()
        try await runShort(runs, runner)
        let after = descriptorCount()
        print("  \(runs) runs: descriptors \(before) before, \(after) after; zombies \(zombieCount())")
    }

    private static func descriptorCount() -> Int { names(in: "/proc/self/fd").count }

    private static func zombieCount() -> Int {
        names(in: "/proc").filter { name in
            guard Int(name) != nil, let file = try? FileDescriptor.open("/proc/\(name)/stat", .readOnly) else {
                return false
            }
            defer { try? file.close() }  // it was only read
            let text =
                (try? [UInt8](unsafeUninitializedCapacity: 512) { buffer, count in
                    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }) ?? []
            return String(decoding: text, as: UTF8.self).split(separator: ")").last?.hasPrefix(" Z") == true
        }.count
    }

    private static func names(in path: String) -> [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            )
        }
        return names
    }

    private static func order(_ command: [String]) throws -> RunOrder {
        let name = try Name("bench")
        return RunOrder(run: .random(), job: name, queue: name, work: .command(command.map { Array($0.utf8) }))
    }

    private static func median(_ values: [UInt64]) -> UInt64 { values.sorted()[values.count / 2] }

    private static func percent(_ ratio: Double) -> String { "\(Int(ratio * 100)) %" }
}
