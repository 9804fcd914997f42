import Glibc
import InterruptCore
import Logging

/// Ends what an earlier, dead instance of a worker left behind. It is not adopted: nobody holds its output and its exit
/// status any more.
struct LeftBehind<Transport: InterruptTransport>: Sendable {
    let transport: Transport
    /// Whether every worker of this transport runs on this machine.
    let isOnlyMachine: Bool
    let logger: Logger
    /// Whether an unreachable transport is not to be waited for any more.
    let isHurried: @Sendable () -> Bool

    /// Kills what is left of each run and records it as lost, once it is verified to be gone. Returns those that run inside
    /// of a process that still lives: they are told, and end with it.
    func end(_ runs: [LeftRun]) async -> [LeftRun] {
        var stillThere: [LeftRun] = []
        for left in runs {
            if left.isInProcess {
                if isGone(left.process) {
                    await lose(left.run, why: "the process it ran in has ended")
                } else {
                    sayStillThere(left)
                    stillThere.append(left)
                }
            } else if await kill(left) {
                await lose(left.run, why: "its worker died; what was left of it was ended")
            }
        }
        return stillThere
    }

    /// Records the run as lost when the process that has it has ended; returns earlier when the task is cancelled, or
    /// when that cannot be waited for: the process is this one, or of another machine.
    func endLater(_ left: LeftRun) async {
        guard let process = left.process, process.pid != getpid(), process.boot == ProcessIdentity.currentBoot else {
            return
        }
        // It may have ended before its descriptor was opened, and the number may have gone to another process.
        if let descriptor = ProcessSession.openDescriptor(of: process.pid) {
            defer { close(descriptor) }
            let watch = DescriptorWatch(descriptor)
            if !isGone(process) {
                await withTaskCancellationHandler {
                    await watch.readable()
                } onCancel: {
                    watch.stop()
                }
            }
        }
        if isGone(process) { await lose(left.run, why: "the process it ran in has ended") }
    }

    private func isGone(_ process: ProcessIdentity?) -> Bool {
        process?.isProvenDead(isThisMachine: isOnlyMachine) ?? true
    }

    private func sayStillThere(_ left: LeftRun) {
        let pid = left.process.map { "\($0.pid)" } ?? "-"
        logger.error(
            "a job of an earlier instance still runs inside of its process: it ends with that",
            metadata: ["run": "\(left.run)", "pid": "\(pid)"]
        )
    }

    private func kill(_ left: LeftRun) async -> Bool {
        let survivors = await LeftTree(run: left.run, leader: left.process).end(within: .seconds(5))
        if survivors.isEmpty { return true }
        logger.error(
            "processes of an earlier instance do not end",
            metadata: ["run": "\(left.run)", "why": "\(Survivor.text(survivors.map(Survivor.init)))"]
        )
        return false
    }

    private func lose(_ run: RunID, why: String) async {
        let records = PersistentRecorder(run: run, logger: logger, isHurried: isHurried)
        await records.write("a lost run") { () async throws(TransportError) in
            try await transport.lose(run, why: why)
        }
    }
}
