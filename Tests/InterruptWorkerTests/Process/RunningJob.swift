import Foundation
import Glibc
import InterruptCore
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

/// A directory that is gone when the test is over.
final class TemporaryDirectory: Sendable {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/interrupt-tests.XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = FilePath(platformString: made)
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }

    func write(_ text: String, to name: String, mode: mode_t = 0o644) throws -> String {
        let file = path.appending(name)
        try text.write(toFile: file.string, atomically: false, encoding: .utf8)
        try #require(chmod(file.string, mode) == 0)
        return file.string
    }
}

/// The output of a run as its consumer saw it; a test waits here for a line.
final class SeenOutput: Sendable {
    private struct State {
        var chunks: [OutputChunk] = []
        var waiters: [(text: String, continuation: CheckedContinuation<Void, Never>)] = []

        func text(of stream: OutputChunk.Stream) -> String {
            String(decoding: chunks.filter { $0.stream == stream }.flatMap(\.bytes), as: UTF8.self)
        }
    }

    private let state = Mutex(State())

    var chunks: [OutputChunk] { state.withLock { $0.chunks } }
    func text(of stream: OutputChunk.Stream = .output) -> String { state.withLock { $0.text(of: stream) } }

    func take(_ chunks: [OutputChunk]) {
        let due = state.withLock { state in
            state.chunks += chunks
            // The text is long at times, and made only for those who wait for it.
            let text = state.waiters.isEmpty ? "" : state.text(of: .output)
            let due = state.waiters.filter { text.contains($0.text) }
            state.waiters.removeAll { text.contains($0.text) }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    func wait(for text: String) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                let isThere = state.text(of: .output).contains(text)
                if !isThere { state.waiters.append((text, continuation)) }
                return isThere
            }
            if isThere { continuation.resume() }
        }
    }
}

extension RunOrder {
    /// An order for a script.
    init(bash script: String) throws {
        let name = try Name("job")
        self.init(
            run: .random(),
            job: name,
            queue: name,
            work: .command(["bash", "-c", script].map { Array($0.utf8) })
        )
    }
}

/// One run under test with all that is needed around it.
struct JobUnderTest: Sendable {
    var order: RunOrder
    var directory: TemporaryDirectory
    var grace = Duration.seconds(20)
    var usesCgroups = true
    /// Long: on a busy machine nobody may get a processor for seconds to say that all is gone.
    var giveUpAfter = Duration.seconds(30)
    var base = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp"]
    let seen = SeenOutput()

    init(_ command: [[UInt8]], in directory: TemporaryDirectory? = nil) throws {
        let name = try Name("job")
        order = RunOrder(run: .random(), job: name, queue: name, work: .command(command))
        self.directory = try directory ?? TemporaryDirectory()
    }

    init(_ command: String..., in directory: TemporaryDirectory? = nil) throws {
        try self.init(command.map { Array($0.utf8) }, in: directory)
    }

    init(bash script: String) throws { try self.init("bash", "-c", script) }

    var runner: ProcessRunner {
        ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: grace,
            baseEnvironment: base,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: giveUpAfter,
            usesCgroups: usesCgroups
        )
    }

    /// The bytes of the run's file.
    var file: [UInt8] {
        get throws {
            [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/\(order.run).log")))
        }
    }

    /// Runs it, with `during` beside it.
    func run(
        during: @escaping @Sendable (InterruptScope, SeenOutput) async -> Void = { _, _ in },
        output: (@Sendable ([OutputChunk]) async -> Void)? = nil
    ) async -> RunEnding {
        await runWithOutput(during: during, output: output).bare
    }

    /// The same, with what is known of its output.
    func runWithOutput(
        during: @escaping @Sendable (InterruptScope, SeenOutput) async -> Void = { _, _ in },
        output: (@Sendable ([OutputChunk]) async -> Void)? = nil
    ) async -> RunEnding {
        await withInterruptScope(run: order.run) { scope in
            async let other: Void = during(scope, seen)
            let ending = await runner.run(order, scope: scope) { chunks in
                seen.take(chunks)
                await output?(chunks)
            }
            await other
            return ending ?? RunEnding(state: .lost, error: "processes are left")
        }
    }

    /// Runs it and interrupts it once it has printed `ready`.
    func runInterrupted(_ stage: InterruptStage = .terminate) async -> RunEnding {
        await run { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(stage: stage)
        }
    }
}

extension RunEnding {
    /// The ending without what is known of the output.
    var bare: RunEnding {
        var ending = self
        ending.output = nil
        return ending
    }
}

/// Whether a process with this id runs, zombies not counted.
func isRunning(_ pid: Int32) -> Bool { ProcessStatus(of: pid)?.isAlive ?? false }

/// The processes that run and were started with this run's variables.
func carriers(of run: RunID) -> [Int32] {
    ProcessStatus.allProcesses().filter { pid in
        ProcessStatus.environment(of: pid).contains("INTERRUPT_RUN=\(run)") && isRunning(pid)
    }
}

/// The processes that run and have `mark` among their words, whatever their variables are.
func processes(saying mark: String) -> [Int32] {
    ProcessStatus.allProcesses().filter { pid in
        kernelText(of: "/proc/\(pid)/cmdline", limit: 65_536)?.contains(mark) == true && isRunning(pid)
    }
}

/// The numbers that a job printed after `label=`.
func numbers(after label: String, in text: String) -> [Int32] {
    text.split(whereSeparator: \.isWhitespace).compactMap { word in
        word.hasPrefix(label + "=") ? Int32(word.dropFirst(label.count + 1)) : nil
    }
}

/// What the kernel says about the test process itself.
enum ProcessSelf {
    static func statusLine(_ name: String) -> String? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.map { String($0.dropFirst(name.count)).trimmingCharacters(in: .whitespaces) }
    }
}
