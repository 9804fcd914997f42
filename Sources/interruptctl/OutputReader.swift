import Glibc
import InterruptCore
import InterruptRedis

/// Counts what is missing of a run's output. Pieces of both streams come from one file, so their offsets tell.
struct OutputGaps {
    private var end: Int64 = 0
    private var missing: Int64 = 0

    /// Takes in a piece that was copied.
    mutating func copied(_ chunk: OutputChunk) {
        missing += max(0, chunk.offset - end)
        end = max(end, chunk.offset + Int64(chunk.bytes.count))
    }

    /// What is missing, given the run's record: at the end, too, if it has ended.
    func missing(of record: RunRecord?) -> Int64 { missing + max(0, (record?.outputBytes ?? 0) - end) }

    /// The one line about it, with the place that has everything; `nil` when nothing is missing.
    ///
    /// - Parameter host: of the worker, if it is known.
    func summary(of record: RunRecord?, host: String? = nil, on screen: Screen) -> String? {
        let count = missing(of: record)
        if count == 0 { return nil }
        let worker = record?.worker.map { "worker '\(screen.shown($0))'" } ?? "the worker"
        let place: String? =
            if let file = record?.outputFile {
                Self.place(of: file, from: record?.outputKeptFrom ?? 0, host: host, worker, on: screen)
            } else if record?.state.isEnd == false {
                "the run's file on \(worker) has what is kept"
            } else {
                nil  // no file was kept, or nobody knows any more
            }
        return "\(screen.ellipsis) \(count) bytes of the output left out" + (place.map { ": \($0)" } ?? "")
    }

    /// The same, with the worker's host, as long as that is on record.
    func summary(of record: RunRecord, asking client: InterruptClient, on screen: Screen) async -> String? {
        guard missing(of: record) > 0 else { return nil }
        let host = try? await client.worker(record.worker ?? "")?.host  // of help, but the worker may be gone
        return summary(of: record, host: host, on: screen)
    }

    /// Where the output is: all of it, what rotation has left of it, or nothing any more where that can be seen.
    private static func place(
        of file: String,
        from start: Int64,
        host: String?,
        _ worker: String,
        on screen: Screen
    ) -> String {
        let path = (host.map { "\(screen.shown($0)):" } ?? "") + screen.shown(file, limit: 1_000)
        // Only of a file on this machine it can be said.
        if let host, host == LocalHost.name, access(file, F_OK) != 0, errno == ENOENT {
            return "\(path) on \(worker) has been removed"
        }
        if start == 0 { return "\(path) on \(worker) has everything" }
        return "\(path) on \(worker) and the one before, with .1 at the end, have what is from byte \(start) on"
    }
}

/// The machine that this program runs on.
private enum LocalHost {
    static var name: String {
        var bytes = [CChar](repeating: 0, count: 256)
        gethostname(&bytes, bytes.count - 1)
        return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
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
                    StandardStreams.write(chunk.bytes, to: chunk.stream == .output ? STDOUT_FILENO : STDERR_FILENO)
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
        guard isFollowing, isPassing, since.duration(to: .now) < Self.patience else { throw CommandFailure(error) }
        if awaySince == nil { StandardStreams.error(Self.awayText(error, on: screen)) }
        awaySince = since
        try? await Task.sleep(for: .milliseconds(200))  // the distance of attempts; cut short when we are cancelled
    }
}
