import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

extension Fleet {
    /// Runs `body` beside the example program, a worker with functions of its own, and kills it afterwards.
    fileprivate func embedded<Result: Sendable>(
        _ name: String = "e1",
        _ body: @Sendable (_ pid: Int32) async throws -> Result
    ) async throws -> Result {
        let log = try FileDescriptor.open(
            "\(directory)/\(name).log",
            .writeOnly,
            options: [.create, .append],
            permissions: .ownerReadWrite
        )
        return try await run(
            .path(Self.programs.appending("embedded-worker")),
            arguments: [name],
            environment: environment,
            input: .none,
            output: .discarded,
            error: .fileDescriptor(log, closeAfterSpawningProcess: true)
        ) { execution in
            let pid = execution.processIdentifier.value
            defer { try? execution.send(signal: .kill) }  // the test may have ended it
            let client = try await client
            try await eventually("worker \(name) is ready") { try await client.worker(name)?.pid == pid }
            return try await body(pid)
        }.closureResult
    }

    /// Submits a run of a function under its own name.
    fileprivate func submit(_ handler: String, _ input: String, id: String, _ more: String...) async throws {
        let words = ["submit", "--queue", "functions", "--handler", handler, "--id", id, "--input", input]
        let submitted = try await control(words + more)
        try #require(submitted.exitCode == 0, "\(submitted)")
    }

    /// A pipe that nobody writes to: who reads it blocks.
    fileprivate func pipe() throws -> String {
        let path = "\(directory)/pipe"
        try #require(mkfifo(path, 0o600) == 0)
        return path
    }

    /// Lets everybody who reads the pipe come to its end.
    fileprivate func release(_ pipe: String) {
        let descriptor = open(pipe, O_WRONLY | O_NONBLOCK)
        if descriptor >= 0 { close(descriptor) }
    }
}

private let long = #"{"to": 100000, "pause_ms": 10}"#

