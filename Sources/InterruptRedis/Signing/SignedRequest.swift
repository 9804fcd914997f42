import InterruptCore

/// A request for one run as whoever has the key has made it: a text that stands beside the request on record, in messages
/// and in flags, and that says by itself what was asked.
///
/// It needs no time: it is good for one run, and there each request counts once. What runs is never asked twice whether
/// it still should end, and a pause that was taken back does not come again.
enum SignedRequest {
    /// The text: the signature, a space, and what is signed.
    static func text(of signed: SignedText, with key: SigningKey) -> String {
        let bytes = signed.bytes
        return "\(key.signature(of: bytes)) \(String(decoding: bytes, as: UTF8.self))"
    }

    /// Why a request is not honoured.
    struct Refusal: Error, Hashable {
        let reason: String

        static let unsigned = Refusal(reason: "it is not signed")
        static let wrong = Refusal(reason: "its signature is wrong")
        static let elsewhere = Refusal(reason: "it is signed for another run or another purpose")
        static let used = Refusal(reason: "it is signed, but was taken back before")
    }

    /// What is signed, if that is a request of this kind for this run.
    static func read(
        _ text: String,
        as kind: SignedText.Kind,
        for run: RunID,
        namespace: String,
        key: SigningKey
    ) throws(Refusal) -> SignedText {
        let parts = text.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, key.verifies(Substring(parts[0]), of: Array(parts[1])),
            let signed = SignedText(bytes: parts[1])
        else { throw .wrong }
        guard signed.kind == kind, signed.namespace == namespace, signed["run"] == run.rawValue else {
            throw .elsewhere
        }
        return signed
    }
}

extension InterruptSignal {
    /// The signal as a signed request for a run, as it goes on record.
    func signed(for run: RunID, namespace: String, with key: SigningKey) -> String {
        SignedRequest.text(
            of: SignedText(
                .interrupt,
                namespace: namespace,
                [
                    "run": run.rawValue, "request_id": id.rawValue, "target": target?.description,
                    "stage": "\(stage.rawValue)", "reason": wireReason, "message": wireMessage,
                    "triggered_by": wireTriggeredBy, "save_checkpoint": savesCheckpoint ? "1" : "0",
                    "grace_ms": gracePeriod.map { "\($0.milliseconds)" },
                ]
            ),
            with: key
        )
    }

    /// What a signed request says; `nil` when it lacks what every request has.
    init?(signed: SignedText, source: Source, triggeredAt: Timestamp) {
        guard let id = signed["request_id"], let stage = signed["stage"].flatMap(Int.init).flatMap(InterruptStage.init)
        else { return nil }
        self.init(
            id: RequestID(rawValue: id),
            stage: stage,
            reason: signed["reason"].map(InterruptReason.init) ?? .userCancelled,
            message: signed["message"],
            triggeredBy: signed["triggered_by"],
            triggeredAt: triggeredAt,
            savesCheckpoint: signed["save_checkpoint"] != "0",
            gracePeriod: signed["grace_ms"].flatMap(Int64.init).flatMap { $0 < 0 ? nil : .milliseconds($0) },
            source: source,
            target: signed["target"].flatMap { try? InterruptTarget($0) }  // one that cannot be read names nothing
        )
    }
}

extension PauseRequest {
    /// The request as a signed one for a run. That a run goes on again follows from the key that is gone, so there is
    /// nothing to sign then.
    func signed(for run: RunID, namespace: String, with key: SigningKey) -> String? {
        guard action == .pause else { return nil }
        let fields: KeyValuePairs<String, String?> = ["run": run.rawValue, "request_id": id.rawValue]
        return SignedRequest.text(of: SignedText(.pause, namespace: namespace, fields), with: key)
    }
}
