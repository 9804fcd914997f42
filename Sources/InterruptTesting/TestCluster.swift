import InterruptRedis

/// A Redis Cluster of three masters, and perhaps a replica of the first, for the length of a test. ``withCluster(replica:_:)``
/// makes it. All slots of a kind are in one third: the first master has the slots from 0, the last one those up to 16383.
public struct TestCluster: Sendable {
    /// The masters as they are at the start.
    public let masters: [LoopbackServer]
    /// The first master's replica, if there is one.
    public let replica: LoopbackServer?

    var nodes: [LoopbackServer] { masters + (replica.map { [$0] } ?? []) }

    /// The slot of a key.
    public func slot(of key: String) async throws -> Int {
        Int(try await masters[0].command("CLUSTER", "KEYSLOT", key).integer ?? 0)
    }

    /// The master that owns a slot, as it says itself.
    public func owner(of slot: Int) async throws -> LoopbackServer {
        for node in nodes {
            let ranges = try? await node.command("CLUSTER", "SLOTS").array ?? []
            for range in (ranges ?? []).compactMap(\.array) where range.count > 2 {
                guard let low = range[0].integer, let high = range[1].integer, low...high ~= Int64(slot),
                    let port = range[2].array?[1].integer, Int(port) == node.port
                else { continue }
                return node
            }
        }
        throw TestRedisError(description: "no node owns the slot \(slot)")
    }

    /// Opens a slot on both sides: its keys may be moved one by one now.
    public func beginMigration(of slot: Int, from old: LoopbackServer, to new: LoopbackServer) async throws {
        try await new.command("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", try await id(of: old))
        try await old.command("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", try await id(of: new))
    }

    /// Moves the keys that are there now.
    public func moveKeys(of slot: Int, from old: LoopbackServer, to new: LoopbackServer) async throws {
        while true {
            let keys =
                try await old.command("CLUSTER", "GETKEYSINSLOT", "\(slot)", "100").array?.compactMap(\.text) ?? []
            if keys.isEmpty { return }
            try await old.command(["MIGRATE", "127.0.0.1", "\(new.port)", "", "0", "5000", "KEYS"] + keys)
        }
    }

    /// Hands the slot over: first the new owner is told, then everybody else.
    public func endMigration(of slot: Int, to new: LoopbackServer) async throws {
        let id = try await id(of: new)
        try await new.command("CLUSTER", "SETSLOT", "\(slot)", "NODE", id)
        for node in masters where node !== new {
            // One that was killed is told by the others.
            _ = try? await node.command("CLUSTER", "SETSLOT", "\(slot)", "NODE", id)
        }
    }

    /// Moves a slot with all its keys, as `redis-cli --cluster reshard` does.
    public func migrate(_ slot: Int, to new: LoopbackServer) async throws {
        let old = try await owner(of: slot)
        try await beginMigration(of: slot, from: old, to: new)
        try await moveKeys(of: slot, from: old, to: new)
        try await endMigration(of: slot, to: new)
    }

    private func id(of node: LoopbackServer) async throws -> String {
        try await node.command("CLUSTER", "MYID").text ?? ""
    }

    func form() async throws {
        for (index, master) in masters.enumerated() {
            let first = index * 16_384 / masters.count
            let last = (index + 1) * 16_384 / masters.count - 1
            try await master.command("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)")
            try await master.command("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(last)")
        }
        for node in nodes.dropFirst() {
            let bus = try await node.command("CONFIG", "GET", "cluster-port").array?.last?.text ?? ""
            try await masters[0].command("CLUSTER", "MEET", "127.0.0.1", "\(node.port)", bus)
        }
        for node in nodes {
            try await eventually("the node on port \(node.port) knows all others") {
                let known = try await node.clusterInfo("cluster_known_nodes")
                let state = try await node.clusterInfo("cluster_state")
                return known == "\(nodes.count)" && state == "ok"
            }
        }
        // They meet the sooner, the shorter it is. From now on a busy machine may keep a node silent for a while.
        for node in nodes { try await node.command("CONFIG", "SET", "cluster-node-timeout", "10000") }
        guard let replica else { return }
        try await replica.command("CLUSTER", "REPLICATE", try await id(of: masters[0]))
        try await eventually("the replica is in step") {
            try await replica.info("replication", "master_link_status") == "up"
        }
    }
}

extension LoopbackServer {
    /// A line of `CLUSTER INFO`.
    func clusterInfo(_ name: String) async throws -> String? {
        let lines = try await command("CLUSTER", "INFO").text?.split(separator: "\r\n") ?? []
        return lines.first { $0.hasPrefix("\(name):") }.map { String($0.dropFirst(name.count + 1)) }
    }
}

/// Runs `body` with a cluster of three masters that answer, and ends them afterwards.
///
/// - `replica`: whether the first master has a replica, which takes its place when it is told to by
///     `CLUSTER FAILOVER TAKEOVER`.
public func withCluster<R>(replica: Bool = false, _ body: (TestCluster) async throws -> R) async throws -> R {
    try await withTemporaryDirectory { directory in
        let nodes = try (0..<(replica ? 4 : 3)).map { index in
            let port = try freeLoopbackPort()
            let place = try makeDirectory("\(directory)/node\(index)")
            var arguments = ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
            arguments += ["--dir", place, "--logfile", "\(place)/log", "--repl-diskless-sync-delay", "0"]
            arguments += ["--cluster-enabled", "yes", "--cluster-port", "\(try freeLoopbackPort())"]
            arguments += ["--cluster-node-timeout", "1000"]
            return LoopbackServer(port: port, directory: place, arguments: arguments)
        }
        let cluster = TestCluster(masters: Array(nodes.prefix(3)), replica: replica ? nodes[3] : nil)
        return try await whileRunning(nodes) {
            try await cluster.form()
            return try await body(cluster)
        }
    }
}
