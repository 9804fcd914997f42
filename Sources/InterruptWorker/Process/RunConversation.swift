internal import InterruptCore
internal import Logging
internal import Synchronization

/// Acts on what a job tells through its run directory.
struct RunConversation: Sendable {
    let run: RunID
    let directory: RunDirectory
    let teardown: RunTeardown
    let scope: InterruptScope
    let told: @Sendable (RunNote) -> Void
    let logger: Logger

    /// Acts on all that it tells, until nobody listens to the directory any more.
    func begin() {
        let isRefusalLogged = Atomic(false)
        directory.listen { said in
            switch said {
            case .success(let messages): for message in messages { act(on: message) }
            case .failure(let error):
                // Once aloud: a job that gets it wrong does so at every line.
                let isFirst = !isRefusalLogged.exchange(true, ordering: .relaxed)
                logger.log(
                    level: isFirst ? .warning : .debug,
                    "a message of the job is refused",
                    metadata: ["run": "\(run)", "why": "\(error.text)"]
                )
            }
        }
    }

    private func act(on message: RunMessage) {
        switch message {
        case .progress(let progress): scope.tell(progress)
        case .checkpoint(let text): told(.checkpoint(text))
        case .moreTime(let length):
            guard let (killAt, total) = teardown.extend(by: length) else { return }
            directory.announce(deadline: killAt)
            told(.moreTime(total))
        }
    }
}
