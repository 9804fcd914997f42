/// The search for a master: which sentinel is asked next, which server is tried, and why nothing came of it. Decides
/// only; ``ServerSearch`` asks and connects.
struct MasterSearch {
    enum Answer: Equatable {
        /// The sentinel names a server.
        case master(RedisNode)
        /// The sentinel watches no master of that name.
        case unknown
        /// The sentinel wants another password, and what it says.
        case refused(String)
        /// There is no answer, and why.
        case failed(String)
    }

    enum Step: Equatable {
        /// Ask this sentinel. Then ``answered(_:)``.
        case ask(RedisNode)
        /// This server ought to be the master. If it is not, or does not answer, then ``masterFailed(_:)``.
        case connect(RedisNode)
        /// Every sentinel was asked. What that is, if all of them had the same trouble, and what each said.
        case giveUp(RedisError.Code, String)
    }

    private let name: String
    private var left: [RedisNode]
    private var asked: RedisNode?
    private var tried: [RedisNode] = []
    private var troubles: [String] = []
    private var codes: Set<RedisError.Code> = []

    /// - Parameter first: the sentinel that led to the last master. One that hangs costs its time only once.
    init(_ sentinels: RedisSentinels, first: RedisNode? = nil) {
        name = sentinels.master
        left = sentinels.nodes.filter { $0 == first } + sentinels.nodes.filter { $0 != first }
    }

    /// The first step, and the one after each that led nowhere.
    mutating func next() -> Step {
        guard let sentinel = left.first else {
            // What one sentinel says of the settings is no last word while another one is out of reach.
            let code = codes.count == 1 ? codes.first : nil
            return .giveUp(code ?? .cannotConnect, troubles.joined(separator: "; "))
        }
        asked = left.removeFirst()
        return .ask(sentinel)
    }

    mutating func answered(_ answer: Answer) -> Step {
        let sentinel = asked.map { "sentinel \($0)" } ?? "a sentinel"
        switch answer {
        case .master(let node):
            codes.insert(.cannotConnect)
            // Another sentinel may know better; the same answer twice says nothing new.
            if tried.contains(node) { return next() }
            tried.append(node)
            return .connect(node)
        case .unknown:
            codes.insert(.wrongSettings)
            troubles.append("\(sentinel) does not know '\(name)'")
        case .refused(let why):
            codes.insert(.refusedBySentinels)
            troubles.append("\(sentinel): \(why)")
        case .failed(let why):
            codes.insert(.cannotConnect)
            troubles.append("\(sentinel): \(why)")
        }
        return next()
    }

    mutating func masterFailed(_ why: String) -> Step {
        troubles.append("\(tried.last.map { "\($0)" } ?? "the server"): \(why)")
        return next()
    }
}
