/// A process and everything below it, followed from one table to the next. Reads nothing itself.
///
/// Who belonged to the tree once does so to its end, also when the process that started it is gone and the kernel has
/// given it another parent. A pid that was taken by another process is told by its start.
struct ProcessTree {
    /// The start of each process that was found, by pid.
    private var members: [Int32: UInt64]

    init(root: ProcessStatus) { members = [root.pid: root.start] }

    /// The processes of the tree now; none, when it has ended.
    mutating func follow(_ table: ProcessTable) -> [ProcessStatus] {
        var found = members.compactMap { pid, start in table.entries[pid].flatMap { $0.start == start ? $0 : nil } }
        members = Dictionary(uniqueKeysWithValues: found.map { ($0.pid, $0.start) })
        let children = Dictionary(grouping: table.entries.values, by: \.parent)
        var index = 0
        while index < found.count {
            let parent = found[index]
            index += 1
            // A child is not older than its parent: else the number is another process's by now.
            for child in children[parent.pid] ?? [] where child.start >= parent.start && members[child.pid] == nil {
                members[child.pid] = child.start
                found.append(child)
            }
        }
        return found
    }
}
