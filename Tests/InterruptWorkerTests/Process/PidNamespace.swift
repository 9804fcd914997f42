import Foundation
import Glibc
import InterruptCore
import Logging
import SystemPackage
import Testing

@testable import InterruptWorker

/// A guard in a process namespace of its own, where this test says who gets which number next. Made by root only.
///
/// A stranger there is a process that blocks all signals and leads a session, so that it can be seen afterwards whether
/// anything was sent to it, by its number or its group's.
final class PidNamespace: Sendable {
    static let isPossible =
        getuid() == 0 && access("/usr/bin/unshare", X_OK) == 0 && access("/usr/bin/python3", X_OK) == 0
        && access("/proc/sys/kernel/ns_last_pid", W_OK) == 0

    private let program: FilePath
    private let questions, answers: Int32

    init(in directory: TemporaryDirectory) throws {
        func pipe(_ name: String) throws -> Int32 {
            let path = directory.path.appending(name).string
            try #require(mkfifo(path, 0o600) == 0)
            let descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            try #require(descriptor >= 0)
            return descriptor
        }
        (questions, answers) = (try pipe("questions"), try pipe("answers"))
        let first = try directory.write(Self.first, to: "first.py")
        let launch = "\(ForeignGuard.products)/interrupt-launch"
        program = FilePath(
            try directory.write(
                """
                #!/bin/sh
                exec 3<&0  # what runs in the background is given another input
                unshare --pid --fork --mount-proc --kill-child \\
                    /usr/bin/python3 -I \(first) \(directory.path) \(launch) "$@" <&3 3<&- &
                """,
                to: "launch",
                mode: 0o755
            )
        )
    }

    deinit {
        close(questions)
        close(answers)
    }

    /// A runner whose guard is in there.
    func runner(_ hold: Hold, in directory: TemporaryDirectory) -> ProcessRunner {
        ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: .seconds(60),
            baseEnvironment: ["PATH": "/usr/bin:/bin"],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: .seconds(30),
            usesCgroups: hold == .cgroup,
            launchProgram: program
        )
    }

    /// Makes a stranger with this number as soon as that is free; says whether it has it.
    func makeStranger(_ pid: Int32) async -> Bool { await ask("make \(pid)") == "made" }

    /// Ends the stranger and tells what was done to it: `nothing`, or what.
    func endStranger(_ pid: Int32) async -> String { await ask("end \(pid)") }

    private func ask(_ question: String) async -> String {
        let line = question + "\n"
        guard write(questions, line, line.utf8.count) == line.utf8.count else { return "not asked" }
        await DescriptorWatch(answers).readable(before: .now + .seconds(90))  // else it has ended itself
        var buffer = [UInt8](repeating: 0, count: 1_024)
        let count = read(answers, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)).dropLast(), as: UTF8.self)
    }

    /// The first process of the namespace.
    private static let first = """
        import os, signal, subprocess, sys, time
        questions, answers = open(sys.argv[1] + "/questions"), open(sys.argv[1] + "/answers", "w")
        subprocess.run(sys.argv[2:], stdin=0, check=True)
        os.close(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # all of it is kept, and can be seen
        def make(pid):
            limit = time.monotonic() + 60
            while time.monotonic() < limit:
                with open("/proc/sys/kernel/ns_last_pid", "w") as last: last.write(str(pid - 1))
                child = os.fork()
                if child == 0:
                    os.setsid()
                    signal.sigwait([])
                if child == pid:
                    while os.getsid(pid) != pid: pass
                    return "made"
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                time.sleep(0.001)  # for whoever still has it, and is to end
            return "not free"
        def end(pid):
            done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if done: return "status %d" % status
            lines = dict(line.split(":", 1) for line in open("/proc/%d/status" % pid))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pending = int(lines["SigPnd"], 16) | int(lines["ShdPnd"], 16)
            return "pending %x" % pending if pending else "nothing"
        for question in questions:  # until the test closes them, which ends the namespace
            word, pid = question.split()
            print({"make": make, "end": end}[word](int(pid)), file=answers, flush=True)

        """
}
