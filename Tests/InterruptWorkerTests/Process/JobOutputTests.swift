import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2)), .serialized) struct `Output of a job` {
    @Test func `two hundred megabytes are kept whole while memory stays flat`() async throws {
        // 22,222,222 lines, no two of them alike.
        let numbers = "seq 10000000 32222221"
        let job = try JobUnderTest(bash: numbers)
        let before = residentBytes()
        let total = Mutex(0)
        let ending = await withInterruptScope(run: job.order.run) { scope in
            await job.runner.run(job.order, scope: scope) { chunks in
                #expect(chunks.reduce(0) { $0 + $1.bytes.count } <= 256 << 10)
                total.withLock { $0 += chunks.count }
            }
        }
        #expect(ending?.bare == RunEnding(state: .completed, exitCode: 0))
        #expect(residentBytes() - before < 64 << 20)
        let file = "\(job.directory.path)/\(job.order.run).log"
        var status = stat()
        #expect(stat(file, &status) == 0)
        #expect(status.st_size == 199_999_998)
        let comparison = try await Subprocess.run(
            .name("bash"),
            arguments: ["-c", "\(numbers) | cmp - '\(file)'"],
            output: .string(limit: 1_024),
            error: .string(limit: 1_024)
        )
        let difference = comparison.standardOutput + comparison.standardError
        #expect(comparison.terminationStatus.isSuccess && difference.isEmpty, "\(difference)")
    }

    @Test func `a job that has closed its output is interrupted as any other`() async throws {
        let job = try JobUnderTest(bash: "echo ready; exec >&- 2>&-; exec sleep 1000")
        #expect(await job.runInterrupted(.terminate) == RunEnding(state: .interrupted, termSignal: SIGTERM))
        #expect(job.seen.text() == "ready\n")
    }

    @Test func `a consumer that is behind gets everything later`() async throws {
        let count = 6_888_896 + 6
        // It ends when it was all handed out: of what an ended one has left there is soon only the newest.
        var job = try JobUnderTest(
            bash: """
                echo ready; until [ -e go ]; do :; done; seq 1 1000000; echo last > done
                until [ -e all ]; do sleep 0.05; done
                """
        )
        job.order.directory = job.directory.path.string
        let bytes = try await output(of: job, count: Int64(count))
        let file = try job.file
        #expect(file.count == count)
        let isWhole = bytes.flatMap(\.bytes) == file  // not in the expectation, which would print both
        #expect(isWhole)
    }

    @Test func `a slow consumer does not hold up the job, and what it missed shows as a gap`() async throws {
        var job = try JobUnderTest(bash: "echo ready; until [ -e go ]; do :; done; seq 1 5000000; echo last > done")
        job.order.directory = job.directory.path.string
        let chunks = try await output(of: job)
        let hasGap = zip(chunks, chunks.dropFirst()).contains { $0.offset + Int64($0.bytes.count) < $1.offset }
        #expect(hasGap)
        #expect(chunks.last?.bytes.suffix(8) == Array("5000000\n".utf8))
        #expect(chunks.reduce(0) { $0 + $1.bytes.count } <= 16 << 20)
    }

    /// What a consumer gets that stays in its first call until the job has written everything. The job may see when it
    /// has got the last of `count` bytes.
    private func output(of job: JobUnderTest, count: Int64? = nil) async throws -> [OutputChunk] {
        let done = "\(job.directory.path)/done"
        let ending = await job.run(output: { chunks in
            if let last = chunks.last, last.offset + Int64(last.bytes.count) == count {
                _ = try? job.directory.write("", to: "all")
            }
            guard chunks.first?.offset == 0 else { return }
            _ = try? job.directory.write("", to: "go")  // a failure shows as a test that runs into its limit
            try? await eventually("it is done") { access(done, F_OK) == 0 }  // else what follows fails
        })
        #expect(ending.state == .completed)
        return job.seen.chunks
    }

    @Test(arguments: [
        ("printf 'one\\ntwo\\n\\n'", "two"), ("printf 'no end'", "no end"),
        ("echo out; sleep 0.1; echo err >&2", "err"),
        ("head -c 1000 /dev/zero | tr '\\0' x", String(repeating: "x", count: 400)),
    ])
    func `its last line and its size are known at the end`(script: String, line: String) async throws {
        let job = try JobUnderTest(bash: script)
        let output = await job.runWithOutput().output
        #expect(output?.lastLine == line)
        #expect(output?.byteCount == Int64(try job.file.count))
        #expect(output?.file == "\(job.directory.path)/\(job.order.run).log")
    }

    @Test func `none costs no file`() async throws {
        let job = try JobUnderTest("true")
        let output = await job.runWithOutput().output
        #expect(output?.byteCount == 0 && output?.file == nil && output?.lastLine == nil)
        #expect(access("\(job.directory.path)/\(job.order.run).log", F_OK) == -1)
    }

    @Test func `a flood holds up no interrupt, and the job's last words are the last in its file`() async throws {
        let job = try JobUnderTest(
            // Without what bash itself says of a child that was ended.
            bash: "exec 2>/dev/null; trap 'echo LAST-WORDS; exit 0' TERM; while :; do head -c 1000000 /dev/zero; done"
        )
        let ending = await job.runWithOutput { scope, seen in
            // A failure shows in what follows.
            try? await eventually("it floods") { seen.chunks.last?.offset ?? 0 > 10_000_000 }
            scope.interrupt()
        }
        #expect(ending.bare == RunEnding(state: .interrupted, exitCode: 0))
        #expect(ending.output?.byteCount ?? 0 > 10_000_000)
        #expect(ending.output?.lastLine?.hasSuffix("LAST-WORDS") == true)
        #expect(try job.file.suffix(11) == Array("LAST-WORDS\n".utf8))
        #expect(job.seen.chunks.last?.bytes.suffix(11) == Array("LAST-WORDS\n".utf8))
    }

    @Test func `the first bytes come at once`() async throws {
        let job = try JobUnderTest(bash: "echo ready; exec sleep 1000")
        let start = ContinuousClock.now
        let ending = await job.run { scope, seen in
            await seen.wait(for: "ready")
            scope.interrupt(stage: .kill)
        }
        #expect(ending.state == .interrupted)
        #expect(.now - start < .seconds(20))
    }

    private func residentBytes() -> Int {
        guard let status = ProcessSelf.statusLine("VmRSS:") else { return 0 }
        return (Int(status.split(separator: " ").first ?? "") ?? 0) * 1_024
    }
}
