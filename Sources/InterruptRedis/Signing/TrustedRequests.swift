import InterruptCore
import InterruptJSON

/// Decides which requests a worker with a key honours: those that are signed for their run. Counts the others. Never
/// waits, locks or reads a clock.
struct TrustedRequests {
    /// What a message or a key says to a run.
    struct Interrupts: Equatable {
        /// The signed requests in it, in their order.
        var signals: [InterruptSignal] = []
        /// Why something in it is not honoured, if nobody was told of that before.
        var refusal: SignedRequest.Refusal?
    }

    private struct Run {
        /// Requests that need no look any more: honoured, put on record by the worker itself, or counted as refused.
        var knownIDs: Set<String> = []
        var pause: RequestID?
        /// Pauses that were taken back. A captured one does not come again.
        var endedPauses: Set<RequestID> = []
    }

    private let key: SigningKey
    private let namespace: String
    private var runs: [RunID: Run] = [:]
    /// How many requests were not honoured; each counts once, in whichever ways it comes.
    private(set) var refusedCount = 0

    init(key: SigningKey, namespace: String) {
        (self.key, self.namespace) = (key, namespace)
    }

    mutating func unwatch(_ run: RunID) {
        runs[run] = nil
    }

    /// The worker itself puts this request on record: it is no news when it is read there.
    mutating func note(_ id: RequestID, for run: RunID) {
        runs[run, default: Run()].knownIDs.insert(id.rawValue)
    }

    /// What a record, a message or a flag says to the run. What stands around the signed texts counts for nothing but the
    /// instant: it may be anybody's.
    mutating func interrupts(
        in message: SignalMessage,
        source: InterruptSignal.Source,
        for run: RunID
    ) -> Interrupts {
        var found = Interrupts()
        let texts = message.signed?.texts ?? []
        var wrong: [String] = []
        var why = SignedRequest.Refusal.unsigned
        for text in texts {
            do throws(SignedRequest.Refusal) {
                let signed = try SignedRequest.read(text, as: .interrupt, for: run, namespace: namespace, key: key)
                let at = message.triggeredAtMilliseconds.map(Timestamp.init) ?? .now
                guard let signal = InterruptSignal(signed: signed, source: source, triggeredAt: at) else {
                    throw .wrong
                }
                note(signal.id, for: run)
                found.signals.append(signal)
            } catch {
                // A message to many has one for each of its runs.
                if error == .elsewhere, source == .message, message.run == nil { continue }
                wrong.append(text)
                why = error
            }
        }
        // A request is known by its id; without one, by what is signed.
        let ids = (message.seen?.texts ?? []) + (message.requestID.map { [$0] } ?? [])
        let asked = ids.isEmpty ? wrong : ids
        if !asked.isEmpty || texts.isEmpty { found.refusal = refuse(asked, of: run, why) }
        return found
    }

    /// Whether the run is to be paused, by what stands under its key; `nil` is nothing.
    mutating func isToBePaused(
        by value: [UInt8]?,
        _ run: RunID
    ) -> (isToBePaused: Bool, refusal: SignedRequest.Refusal?) {
        var (pause, refusal): (RequestID?, SignedRequest.Refusal?)
        if let value {
            do throws(SignedRequest.Refusal) {
                pause = try signedPause(in: value, of: run)
            } catch {
                refusal = refuse([String(decoding: value, as: UTF8.self)], of: run, error)
            }
        }
        if let before = runs[run]?.pause, before != pause { runs[run]?.endedPauses.insert(before) }
        runs[run, default: Run()].pause = pause
        return (pause != nil, refusal)
    }

    private func signedPause(in value: [UInt8], of run: RunID) throws(SignedRequest.Refusal) -> RequestID {
        // What cannot be read is signed by nobody.
        guard let text = try? SignalMessage(json: value).signed?.texts.first else { throw .unsigned }
        let signed = try SignedRequest.read(text, as: .pause, for: run, namespace: namespace, key: key)
        guard let id = signed["request_id"].map(RequestID.init) else { throw .wrong }
        if runs[run]?.endedPauses.contains(id) == true { throw .used }
        return id
    }

    /// Counts what is not honoured. What is for many runs or has no id may be another request each time: it counts.
    ///
    /// - Returns: the refusal, if it is news.
    mutating func refuse(
        _ ids: [String],
        of run: RunID?,
        _ refusal: SignedRequest.Refusal
    ) -> SignedRequest.Refusal? {
        guard let run, !ids.isEmpty else {
            refusedCount += 1
            return refusal
        }
        // Nobody asks that often of one run but to fill the memory: then some count twice.
        if runs[run]?.knownIDs.count ?? 0 > 1_000 { runs[run]?.knownIDs = [] }
        let new = ids.count { runs[run, default: Run()].knownIDs.insert(String($0.prefix(128))).inserted }
        refusedCount += new
        return new > 0 ? refusal : nil
    }
}
