public import InterruptCore

/// Every key and channel of one namespace. Nothing else spells one, in Swift or in Lua.
public struct RedisKeys: Hashable, Sendable {
    /// The namespace when none is given.
    public static let defaultNamespace = "interrupt"

    /// The namespace: `[A-Za-z0-9._-]{1,64}`, optionally in braces (which keeps it in one slot of a Redis Cluster).
    public let namespace: String

    /// Takes a valid namespace, or says what is allowed.
    public init(namespace: String = defaultNamespace) throws(NamespaceError) {
        var inner = Substring(namespace)
        if inner.hasPrefix("{"), inner.hasSuffix("}") { inner = inner.dropFirst().dropLast() }
        let isAllowed = inner.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isAllowed, (1...64).contains(inner.utf8.count) else { throw NamespaceError(namespace: namespace) }
        self.namespace = namespace
    }

    /// Whether a Redis Cluster keeps all keys in one slot: what is in braces decides alone.
    var isInOneSlot: Bool { namespace.hasPrefix("{") }

    // MARK: Flags, for anyone to SET

    /// The mailbox of a target.
    public func flag(_ target: InterruptTarget) -> String { "\(namespace):\(target)" }

    // MARK: Records, written by scripts only

    func job(_ job: Name) -> String { "\(namespace)/job/\(job)" }
    func run(_ run: RunID) -> String { "\(namespace)/run/\(run)" }
    func environment(_ run: RunID) -> String { "\(namespace)/env/\(run)" }
    func request(_ run: RunID) -> String { "\(namespace)/request/\(run)" }
    func pause(_ run: RunID) -> String { "\(namespace)/pause/\(run)" }
    /// Of a target of many, whose text is no run's id.
    func pause(_ target: InterruptTarget) -> String { "\(namespace)/pause/\(target)" }
    func queue(_ queue: Name) -> String { "\(namespace)/queue/\(queue)" }
    func output(_ run: RunID) -> String { "\(namespace)/output/\(run)" }
    func group(_ group: Name) -> String { "\(namespace)/group/\(group)" }
    func holds(_ worker: Name) -> String { "\(namespace)/holds/\(worker)" }
    func worker(_ worker: Name) -> String { "\(namespace)/worker/\(worker)" }
    func gate(_ target: InterruptTarget) -> String { "\(namespace)/gate/\(target)" }
    var live: String { "\(namespace)/live" }
    var ended: String { "\(namespace)/ended" }
    var delayed: String { "\(namespace)/delayed" }
    var workers: String { "\(namespace)/workers" }
    var history: String { "\(namespace)/history" }
    var meta: String { "\(namespace)/meta" }

    /// A key that never exists, because no run has an empty id. A script names it beside one that does: while its slot is
    /// on the way to another node of a cluster, no node then runs a script that would see a part of the keys only.
    var nothing: String { "\(namespace)/request/" }

    /// The consumer group of every queue.
    static let consumerGroup = "workers"

    // MARK: Channels

    var signals: String { "\(namespace):signals" }
    func signals(_ worker: Name) -> String { "\(namespace):signals:\(worker)" }
    var events: String { "\(namespace):events" }
    /// Where Redis says which tracked keys have changed.
    static let invalidations = "__redis__:invalidate"
}

/// The same keys in Lua, as expressions on `ns`, the namespace: whole, or what comes before a name. Spelled out where
/// they are used, because a script pays for every string that it makes.
struct LuaKeys {
    let flag = "ns .. ':'"
    let signals = "ns .. ':signals:'"
    let events = "ns .. ':events'"
    let job = "ns .. '/job/'"
    let run = "ns .. '/run/'"
    let env = "ns .. '/env/'"
    let request = "ns .. '/request/'"
    let pause = "ns .. '/pause/'"
    let queue = "ns .. '/queue/'"
    let output = "ns .. '/output/'"
    let group = "ns .. '/group/'"
    let holds = "ns .. '/holds/'"
    let worker = "ns .. '/worker/'"
    let gate = "ns .. '/gate/'"
    let live = "ns .. '/live'"
    let ended = "ns .. '/ended'"
    let delayed = "ns .. '/delayed'"
    let workers = "ns .. '/workers'"
    let history = "ns .. '/history'"
    let meta = "ns .. '/meta'"
}

/// Why a text is not a namespace.
public struct NamespaceError: Error, Equatable, CustomStringConvertible {
    let namespace: String

    /// One sentence: what is wrong and what is allowed.
    public var description: String {
        "'\(namespace.escapedForDisplay(limit: 40))' is not a namespace: "
            + "allowed are A-Z a-z 0-9 . _ -, 1-64 bytes, optionally in braces"
    }
}
