import Synchronization

/// What attempts to connect have learnt for the next ones.
package final class KnownServers: Sendable {
    private struct Knowledge {
        var owner: RedisNode?
        var nodes: [RedisNode] = []
        var sentinel: RedisNode?
    }

    private let knowledge = Mutex(Knowledge())

    /// Nothing is known yet.
    package init() {}

    /// The way to the owner of the keys, as far as it is known.
    var route: SlotRoute { knowledge.withLock { SlotRoute(owner: $0.owner, nodes: $0.nodes) } }

    /// The sentinel that led to the last master.
    var sentinel: RedisNode? { knowledge.withLock { $0.sentinel } }

    /// The keys are on this node now; `nil` is the one at the address as it was given.
    func owner(is node: RedisNode?) { knowledge.withLock { $0.owner = node } }

    /// These are all nodes of the cluster. Nothing is forgotten because nobody could be asked.
    func nodes(are nodes: [RedisNode]) {
        if !nodes.isEmpty { knowledge.withLock { $0.nodes = nodes } }
    }

    func sentinel(is node: RedisNode) { knowledge.withLock { $0.sentinel = node } }
}
