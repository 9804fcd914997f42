import Foundation
import Glibc
import InterruptTesting
import Subprocess
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(2))) struct `A child that uses too much` {
    /// Runs `script` in a session of its own, and `body` once it has said so.
    private func withChild(_ script: String, _ body: @escaping @Sendable (Int32) async throws -> Void) async throws {
        var options = PlatformOptions()
        options.createSession = true
        _ = try await Subprocess.run(
            .name("bash"),
            arguments: ["-c", script],
            platformOptions: options,
            input: .none,
            output: .sequence,
            error: .discarded
        ) { execution in
            let child = execution.processIdentifier.value
            defer { kill(-child, SIGKILL) }
            for try await line in execution.standardOutput.strings() where line.contains("ready") { break }
            try await body(child)
        }
    }

    /// What interrupts work with these limits for the child.
    private func interrupt(_ limits: ResourceLimits, of child: Int32) async -> InterruptSignal? {
        await withInterruptScope { scope in
            scope.setChecker(.resourceLimits(limits, of: .processTree(child), every: .milliseconds(1)))
            let signal = await scope.signals.first { _ in true }
            #expect(signal?.reason == .resourceLimit && signal?.source == .limit && signal?.stage == .terminate)
            #expect(signal?.triggeredBy == "resource_monitor")
            return signal
        }
    }

    private func commandName(of child: Int32) throws -> String {
        try String(contentsOfFile: "/proc/\(child)/comm", encoding: .utf8).filter { $0 != "\n" }
    }

    /// 60 million bytes in a variable.
    private let grow = "x=$(head -c 60000000 /dev/zero | tr '\\0' x)"

    @Test func `memory, in a process of its own below it`() async throws {
        try await withChild("(\(grow); echo ready; read < <(sleep 1000)) & wait") { child in
            let found = await interrupt(ResourceLimits(memory: 40 << 20), of: child)
            #expect(found?.message?.wholeMatch(of: /Memory usage \d+MB exceeds limit 40MB/) != nil)
            #expect(await ask(.resourceLimits(ResourceLimits(memory: 4 << 30), of: .processTree(child))) == .none)
        }
    }

    @Test func `memory that several of its processes share counts once`() async throws {
        let script = "\(grow); for i in 1 2 3 4 5 6; do (read < <(sleep 1000); true) & done; echo ready; wait"
        try await withChild(script) { child in
            let root = try #require(ProcessStatus(of: child))
            let limit = 2 * root.residentMemory
            try await eventually("all share it") {
                var tree = ProcessTree(root: root)
                let resident = tree.follow(try ProcessTable.read()).reduce(0) { $0 + $1.residentMemory }
                return resident > 2 * limit
            }
            #expect(await ask(.resourceLimits(ResourceLimits(memory: limit), of: .processTree(child))) == .none)
        }
    }

    @Test func `CPU time`() async throws {
        try await withChild("echo ready; (while :; do :; done) & wait") { child in
            let found = await interrupt(ResourceLimits(cpuTime: .milliseconds(200)), of: child)
            #expect(found?.message?.wholeMatch(of: /CPU time [\d.]+s exceeds limit 0.2s/) != nil)
        }
    }

    @Test func `CPU time in many short processes, long after they have ended`() async throws {
        // Several times the limit, however fast the machine is: each of them uses 50 ms, in ticks of 10 ms.
        let used = "read -a used < /proc/$$/stat && [ $((used[13] + used[14])) -ge 5 ]"
        let spin = "until \(used); do for i in {1..1000}; do :; done; done"
        let burn = "for n in {1..8}; do bash -c '\(spin)'; done"
        let wait = "trap 'go=1' USR1; echo ready; until [ \"$go\" ]; do sleep 0.01; done"
        try await withChild("\(wait); \(burn); exec sleep 1000") { child in
            let limits = ResourceLimits(cpuTime: .milliseconds(200))
            let checker = InterruptChecker.resourceLimits(limits, of: .processTree(child))
            kill(child, SIGUSR1)
            try await eventually("it sleeps") { try commandName(of: child) == "sleep" }
            #expect(await ask(checker).signal?.reason == .resourceLimit)
        }
    }

    @Test func `processes`() async throws {
        try await withChild("for i in 1 2 3 4 5 6 7; do sleep 1000 & done; echo ready; wait") { child in
            let found = await interrupt(ResourceLimits(processes: 5), of: child)
            #expect(found?.message == "Process count 8 exceeds limit 5")
            #expect(await ask(.resourceLimits(ResourceLimits(processes: 8), of: .processTree(child))) == .none)
        }
    }

    @Test func `processes whose parent is gone`() async throws {
        let fork =
            "trap 'for i in 1 2 3 4; do sleep 1000 & done' USR1; echo ready $BASHPID; while :; do sleep 0.01; done"
        try await withChild("(\(fork)) & wait") { child in
            let checker = InterruptChecker.resourceLimits(ResourceLimits(processes: 4), of: .processTree(child))
            #expect(await ask(checker) == .none)
            kill(child, SIGKILL)
            try await eventually("the child is gone") { ProcessStatus(of: child)?.isAlive != true }
            #expect(await ask(checker) == .none)
            kill(-child, SIGUSR1)
            try await eventually("those that it has left are counted") { await ask(checker).signal != nil }
        }
    }

    @Test func `output, in a file or in a directory`() async throws {
        let directory = try Directory()
        let (file, tree) = ("\(directory.path)/log", "\(directory.path)/out")
        let write =
            "head -c 3000000 /dev/zero > \(file); mkdir -p \(tree)/a/b; cp \(file) \(tree)/a/b/1; cp \(file) \(tree)/2"
        let limits = [file, tree].map { ResourceLimits(output: .init(at: $0, bytes: 2 << 20)) }
        for limit in limits { #expect(await ask(.resourceLimits(limit)) == .none) }
        try await withChild("\(write); ln -s / \(tree)/root; ln -s \(tree) \(tree)/a/up; echo ready; sleep 1000") {
            child in
            #expect(await interrupt(limits[0], of: child)?.message == "Output size 3MB exceeds limit 2MB")
            #expect(await interrupt(limits[1], of: child)?.message == "Output size 6MB exceeds limit 2MB")
        }
    }

    @Test func `is a sentence once, however much more it uses`() async throws {
        try await withChild("echo ready; while :; do :; done") { child in
            try await withInterruptScope { scope in
                let limits = ResourceLimits(cpuTime: .milliseconds(20))
                scope.setChecker(.resourceLimits(limits, of: .processTree(child), every: .zero))
                _ = await scope.signals.first { _ in true }
                let used = try #require(ProcessStatus(of: child)?.ownTime)
                try await eventually("it has used more") {
                    try #require(ProcessStatus(of: child)?.ownTime) > used + .milliseconds(50)
                }
                #expect(scope.late.isEmpty)
            }
        }
    }

    @Test func `is no failure once it has ended, and one when it never was`() async throws {
        let result = try await Subprocess.run(.name("true"), output: .discarded)
        let gone = result.processIdentifier.value
        let checker = InterruptChecker.resourceLimits(ResourceLimits(memory: 1), of: .processTree(gone))
        #expect(await ask(checker) == .failed("there is no process \(gone)"))
        try await withChild("echo ready; sleep 1000") { child in
            let checker = InterruptChecker.resourceLimits(ResourceLimits(processes: 0), of: .processTree(child))
            kill(-child, SIGKILL)
            try await eventually("it has ended") { ProcessStatus(of: child)?.isAlive != true }
            #expect(await ask(checker) == .none)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `This process` {
    @Test func `has limits of its own`() async throws {
        let signal = await ask(.resourceLimits(ResourceLimits(memory: 1 << 20))).signal
        #expect(signal?.message?.wholeMatch(of: /Memory usage \d+MB exceeds limit 1MB/) != nil)
        #expect(signal?.reason == .resourceLimit)
        #expect(await ask(.resourceLimits(ResourceLimits(memory: 1 << 40, processes: 1))) == .none)
        #expect(
            await ask(.resourceLimits(ResourceLimits(processes: 0))).signal?.message
                == "Process count 1 exceeds limit 0"
        )
    }

    @Test func `has used no CPU time when its work begins`() async throws {
        // As much as it takes for the kernel to count something.
        while clock() < 100_000 {}
        let start = clock()
        let checker = InterruptChecker.resourceLimits(
            ResourceLimits(cpuTime: .milliseconds(90)),
            every: .milliseconds(1)
        )
        try await withInterruptScope { scope in
            scope.setChecker(checker)
            while !scope.isInterrupted { await Task.yield() }
            // The kernel counts in ticks of 10 ms.
            #expect(clock() - start > 50_000)
            let message = try #require(scope.cause?.message)
            #expect(message.wholeMatch(of: /CPU time [\d.]+s exceeds limit 0.09s/) != nil)
        }
    }
}
