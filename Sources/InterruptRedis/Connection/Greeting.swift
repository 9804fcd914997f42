/// What a new connection says first, in one write, and what the answers mean.
struct Greeting {
    enum Answer: Equatable {
        /// This is the server that is wanted; its number for the connection, where that was asked and the user may know, and
        /// the nodes of its cluster, if it is one and the user may ask.
        case welcome(clientID: Int64?, nodes: [RedisNode])
        /// This is a node of a cluster, and that one owns the keys.
        case moved(RedisNode)
    }

    let endpoint: RedisEndpoint
    let name: String?
    /// Whether the number of the connection is of use.
    var isNumbered = true
    /// Whether a replica will not do.
    let isMasterNeeded: Bool

    var commands: [RedisCommand] { parts.map(\.command) }

    private enum Part {
        case credentials, database, name, number, role, keys, nodes
    }

    private var parts: [(part: Part, command: RedisCommand)] {
        var parts: [(Part, RedisCommand)] = []
        if endpoint.username != nil || endpoint.password != nil {
            let credentials = [endpoint.username, endpoint.password ?? ""].compactMap { $0 }
            parts.append((.credentials, RedisCommand("AUTH", credentials.map { .text($0) })))
        }
        if endpoint.database != 0 { parts.append((.database, RedisCommand("SELECT", .number(endpoint.database)))) }
        if let name { parts.append((.name, RedisCommand("CLIENT", "SETNAME", .text(name)))) }
        if isNumbered { parts.append((.number, RedisCommand("CLIENT", "ID"))) }
        if isMasterNeeded { parts.append((.role, RedisCommand("ROLE"))) }
        // Two keys, so that a cluster whose slots tear the namespace apart says so. Where they are is all that is asked.
        if let keys = endpoint.keys {
            parts.append((.keys, RedisCommand("EXISTS", keys.meta, keys.history)))
            if keys.isInOneSlot { parts.append((.nodes, RedisCommand("CLUSTER", "SLOTS"))) }
        }
        return parts
    }

    /// - Throws: why the server will not do.
    func answer(_ replies: [RESPValue]) throws(RedisError) -> Answer {
        var clientID: Int64?
        var nodes: [RedisNode] = []
        var owner: RedisNode?
        for ((part, _), reply) in zip(parts, replies) {
            switch part {
            case .credentials: try accept(reply)
            case .database: try acceptDatabase(reply)
            case .name: try acceptUnlessRefused(reply)
            case .number:
                try acceptUnlessRefused(reply)
                clientID = reply.integer
            case .role: try acceptMaster(reply)
            case .keys: owner = try otherOwner(reply)
            case .nodes: nodes = Self.nodes(reply, at: endpoint.address)
            }
        }
        return owner.map { .moved($0) } ?? .welcome(clientID: clientID, nodes: nodes)
    }

    private func accept(_ reply: RESPValue) throws(RedisError) {
        guard let text = reply.errorText else { return }
        let error = RedisError.fromReply(text)
        throw failure(.authenticationFailed, error.message, reply: error)
    }

    private func acceptDatabase(_ reply: RESPValue) throws(RedisError) {
        guard let text = reply.errorText else { return }
        let error = RedisError.fromReply(text)
        if error.code == .notPermitted { throw failure(.notPermitted, error.message, reply: error) }
        guard error.replyPrefix == "ERR" else { throw refusal(error) }
        throw failure(.wrongSettings, "database \(endpoint.database): \(error.message)", reply: error)
    }

    /// Name and number are for people: a user that may not have them works all the same.
    private func acceptUnlessRefused(_ reply: RESPValue) throws(RedisError) {
        guard let text = reply.errorText else { return }
        let error = RedisError.fromReply(text)
        if error.code != .notPermitted { throw refusal(error) }
    }

    private func acceptMaster(_ reply: RESPValue) throws(RedisError) {
        if let text = reply.errorText {
            let error = RedisError.fromReply(text)
            guard error.code == .notPermitted else { throw refusal(error) }
            throw failure(
                .notPermitted,
                "the user needs the right +role to tell a master: \(error.message)",
                reply: error
            )
        }
        let role = reply.array?.first?.text ?? "something else"
        guard role == "master" else {
            throw failure(.cannotConnect, "it is no master but a \(role == "slave" ? "replica" : role)")
        }
    }

    /// The node that owns the keys, if it is another one.
    private func otherOwner(_ reply: RESPValue) throws(RedisError) -> RedisNode? {
        guard let text = reply.errorText else { return nil }
        let words = text.split(separator: " ")
        switch words.first {
        case "MOVED" where words.count >= 3: return RedisNode(redirection: words[2], from: endpoint.address)
        case "CROSSSLOT":
            throw .unsuitableNamespace("\(endpoint)", endpoint.keys?.namespace ?? RedisKeys.defaultNamespace)
        case "CLUSTERDOWN", "LOADING": throw refusal(.fromReply(text))
        // The slot is leaving, but still this node's. Or the user may not ask: then commands find out.
        default: return nil
        }
    }

    private static func nodes(_ reply: RESPValue, at place: RedisEndpoint.Address) -> [RedisNode] {
        var nodes: [RedisNode] = []
        for range in reply.array ?? [] {
            for node in (range.array ?? []).dropFirst(2) {
                guard let parts = node.array, parts.count >= 2,
                    let port = parts[1].integer.flatMap({ Int(exactly: $0) }),
                    let node = RedisNode(announced: parts[0].text ?? "", port: port, by: place), !nodes.contains(node)
                else { continue }
                nodes.append(node)
            }
        }
        return nodes
    }

    /// Any other answer that says that the server cannot be used now.
    private func refusal(_ error: RedisError) -> RedisError {
        if error.code == .authenticationFailed { return failure(.authenticationFailed, error.message, reply: error) }
        return failure(.cannotConnect, error.message, reply: error)
    }

    private func failure(_ code: RedisError.Code, _ why: String, reply: RedisError? = nil) -> RedisError {
        endpoint.connectionFailure(code, why, reply: reply)
    }
}
