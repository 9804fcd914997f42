import ArgumentParser
import Glibc
import InterruptCore
import InterruptRedis

/// How output goes to a terminal. Anywhere else it goes as it was written, byte by byte.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Write the output to a terminal as it is, with what steers the terminal.")
    var raw = false
}

/// Copies a run's output to this process's stdout and stderr.
struct OutputReader {
    /// How long the server waits for more before it answers that there is none.
    private static let wait = Duration.seconds(1)
    /// How long Redis may be away before the reader gives up.
    static let patience = Duration.seconds(60)

    let client: InterruptClient
    let run: RunID
    let screen: Screen
    let isRaw: Bool

    /// Where a stream of the run goes.
    private struct Sink {
        let descriptor: Int32
        /// `nil` where bytes go as they are.
        var terminal: TerminalText?

        init(_ descriptor: Int32, isRaw: Bool) {
            self.descriptor = descriptor
            terminal = isRaw || isatty(descriptor) == 0 ? nil : TerminalText()
        }

        mutating func write(_ bytes: [UInt8]) {
            StandardStreams.write(terminal?.visible(bytes) ?? bytes, to: descriptor)
        }

        mutating func end() { StandardStreams.write(terminal?.end() ?? [], to: descriptor) }
    }

    /// What was copied.
    struct Copied {
        /// Whether the run's end came.
        var hasEnded = false
        var gaps = OutputGaps()
    }

    /// Copies until the run has ended, or with `isFollowing` false until what is there is copied. A run whose record is
    /// gone from Redis has no end any more, which is a failure.
    func copy(isFollowing: Bool) async throws(CommandFailure) -> Copied {
        var copied = Copied()
        var position = "0"
        var record: RunRecord?
        var looksInVain = 0
        var awaySince: ContinuousClock.Instant?
        var (output, errors) = (Sink(STDOUT_FILENO, isRaw: isRaw), Sink(STDERR_FILENO, isRaw: isRaw))
        defer {
            output.end()
            errors.end()
        }
        while !Task.isCancelled {
            let entries: [(id: String, entry: OutputEntry)]
            do throws(RedisError) {
                entries = try await client.output(of: run, after: position, waiting: isFollowing ? Self.wait : nil)
                awaySince = nil
                if entries.isEmpty, isFollowing {
                    record = try await client.record(of: run)
                    let mayGoOn = record.map { !$0.state.isEnd } ?? false
                    looksInVain = mayGoOn ? 0 : looksInVain + 1
                }
            } catch {
                if error.code == .cancelled { return copied }
                try await stayPatient(after: error, since: &awaySince, isFollowing: isFollowing)
                continue
            }
            // Twice in a row: an end that comes between the reading and the look is read first.
            if looksInVain == 2 {
                if record == nil { throw recordIsGone }
                copied.hasEnded = true  // the output has expired before the record
                return copied
            }
            for (id, entry) in entries {
                position = id
                switch entry {
                case .end:
                    copied.hasEnded = true
                    return copied
                case .chunk(let chunk):
                    copied.gaps.copied(chunk)
                    if chunk.stream == .output { output.write(chunk.bytes) } else { errors.write(chunk.bytes) }
                }
            }
            if entries.isEmpty, !isFollowing { return copied }
        }
        return copied
    }

    /// What whoever waits for a run is told when Redis is away, once each time.
    static func awayText(_ error: RedisError, on screen: Screen) -> String {
        "\(screen.ellipsis) Redis is away, the job runs on: \(screen.shown(error.message, limit: 300))"
    }

    private var recordIsGone: CommandFailure {
        CommandFailure(
            .failed,
            "the record of run \(screen.shown(run.rawValue)) is gone from Redis, expired or deleted: how the run ends "
                + "cannot be seen any more, and it may still be running",
            hint: "its worker knows: see that one's log, and its file with the output"
        )
    }

    private func stayPatient(
        after error: RedisError,
        since awaySince: inout ContinuousClock.Instant?,
        isFollowing: Bool
    ) async throws(CommandFailure) {
        let isPassing = [.connectionLost, .cannotConnect, .timedOut].contains(error.code)
        let since = awaySince ?? .now
        guard isFollowing, isPassing, since.duration(to: .now) < Self.patience else {
            throw CommandFailure(asking: error)
        }
        if awaySince == nil { StandardStreams.error(Self.awayText(error, on: screen)) }
        awaySince = since
        try? await Task.sleep(for: .milliseconds(200))  // the distance of attempts; cut short when we are cancelled
    }
}
