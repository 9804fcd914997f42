import Testing

@testable import InterruptCore

@Suite struct `Resource limits` {
    private static let megabyte = 1 << 20

    private static let cases: [(ResourceLimits, ResourceUsage, String?)] = [
        (
            ResourceLimits(memory: 1000 * megabyte), ResourceUsage(memory: 1204 * megabyte),
            "Memory usage 1204MB exceeds limit 1000MB"
        ),
        (
            ResourceLimits(memory: 1000 * megabyte), ResourceUsage(memory: 1000 * megabyte + 1),
            "Memory usage 1001MB exceeds limit 1000MB"
        ),
        (ResourceLimits(memory: 1000 * megabyte), ResourceUsage(memory: 1000 * megabyte), nil),
        (
            ResourceLimits(memory: megabyte / 4), ResourceUsage(memory: megabyte / 4 + 1),
            "Memory usage 0.251MB exceeds limit 0.25MB"
        ),
        (ResourceLimits(memory: 0), ResourceUsage(memory: 1), "Memory usage 1MB exceeds limit 0MB"),
        (
            ResourceLimits(cpuTime: .seconds(10)), ResourceUsage(cpuTime: .milliseconds(12_500)),
            "CPU time 12.5s exceeds limit 10s"
        ),
        (ResourceLimits(cpuTime: .seconds(10)), ResourceUsage(cpuTime: .seconds(10)), nil),
        (ResourceLimits(processes: 10), ResourceUsage(processes: 12), "Process count 12 exceeds limit 10"),
        (ResourceLimits(processes: 10), ResourceUsage(processes: 10), nil),
        (
            ResourceLimits(output: .init(at: "/x", bytes: 10 * megabyte)), ResourceUsage(output: 12 * megabyte),
            "Output size 12MB exceeds limit 10MB"
        ),
        (ResourceLimits(output: .init(at: "/x", bytes: 7)), ResourceUsage(output: 7), nil),
        (ResourceLimits(), ResourceUsage(memory: .max, cpuTime: .seconds(1), processes: .max, output: .max), nil),
    ]

    @Test(arguments: 0..<cases.count) func `are exceeded by more, and say by how much`(index: Int) {
        let (limits, usage, text) = Self.cases[index]
        #expect(limits.excess(of: usage) == text)
    }

    @Test func `name one excess of several`() {
        let limits = ResourceLimits(memory: Self.megabyte, processes: 1)
        let usage = ResourceUsage(memory: 2 * Self.megabyte, processes: 2)
        #expect(limits.excess(of: usage) == "Memory usage 2MB exceeds limit 1MB")
    }
}

@Suite struct `A process tree` {
    private func table(_ entries: (pid: Int32, parent: Int32, start: UInt64)...) -> ProcessTable {
        ProcessTable(entries.map { ProcessStatus(pid: $0.pid, parent: $0.parent, start: $0.start) })
    }

    private func pids(_ entries: [ProcessStatus]) -> [Int32] { entries.map(\.pid).sorted() }

    private var tree: ProcessTree { ProcessTree(root: ProcessStatus(pid: 10, parent: 1, start: 100)) }

    @Test func `is everything below its root, at any depth, and nothing else`() {
        var tree = tree
        let now = table(
            (1, 0, 1),
            (10, 1, 100),
            (11, 10, 110),
            (12, 11, 120),
            (13, 10, 130),
            (14, 1, 140),
            (9, 14, 150)
        )
        #expect(pids(tree.follow(now)) == [10, 11, 12, 13])
    }

    @Test func `keeps those whose parents are gone, and those below them`() {
        var tree = tree
        _ = tree.follow(table((10, 1, 100), (11, 10, 110), (12, 11, 120)))
        #expect(pids(tree.follow(table((1, 0, 1), (12, 1, 120), (13, 12, 130), (14, 1, 140)))) == [12, 13])
    }

    @Test func `does not take a process for another one that had its number`() {
        var tree = tree
        _ = tree.follow(table((10, 1, 100), (11, 10, 110)))
        #expect(pids(tree.follow(table((10, 1, 900), (11, 1, 910), (12, 10, 920)))) == [])
        #expect(pids(tree.follow(table((10, 1, 100), (11, 10, 110)))) == [])
    }

    @Test func `has no child that is older than its parent`() {
        var tree = tree
        #expect(pids(tree.follow(table((10, 1, 100), (11, 10, 99), (12, 10, 100)))) == [10, 12])
    }

    @Test func `that has ended is empty`() {
        var tree = tree
        #expect(tree.follow(table((1, 0, 1))).isEmpty)
    }
}
