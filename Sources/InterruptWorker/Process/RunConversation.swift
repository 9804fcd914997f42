internal import InterruptCore
internal import Logging

/// Acts on what a job tells through its run directory.
struct RunConversation: Sendable {
    let run: RunID
    let directory: RunDirectory
    let teardown: RunTeardown
    let scope: InterruptScope
    let told: @Sendable (RunNote) -> Void
    /// Takes the instant until which the run may go on now.
    let deadline: AsyncStream<ContinuousClock.Instant>.Continuation
    let logger: Logger

    /// Listens until the task is cancelled, and to the last word.
    func listen() async {
        var isRefusalLogged = false
        await directory.listen { said in
            switch said {
            case .success(let messages): for message in messages { act(on: message) }
            case .failure(let error):
                // Once aloud: a job that gets it wrong does so at every line.
                logger.log(
                    level: isRefusalLogged ? .debug : .warning,
                    "a message of the job is refused",
                    metadata: ["run": "\(run)", "why": "\(error.text)"]
                )
                isRefusalLogged = true
            }
        }
    }

    private func act(on message: RunMessage) {
        switch message {
        case .progress(let progress): scope.tell(progress)
        case .checkpoint(let text): told(.checkpoint(text))
        case .moreTime(let length):
            guard let (killAt, total) = teardown.extend(by: length) else { return }
            deadline.yield(killAt)
            directory.announce(deadline: killAt)
            told(.moreTime(total))
        }
    }
}
