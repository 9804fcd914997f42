import CMemory
import Glibc
import InterruptCore
import InterruptWorker
import Logging
import SystemPackage

/// Applies the limits of kept output, and gives memory back: at the start, and then after runs have ended, once a minute at
/// most and once an hour at least.
struct Upkeep: Sendable {
    private static let least = Duration.seconds(60)
    private static let most = Duration.seconds(3_600)

    let directory: FilePath
    let settings: CurrentSettings
    let logger: Logger
    private let ended = Wakeup()

    init(directory: FilePath, settings: CurrentSettings, logger: Logger) {
        self.directory = directory
        self.settings = settings
        self.logger = logger
    }

    /// To be told when a run has ended. Returns at once.
    func runEnded() { ended.signal() }

    /// Works until its task is cancelled.
    func run() async {
        while !Task.isCancelled {
            limitOutput()
            give_back_freed()
            try? await Task.sleep(for: Self.least, clock: .continuous)  // cancelled: the loop ends
            await withTaskGroup { group in
                group.addTask { try? await Task.sleep(for: Self.most - Self.least, clock: .continuous) }  // likewise
                group.addTask { await ended.wait() }
                await group.next()
                group.cancelAll()
            }
        }
    }

    private func limitOutput() {
        let all = settings.all
        let removed = OutputRetention(age: all.keepsOutput, size: all.keepsOutputSize)
            .apply(to: directory, now: Int64(time(nil)))
        if removed.count == 0 { return }
        logger.info(
            "removed old output files",
            metadata: [
                "files": "\(removed.count)", "bytes": "\(removed.size)", "keep": "\(all.keepsOutput.displayText)",
                "keep_size": "\(all.keepsOutputSize)",
            ]
        )
    }
}
