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
        let outcome = try await session.asking { () async throws(RedisError) in
            try await session.client.forget(RunID(rawValue: run), by: Requester.ofProcess)
        }
        switch outcome {
        case .forgotten(let job, let worker):
            if display.isJSON {
                let members: [String: JSONValue] = [
                    "run": .string(run), "job": .string(job), "worker": .string(worker), "state": .string("lost"),
                ]
                return StandardStreams.out(JSONValue.object(members).line)
            }
            StandardStreams.out(
                "\(screen.shown(job)): run \(shown) is given up and recorded as lost; nothing was stopped. If worker "
                    + "'\(screen.shown(worker))' comes back, it ends the run"
            )
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
}
