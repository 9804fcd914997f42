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

    /// Runs a command here; `body` is the person in front of it.
    func run(
        _ control: Control,
        _ words: [String],
        _ body: (Terminal) async throws -> Void
    ) async throws -> TerminationStatus {
        text = ""
        let result = try await Subprocess.run(
            .path(Control.path),
            arguments: Arguments(words),
            environment: Control.environment(control.redis),
            input: .fileDescriptor(device, closeAfterSpawningProcess: false),
            output: .fileDescriptor(device, closeAfterSpawningProcess: false),
            error: .fileDescriptor(device, closeAfterSpawningProcess: false)
        ) { _ in
            try await body(self)
        }
        read()
        return result.terminationStatus
    }
}
