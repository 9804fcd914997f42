/// An instant of the simulated world, in whole microseconds since it began.
struct VirtualInstant: InstantProtocol, Hashable {
    var microseconds: Int64

    func advanced(by duration: Duration) -> VirtualInstant {
        VirtualInstant(microseconds: microseconds + duration.microseconds)
    }

    func duration(to other: VirtualInstant) -> Duration {
        .microseconds(other.microseconds - microseconds)
    }

    static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
}

extension Duration {
    fileprivate var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}

/// What happens when: a heap. What is due at the same instant happens in the order in which it was put in.
struct Agenda {
    private struct Item {
        var due: Int64
        var number: Int
        var act: () -> Void

        func isBefore(_ other: Item) -> Bool { (due, number) < (other.due, other.number) }
    }

    private var items: [Item] = []
    private var count = 0

    mutating func add(_ due: VirtualInstant, _ act: @escaping () -> Void) {
        count += 1
        items.append(Item(due: due.microseconds, number: count, act: act))
        var child = items.count - 1
        while child > 0, case let parent = (child - 1) / 2, items[child].isBefore(items[parent]) {
            items.swapAt(child, parent)
            child = parent
        }
    }

    /// The next thing that is due until `limit`, and when.
    mutating func next(until limit: VirtualInstant) -> (VirtualInstant, () -> Void)? {
        guard let first = items.first, first.due <= limit.microseconds else { return nil }
        let last = items.removeLast()
        if !items.isEmpty {
            items[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < items.count && items[child].isBefore(items[least]) {
                    least = child
                }
                if least == parent { break }
                items.swapAt(parent, least)
                parent = least
            }
        }
        return (VirtualInstant(microseconds: first.due), first.act)
    }
}
