import Glibc
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

/// A pseudo-terminal: what programs write to it, and what a person types.
final class Terminal {
    private let controller: FileDescriptor
    /// The end that programs have as stdin, stdout and stderr.
    private let device: FileDescriptor
    /// Everything that was shown so far.
    private(set) var text = ""
    /// The program that runs here, the newest.
    private(set) var process: pid_t = 0

    init() throws {
        var (controller, device): (Int32, Int32) = (-1, -1)
        try #require(openpty(&controller, &device, nil, nil, nil) == 0)
        for descriptor in [controller, device] { try #require(fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0) }
        try #require(fcntl(controller, F_SETFL, O_NONBLOCK) == 0)
        self.controller = FileDescriptor(rawValue: controller)
        self.device = FileDescriptor(rawValue: device)
    }

    deinit {
        close(device.rawValue)
        close(controller.rawValue)
    }

    func type(_ text: String) throws { try controller.writeAll(Array(text.utf8)) }

    func wait(for expected: String) async throws {
        try await eventually("the terminal shows '\(expected)'") {
            read()
            return text.contains(expected)
        }
    }

    /// Takes in what was shown until now.
    func read() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = Glibc.read(controller.rawValue, &buffer, buffer.count), count > 0 {
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// Whether it hands out whole lines, and shows what is typed: the way in which a shell expects it.
    var isAsShellsExpect: Bool {
        var mode = termios()
        tcgetattr(device.rawValue, &mode)
        return mode.c_lflag & tcflag_t(ICANON | ECHO) == tcflag_t(ICANON | ECHO)
    }

    /// Runs a command here; `body` is the person in front of it.
    func run(
        _ control: Control,
        _ words: [String],
        _ body: (Terminal) async throws -> Void
    ) async throws -> TerminationStatus {
        try await run([Control.path.string] + words, with: control, body)
    }

    /// Runs a script for bash here, with the command as its `$0` and with job control: what it starts in the foreground
    /// has the terminal.
    func run(
        script: String,
        with control: Control,
        _ body: (Terminal) async throws -> Void
    ) async throws -> TerminationStatus {
        try await run(["/bin/bash", "-mc", script, Control.path.string], with: control, body)
    }

    private func run(
        _ command: [String],
        with control: Control,
        _ body: (Terminal) async throws -> Void
    ) async throws -> TerminationStatus {
        text = ""
        let result = try await Subprocess.run(
            // In a session whose terminal this is: else Ctrl-C would reach nobody.
            .path("/usr/bin/setsid"),
            arguments: Arguments(["--ctty"] + command),
            environment: Control.environment(control.redis),
            input: .fileDescriptor(device, closeAfterSpawningProcess: false),
            output: .fileDescriptor(device, closeAfterSpawningProcess: false),
            error: .fileDescriptor(device, closeAfterSpawningProcess: false)
        ) { execution in
            process = execution.processIdentifier.value
            try await body(self)
        }
        read()
        return result.terminationStatus
    }
}
