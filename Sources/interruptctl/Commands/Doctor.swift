import ArgumentParser
import InterruptCore
import InterruptRedis

/// Whether all is as it should be where interrupts are recorded and applied.
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether Redis keeps what is asked, and whether workers are there.",
        discussion: """
            Prints one line for each thing it looked at: ok, warning or error. The exit status is 1 if there is an error; \
            a Redis that cannot be reached is 69, one that refuses the user is 77.

            Examples:
              interruptctl doctor
              interruptctl doctor -o json
            """
    )

    private typealias Finding = ServerHealth.Finding

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let session = try await Session.open(connection)
        let findings = [try await answer(session)] + (try await server(session)) + (try await workers(session))
        for finding in findings {
            if display.isJSON {
                StandardStreams.out(json(finding).line)
            } else {
                for line in lines(finding) { StandardStreams.out(line) }
            }
        }
        if findings.contains(where: { $0.grade == .error }) {
            throw CommandFailure.silent(CommandStatus.failed.rawValue)
        }
    }

    private func answer(_ session: Session) async throws(CommandFailure) -> Finding {
        let begin = ContinuousClock.now
        _ = try await session.asking { () async throws(RedisError) in try await session.client.serverTime() }
        let tenths = Int(begin.duration(to: .now) / .microseconds(100))
        return Finding(.ok, "answer", "\(session.endpoint) answers after \(tenths / 10).\(tenths % 10) ms")
    }

    private func server(_ session: Session) async throws(CommandFailure) -> [Finding] {
        let replies = try await session.asking { () async throws(RedisError) in
            try await session.connection.send([RedisCommand("INFO")])
        }
        guard let info = replies[0].text, replies[0].errorText == nil else {
            let remedy = "ask as a user that has the right +info"
            return [Finding(.warning, "server", "this user may not ask how the server keeps its data", remedy: remedy)]
        }
        return ServerHealth(info: info).findings
    }

    private func workers(_ session: Session) async throws(CommandFailure) -> [Finding] {
        let (workers, now) = try await session.asking { () async throws(RedisError) in
            (try await session.client.workers(), try await session.client.serverTime())
        }
        if workers.isEmpty {
            let text = "there is no worker: what is submitted waits"
            return [Finding(.warning, "workers", text, remedy: "start 'interruptd'")]
        }
        let silent = workers.filter { WorkerTable.isSilent($0, now: now) }
        if silent.isEmpty {
            let count = workers.count == 1 ? "1 worker is" : "\(workers.count) workers are"
            return [Finding(.ok, "workers", "\(count) there, and heard of lately")]
        }
        return silent.map { worker in
            Finding(
                .warning,
                "workers",
                "worker '\(worker.name)' is silent, last heard of \((now - worker.seenAt).displayText) ago",
                remedy: "look at it on '\(worker.host)', process \(worker.pid)"
            )
        }
    }

    private func lines(_ finding: Finding) -> [String] {
        func line(_ head: String, _ text: String) -> String {
            head + String(repeating: " ", count: 9 - head.count) + display.screen.shown(text, limit: 400)
        }
        return [line(finding.grade.rawValue, finding.text)] + (finding.remedy.map { [line("", "hint: \($0)")] } ?? [])
    }

    private func json(_ finding: Finding) -> JSONValue {
        .object([
            "grade": .string(finding.grade.rawValue), "subject": .string(finding.subject),
            "text": .string(finding.text),
            "hint": finding.remedy.map { .string($0) } ?? .null,
        ])
    }
}
