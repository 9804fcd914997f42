import Glibc
import InterruptCore
import InterruptRedis

/// Notices what is missing between the pieces of a run's output. Pieces of both streams come from one file.
struct OutputGaps {
    private var expected: Int64?

    /// The number of bytes that are missing before `chunk`.
    mutating func before(_ chunk: OutputChunk) -> Int64 {
        let start = expected ?? 0
        expected = max(start, chunk.offset + Int64(chunk.bytes.count))
        return max(0, chunk.offset - start)
    }

    /// What is said about a gap.
    static func text(_ bytes: Int64, on screen: Screen) -> String {
        "\(screen.ellipsis) \(bytes) bytes left out here, the whole is in the worker's file"
    }
}

/// Copies a run's output to this process's stdout and stderr, byte by byte.
struct OutputReader {
    /// How long the server waits for more before it answers that there is none.
    private static let wait = Duration.seconds(1)
    /// How long Redis may be away before the reader gives up.
    static let patience = Duration.seconds(60)

    let client: InterruptClient
    let run: RunID
    let screen: Screen

    /// Copies until the run has ended, or with `isFollowing` false until what is there is copied. Returns the end if it
    /// came; a run whose record is gone from Redis has none any more, and is a failure.
    func copy(isFollowing: Bool) async throws(CommandFailure) -> RunState? {
        var gaps = OutputGaps()
        var position = "0"
        var looksInVain = 0
        var awaySince: ContinuousClock.Instant?
        while !Task.isCancelled {
            let entries: [(id: String, entry: OutputEntry)]
            do throws(RedisError) {
                entries = try await client.output(of: run, after: position, waiting: isFollowing ? Self.wait : nil)
                awaySince = nil
                if entries.isEmpty, isFollowing {
                    looksInVain = try await client.record(of: run) == nil ? looksInVain + 1 : 0
                }
            } catch {
                if error.code == .cancelled { return nil }
                try await stayPatient(after: error, since: &awaySince, isFollowing: isFollowing)
                continue
            }
            // Twice in a row: an end that comes between the reading and the look is read first.
            if looksInVain == 2 { throw recordIsGone }
            for (id, entry) in entries {
                position = id
                switch entry {
                case .end(let state): return state
                case .chunk(let chunk): write(chunk, &gaps)
                }
            }
            if entries.isEmpty, !isFollowing { return nil }
        }
        return nil
    }

    private var recordIsGone: CommandFailure {
        CommandFailure(
            .failed,
            "the record of run \(screen.shown(run.rawValue)) is gone from Redis, expired or deleted: how the run ends "
                + "cannot be seen any more, and it may still be running",
            hint: "its worker knows: see that one's log, and its file with the output"
        )
    }

    private func write(_ chunk: OutputChunk, _ gaps: inout OutputGaps) {
        let missing = gaps.before(chunk)
        if missing > 0 { StandardStreams.error(OutputGaps.text(missing, on: screen)) }
        StandardStreams.write(chunk.bytes, to: chunk.stream == .output ? STDOUT_FILENO : STDERR_FILENO)
    }

    private func stayPatient(
        after error: RedisError,
        since awaySince: inout ContinuousClock.Instant?,
        isFollowing: Bool
    ) async throws(CommandFailure) {
        let isPassing = [.connectionLost, .cannotConnect, .timedOut].contains(error.code)
        let since = awaySince ?? .now
        guard isFollowing, isPassing, since.duration(to: .now) < Self.patience else { throw CommandFailure(error) }
        if awaySince == nil {
            StandardStreams.error(
                "\(screen.ellipsis) Redis is away, the job runs on: \(screen.shown(error.message, limit: 300))"
            )
        }
        awaySince = since
        try? await Task.sleep(for: .milliseconds(200))  // the distance of attempts; cut short when we are cancelled
    }
}
