public import InterruptCore
import Synchronization

/// How a worker's instance has entered, so that it can again when the server has forgotten it.
struct NameEntry {
    var description: WorkerDescription
    /// The instance that had the name before: a server that names it again knows less than it did.
    var predecessor: String
}

/// The worker's name: taken, kept by heartbeats, and given back.
extension RedisTransport {
    /// Takes the worker's name for this instance, and returns the runs that an earlier instance has left behind.
    public func enter(
        _ description: WorkerDescription,
        replacing dead: String?
    ) async throws(TransportError) -> [LeftRun] {
        let process = description.process
        let fields: [(String, RedisArgument)] = [
            ("host", .init(description.host)), ("pid", .init(process.pid)), ("pid_start", .init(process.start)),
            ("boot", .init(process.boot)), ("slots", .init(description.slots)),
            ("version", .init(description.version)), ("lease_ms", .init(description.lease.milliseconds)),
            ("queues", .init(description.queues.map(\.description).joined(separator: " "))),
            ("containment", .init(description.containment)),
        ]
        let arguments = [RedisArgument(worker.description), .init(instance), .init(dead ?? "")]
        let heeded: [(String, RedisArgument)] = signingKey == nil ? [] : [("signed_only", 1)]
        let reply = try await evaluate(
            RedisScripts.enter,
            arguments + (fields + heeded).flatMap { [RedisArgument($0.0), $0.1] }
        )
        let parts = reply.array ?? []
        if parts.first?.text == "entered", parts.count == 3 {
            let earlier = parts[1].text ?? ""
            entered.withLock { entered in
                // Entering again does not make an instance its own predecessor.
                let predecessor = earlier == instance ? entered?.predecessor : earlier
                entered = NameEntry(description: description, predecessor: predecessor ?? "")
            }
            return (parts[2].array ?? []).compactMap(LeftRun.init)
        }
        if parts.first?.text == "in_use", parts.count == 2,
            let holder = WorkerRecord(name: worker.description, reply: parts[1])
        {
            throw .nameInUse(by: holder.nameHolder)
        }
        throw .refused("enter: unexpected reply from the server")
    }

    /// Ends a run that an earlier instance left behind and that is verified to be gone.
    public func lose(_ run: RunID, why: String) async throws(TransportError) {
        let loss: [RedisArgument] = [
            .init(run.rawValue), .init(instance), .init(why), .init(Self.retention.components.seconds),
        ]
        let reply = try await evaluate(RedisScripts.lose, loss + Self.nextRun())
        if reply.text == "replaced" { throw .replaced }
    }

    /// What a script may need that has a job tried again: the id of the new run, and chance.
    static func nextRun() -> [RedisArgument] {
        [.init(RunID.random().rawValue), .init(Int.random(in: 0..<1_000))]
    }

    /// Counts a heartbeat, and looks which of its runs the worker has lost while nobody heard of it.
    public func heartbeat(running: Int, live: Set<RunID>) async throws(TransportError) -> Set<RunID> {
        let question = held.question
        do throws(TransportError) {
            let gone = try await heartbeat(running: running, live: live, isAsking: question != nil)
            if let question { held.answered(question) }
            await compareAgain()
            return gone
        } catch {
            held.ask()
            throw error
        }
    }

    private func heartbeat(
        running: Int,
        live: Set<RunID>,
        isAsking: Bool
    ) async throws(TransportError) -> Set<RunID> {
        let entry = entered.withLock { $0 }
        let arguments: [RedisArgument] = [
            .init(worker.description), .init(instance), .init(running), .init(checker.malformedCount),
            .init(checker.refusedCount), isAsking ? "1" : "", .init(entry?.predecessor ?? ""),
            .init(commands.log.outageCount), .init(refusedSubmissions.load(ordering: .relaxed)),
        ]
        var reply = try await evaluate(RedisScripts.heartbeat, arguments)
        // Flushed, or as it was before this instance entered: nobody else has the name, so it is taken again. That alone counts
        // no heartbeat.
        if reply.text == "unknown", let entry {
            _ = try await enter(entry.description, replacing: entry.predecessor)
            reply = try await evaluate(RedisScripts.heartbeat, arguments)
        }
        if reply.text == "replaced" { throw .replaced }
        if reply.text == "unknown" { throw .unavailable("the server has forgotten this worker") }
        var gone: Set<RunID> = []
        if let parts = reply.array, parts.first?.text == "holds" {
            gone = try await lost(among: live.subtracting(parts.dropFirst().compactMap(\.text).map(RunID.init)))
        }
        return gone
    }

    /// Enters again if the server knows only the instance that this one has replaced. Answers whether it did.
    func enterAgain() async throws(TransportError) -> Bool {
        guard let entry = entered.withLock({ $0 }), !entry.predecessor.isEmpty else { return false }
        do throws(RedisError) {
            let holder = try await commands.send(
                RedisCommand("HGET", .init(keys.worker(worker)), "instance")
            )
            guard holder.text == entry.predecessor else { return false }
        } catch {
            throw TransportError(error)
        }
        _ = try await enter(entry.description, replacing: entry.predecessor)
        return true
    }

    /// The runs that are on record as lost, or as another's. Of one that the server has forgotten nobody knows that.
    private func lost(among runs: Set<RunID>) async throws(TransportError) -> Set<RunID> {
        if runs.isEmpty { return [] }
        let runs = Array(runs)
        let fields = runs.map { RedisCommand("HMGET", .init(keys.run($0)), "state", "instance") }
        let replies: [RESPValue]
        do throws(RedisError) {
            replies = try await commands.send(fields)
        } catch {
            throw TransportError(error)
        }
        let lost = zip(runs, replies).filter { _, reply in
            guard let parts = reply.array, parts.count == 2, let state = parts[0].text.flatMap(RunState.init) else {
                return false
            }
            // An end on record, while the run still lives here: a server that had taken it for queued was asked to end it.
            return state.isEnd || (state != .queued && parts[1].text != instance)
        }
        return Set(lost.map(\.0))
    }

    /// Gives to the queue what was offered and never started, and the name back. An instance that could not do both is found
    /// silent, and what it was offered is taken from it then.
    public func leave() async {
        guard (try? await queue.leave()) != nil else { return }
        _ = try? await evaluate(RedisScripts.leave, [.init(worker.description), .init(instance)])
    }
}
