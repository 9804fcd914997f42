import InterruptCore

/// Requests are signed for runs, not for jobs or groups: so none is good for a run that was not there when it was made.
extension InterruptClient {
    /// The run that each reference means now. Without a key nothing is signed, and nobody asked.
    func runsToSign(_ references: some Collection<RunReference>) async throws(RedisError) -> [RunID?] {
        if signingKey == nil { return references.map { _ in nil } }
        let jobs = references.compactMap { if case .job(let job) = $0 { job } else { nil } }
        var newest: [Name: RunID] = [:]
        if !jobs.isEmpty {
            let replies = try await commands.replies(
                to: jobs.map { RedisCommand("HGET", .init(keys.job($0)), "run") }
            )
            for (job, reply) in zip(jobs, replies) { newest[job] = reply.text.map(RunID.init) }
        }
        return references.map { reference in
            switch reference {
            case .job(let job): newest[job]
            case .run(let run): run
            }
        }
    }

    /// What the scripts are told of each reference: what it is, its name, and the signed request for its run.
    func signedArguments(
        _ references: some Collection<RunReference>,
        _ runs: [RunID?],
        by sign: (RunID, SigningKey) -> String?
    ) -> [RedisArgument] {
        zip(references, runs).flatMap { reference, run in
            var text: String?
            if let signingKey, let run { text = sign(run, signingKey) }
            return reference.arguments + [.init(text ?? "")]
        }
    }
}

extension RunID? {
    /// The run that a script has found, where it is another one than the request was signed for: the job has a newer one.
    func movedTo(_ found: RunID?) -> RunID? {
        guard let self, let found, found != self else { return nil }
        return found
    }
}

extension InterruptReceipt {
    /// Whether the request is on record.
    var isRecorded: Bool {
        switch outcome {
        case .accepted, .escalated, .already, .known, .stopped: true
        case .ended, .missing, .replaced: false
        }
    }
}
