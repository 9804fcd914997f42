internal import FoundationEssentials
internal import InterruptCore
internal import InterruptJSON

/// Why a file is no outcome that this program can read.
struct MalformedOutcome: Error, Hashable {
    let reason: String
}

/// An outcome as text: one JSON object with `v`, in which names that are not known are passed over.
extension WaitingOutcome {
    /// What is newer is left alone.
    private static let version = 1

    /// The form that ``init(text:)`` reads.
    var text: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts, numbers and booleans always encode.
        return (try? encoder.encode(Form(self))).map(Array.init) ?? []
    }

    /// Reads what an earlier instance has written, or what somebody else has put there.
    init(text: [UInt8]) throws(MalformedOutcome) {
        do {
            let version = try JSONDecoder().decode(Version.self, from: Data(text)).v
            guard version == Self.version else {
                throw MalformedOutcome(reason: "it has version \(version), this program reads \(Self.version)")
            }
            self = try JSONDecoder().decode(Form.self, from: Data(text)).outcome()
        } catch let error as MalformedOutcome {
            throw error
        } catch {
            throw MalformedOutcome(reason: "it is not the JSON of an outcome")
        }
    }

    private struct Version: Decodable {
        var v: Int
    }

    fileprivate struct Form: Codable {
        struct Receipt: Codable {
            var signal: SignalMessage
            var via: String
            var at_ms: Int64?
        }

        struct Ending: Codable {
            var state: String
            var at_ms: Int64?
            var exit_code: Int32?
            var term_signal: Int32?
            var core_dumped: Bool?
            var late_interrupt: Bool?
            var error: String?
            var oom_kills: Int?
            var hook_errors: [String]?
            var output: Output?
        }

        struct Output: Codable {
            var bytes: Int64
            var file: String?
            var kept_from: Int64
            var last: String?
        }

        var v = WaitingOutcome.version
        var run: String
        var instance: String
        var receipts: [Receipt]
        var ending: Ending?
    }
}

extension WaitingOutcome.Form {
    fileprivate init(_ outcome: WaitingOutcome) {
        run = outcome.run.rawValue
        instance = outcome.instance
        receipts = outcome.receipts.map { receipt in
            Receipt(
                signal: SignalMessage(whole: receipt.signal),
                via: receipt.way.rawValue,
                at_ms: receipt.takenAt?.milliseconds
            )
        }
        ending = outcome.ending.map { Ending($0, at: outcome.endedAt) }
    }

    fileprivate func outcome() throws(MalformedOutcome) -> WaitingOutcome {
        guard !run.isEmpty, !instance.isEmpty else { throw MalformedOutcome(reason: "it names no run or no instance") }
        var outcome = WaitingOutcome(run: RunID(rawValue: run), instance: instance)
        for receipt in receipts { outcome.receipts.append(try receipt.receipt()) }
        outcome.ending = try ending?.ending()
        outcome.endedAt = ending?.at_ms.map(Timestamp.init)
        return outcome
    }
}

extension WaitingOutcome.Form.Receipt {
    fileprivate func receipt() throws(MalformedOutcome) -> WaitingOutcome.Receipt {
        guard let way = DeliveryWay(rawValue: via), let id = signal.requestID, !id.isEmpty,
            signal.stage.flatMap(InterruptStage.init) != nil
        else { throw MalformedOutcome(reason: "a receipt in it is for no interrupt") }
        return WaitingOutcome.Receipt(
            signal: signal.signal(source: .remote, newID: RequestID(rawValue: id)),
            way: way,
            takenAt: at_ms.map(Timestamp.init)
        )
    }
}

extension WaitingOutcome.Form.Ending {
    fileprivate init(_ ending: RunEnding, at instant: Timestamp?) {
        state = ending.state.rawValue
        at_ms = instant?.milliseconds
        (exit_code, term_signal) = (ending.exitCode, ending.termSignal)
        (core_dumped, late_interrupt) = (ending.dumpedCore, ending.isLateInterrupt)
        (error, oom_kills, hook_errors) = (ending.error, ending.memoryKills, ending.hookErrors)
        output = ending.output.map { output in
            WaitingOutcome.Form.Output(
                bytes: output.byteCount,
                file: output.file,
                kept_from: output.keptFrom,
                last: output.lastLine
            )
        }
    }

    fileprivate func ending() throws(MalformedOutcome) -> RunEnding {
        guard let state = RunState(rawValue: state), state.isEnd else {
            throw MalformedOutcome(reason: "the state in it is not an end")
        }
        return RunEnding(
            state: state,
            exitCode: exit_code,
            termSignal: term_signal,
            dumpedCore: core_dumped ?? false,
            isLateInterrupt: late_interrupt ?? false,
            error: error,
            memoryKills: oom_kills ?? 0,
            hookErrors: hook_errors ?? [],
            output: output.map { output in
                RunOutput(
                    byteCount: output.bytes,
                    file: output.file,
                    keptFrom: output.kept_from,
                    lastLine: output.last
                )
            }
        )
    }
}

extension SignalMessage {
    /// All of a signal: what a flag leaves to whoever reads it is in it as well.
    fileprivate init(whole signal: InterruptSignal) {
        self.init(flag: signal)
        source = signal.source.rawValue
        target = signal.target?.description
        triggeredAtMilliseconds = signal.triggeredAt.milliseconds
    }
}
