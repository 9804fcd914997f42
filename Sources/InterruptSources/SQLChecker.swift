public import InterruptCore

extension InterruptChecker {
    /// Interrupts when the row that a database has for the work says so. For SQLite there is
    /// ``sqlite(_:id:query:every:limit:)``; this is for every other database and its own client.
    ///
    ///     scope.setChecker(.sql("jobs table") {
    ///         try await database.query("SELECT … FROM interrupts WHERE id = \(id)").first.map { row in
    ///             InterruptRow(isInterrupted: row.0, reason: row.1, message: row.2, triggeredBy: row.3)
    ///         }
    ///     })
    ///
    /// - `name`: what events and interrupts call the source. A scope has one checker of a name.
    /// - `row`: reads the row; `nil` is no interrupt. What it throws is said as it is, so it must hold no password.
    public static func sql(
        _ name: String,
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit,
        row: @escaping @Sendable () async throws -> InterruptRow?
    ) -> InterruptChecker {
        InterruptChecker(name, every: interval, limit: limit) { () async throws -> InterruptSignal? in
            try await row()?.signal
        }
    }
}