@Suite(.timeLimit(.minutes(2)))
struct `A function of a program that has a worker` {
    @Test
    func `is run as a command is: it completes, fails with its error, or is not found`() async throws {
        try await withFleet { fleet in
            try await fleet.embedded { _ in
                func run(_ words: String...) async throws -> Fleet.Output {
                    try await fleet.control(["run", "--queue", "functions"] + words)
                }
                let done = try await run("--handler", "count", "--input", #"{"to": 3, "pause_ms": 1}"#)
                #expect(done.exitCode == 0 && done.errors == "", "\(done)")
                let broken = try await run("--handler", "count", "--input", #"{"to": "secret", "pause_ms": 1}"#)
                #expect(broken.exitCode == 1)
                #expect(broken.errors.contains("'to' has the wrong type, Int is expected"))
                #expect(!broken.errors.contains("secret"))
                let missing = try await run("--handler", "shrink")
                #expect(missing.exitCode == 127)
                #expect(missing.errors.contains("worker 'e1' has no handler 'shrink'"))
                let command = try await run("--", "true")
                #expect(command.exitCode == 126)
                #expect(command.errors.contains("worker 'e1' runs no commands"))
                let limited = try await run("--handler", "count", "--input", long, "--timeout", "50ms")
                #expect(limited.exitCode == 124)
            }
        }
    }

    @Test
    func `is not found by a worker of commands either, and that is its end`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let missing = try await fleet.control("run", "--handler", "count")
                #expect(missing.exitCode == 127)
                #expect(missing.errors.contains("worker 'w1' has no handler 'count'"))
            }
        }
    }

    @Test(arguments: [("cancel", InterruptStage.terminate), ("kill", .kill)])
    func `is interrupted as surely as a process`(verb: String, stage: InterruptStage) async throws {
        try await withFleet { fleet in
            try await fleet.embedded { _ in
                try await fleet.submit("count", long, id: "long")
                try await fleet.wait(for: "long", .running)
                let stopped = try await fleet.control(verb, "long", "--message", "wrong folder")
                #expect(stopped.exitCode == 0, "\(stopped)")
                let said = stage == .kill ? "⏹ Execution terminated by user" : "⏹ Command interrupted by user"
                #expect(stopped.text.contains(said), "\(stopped)")
                let record = try await fleet.wait(for: "long", .interrupted)
                #expect(record.stage == stage && record.message == "wrong folder" && record.confirmedAt != nil)
            }
        }
    }

    @Test
    func `shows how far it is, in its status and live`() async throws {
        try await withFleet { fleet in
            try await fleet.embedded { _ in
                let lines = try await run(
                    .path(Fleet.programs.appending("interruptctl")),
                    arguments: ["watch", "counted"],
                    environment: fleet.environment,
                    input: .none,
                    output: .sequence,
                    error: .discarded
                ) { execution in
                    try await eventually("it listens") {
                        let reply = try await fleet.redis.command("PUBSUB", "NUMSUB", "interrupt:events")
                        return reply.array?.last?.integer ?? 0 > 0
                    }
                    try await fleet.submit("count", #"{"to": 400, "pause_ms": 15}"#, id: "counted")
                    try await eventually("it is some way") {
                        let record = try await fleet.client.newestRun(of: try Name("counted"))
                        return record?.progress?.fraction ?? 0 >= 0.1
                    }
                    let status = try await fleet.control("status", "counted")
                    #expect(status.text.contains("Handler:"), "\(status)")
                    #expect(status.text.contains(" %  at "), "\(status)")
                    #expect(status.text.contains("(about "), "\(status)")
                    var lines: [String] = []
                    for try await line in execution.standardOutput.strings() {
                        lines.append(line)
                        if line.contains("ended") { break }
                    }
                    try execution.send(signal: .kill)
                    return lines
                }.closureResult
                let told = lines.filter { $0.contains("  progress  ") }
                #expect(told.contains { $0.contains("(about ") }, "\(lines)")
                #expect(told.last?.contains("100 %  at 400") == true, "the last one is before the end: \(lines)")
                #expect(lines.last?.contains("ended  completed") == true)
            }
        }
    }

    @Test
    func `that blocks its thread delays no other one`() async throws {
        try await withFleet { fleet in
            try await fleet.embedded { _ in
                let pipe = try fleet.pipe()
                let blocked = ["b1", "b2", "b3"]
                for id in blocked { try await fleet.submit("read", pipe, id: id) }
                try await fleet.submit("count", long, id: "long")
                for id in blocked + ["long"] { try await fleet.wait(for: id, .running) }
                let stopped = try await fleet.control("cancel", "long")
                #expect(stopped.exitCode == 0, "\(stopped)")
                for id in blocked { try await fleet.wait(for: id, .running) }
                try await eventually("those end too") {
                    fleet.release(pipe)
                    let records = try await fleet.client.list(includingEnded: 10)
                    return records.count { $0.state.isEnd } == 4
                }
                let ended = try await fleet.client.history(limit: 100) { $0.event == "ended" }
                #expect(ended.first?.fields["job"] == "long")
            }
        }
    }

    @Test
    func `that cannot stop says so, with what it does, and is not called stopped`() async throws {
        try await withFleet { fleet in
            try await fleet.embedded { _ in
                let pipe = try fleet.pipe()
                try await fleet.submit("load", pipe, id: "model", "--grace", "10ms")
                try await fleet.wait(for: "model", .running)
                var writer: Int32 = -1
                try await eventually("it reads the pipe, where it cannot stop") {
                    writer = open(pipe, O_WRONLY | O_NONBLOCK)  // fails as long as nobody reads
                    return writer >= 0
                }
                try await eventually("it says so") {
                    let asked = try await fleet.control("cancel", "model", "--wait", "200ms")
                    #expect(asked.exitCode == 5, "\(asked)")
                    return asked.errors.contains("it cannot be interrupted yet: in 'load the model' for ")
                }
                let status = try await fleet.control("status", "model")
                #expect(status.text.contains("cannot be interrupted yet: in 'load the model' for "))
                #expect(status.text.contains("last checkpoint 'before the model'"))
                #expect(status.text.contains("State:        cancelling"))
                let history = try await fleet.control("history", "model")
                #expect(history.text.contains("holdout  model  cannot be interrupted yet: in 'load the model'"))
                try await fleet.log(of: "e1", has: "model cannot be interrupted yet")
                // It stops when it can.
                close(writer)
                try await fleet.wait(for: "model", .interrupted)
            }
        }
    }

    @Test
    func `that never returns does not keep its program, whose next start ends it on record`() async throws {
        try await withFleet { fleet in
            let pipe = try fleet.pipe()
            try await fleet.embedded { pid in
                try await fleet.submit("read", pipe, id: "stuck")
                // A drain of the worker tells nothing to a run that it has only claimed.
                try await eventually("it is at work") {
                    try await fleet.client.newestRun(of: try Name("stuck"))?.pid != nil
                }
                for stage in 1...3 {
                    kill(pid, SIGTERM)
                    try await eventually("stage \(stage) has arrived") {
                        let record = try await fleet.client.newestRun(of: try Name("stuck"))
                        return record?.stage?.rawValue == stage
                    }
                }
                try await eventually("the program ends") { !isAlive(pid) }
                // It has a run whose end nobody has seen: it stays on the list, and is found silent.
                #expect(try await fleet.client.worker("e1") != nil)
                #expect(try await fleet.client.newestRun(of: try Name("stuck"))?.state == .cancelling)
            }
            try await fleet.embedded { _ in
                let record = try await fleet.wait(for: "stuck", .lost)
                #expect(record.error == "the process it ran in has ended")
                try await fleet.submit("count", #"{"to": 1, "pause_ms": 1}"#, id: "next")
                try await fleet.wait(for: "next", .completed)
            }
        }
    }

    @Test
    func `is lost with its program when that is killed, and the next start says so`() async throws {
        try await withFleet { fleet in
            try await fleet.embedded { pid in
                try await fleet.submit("count", long, id: "long")
                try await eventually("it is at work") {
                    try await fleet.client.newestRun(of: try Name("long"))?.progress != nil
                }
                kill(pid, SIGKILL)
            }
            #expect(try await fleet.client.newestRun(of: try Name("long"))?.state == .running)
            try await fleet.embedded { _ in
                let record = try await fleet.wait(for: "long", .lost)
                #expect(record.error == "the process it ran in has ended")
                #expect(record.progress != nil)
            }
        }
    }
}

@Suite
struct `The example of a worker in README` {
    @Test
    func `is part of the example program, line by line`() throws {
        let root = String(#filePath.split(separator: "/Tests/")[0])
        func text(_ path: String) throws -> String { try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) }
        let blocks = try text("README.md").components(separatedBy: "```swift\n").dropFirst()
        let block = try #require(blocks.first { $0.hasPrefix("var jobs") }).components(separatedBy: "```")[0]
        func lines(_ text: String) -> [String] {
            text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let program = lines(try text("Examples/embedded-worker/Jobs.swift"))
        #expect(program.contains(lines(block)))
    }
}

/// Whether the process still runs; one that was not waited for yet does not.
private func isAlive(_ pid: Int32) -> Bool {
    let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)  // none: it is gone
    return text.map { !$0.contains(") Z ") } ?? false
}
