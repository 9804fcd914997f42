import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

extension Fleet {
    /// Submits a job that does not listen to SIGTERM, and returns its run once that is so. It writes no output.
    fileprivate func startDeaf(_ job: String) async throws -> RunID {
        let ready = "\(directory)/\(job).ready"
        let script = "trap '' TERM; : > '\(ready)'; while :; do sleep 1000; done"
        let submitted = try await control("submit", "--id", job, "--grace", "200ms", "--", "sh", "-c", script)
        try #require(submitted.exitCode == 0, "\(submitted)")
        try await eventually("\(job) does not listen") { access(ready, F_OK) == 0 }
        return try await wait(for: job, .running).run
    }

    /// Has a deaf job stopped, and expects that nothing of it is left.
    fileprivate func expectStop(of job: String, _ run: RunID, by verb: String) async throws {
        let stopped = try await control(verb, job)
        #expect(stopped.exitCode == 0, "\(stopped)")
        let record = try await wait(for: job, .interrupted)
        #expect(record.run == run && record.termSignal == SIGKILL && record.confirmedAt != nil, "\(record)")
        #expect(processes(with: "INTERRUPT_RUN=\(run)").isEmpty)
    }
}

/// `F_SETPIPE_SZ`, which is a macro that Swift does not see.
private let setPipeSize: Int32 = 1_031

/// Whether a process goes on; one that has ended and that nobody has waited for yet does not.
private func isAlive(_ pid: Int32) -> Bool { ProcessStatus(of: pid)?.isAlive ?? false }

@Suite(.timeLimit(.minutes(2))) struct `A daemon whose log goes nowhere` {
    /// A shell that becomes the program which follows, with all that it says going to a file.
    private func logging(to file: String) -> [String] { ["sh", "-c", #"exec "$0" "$@" >'\#(file)' 2>&1"#] }

    private func expectWork(of daemon: Int32, in fleet: Fleet) async throws {
        for verb in ["kill", "cancel"] {
            let run = try await fleet.startDeaf(verb)
            try await fleet.expectStop(of: verb, run, by: verb)
        }
        let ran = try await fleet.control("run", "--", "echo", "well")
        #expect(ran.exitCode == 0 && ran.text == "well\n", "\(ran)")
        #expect(isAlive(daemon))
    }

    private func expectRun(in fleet: Fleet) async throws {
        let ran = try await fleet.control("run", "--", "true")
        #expect(ran.exitCode == 0, "\(ran)")
    }

    private func canBeRead(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLIN) != 0
    }

    @Test func `because its reader has gone runs jobs, and stops those that do not listen`() async throws {
        try await withFleet { fleet in
            let pipe = "\(fleet.directory)/pipe"
            try #require(mkfifo(pipe, 0o600) == 0)
            // Without waiting for somebody who writes.
            let reader = open(pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            try #require(reader >= 0)
            try await fleet.worker("w1", under: logging(to: pipe)) { daemon in
                try await eventually("its log arrives") { canBeRead(reader) }
                close(reader)
                try await expectWork(of: daemon, in: fleet)
            }
        }
    }

    @Test func `because its reader does not read runs jobs, stops them, and says later what it left out`()
        async throws
    {
        try await withFleet { fleet in
            let pipe = "\(fleet.directory)/pipe"
            try #require(mkfifo(pipe, 0o600) == 0)
            // Without waiting for somebody who writes.
            let reader = open(pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            try #require(reader >= 0)
            defer { close(reader) }
            // As small as a pipe can be: some thirty lines.
            try #require(fcntl(reader, setPipeSize, 4_096) == 4_096)
            try await fleet.worker("w1", under: logging(to: pipe)) { daemon in
                for _ in 0..<30 { try await expectRun(in: fleet) }
                try await expectWork(of: daemon, in: fleet)
                var said = ""
                try await eventually("what was left out is told") {
                    var bytes = [UInt8](repeating: 0, count: 65_536)
                    while case let count = read(reader, &bytes, bytes.count), count > 0 {
                        said += String(decoding: bytes[..<count], as: UTF8.self)
                    }
                    if said.contains("left out, nobody read them") { return true }
                    try await expectRun(in: fleet)
                    return false
                }
            }
        }
    }

    @Test func `because there is no room for it runs jobs, and stops those that do not listen`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", under: logging(to: "/dev/full")) { daemon in
                for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
                    let link = "/proc/\(daemon)/fd/\(descriptor)"
                    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "/dev/full")
                }
                try await expectWork(of: daemon, in: fleet)
            }
        }
    }
}

