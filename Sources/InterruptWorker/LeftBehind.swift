import InterruptCore
import Logging

/// Ends what an earlier, dead instance of a worker left behind. It is not adopted: nobody holds its output and its exit
/// status any more.
struct LeftBehind<Transport: InterruptTransport> {
    let runs: [LeftRun]
    let transport: Transport
    let logger: Logger

    /// Kills what is left of each run and records it as lost, once it is verified to be gone.
    func end() async {
        for left in runs {
            if let process = left.process {
                guard await ProcessSession(leader: process).kill(within: .seconds(5)) else {
                    logger.error("processes of an earlier instance do not end", metadata: ["run": "\(left.run)"])
                    continue
                }
            }
            do throws(TransportError) {
                try await transport.lose(left.run, why: "its worker died; what was left of it was ended")
            } catch {
                logger.error("could not record a lost run", metadata: ["run": "\(left.run)", "why": "\(error)"])
            }
        }
    }
}
