import Glibc
import InterruptCore
import InterruptTesting
import Synchronization
import SystemPackage
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(2))) struct `Process runner` {
    @Test(arguments: [(Int32(0), RunState.completed), (3, .failed), (255, .failed)])
    func `an exit status is recorded`(code: Int32, state: RunState) async throws {
        let job = try JobUnderTest(bash: "exit \(code)")
        #expect(await job.run() == RunEnding(state: state, exitCode: code))
    }

    @Test func `death by a Unix signal of somebody else is a failure with its number`() async throws {
        let job = try JobUnderTest(bash: "kill -USR1 $$")
        #expect(await job.run() == RunEnding(state: .failed, termSignal: SIGUSR1))
    }

    @Test func `a core dump is recorded where the system makes one`() async throws {
        let directory = try TemporaryDirectory()
        let script = "ulimit -c unlimited; cat /proc/sys/kernel/core_pattern; kill -SEGV $$"
        var job = try JobUnderTest("bash", "-c", script, in: directory)
        job.order.directory = directory.path.string
        let ending = await job.run()
        #expect(ending.termSignal == SIGSEGV && ending.state == .failed)
        if job.seen.text() == "core\n" { #expect(ending.dumpedCore) }
    }

    @Test func `arguments and output keep every byte`() async throws {
        let all = [UInt8](1...255)
        let job = try JobUnderTest([Array("printf".utf8), Array("%s".utf8), all])
        #expect(await job.run() == RunEnding(state: .completed, exitCode: 0))
        #expect(job.seen.chunks.flatMap(\.bytes) == all)
        #expect(try job.file == all)
    }

    @Test func `the program sees the name it was called by`() async throws {
        let job = try JobUnderTest("sh", "-c", "echo $0; tr '\\0' ' ' < /proc/$$/cmdline")
        _ = await job.run()
        #expect(job.seen.text().hasPrefix("sh\nsh -c "))
    }

    @Test func `the two streams are told apart and stand in one file`() async throws {
        let job = try JobUnderTest(bash: "printf one; printf two >&2; printf three")
        _ = await job.run()
        #expect(job.seen.text(of: .output) == "onethree")
        #expect(job.seen.text(of: .error) == "two")
        let file = try job.file
        #expect(file.count == 11)
        for chunk in job.seen.chunks {
            #expect(Array(file[Int(chunk.offset)...].prefix(chunk.bytes.count)) == chunk.bytes)
        }
    }

    @Test func `the output file is for this user only`() async throws {
        let job = try JobUnderTest(bash: "echo x")
        _ = await job.run()
        var status = stat()
        #expect(stat("\(job.directory.path)/\(job.order.run).log", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func `a file that is in the way is left alone, and the output itself says so`() async throws {
        let job = try JobUnderTest(bash: "echo x")
        _ = try job.directory.write("old", to: "\(job.order.run).log")
        #expect(await job.run().state == .completed)
        #expect(try job.file == Array("old".utf8))
        #expect(job.seen.text() == "x\n")
        #expect(
            job.seen.text(of: .error) == "interruptd: output file: File exists; output from byte 0 on is not kept\n"
        )
    }

    @Test func `nothing is spawned when the end was asked before`() async throws {
        let job = try JobUnderTest(bash: "touch ran")
        let ending = await withInterruptScope(run: job.order.run) { scope in
            scope.interrupt()
            return await job.runner.run(job.order, scope: scope, output: { _ in })
        }
        #expect(ending == RunEnding(state: .interrupted))
        #expect(throws: (any Error).self) { try job.file }
    }

    @Test func `started is told the leader's pid`() async throws {
        let job = try JobUnderTest(bash: "echo pid=$$")
        let pid = Mutex<Int32>(0)
        _ = await withInterruptScope(run: job.order.run) { scope in
            await job.runner.run(
                job.order,
                scope: scope,
                started: { started in pid.withLock { $0 = started } },
                output: { job.seen.take($0) }
            )
        }
        #expect(numbers(after: "pid", in: job.seen.text()) == [pid.withLock { $0 }])
    }

    @Test func `a child is born with a session of its own, default Unix signals and three descriptors`() async throws {
        let job = try JobUnderTest(
            "python3",
            "-c",
            """
            import os
            print("leader=%d" % (os.getsid(0) == os.getpid() == os.getpgid(0)))
            fds = [f for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)]
            print("fds=" + ",".join(sorted(fds)))
            print("stdin=" + os.readlink("/proc/self/fd/0"))
            """
        )
        _ = await job.run()
        #expect(job.seen.text() == "leader=1\nfds=0,1,2\nstdin=/dev/null\n")

        let signals = try JobUnderTest("cat", "/proc/self/status")
        _ = await signals.run()
        let lines = signals.seen.text().split(separator: "\n")
        for name in ["SigPnd", "SigBlk", "SigIgn", "SigCgt"] {
            let line = try #require(lines.first { $0.hasPrefix(name) })
            let set = try #require(UInt64(line.dropFirst(name.count + 2), radix: 16))
            // glibc's posix_spawn leaves its two internal Unix signals, 32 and 33, ignored.
            #expect(set & ~(0b11 << 31) == 0, "\(line)")
        }
    }

    @Test func `descriptors of the worker do not leak, however many runs`() async throws {
        let directory = try TemporaryDirectory()
        func openDescriptors() -> Int {
            (0..<1_024).count { fcntl(Int32($0), F_GETFD) >= 0 }
        }
        _ = await (try JobUnderTest("true", in: directory)).run()
        let before = openDescriptors()
        for round in 0..<200 {
            let job = try JobUnderTest(round % 10 == 0 ? "no-such-program" : "true", in: directory)
            _ = await job.run()
        }
        // Other suites run beside this one, so many may be open just now; a leak would show as hundreds, for ever.
        try await eventually("hardly more are open than before") { openDescriptors() < before + 60 }
    }

    @Test func `started is not cancelled because the job was short`() async throws {
        let job = try JobUnderTest("true")
        let wasCancelled = Mutex<Bool?>(nil)
        _ = await withInterruptScope(run: job.order.run) { scope in
            await job.runner.run(job.order, scope: scope) { pid in
                try? await eventually("it has exited") { !isRunning(pid) }  // else what follows fails
                for _ in 0..<100 { await Task.yield() }
                wasCancelled.withLock { $0 = Task.isCancelled }
            } output: { _ in
            }
        }
        #expect(wasCancelled.withLock { $0 } == false)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Job that cannot start` {
    @Test func `a program that is not there is 127`() async throws {
        let ending = await (try JobUnderTest("no-such-program")).run()
        #expect(ending.state == .failed && ending.exitCode == 127)
        #expect(ending.error == "'no-such-program' was not found in the job's PATH")
        #expect(await (try JobUnderTest("/no/such/program")).run().exitCode == 127)
    }

    @Test func `a program that may not be run is 126`() async throws {
        let directory = try TemporaryDirectory()
        let plain = try directory.write("#!/bin/sh\n", to: "plain")
        let ending = await (try JobUnderTest(plain, in: directory)).run()
        #expect(ending.state == .failed && ending.exitCode == 126)
        #expect(ending.error == "'\(plain)' cannot be run: Permission denied")
        #expect(await (try JobUnderTest("/tmp", in: directory)).run().exitCode == 126)
        let badInterpreter = try directory.write("#!/no/such/interpreter\n", to: "script", mode: 0o755)
        #expect(await (try JobUnderTest(badInterpreter, in: directory)).run().exitCode == 126)
        let noFormat = try directory.write("echo hello\n", to: "no-format", mode: 0o755)
        let ending2 = await (try JobUnderTest(noFormat, in: directory)).run()
        #expect(ending2.exitCode == 126)
        #expect(ending2.error == "'\(noFormat)' cannot be run: neither a program nor a script with a '#!' line")
    }

    @Test func `a program with more words or variables than the system takes says so`() async throws {
        let long = await (try JobUnderTest("true", String(repeating: "x", count: 200_000))).run()
        #expect(long.error?.contains("Argument list too long") == true, "\(long)")
        var job = try JobUnderTest("true")
        for number in 0..<100_000 { job.order.environment["V\(number)"] = Array(repeating: 0x78, count: 50) }
        let wide = await job.run()
        #expect(wide.error?.contains("Argument list too long") == true, "\(wide)")
    }

    @Test func `a program's name as long as a record may hold is looked for without delay, and is 126`() async throws {
        let long = String(repeating: "x", count: 100_000)
        let directory = try TemporaryDirectory()
        for name in [long, "/\(long)", "./\(long)"] {
            let ending = await (try JobUnderTest(name, in: directory)).run()
            #expect(ending.exitCode == 126)
            #expect(ending.error?.hasSuffix("cannot be run: File name too long") == true)
        }
    }

    @Test func `a missing working directory is named, and nothing runs elsewhere instead`() async throws {
        var job = try JobUnderTest("pwd")
        job.order.directory = "/no/such/directory"
        let ending = await job.run()
        #expect(ending.state == .failed && ending.exitCode == nil)
        #expect(ending.error == "the working directory '/no/such/directory' cannot be used: No such file or directory")
        job.order.directory = "/etc/passwd"
        #expect(await job.run().error == "the working directory '/etc/passwd' is not a directory")
    }

    @Test func `an empty command and a NUL byte are refused in words`() async throws {
        #expect(await (try JobUnderTest([])).run().error?.contains("command is empty") == true)
        #expect(await (try JobUnderTest([Array("echo".utf8), [1, 0, 2]])).run().error?.contains("NUL") == true)
    }

    @Test func `a program is found in the job's PATH, relative to the job's directory`() async throws {
        let directory = try TemporaryDirectory()
        _ = try directory.write("#!/bin/sh\npwd -P\n", to: "here", mode: 0o755)
        var byPath = try JobUnderTest("here", in: directory)
        byPath.order.environment["PATH"] = Array("/nowhere:\(directory.path):/bin".utf8)
        #expect(await byPath.run().exitCode == 0)
        var relative = try JobUnderTest("./here", in: directory)
        relative.order.directory = directory.path.string
        #expect(await relative.run().exitCode == 0)
        #expect(relative.seen.text() == "\(directory.path)\n")
    }
}

@Suite struct `Job environment` {
    @Test func `holds the clean base, what was asked, and who the job is`() async throws {
        var job = try JobUnderTest("env")
        job.base = [
            "PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/h", "SECRET": "s", "INTERRUPT_REDIS_URL": "redis://x",
            "INTERRUPT_JOB": "forged", "LD_PRELOAD": "",
        ]
        job.order.attempt = 2
        job.order.environment = ["COLOR": [0x62, 0xFF], "INTERRUPT_RUN": Array("forged".utf8)]
        #expect(await job.run().exitCode == 0)
        let lines = job.seen.chunks.flatMap(\.bytes).split(separator: 0x0A).map(Array.init)
            .filter { !$0.starts(with: "INTERRUPT_RUN_DIR=\(job.directory.path)/runs/".utf8) }
        let expected: [[UInt8]] =
            [
                "PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/h", "INTERRUPT_JOB=job", "INTERRUPT_ATTEMPT=2",
                "INTERRUPT_RUN=\(job.order.run)",
            ].map { Array($0.utf8) } + [Array("COLOR=b".utf8) + [0xFF]]
        #expect(Set(lines) == Set(expected))
    }

    @Test func `begins with who the job is, which is looked for in its first part only`() async throws {
        var job = try JobUnderTest("head", "-c", "10", "/proc/self/environ")
        job.order.environment["A"] = [UInt8](repeating: 0x61, count: 100_000)
        #expect(await job.run().exitCode == 0)
        #expect(job.seen.text() == "INTERRUPT_")
    }

    @Test func `a name that cannot be set is refused in words`() async throws {
        var job = try JobUnderTest("env")
        job.order.environment = ["A=B": [1]]
        #expect(await job.run().error == "the variable 'A=B' cannot be set: not a name, or a NUL in it")
    }
}