/// What is wrong with a disk.
private enum DiskTrouble: CaseIterable, CustomTestStringConvertible {
    case full, readOnly

    /// What the system says to whoever writes there.
    var text: String { self == .full ? "No space left on device" : "Read-only file system" }
    var testDescription: String { "\(self)" }
}

/// A file system of a few pages.
private struct SmallDisk {
    let path: String

    /// Runs `body` with one at `path` that is gone afterwards.
    static func with(_ path: String, _ body: (SmallDisk) async throws -> Void) async throws {
        try #require(mkdir(path, 0o700) == 0)
        let isMounted = mount("none", path, "tmpfs", 0, "size=64k,mode=700") == 0
        try #require(isMounted)
        defer { umount2(path, Int32(MNT_DETACH)) }
        try await body(SmallDisk(path: path))
    }

    /// From now on nothing can be written there; nobody may have a file open for that.
    func spoil(_ trouble: DiskTrouble) throws {
        switch trouble {
        case .full:
            let file = open("\(path)/filling", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
            try #require(file >= 0)
            let page = [UInt8](repeating: 1, count: 4_096)
            while write(file, page, page.count) > 0 {}
            close(file)
        case .readOnly:
            let isReadOnly = mount("none", path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil) == 0
            try #require(isReadOnly)
        }
    }
}

@Suite(.timeLimit(.minutes(2)), .enabled(if: geteuid() == 0, "only root can mount a small file system"))
struct `A daemon whose state directory takes nothing more` {
    /// A worker whose state directory is a disk of its own.
    private func withWorkerOnSmallDisk(_ body: @Sendable (Fleet, SmallDisk) async throws -> Void) async throws {
        try await withFleet { fleet in
            try await SmallDisk.with("\(fleet.directory)/w1") { disk in
                try await fleet.worker("w1", ["--concurrency", "2"]) { daemon in
                    try await body(fleet, disk)
                    #expect(isAlive(daemon))
                }
            }
        }
    }

    @Test(arguments: DiskTrouble.allCases)
    private func `stops what runs, starts what comes, and says what is not kept`(trouble: DiskTrouble) async throws {
        try await withWorkerOnSmallDisk { fleet, disk in
            let early = try await fleet.startDeaf("early")
            try disk.spoil(trouble)
            try await fleet.expectStop(of: "early", early, by: "kill")
            let ran = try await fleet.control("run", "--", "echo", "well")
            #expect(ran.exitCode == 0 && ran.text == "well\n", "\(ran)")
            let lost = "output file: \(trouble.text); output from byte 0 on is not kept"
            #expect(ran.errors.contains(lost), "\(ran)")
            try await fleet.log(of: "w1", has: lost)
            let late = try await fleet.startDeaf("late")
            try await fleet.expectStop(of: "late", late, by: "cancel")
            #expect(try await fleet.control("list").exitCode == 0)
        }
    }

    @Test(arguments: DiskTrouble.allCases)
    private func `keeps an end in memory while Redis is away as well, and says so once`(
        trouble: DiskTrouble
    ) async throws {
        try await withWorkerOnSmallDisk { fleet, disk in
            let go = "\(fleet.directory)/go"
            for job in ["one", "two"] {
                let script = "until [ -e '\(go)' ]; do sleep 0.05; done; exit 3"
                let submitted = try await fleet.control("submit", "--id", job, "--", "sh", "-c", script)
                try #require(submitted.exitCode == 0, "\(submitted)")
                try await fleet.wait(for: job, .running)
            }
            try disk.spoil(trouble)
            try await fleet.redis.takeAway()
            close(creat(go, 0o600))
            let warning = "the outbox cannot be used"
            try await fleet.log(of: "w1", has: warning)
            try await fleet.redis.bringBack()
            for job in ["one", "two"] { #expect(try await fleet.wait(for: job, .failed).exitCode == 3) }
            let log = try String(contentsOfFile: "\(fleet.directory)/w1.log", encoding: .utf8)
            let warnings = log.split(separator: "\n").filter { $0.contains(warning) }
            #expect(warnings.count == 1 && warnings[0].contains(trouble.text), "\(warnings)")
        }
    }
}
