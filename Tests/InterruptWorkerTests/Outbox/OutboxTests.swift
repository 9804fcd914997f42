import Foundation
import Glibc
import InterruptCore
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `An outbox` {
    private let log = SeenLog()
    private let parent: TemporaryDirectory

    init() throws { parent = try TemporaryDirectory() }

    private var path: FilePath { parent.path.appending("outbox").appending("w") }

    private func outbox() -> Outbox { Outbox(in: path, logger: log.logger) }

    private func outcome(_ run: String, exitCode: Int32 = 0) -> WaitingOutcome {
        WaitingOutcome(
            run: RunID(rawValue: run),
            instance: "i",
            ending: RunEnding(state: .completed, exitCode: exitCode)
        )
    }

    private var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path.string)) ?? []).sorted()
    }

    private func write(_ bytes: [UInt8], to name: String, mode: mode_t = 0o600) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path.appending(name).string))
        try #require(chmod(path.appending(name).string, mode) == 0)
    }

    private func mode(_ path: FilePath) -> mode_t {
        var status = stat()
        return lstat(path.string, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test func `is not made before something waits`() async {
        let outbox = outbox()
        #expect(await outbox.left().isEmpty)
        #expect(await outbox.settled() == (0, 0))
        #expect(access(parent.path.appending("outbox").string, F_OK) != 0)
    }

    @Test func `has one file a run, with the newest, for this user alone`() async throws {
        let outbox = outbox()
        for code in 0...20 as ClosedRange<Int32> {
            outbox.keep(outcome("a", exitCode: code))
            outbox.keep(outcome("b", exitCode: code))
        }
        #expect(await outbox.settled() == (2, 0))
        #expect(names == ["a.json", "b.json"])
        #expect(mode(path) == 0o700 && mode(parent.path.appending("outbox")) == 0o700)
        #expect(mode(path.appending("a.json")) == 0o600)
        let left = await self.outbox().left()
        #expect(left.map(\.outcome) == [outcome("a", exitCode: 20), outcome("b", exitCode: 20)])
        outbox.discard(RunID(rawValue: "a"))
        outbox.discard(RunID(rawValue: "never"))
        #expect(await outbox.settled() == (1, 0))
        #expect(names == ["b.json"])
        #expect(log.lines.isEmpty)
    }

    @Test func `writes what is there already no second time`() async throws {
        let outbox = outbox()
        outbox.keep(outcome("a"))
        _ = await outbox.settled()
        try #require(unlink(path.appending("a.json").string) == 0)
        outbox.keep(outcome("a"))
        _ = await outbox.settled()
        #expect(names.isEmpty)
        outbox.keep(outcome("a", exitCode: 1))
        _ = await outbox.settled()
        #expect(names == ["a.json"])
    }

    @Test func `leaves alone what is no outcome of this user's worker, and says so once`() async throws {
        let outbox = outbox()
        outbox.keep(outcome("good"))
        _ = await outbox.settled()
        let good = outcome("good").text
        try write(good, to: "other-name.json")
        try write(Array("{\"v\":1".utf8), to: "garbage.json")
        try write(Array("{\"v\":9}".utf8), to: "newer.json")
        try write(good, to: "good.json.bak")
        try write([], to: "empty.json")
        try write(outcome(".hidden").text, to: ".hidden.json")
        try write(good, to: "long.json")
        try #require(truncate(path.appending("long.json").string, 17 << 20) == 0)
        try #require(symlink(path.appending("good.json").string, path.appending("link.json").string) == 0)
        try #require(symlink("/dev/zero", path.appending("zero.json").string) == 0)
        try #require(mkfifo(path.appending("pipe.json").string, 0o600) == 0)
        try #require(mkdir(path.appending("folder.json").string, 0o700) == 0)
        if geteuid() == 0 {
            try write(outcome("foreign").text, to: "foreign.json")
            try #require(chown(path.appending("foreign.json").string, 65_534, 65_534) == 0)
        }
        let before = names
        #expect(await outbox.left().map(\.outcome) == [outcome("good")])
        #expect(names == before)
        #expect(log.lines.count == 1 && log.lines[0].hasPrefix("files in the outbox that are no outcomes"))
    }

    @Test func `removes what was never finished`() async throws {
        let outbox = outbox()
        outbox.keep(outcome("a"))
        _ = await outbox.settled()
        try write(Array(outcome("b").text.dropLast(5)), to: "b.json.new")
        #expect(await outbox.left().map(\.outcome) == [outcome("a")])
        #expect(names == ["a.json"])
    }

    @Test func `writes through no link that lies in the place of a file`() async throws {
        let outbox = outbox()
        outbox.keep(outcome("first"))
        _ = await outbox.settled()
        let victim = try parent.write("untouched", to: "victim")
        for name in ["a.json", "a.json.new"] {
            try #require(symlink(victim, path.appending(name).string) == 0)
        }
        outbox.keep(outcome("a"))
        #expect(await outbox.settled() == (2, 0))
        #expect(try String(contentsOfFile: victim, encoding: .utf8) == "untouched")
        #expect(await outbox.left().map(\.outcome.run.rawValue) == ["a", "first"])
    }

    @Test func `takes no run whose id is no name for a file`() async {
        let outbox = outbox()
        for run in ["../x", "a/b", "", ".x", "a\0b", String(repeating: "x", count: 300)] { outbox.keep(outcome(run)) }
        #expect(await outbox.settled() == (0, 6))
        #expect(names.isEmpty && access(parent.path.appending("x.json").string, F_OK) != 0)
        #expect(log.lines.count == 1)
    }

    @Test(arguments: ["a file", "a link", "open to others"])
    func `that cannot be trusted is not used, which is one warning`(what: String) async throws {
        try #require(mkdir(path.removingLastComponent().string, 0o700) == 0)
        switch what {
        case "a file": _ = try parent.write("", to: "outbox/w")
        case "a link": try #require(symlink(parent.path.string, path.string) == 0)
        default: try #require(mkdir(path.string, 0o700) == 0 && chmod(path.string, 0o777) == 0)
        }
        let outbox = outbox()
        for run in ["a", "b", "c"] {
            outbox.keep(outcome(run))
            _ = await outbox.settled()
        }
        #expect(await outbox.settled() == (0, 3))
        #expect(log.lines.count == 1 && log.lines[0].hasPrefix("the outbox cannot be used"))
        outbox.discard(RunID(rawValue: "a"))
        #expect(await outbox.settled() == (0, 2))
        #expect(await outbox.left().isEmpty)
        #expect(log.lines.count == 1)
        let next = self.outbox()
        #expect(await next.left().isEmpty)
        #expect(log.lines.count == 2 && log.lines[1] == log.lines[0].replacing("make it", with: "open it"))
    }

    @Test(.enabled(if: TinyDisk.isPossible, "only who may mount has a disk that is full"))
    func `on a full disk is one warning, and goes on when there is room`() async throws {
        let disk = parent.path.appending("disk")
        try #require(mkdir(disk.string, 0o700) == 0)
        try TinyDisk.mount(disk)
        defer { umount2(disk.string, Int32(MNT_DETACH)) }
        let outbox = Outbox(in: disk.appending("outbox").appending("w"), logger: log.logger)
        outbox.keep(outcome("early"))
        #expect(await outbox.settled() == (1, 0))
        let filling = open(disk.appending("filling").string, O_CREAT | O_WRONLY, 0o600)
        let page = [UInt8](repeating: 1, count: 4_096)
        while Glibc.write(filling, page, page.count) > 0 {}
        close(filling)
        for code in 1...3 as ClosedRange<Int32> {
            outbox.keep(outcome("early", exitCode: code))
            outbox.keep(outcome("late", exitCode: code))
            #expect(await outbox.settled() == (0, 2))
        }
        #expect(log.lines.count == 1 && log.lines[0].contains("No space left on device"), "\(log.lines)")
        #expect(await outbox.left().map(\.outcome) == [outcome("early")], "what was there is there as it was")
        unlink(disk.appending("filling").string)
        outbox.keep(outcome("late", exitCode: 3))
        outbox.keep(outcome("early", exitCode: 3))
        #expect(await outbox.settled() == (2, 0))
    }
}

/// A file system of a few pages.
private enum TinyDisk {
    static let isPossible: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        guard (try? mount(directory.path)) != nil else { return false }
        return umount2(directory.path.string, Int32(MNT_DETACH)) == 0
    }()

    static func mount(_ path: FilePath) throws {
        guard Glibc.mount("none", path.string, "tmpfs", 0, "size=32k") == 0 else { throw Errno(rawValue: errno) }
    }
}
