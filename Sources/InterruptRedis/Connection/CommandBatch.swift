/// Commands on their way to the server in charge: which have their replies, and where the others go next.
///
/// `MOVED`, `ASK`, `TRYAGAIN`, `CLUSTERDOWN`, `READONLY` and `UNBLOCKED` all say that a command was not carried out, so
/// sending it again repeats nothing.
struct CommandBatch {
    enum Step: Equatable {
        /// Every command has its reply.
        case finished
        /// Another server is in charge, this one if it was named: connect to it.
        case reconnect(RedisNode?)
        /// The slot is on its way to this node, and the keys may be there already: ask it for these commands.
        case ask(RedisNode)
        /// Nobody can answer in this moment.
        case wait
    }

    private enum Refusal: Equatable {
        case moved(RedisNode?)
        case ask(RedisNode)
        case later
    }

    /// All replies, once finished; before, those of open commands are the refusals.
    private(set) var replies: [RESPValue]
    private let commands: [RedisCommand]
    private let following: RedisEndpoint.Following
    private var open: [Int]
    private var asked: [Int] = []

    init(_ commands: [RedisCommand], following: RedisEndpoint.Following) {
        self.commands = commands
        self.following = following
        open = Array(commands.indices)
        replies = Array(repeating: .null, count: commands.count)
    }

    /// What is to be sent, in order.
    var openCommands: [RedisCommand] { open.count == commands.count ? commands : open.map { commands[$0] } }

    /// Whether some of it was carried out already, so that the whole can no longer be said not to have been.
    var hasBegun: Bool { open.count < commands.count }

    /// Takes the replies to the open commands; `place` is who gave them.
    mutating func received(_ new: [RESPValue], from place: RedisEndpoint.Address) -> Step {
        for (index, reply) in zip(open, new) { replies[index] = reply }
        return step(place)
    }

    /// What to send to the node that is to be asked: each command with its own `ASKING`. Then ``answered(_:from:)``.
    mutating func askingCommands(for node: RedisNode, from place: RedisEndpoint.Address) -> [RedisCommand] {
        asked = open.filter { refusal($0, place) == .ask(node) }
        return asked.flatMap { [RedisCommand("ASKING"), commands[$0]] }
    }

    /// Takes the replies to ``askingCommands(for:from:)``.
    mutating func answered(_ new: [RESPValue], from place: RedisEndpoint.Address) -> Step {
        for (position, index) in asked.enumerated() where 2 * position + 1 < new.count {
            replies[index] = new[2 * position + 1]
        }
        // A node that no longer expects the slot sends back: whoever sent it there is asked again.
        return switch step(place) {
        case .ask, .reconnect: .wait
        case let other: other
        }
    }

    private mutating func step(_ place: RedisEndpoint.Address) -> Step {
        open = open.filter { refusal($0, place) != nil }
        guard let first = open.first, let refusal = refusal(first, place) else { return .finished }
        switch refusal {
        case .moved(let node): return .reconnect(node)
        case .ask(let node): return .ask(node)
        case .later: return .wait
        }
    }

    private func refusal(_ index: Int, _ place: RedisEndpoint.Address) -> Refusal? {
        guard following != .nobody, let text = replies[index].errorText else { return nil }
        let words = text.split(separator: " ", maxSplits: 3)
        switch words.first {
        case "MOVED" where words.count >= 3: return .moved(RedisNode(redirection: words[2], from: place))
        case "ASK" where words.count >= 3: return RedisNode(redirection: words[2], from: place).map { .ask($0) }
        case "TRYAGAIN", "CLUSTERDOWN": return .later
        // Somebody has made a replica of it.
        case "READONLY" where following == .master, "UNBLOCKED" where following == .master: return .moved(nil)
        case "UNBLOCKED": return .later
        default: return nil
        }
    }

    /// Whether the server turned out to be a replica: its address may lead to another one by now.
    var isFromReplica: Bool { replies.contains { $0.errorText?.hasPrefix("READONLY ") == true } }
}

extension RedisNode {
    /// Reads `host:port`. A node that does not know its own host leaves it out, or says `?`: it is the one that was asked.
    init?(redirection text: Substring, from place: RedisEndpoint.Address) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            1...65_535 ~= port
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        self.init(announced: String(host), port: port, by: place)
    }

    init?(announced host: String, port: Int, by place: RedisEndpoint.Address) {
        if !host.isEmpty, host != "?" {
            self.init(host: host, port: port)
        } else if case .tcp(let host, _) = place {
            self.init(host: host, port: port)
        } else {
            return nil
        }
    }
}
