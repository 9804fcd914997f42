/// The way to the node of a cluster that owns the keys, for one attempt to connect: where to go next. A server that is
/// no cluster is the case of one place. Decides only; ``ServerSearch`` connects.
struct SlotRoute: Equatable {
    enum Place: Hashable {
        /// The address of the endpoint, as it was given.
        case given
        /// A node that was named by another one.
        case node(RedisNode)
    }

    /// Nodes that disagree about the owner must not send an attempt in circles.
    static let maximumRedirections = 5

    private var left: [Place]
    private var tried: Set<Place> = []
    private var redirections = 0

    /// - Parameters:
    ///   - owner: who owned the keys when last heard of. It is asked first; then the address as it was given, because who
    ///     set it up sees to that; then whoever else is known.
    ///   - nodes: all nodes that are known.
    init(owner: RedisNode? = nil, nodes: [RedisNode] = []) {
        left = owner.map { [.node($0)] } ?? []
        left.append(.given)
        left += nodes.map(Place.node).filter { !left.contains($0) }
    }

    /// Whether there is more than one place, so that none may take all the time.
    var isChoice: Bool { left.count + tried.count > 1 }

    /// Where to go now; `nil` when there is nobody left to ask.
    mutating func next() -> Place? {
        while let place = left.first {
            left.removeFirst()
            if tried.insert(place).inserted { return place }
        }
        return nil
    }

    /// Somebody said that this node owns the keys. It is asked next, unless it was already: then it is dead, or was just
    /// demoted, and the one who said so has not heard of it.
    mutating func moved(to owner: RedisNode) {
        redirections += 1
        if redirections > Self.maximumRedirections {
            left = []
        } else {
            left.insert(.node(owner), at: 0)
        }
    }
}
