import Glibc
import InterruptCore
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

@testable import interruptctl

@Suite struct `Occurrences that nobody takes` {
    @Test func `are kept up to a limit, that some are missing is among them, and a press comes before all`() async {
        let feed = OccurrenceFeed()
        var iterator = feed.occurrences.makeAsyncIterator()
        for _ in 0..<10_005 { feed.add(.tick) }
        for _ in 0..<10_000 { _ = await iterator.next() }
        guard case .gap = await iterator.next() else {
            Issue.record("what was left out is not said at the end")
            return
        }
        for _ in 0..<10_001 { feed.add(.tick) }
        for _ in 0..<2 { feed.add(.press(.now)) }
        for _ in 0..<2 {
            guard case .press = await iterator.next() else {
                Issue.record("a press waits")
                return
            }
        }
        for _ in 0..<5_000 { _ = await iterator.next() }
        feed.add(.listening)
        for _ in 0..<5_000 { _ = await iterator.next() }
        guard case .gap = await iterator.next(), case .listening = await iterator.next() else {
            Issue.record("what was left out is not said where it was")
            return
        }
    }
}

@Suite struct `The Esc key` {
    @Test(arguments: ["\u{1B}", "x\u{1B}", "\u{1B}\u{1B}"]) func `is the last of what came at once`(bytes: String) {
        #expect(EscapeKey.isPressed(at: Array(bytes.utf8)))
    }

    @Test(arguments: ["", "x", "\n", "\u{1B}[A", "\u{1B}OP", "\u{1B}[1;5C", "\u{1B}x", "\u{1B}[200~a\u{1B}[201~"])
    func `is not what another key sends`(bytes: String) {
        #expect(!EscapeKey.isPressed(at: Array(bytes.utf8)))
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Watching at a terminal` {
    /// Runs `body` beside a queued job.
    private func withJob(_ body: (Control, TestRedis, Terminal) async throws -> Void) async throws {
        try await withRedis { redis async throws in
            let control = Control(redis: redis)
            #expect(try await control("submit", "--id", "nightly", "--", "x").status == 0)
            try await body(control, redis, Terminal())
            #expect(try await control("status", "nightly").output.contains("State:     queued"))
        }
    }

    private func waitForKeys(_ terminal: Terminal) async throws {
        try await eventually("keys are heard one by one") { !terminal.isAsShellsExpect }
    }

    @Test(arguments: ["\u{1B}", "\u{3}"]) func `Esc and Ctrl-C leave, and what is watched goes on`(key: String)
        async throws
    {
        try await withJob { control, _, terminal async throws in
            for words in [["watch"], ["watch", "nightly"], ["watch", "-o", "json"]] {
                let status = try await terminal.run(control, words) { terminal async throws in
                    try await waitForKeys(terminal)
                    try terminal.type(key)
                }
                #expect(status == .exited(0))
                #expect(terminal.isAsShellsExpect && terminal.text.isEmpty, "\(terminal.text)")
            }
        }
    }

    @Test func `other keys do nothing, also those that begin like Esc`() async throws {
        try await withJob { control, redis, terminal async throws in
            let status = try await terminal.run(control, ["watch"]) { terminal async throws in
                try await waitForKeys(terminal)
                try await waitUntilListening(redis)
                for (number, key) in ["\u{1B}[A", "\u{1B}OP", "q", "\n", "\u{1B}[3~"].enumerated() {
                    try terminal.type(key)
                    #expect(try await control("submit", "--id", "job-\(number)", "--", "x").status == 0)
                    try await terminal.wait(for: "job-\(number)")
                }
                try terminal.type("\u{1B}")
            }
            #expect(status == .exited(0) && terminal.isAsShellsExpect)
        }
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func `a Unix signal that ends it finds the terminal as before`(signal: Int32) async throws {
        try await withJob { control, _, terminal async throws in
            let status = try await terminal.run(control, ["watch"]) { terminal async throws in
                try await waitForKeys(terminal)
                kill(terminal.process, signal)
            }
            #expect(status == .signaled(signal) && terminal.isAsShellsExpect)
        }
    }

    @Test func `Ctrl-Z gives the terminal back, and fg takes it again`() async throws {
        try await withJob { control, _, terminal async throws in
            let script = #""$0" watch; stty -a | grep -o '.icanon'; echo stopped; read; fg; echo left"#
            let status = try await terminal.run(script: script, with: control) { terminal async throws in
                for key in ["\u{1A}", "\u{1B}"] {
                    try await waitForKeys(terminal)
                    try terminal.type(key)
                    try await terminal.wait(for: key == "\u{1B}" ? "left" : "stopped")
                    #expect(terminal.isAsShellsExpect)
                    if key == "\u{1A}" { try terminal.type("\n") }
                }
            }
            #expect(status == .exited(0), "\(terminal.text)")
            #expect(terminal.text.contains(" icanon"))
        }
    }

    @Test(arguments: [
        (#""$0" watch > /dev/null"#, "\u{3}"), (#""$0" watch < /dev/null"#, "\u{3}"),
        (#""$0" watch & read; kill -INT $!; wait $!"#, "\n"),
    ])
    func `a terminal that is somebody else's stays as it is`(script: String, key: String) async throws {
        try await withJob { control, redis, terminal async throws in
            let status = try await terminal.run(script: script, with: control) { terminal async throws in
                try await waitUntilListening(redis)
                #expect(terminal.isAsShellsExpect)
                try terminal.type(key)
            }
            #expect(status == .exited(0), "\(terminal.text)")
        }
    }

    @Test func `a second Ctrl-C leaves where nobody reads what was written`() async throws {
        try await withRedis { redis async throws in
            // One that has not come to writing more than the pipe holds leaves with the first: once more.
            for attempt in 1...5 {
                let status = try await statusOfOneThatNobodyReads(redis)
                if status == .exited(0), attempt < 5 { continue }
                #expect(status == .exited(130))
                break
            }
        }
    }

    private func statusOfOneThatNobodyReads(_ redis: TestRedis) async throws -> TerminationStatus {
        let (reader, writer) = try FileDescriptor.pipe()
        for end in [reader, writer] { try #require(fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) == 0) }
        defer { try? reader.close() }  // nothing is written any more
        let result = try await run(
            .path(Control.path),
            arguments: ["watch", "-o", "json"],
            environment: Control.environment(redis),
            input: .none,
            output: .fileDescriptor(writer, closeAfterSpawningProcess: false),
            error: .discarded
        ) { execution in
            try await waitUntilListening(redis)
            let event = #"{"event":"progress","job":"j","run":"r","state":"running","progress":0.5}"#
            try await eventually("the pipe is full") {
                for _ in 0..<100 { try await redis.command("PUBLISH", "interrupt:events", event) }
                var entry = pollfd(fd: writer.rawValue, events: Int16(POLLOUT), revents: 0)
                return poll(&entry, 1, 0) == 0
            }
            for _ in 0..<100 { try await redis.command("PUBLISH", "interrupt:events", event) }
            let pid = execution.processIdentifier.value
            try await eventually("it has gone") {
                kill(pid, SIGINT)
                return ProcessStatus(of: pid).map { $0.state == "Z" } ?? true
            }
        }
        try writer.close()
        return result.terminationStatus
    }
}
