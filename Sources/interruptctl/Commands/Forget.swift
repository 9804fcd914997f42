import ArgumentParser
import InterruptCore
import InterruptRedis

/// Gives up a run whose worker is silent.
struct Forget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give up a run whose worker is gone for good.",
        discussion: """
            Examples:
              interruptctl forget 60m1jsbq2f4v8x0c3n5k

            For a run that stays 'running' because its worker is silent and nobody can see it end: the machine burnt down, \
            the container was deleted. The run is recorded as lost, and its job can be submitted again. Nothing is \
            stopped by this. Should the worker come back, it ends the run.

            Exit status: 0 done, 1 refused because the worker is alive, 3 no such run, 4 already ended.
            """
    )

    @Argument(help: "The id of the run, in full: see 'interruptctl status JOB'.")
    var run: String

    @OptionGroup var display: DisplayOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let screen = display.screen
        let session = try await Session.open(connection)
        let shown = screen.shown(run)
        let (outcome, isRepetition) = try await session.resolving { client, isRepetition throws(RedisError) in
            (try await client.forget(RunID(rawValue: run), by: Requester.ofProcess), isRepetition)
        }
        switch outcome {
        case .forgotten(let job, let worker): say(job, of: worker, on: screen)
        // An answer that was lost on the way.
        case .ended(let job, .lost) where isRepetition: say(job, of: nil, on: screen)
        case .heard(let job, let worker, let since):
            throw CommandFailure(
                .failed,
                "run \(shown) is in the hands of worker '\(screen.shown(worker))', heard of \(since.displayText) ago",
                hint: "to end it, run 'interruptctl kill \(screen.shown(job))'"
            )
        case .queued(let job):
            throw CommandFailure(
                .failed,
                "run \(shown) waits in its queue, no worker has it",
                hint: "to take it out, run 'interruptctl cancel \(screen.shown(job))'"
            )
        case .ended(_, let state):
            throw CommandFailure(.alreadyEnded, "run \(shown) has already ended: \(state.rawValue)")
        case .missing:
            throw CommandFailure.missing("no run '\(shown)'")
        }
    }

    /// - Parameter worker: that had it, if that is known.
    private func say(_ job: String, of worker: String?, on screen: Screen) {
        if display.isJSON {
            var members: [String: JSONValue] = [
                "run": .string(run), "job": .string(job), "state": .string("lost"),
            ]
            members["worker"] = worker.map { .string($0) }
            return StandardStreams.out(JSONValue.object(members).line)
        }
        StandardStreams.out(
            "\(screen.shown(job)): run \(screen.shown(run)) is given up and recorded as lost; nothing was stopped. If "
                + (worker.map { "worker '\(screen.shown($0))'" } ?? "its worker") + " comes back, it ends the run"
        )
    }
}
