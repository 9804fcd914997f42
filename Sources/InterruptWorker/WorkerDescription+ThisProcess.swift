import Glibc
public import InterruptCore

extension WorkerDescription {
    /// This process as a worker on this host: a new instance. `nil` when `/proc` is not mounted, without which no process
    /// can be told from others.
    ///
    /// - `slots`: how many runs it holds at a time.
    /// - `queues`: taken from in this order, the first one first.
    /// - `version`: that of the program, for people.
    /// - `lease`: how long it may be silent.
    /// - `containment`: how it holds the processes of a run together; ask ``ProcessRunner/prepare()``.
    public init?(
        name: Name,
        slots: Int,
        queues: [Name],
        version: String = "",
        lease: Duration = .seconds(30),
        containment: Containment? = nil
    ) {
        guard let process = ProcessIdentity(pid: getpid()) else { return nil }
        self.init(
            name: name,
            instance: RunID.random().rawValue,
            host: Self.hostName,
            process: process,
            slots: slots,
            version: version,
            queues: queues,
            lease: lease,
            containment: containment?.description ?? ""
        )
    }

    /// The name of this host; empty when it has none.
    public static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
