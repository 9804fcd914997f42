import GRDB
import GRDBSQLite
public import InterruptCore
import InterruptJSON

extension InterruptChecker {
    /// Interrupts when the row for the work in a SQLite database says so.
    ///
    ///     CREATE TABLE interrupts (id TEXT PRIMARY KEY, interrupted INTEGER, reason TEXT, message TEXT, triggered_by TEXT);
    ///     INSERT INTO interrupts VALUES ('nightly', 1, 'priority_override', 'make room', 'ops');
    ///
    ///     scope.setChecker(.sqlite("jobs.db", id: "nightly"))
    ///
    /// `interrupted` is 1, or 0 or NULL for none; what else is NULL has the default of a plain request. No row is no
    /// interrupt. No database, no table, and a value of another type or of more than 64 KiB make the checker fail, as does
    /// a database that another program keeps locked for half of `limit`: the work goes on.
    ///
    /// The database is opened at each question, for reading only: a file that was put in its place is seen, and nothing is
    /// held between two questions. Others may write meanwhile, with a write-ahead log or without.
    ///
    /// - `id`: what the query's `?` stands for. It is never part of the SQL.
    /// - `query`: gives `interrupted`, `reason`, `message` and `triggered_by` in this order, whatever their names; the
    ///   first row counts. ``InterruptRow/defaultQuery``, if nothing is said.
    public static func sqlite(
        _ path: String,
        id: String,
        query: String = InterruptRow.defaultQuery,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit
    ) -> InterruptChecker {
        InterruptChecker("\(path) \(id)", every: interval, limit: limit) { () throws -> InterruptSignal? in
            do {
                return try read(path, query, id, waiting: limit / 2)?.signal
            } catch let error as DatabaseError {
                throw SourceFailure("cannot read '\(path.escapedForDisplay())': \(error.sentence)")
            }
        }
    }
}

/// Blocks while the database is locked, for `patience` at most.
private func read(_ path: String, _ query: String, _ id: String, waiting patience: Duration) throws -> InterruptRow? {
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(patience / .seconds(1))
    configuration.prepareDatabase { database in
        // Larger values are not even read.
        sqlite3_limit(database.sqliteConnection, SQLITE_LIMIT_LENGTH, Int32(SignalMessage.maximumFlagSize))
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    defer { try? queue.close() }  // it was only read
    return try queue.read { database in
        try Row.fetchOne(database, sql: query, arguments: [id]).map(InterruptRow.init)
    }
}

extension InterruptRow {
    fileprivate init(_ row: Row) throws(SourceFailure) {
        let values = Array(row.databaseValues)
        guard values.count == 4 else { throw SourceFailure("the query gives \(values.count) columns instead of four") }
        let isInterrupted: Bool
        switch values[0].storage {
        case .int64(1): isInterrupted = true
        case .int64(0), .null: isInterrupted = false
        case .int64, .double, .string, .blob: throw SourceFailure("'interrupted' is neither 0 nor 1")
        }
        func text(_ index: Int, _ name: String) throws(SourceFailure) -> String? {
            switch values[index].storage {
            case .string(let text): return text
            case .null: return nil
            case .int64, .double, .blob: throw SourceFailure("'\(name)' is not a text")
            }
        }
        self.init(
            isInterrupted: isInterrupted,
            reason: try text(1, "reason"),
            message: try text(2, "message"),
            triggeredBy: try text(3, "triggered_by")
        )
    }
}

extension DatabaseError {
    /// What SQLite says, without the query.
    fileprivate var sentence: String {
        (message ?? "SQLite error \(resultCode.rawValue)").escapedForDisplay(limit: 200)
    }
}
