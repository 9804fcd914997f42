import InterruptCore

@testable import InterruptRedis

/// What was asked of whom, and what was promised and not kept.
final class Promises {
    /// One request as somebody has made it.
    struct Asked {
        var stage: InterruptStage
        /// Whether it means this run.
        var means: (RunID) -> Bool
    }

    var broken: [String] = []
    /// The run of each job that has processes.
    var living: [Name: RunID] = [:]
    /// By request id, or by the key of a flag that has none; one id may have been asked with several stages.
    private(set) var asked: [RequestID: [Asked]] = [:]
    /// The ids of flags that had none.
    private var given: Set<RequestID> = []
    /// The calls that nobody has answered yet.
    private(set) var open: Set<Int> = []

    func ask(_ id: RequestID, _ stage: InterruptStage, of means: @escaping (RunID) -> Bool) {
        asked[id, default: []].append(Asked(stage: stage, means: means))
    }

    /// Whether somebody has asked for this stage, or a harder one, of the run: a record has the id of its first request and
    /// the stage of its hardest.
    func isAsked(_ id: RequestID, _ stage: InterruptStage, of run: RunID) -> Bool {
        guard let requests = asked[id], requests.contains(where: { $0.means(run) }) else { return false }
        return asked.values.contains { $0.contains { $0.stage >= stage && $0.means(run) } }
    }

    /// A flag without an id was given one.
    func adopt(_ id: RequestID, flag key: String) {
        given.insert(id)
        asked[id, default: []] += asked[RequestID(rawValue: key)] ?? []
    }

    func wasGiven(_ id: RequestID) -> Bool { given.contains(id) }

    func begin(_ call: Int) { open.insert(call) }

    /// Answers whether it was open.
    func end(_ call: Int) -> Bool { open.remove(call) != nil }
}

/// Somebody who waits for replies; being answered twice, or never, breaks a promise.
final class Answer {
    let name: String
    private let id: Int
    private let world: World
    private let then: (Result<[RESPValue], RedisError>) -> Void

    init(_ name: String, _ world: World, _ then: @escaping (Result<[RESPValue], RedisError>) -> Void) {
        (self.name, self.world, self.then) = (name, world, then)
        id = world.newID()
        world.promises.begin(id)
    }

    func give(_ result: Result<[RESPValue], RedisError>) {
        guard world.promises.end(id) else { return world.broken("\(name) was answered twice") }
        then(result)
    }
}
