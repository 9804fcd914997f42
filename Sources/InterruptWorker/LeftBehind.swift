import InterruptCore
import Logging

/// Ends what an earlier, dead instance of a worker left behind. It is not adopted: nobody holds its output and its exit
/// status any more.
struct LeftBehind<Transport: InterruptTransport> {
    let runs: [LeftRun]
    let transport: Transport
    let logger: Logger
    /// Whether an unreachable transport is not to be waited for any more.
    let isHurried: @Sendable () -> Bool

    /// Kills what is left of each run and records it as lost, once it is verified to be gone.
    func end() async {
        for left in runs {
            let sessions = left.process.map { [ProcessSession(leader: $0)] } ?? ProcessSession.carrying(left.run)
            var areGone = true
            for session in sessions { areGone = await session.kill(within: .seconds(5)) && areGone }
            guard areGone else {
                let members = sessions.flatMap { $0.members() }.compactMap(ProcessStatus.init(of:))
                logger.error(
                    "processes of an earlier instance do not end",
                    metadata: ["run": "\(left.run)", "why": "\(Survivor.text(members.map(Survivor.init)))"]
                )
                continue
            }
            let records = PersistentRecorder(run: left.run, logger: logger, isHurried: isHurried)
            await records.write("a lost run") { () async throws(TransportError) in
                try await transport.lose(left.run, why: "its worker died; what was left of it was ended")
            }
        }
    }
}
