import Testing

@testable import InterruptCore

@Suite struct `The kernel's line about a process` {
    private func line(_ name: String, state: String, threads: Int) -> String {
        "7 (\(name)) \(state) 3 5 7 0 -1 4194304 0 0 0 0 250 50 9 1 20 0 \(threads) 0 4711 8192 2 18446744073709551615\n"
    }

    @Test(arguments: ["sh", "a b", ") R 1 (", "", "\u{FFFD}"])
    func `is read whatever the process calls itself`(name: String) throws {
        let status = try #require(ProcessStatus(pid: 7, stat: line(name, state: "S", threads: 2)))
        #expect(status.name == name && status.state == "S" && status.threads == 2)
        #expect(status.parent == 3 && status.group == 5 && status.start == 4_711)
        #expect(status.ownTime > status.waitedTime && status.waitedTime > .zero && status.residentMemory > 0)
    }

    @Test(arguments: [("R", 1, true), ("Z", 1, false), ("Z", 2, true), ("X", 1, false)])
    func `says whether it runs, if only without its main thread`(state: String, threads: Int, isAlive: Bool) throws {
        #expect(try #require(ProcessStatus(pid: 7, stat: line("x", state: state, threads: threads))).isAlive == isAlive)
    }

    @Test(arguments: ["", "7", "7 (x", "7 (x) R 1", "7 )x( R 1"]) func `is nothing when it is torn`(text: String) {
        #expect(ProcessStatus(pid: 7, stat: text) == nil)
    }
}
