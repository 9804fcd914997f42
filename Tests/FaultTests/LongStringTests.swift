import Dispatch
import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Subprocess
import Synchronization
import SystemPackage
import Testing

private let mebibyte = 1_048_576

@Suite(.serialized, .timeLimit(.minutes(2 * faultScale))) struct `What is longer than anything of ours` {
    /// The most memory that a process has had at a time, in bytes.
    private func peak(of pid: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        let kilobytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        return try #require(kilobytes) * 1_024
    }

    /// Has the server make a flag of so many bytes, in a moment; it begins as the details of an interrupt do.
    private func raiseLongFlag(of job: String, _ length: Int, in fleet: Fleet) async throws {
        let script = "redis.call('SET', KEYS[1], '{'); redis.call('SETRANGE', KEYS[1], ARGV[1], '}')"
        try await fleet.redis.command("EVAL", script, "1", "interrupt:\(job)", "\(length - 1)")
    }

    @Test func `and stands in a flag costs less memory than it has, and its job can be interrupted`() async throws {
        let length = 64 * mebibyte
        // It is not to be written to a disk as well.
        try await withFleet(redis: ["--appendonly", "no"]) { fleet in
            try await fleet.worker("w1", ["--lease", "5s"]) { daemon in
                let runs = try await fleet.start(1)
                let job = try #require(try await fleet.records(of: runs).first?.job)
                let before = try peak(of: daemon)
                try await raiseLongFlag(of: job, length, in: fleet)
                try await eventually("it is counted as no interrupt") {
                    try await fleet.redis.command("HGET", "interrupt/worker/w1", "malformed").integer ?? 0 > 0
                }
                #expect(try await fleet.redis.command("STRLEN", "interrupt:\(job)").integer == Int64(length))
                #expect(livingRuns(among: Set(runs)).count == 1)
                let cancelled = try await fleet.control("cancel", job)
                #expect(cancelled.exitCode == 0, "\(cancelled)")
                #expect(try await fleet.records(of: runs).allSatisfy { $0.state == .interrupted })
                let growth = try peak(of: daemon) - before
                print("a flag of \(length / mebibyte) MiB: \(growth / mebibyte) MiB more at most")
                #expect(growth < length)
                #expect(isRunning(daemon))
            }
        }
    }

    @Test func `and takes longer to be read than an answer may is set aside, and all else goes on`() async throws {
        try await withFleet(redis: ["--appendonly", "no"]) { fleet in
            try await withFaultProxy(to: fleet.redis.endpoint) { proxy in
                let arguments = ["--redis", proxy.endpoint.description, "--lease", "5s", "--concurrency", "5"]
                try await fleet.worker("w1", arguments) { daemon in
                    let runs = try await fleet.start(5)
                    let job = try #require(try await fleet.records(of: runs).first?.job)
                    // 64 MiB would take twenty seconds.
                    proxy.rules.toClient = .trickling(bytes: 65_536, every: .milliseconds(20))
                    try await raiseLongFlag(of: job, 64 * mebibyte, in: fleet)
                    try await eventually("it is counted as no interrupt") {
                        try await fleet.redis.command("HGET", "interrupt/worker/w1", "malformed").integer ?? 0 > 0
                    }
                    let before = try await fleet.asking { try await $0.worker("w1")?.heartbeat } ?? 0
                    try await withRequester(fleet.redis.endpoint) { requester in
                        for run in runs { #expect(await requester.interrupt(run) == .recorded) }
                        try await fleet.ended(runs)
                        let facts = try await fleet.facts(of: runs, asked: requester.asked)
                        let times = try await fleet.latencies(of: runs)
                        print("beside a flag that cannot be read: request to receipt \(times)")
                        #expect(facts.violations == [] && times.allSatisfy { $0 < .seconds(10) })
                    }
                    try await eventually("it goes on being heard of") {
                        try await fleet.asking { try await $0.worker("w1")?.heartbeat } ?? 0 >= before + 3
                    }
                    #expect(isRunning(daemon))
                }
            }
        }
    }

    @Test func `and is announced by a server costs no memory, however much of it comes`() async throws {
        let server = try LongAnswer(of: 512 * mebibyte)
        defer { server.end() }
        try await withFleet { fleet in
            let growth = try await run(
                .path(Fleet.programs.appending("interruptd")),
                arguments: [
                    "--redis", "redis://127.0.0.1:\(server.port)", "--name", "w1", "--state-dir",
                    "\(fleet.directory)/w1",
                ],
                environment: fleet.environment,
                input: .none,
                output: .discarded,
                error: .discarded
            ) { execution in
                let daemon = execution.processIdentifier.value
                defer { kill(daemon, SIGKILL) }
                try await eventually("it has asked something") { server.questions > 0 }
                let before = try peak(of: daemon)
                server.begin()
                // On several connections: each has two seconds for an answer.
                try await eventually("half of it has come") { server.sent >= 256 * mebibyte }
                #expect(isRunning(daemon))
                return try peak(of: daemon) - before
            }.closureResult
            print("\(server.sent / mebibyte) MiB of an answer: \(growth / mebibyte) MiB more at most")
            #expect(growth < 64 * mebibyte)
        }
    }
}

/// Answers whatever it is asked with a long string, as fast as that is taken, from when it is told to begin.
private final class LongAnswer: Sendable {
    let port: Int
    private let length: Int
    private let listener: Int32
    /// Open for all who come when it was opened once.
    private let gate = DispatchSemaphore(value: 0)
    private let questionCount = Atomic<Int>(0)
    private let sentCount = Atomic<Int>(0)

    /// - Parameter length: in bytes, as it is announced.
    init(of length: Int) throws {
        self.length = length
        port = try freeLoopbackPort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let (descriptor, size) = (listener, socklen_t(MemoryLayout<sockaddr_in>.size))
        let isListening = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, size) == 0 && listen(descriptor, 16) == 0
            }
        }
        guard isListening else { throw Errno(rawValue: errno) }
        Thread.detachNewThread { [self] in
            while case let client = accept(listener, nil, nil), client >= 0 {
                Thread.detachNewThread { [self] in answer(client) }
            }
            close(listener)
        }
    }

    /// How many connections have asked something.
    var questions: Int { questionCount.load(ordering: .relaxed) }

    /// How much has gone out, on all connections together.
    var sent: Int { sentCount.load(ordering: .relaxed) }

    func begin() { gate.signal() }

    /// Takes no connection any more; those that there are end with their clients.
    func end() {
        gate.signal()
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func answer(_ client: Int32) {
        defer { close(client) }
        var question = [UInt8](repeating: 0, count: 4_096)
        guard read(client, &question, question.count) > 0 else { return }
        questionCount.add(1, ordering: .relaxed)
        gate.wait()
        gate.signal()
        guard send(Array("$\(length)\r\n".utf8), to: client) else { return }
        let part = [UInt8](repeating: UInt8(ascii: "x"), count: mebibyte)
        for _ in 0..<length / mebibyte {
            guard send(part, to: client) else { return }
        }
        // It never ends; who has asked may leave.
        while read(client, &question, question.count) > 0 {}
    }

    /// Answers whether all of it has gone out.
    private func send(_ bytes: [UInt8], to client: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            sentCount.add(count, ordering: .relaxed)
            rest = rest.dropFirst(count)
        }
        return true
    }
}
