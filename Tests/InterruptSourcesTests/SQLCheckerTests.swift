import GRDB
import InterruptCore
import InterruptSources
import Subprocess
import Testing

/// A database file with the table, and another program's connection to it.
private struct Database {
    let directory: Directory
    let writer: DatabaseQueue
    var path: String { "\(directory.path)/jobs.db" }

    init(journal: String = "delete") throws {
        directory = try Directory()
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        configuration.busyMode = .timeout(30)  // readers hold it up, too
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA journal_mode = \(journal)") }
        writer = try DatabaseQueue(path: "\(directory.path)/jobs.db", configuration: configuration)
        try execute(
            "CREATE TABLE interrupts (id TEXT PRIMARY KEY, interrupted INTEGER, reason TEXT, message TEXT, triggered_by TEXT)"
        )
    }

    func execute(_ sql: String) throws { try writer.inDatabase { try $0.execute(sql: sql) } }
}

@Suite(.timeLimit(.minutes(2))) struct `A row in SQLite` {
    @Test(arguments: ["delete", "wal"]) func `interrupts with its four values`(journal: String) async throws {
        let database = try Database(journal: journal)
        let checker = InterruptChecker.sqlite(database.path, id: "nightly")
        #expect(await ask(checker) == .none)
        try database.execute(
            "INSERT INTO interrupts VALUES ('nightly', 0, 'timeout', 'x', 'y'), ('other', 1, '', '', '')"
        )
        #expect(await ask(checker) == .none)
        try database.execute(
            "UPDATE interrupts SET interrupted = 1, reason = 'priority_override', message = 'make room', triggered_by = 'ops' WHERE id = 'nightly'"
        )
        let signal = try #require(await ask(checker).signal)
        #expect(signal.reason == .priorityOverride && signal.message == "make room" && signal.triggeredBy == "ops")
        #expect(signal.source == .checker && signal.stage == .terminate)
    }

    @Test func `has the defaults of a plain request where it says nothing, and keeps unknown reasons`() async throws {
        let database = try Database()
        try database.execute(
            "INSERT INTO interrupts (id, interrupted, reason) VALUES ('a', 1, NULL), ('b', 1, 'disk full'), ('c', NULL, NULL)"
        )
        let signal = try #require(await ask(.sqlite(database.path, id: "a")).signal)
        #expect(signal.reason == .userCancelled && signal.message == nil && signal.triggeredBy == nil)
        #expect(await ask(.sqlite(database.path, id: "b")).signal?.reason.rawValue == "disk full")
        #expect(await ask(.sqlite(database.path, id: "c")) == .none)
    }

    @Test(arguments: ["delete", "wal"])
    func `is read while another connection writes, and never half`(journal: String) async throws {
        let database = try Database(journal: journal)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 1... {
                    // Two statements of one transaction: between them the row says something that is never to be seen.
                    try await database.writer.write { writer in
                        try writer.execute(
                            sql: "INSERT OR REPLACE INTO interrupts VALUES ('a', 1, 'half', 'half', 'half')"
                        )
                        try writer.execute(
                            sql:
                                "UPDATE interrupts SET interrupted = ?, reason = 'timeout', message = ? WHERE id = 'a'",
                            arguments: [round % 2, "round \(round)"]
                        )
                    }
                }
            }
            for _ in 1...50 {
                switch await ask(.sqlite(database.path, id: "a", limit: .milliseconds(200))) {
                case .interrupt(let signal):
                    #expect(signal.reason == .timeout && signal.message?.hasPrefix("round") == true)
                case .none: break
                // A writer that commits without a pause can keep a reader out; that interrupts nothing.
                case .failed(let why): #expect(why.contains("locked") || why.contains("within"))
                }
            }
            group.cancelAll()
        }
    }

    @Test func `is found when another program writes it`() async throws {
        let database = try Database()
        try await withInterruptScope { scope in
            scope.setChecker(.sqlite(database.path, id: "nightly", every: .milliseconds(1)))
            let sql = "INSERT INTO interrupts (id, interrupted, message) VALUES ('nightly', 1, 'make room')"
            do {
                let result = try await Subprocess.run(
                    .name("sqlite3"),
                    arguments: ["-cmd", ".timeout 10000", database.path, sql],
                    output: .discarded,
                    error: .string(limit: 4_096)
                )
                #expect(result.terminationStatus.isSuccess, "\(result.standardError)")
            } catch let error as SubprocessError where error.code == .executableNotFound {
                try database.execute(sql)  // without that program another connection is all there is
            }
            #expect(await scope.signals.first { _ in true }?.message == "make room")
        }
    }

    @Test(arguments: ["delete", "wal"]) func `that is locked fails, and is read again afterwards`(journal: String)
        async throws
    {
        let database = try Database(journal: journal)
        try database.execute("INSERT INTO interrupts (id, interrupted) VALUES ('a', 1)")
        // With a write-ahead log only this mode keeps readers out.
        try database.execute("PRAGMA locking_mode = EXCLUSIVE")
        try database.execute("BEGIN EXCLUSIVE")
        try database.execute("UPDATE interrupts SET reason = 'timeout'")
        let checker = InterruptChecker.sqlite(database.path, id: "a", limit: .seconds(1))
        #expect(await ask(checker) == .failed("cannot read '\(database.path)': database is locked"))
        try database.execute("COMMIT")
        try database.execute("PRAGMA locking_mode = NORMAL")
        try database.execute("SELECT * FROM interrupts")
        #expect(await ask(checker).signal?.reason == .timeout)
    }

    @Test func `needs its database and its table, and makes neither`() async throws {
        let directory = try Directory()
        let path = "\(directory.path)/jobs.db"
        #expect(await ask(.sqlite(path, id: "a")) == .failed("cannot read '\(path)': unable to open database file"))
        try directory.write("", to: "jobs.db")
        #expect(await ask(.sqlite(path, id: "a")) == .failed("cannot read '\(path)': no such table: interrupts"))
        try directory.write(
            "This is no database, but long enough to be one. " + String(repeating: "x", count: 1_000),
            to: "jobs.db"
        )
        #expect(await ask(.sqlite(path, id: "a")) == .failed("cannot read '\(path)': file is not a database"))
    }

    @Test func `may be given by another query, into which the id is never written`() async throws {
        let database = try Database()
        try database.execute("CREATE TABLE work (name TEXT, stop INTEGER, note TEXT)")
        let id = "'; DROP TABLE work; --"
        try await database.writer.write {
            try $0.execute(sql: "INSERT INTO work VALUES (?, 1, 'stop it')", arguments: [id])
        }
        let query = "SELECT stop, NULL, note, 'work' FROM work WHERE name = ?"
        let signal = try #require(await ask(.sqlite(database.path, id: id, query: query)).signal)
        #expect(signal.message == "stop it" && signal.triggeredBy == "work")
    }

    @Test(arguments: [
        ("SELECT 1, NULL, NULL FROM interrupts WHERE id = ?", "the query gives 3 columns instead of four"),
        ("SELECT 2, NULL, NULL, NULL FROM interrupts WHERE id = ?", "'interrupted' is neither 0 nor 1"),
        ("SELECT 'yes', NULL, NULL, NULL FROM interrupts WHERE id = ?", "'interrupted' is neither 0 nor 1"),
        ("SELECT 1, 7, NULL, NULL FROM interrupts WHERE id = ?", "'reason' is not a text"),
        ("SELECT 1, NULL, x'00', NULL FROM interrupts WHERE id = ?", "'message' is not a text"),
        ("SELECT 1, NULL, NULL, 1.5 FROM interrupts WHERE id = ?", "'triggered_by' is not a text"),
        ("SELECT 1, NULL, zeroblob(65537), NULL FROM interrupts WHERE id = ?", "string or blob too big"),
        ("SELECT 1, NULL, NULL, NULL FROM interrupts", "wrong number of statement arguments: 1"),
        ("SELEKT ?", "near \"SELEKT\": syntax error"),
        ("DELETE FROM interrupts WHERE id = ?", "attempt to write a readonly database"),
    ])
    func `that is not as it should be fails`(query: String, why: String) async throws {
        let database = try Database()
        try database.execute("INSERT INTO interrupts (id, interrupted) VALUES ('a', 1)")
        #expect(await ask(.sqlite(database.path, id: "a", query: query)).failure?.hasSuffix(why) == true)
    }

    @Test func `with a text that is too large fails`() async throws {
        let database = try Database()
        try database.execute("INSERT INTO interrupts VALUES ('a', 1, NULL, hex(zeroblob(40000)), NULL)")
        let failure = await ask(.sqlite(database.path, id: "a")).failure
        #expect(failure == "cannot read '\(database.path)': string or blob too big")
    }
}

@Suite(.timeLimit(.minutes(1))) struct `A row of any database` {
    private struct Unreachable: Error, CustomStringConvertible { let description = "no connection" }

    @Test func `means what one in SQLite means`() async {
        let row = InterruptRow(isInterrupted: true, reason: "timeout", message: "m", triggeredBy: "t")
        let signal = await ask(.sql("jobs") { row }).signal
        #expect(signal?.reason == .timeout && signal?.message == "m" && signal?.triggeredBy == "t")
        #expect(signal?.source == .checker)
        #expect(await ask(.sql("jobs") { InterruptRow(isInterrupted: false, reason: "timeout") }) == .none)
        #expect(await ask(.sql("jobs") { nil }) == .none)
        #expect(await ask(.sql("jobs") { throw Unreachable() }) == .failed("no connection"))
    }
}
