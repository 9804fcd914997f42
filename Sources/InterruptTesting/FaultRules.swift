/// What a ``FaultProxy`` does with what goes through it. A value: it may be set anew while connections run.
public struct FaultRules: Sendable, Hashable {
    /// How a connection is ended.
    public enum Ending: Sendable, Hashable {
        /// With a goodbye (FIN).
        case close
        /// Without one (RST). A Unix socket knows no reset: it is closed.
        case reset
    }

    /// A part at a time.
    public struct Trickle: Sendable, Hashable {
        /// How many bytes at a time.
        public var bytes: Int
        /// How long after the ones before.
        public var interval: Duration

        /// So many bytes, each so long after the ones before.
        public init(bytes: Int, every interval: Duration) {
            (self.bytes, self.interval) = (bytes, interval)
        }
    }

    /// What becomes of the bytes in one direction of each connection.
    public struct Way: Sendable, Hashable {
        /// Takes everything and hands on nothing, not even an end: a half-open connection. What was taken meanwhile goes on
        /// when the rule is lifted, as TCP sends it again when a link is back.
        public var isSilent = false
        /// Ends the connection when so many bytes have gone this way since its beginning; a connection that is past that
        /// is ended at once.
        public var cutAfter: Int?
        /// How long bytes take. They stay in order.
        public var delay = Duration.zero
        /// How much longer or shorter than ``delay`` they may take, at random.
        public var jitter = Duration.zero
        /// Hands on only a part at a time.
        public var trickle: Trickle?

        /// Nothing is wrong.
        public init() {}

        /// Nothing gets through.
        public static var silent: Way {
            var way = Way()
            way.isSilent = true
            return way
        }

        /// The connection ends after so many bytes.
        public static func cut(after count: Int) -> Way {
            var way = Way()
            way.cutAfter = count
            return way
        }

        /// Everything takes so long, give or take a random part of `jitter`.
        public static func delayed(_ delay: Duration, jitter: Duration = .zero) -> Way {
            var way = Way()
            (way.delay, way.jitter) = (delay, jitter)
            return way
        }

        /// A part at a time.
        public static func trickling(bytes: Int, every interval: Duration) -> Way {
            var way = Way()
            way.trickle = Trickle(bytes: bytes, every: interval)
            return way
        }
    }

    /// From the clients to the server.
    public var toServer = Way()
    /// From the server to the clients.
    public var toClient = Way()
    /// Whether each message of a subscription is handed on twice.
    public var duplicatesPushes = false
    /// How a cut connection is ended.
    public var ending = Ending.close

    /// Rules for both directions; nothing is wrong where nothing is said.
    public init(toServer: Way = Way(), toClient: Way = Way()) {
        (self.toServer, self.toClient) = (toServer, toClient)
    }

    /// Connections stay, and nothing gets through.
    public static var halfOpen: FaultRules { FaultRules(toServer: .silent, toClient: .silent) }
}
