import Glibc
import InterruptCore
import InterruptTesting
import Testing

@testable import InterruptSources

@Suite(.timeLimit(.minutes(1))) struct `A signal file` {
    private let directory: Directory
    private let checker: InterruptChecker
    private var file: String { "\(directory.path)/nightly.signal" }

    init() throws {
        directory = try Directory()
        checker = .file(try Name("nightly"), in: directory.path)
    }

    @Test(arguments: ["1", "1\n", "true\r\n", "{}", "{\"whatever\": 1}\n"])
    func `interrupts as a plain flag does`(text: String) async throws {
        try directory.write(text, to: "nightly.signal")
        let signal = try #require(await ask(checker).signal)
        #expect(signal.reason == .userCancelled && signal.stage == .terminate && signal.message == nil)
        #expect(signal.source == .checker)
    }

    @Test func `says why, who and how hard`() async throws {
        try directory.write(
            #"{"reason": "priority_override", "message": "make room", "triggered_by": "ops", "stage": 1, "source": "remote"}"#,
            to: "nightly.signal"
        )
        let signal = try #require(await ask(checker).signal)
        #expect(signal.reason == .priorityOverride && signal.message == "make room" && signal.triggeredBy == "ops")
        #expect(signal.stage == .drain && signal.source == .checker)
    }

    @Test(arguments: ["", "\n", "0", "0\n", "false"]) func `that is down is no interrupt`(text: String) async throws {
        try directory.write(text, to: "nightly.signal")
        #expect(await ask(checker) == .none)
    }

    @Test func `that is not there is no interrupt, nor is that of another name`() async throws {
        try directory.write("1", to: "weekly.signal")
        #expect(await ask(checker) == .none)
    }

    @Test func `is found when it appears, and a part of it is not`() async throws {
        let directory = directory
        try await withInterruptScope { scope in
            var events = scope.events.makeAsyncIterator()
            var checker = InterruptChecker.file(try Name("nightly"), in: directory.path, every: .milliseconds(1))
            checker.limit = .longestAccepted
            scope.setChecker(checker)
            try directory.write("{\"message\": \"make", to: "nightly.signal")
            while let event = await events.next() {
                guard case .degraded(let source, let why) = event else { continue }
                #expect(source == "\(directory.path)/nightly.signal" && why.hasSuffix("it is not JSON"))
                break
            }
            #expect(!scope.isInterrupted)
            try directory.write("{\"message\": \"make room\"}", to: "nightly.signal")
            #expect(await scope.signals.first { _ in true }?.message == "make room")
        }
    }

    @Test func `for another run is no interrupt`() async throws {
        try directory.write("{\"run\": \"a\"}", to: "nightly.signal")
        let name = try Name("nightly")
        #expect(await ask(.file(name, in: directory.path, run: RunID(rawValue: "b"))) == .none)
        #expect(await ask(.file(name, in: directory.path, run: RunID(rawValue: "a"))).signal != nil)
    }

    @Test(arguments: ["2", "1 1", "yes", "[]", "{", "{\"stage\": 4}", "\u{0}"])
    func `that says something else fails`(text: String) async throws {
        try directory.write(text, to: "nightly.signal")
        let failure = try #require(await ask(checker).failure)
        #expect(failure.hasPrefix("'\(file)' says nothing that can be read: "))
    }

    @Test func `that is too large fails`() async throws {
        try directory.write("{}" + String(repeating: "\n", count: 65_535), to: "nightly.signal")
        #expect(await ask(checker) == .failed("'\(file)' is larger than 65536 bytes"))
        try directory.write("{}" + String(repeating: "\n", count: 65_534), to: "nightly.signal")
        #expect(await ask(checker).signal != nil)
    }

    @Test func `that is a symbolic link fails, wherever it leads`() async throws {
        try directory.write("1", to: "real")
        for target in ["real", "\(directory.path)/real", "nowhere"] {
            unlink(file)
            #expect(symlink(target, file) == 0)
            #expect(await ask(checker) == .failed("'\(file)' is a symbolic link"))
        }
    }

    @Test func `in a directory that is a symbolic link fails`() async throws {
        try directory.write("1", to: "real/nightly.signal")
        let link = "\(directory.path)/link"
        #expect(symlink("real", link) == 0)
        #expect(await ask(.file(try Name("nightly"), in: link)) == .failed("'\(link)' cannot be read: Not a directory"))
    }

    @Test func `that is a pipe or a directory fails, and nobody waits for it`() async throws {
        #expect(mkfifo(file, 0o600) == 0)
        #expect(await ask(checker) == .failed("'\(file)' is not a file"))
        unlink(file)
        #expect(mkdir(file, 0o700) == 0)
        #expect(await ask(checker) == .failed("'\(file)' is not a file"))
    }

    @Test func `that everybody may write fails, as in a directory that everybody may write`() async throws {
        try directory.write("1", to: "nightly.signal")
        #expect(chmod(file, 0o646) == 0)
        #expect(await ask(checker) == .failed("'\(file)' may be written by everybody"))
        #expect(chmod(file, 0o664) == 0)
        #expect(await ask(checker).signal != nil)
        #expect(chmod(directory.path, 0o1777) == 0)
        #expect(await ask(checker) == .failed("'\(directory.path)' may be written by everybody"))
    }

    @Test(.enabled("only root can give files away") { geteuid() == 0 })
    func `of another user fails, as in a directory of another user`() async throws {
        try directory.write("1", to: "nightly.signal")
        #expect(chown(file, 12_345, 12_345) == 0)
        #expect(await ask(checker) == .failed("'\(file)' belongs to user 12345, neither to this one nor to root"))
        #expect(chown(file, 0, 0) == 0 && chown(directory.path, 12_345, 12_345) == 0)
        let failure = await ask(checker).failure
        #expect(failure == "'\(directory.path)' belongs to user 12345, neither to this one nor to root")
    }

    @Test func `in no directory fails`() async throws {
        let nowhere = "\(directory.path)/no\u{1B}where"
        let failure = await ask(.file(try Name("nightly"), in: nowhere)).failure
        #expect(failure == "'\(directory.path)/no\\x1bwhere' cannot be read: No such file or directory")
    }

    @Test(arguments: ["../../etc/passwd", "a/b", "", ".hidden", "a\u{0}b"])
    func `has no name that leads elsewhere`(id: String) {
        #expect(throws: NameError.self) { try InterruptChecker.file(Name(id)) }
    }

    @Test func `is trusted when only those could write it who may stop this process anyway`() {
        func objection(owner: uid_t, mode: mode_t, isReadOnly: Bool = false) -> String? {
            FileTrust(owner: owner, user: 1_000, mode: mode, isReadOnly: isReadOnly).objection
        }
        #expect(objection(owner: 1_000, mode: 0o664) == nil && objection(owner: 0, mode: 0o644) == nil)
        #expect(objection(owner: 1_001, mode: 0o600) != nil && objection(owner: 0, mode: 0o666) != nil)
        #expect(objection(owner: 0, mode: 0o1777) != nil && objection(owner: 0, mode: 0o777, isReadOnly: true) == nil)
        #expect(objection(owner: 1_001, mode: 0o600, isReadOnly: true) != nil)
    }
}
