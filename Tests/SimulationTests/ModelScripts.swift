import InterruptCore

@testable import InterruptRedis

/// The interrupt in force for a run, as the script `merge` keeps it.
struct ModelRequest {
    var id: RequestID
    var stage: InterruptStage
    var gracePeriod: Duration?
    var seen: Set<RequestID>
    var recordedAt: VirtualInstant

    /// The form that most records have, which ``SignalScanner`` reads.
    func json(_ run: RunID, _ job: Name) -> String {
        let grace = gracePeriod.map { ",\"grace_ms\":\($0.milliseconds)" } ?? ""
        return "{\"v\":1,\"request_id\":\"\(id)\",\"run\":\"\(run)\",\"job\":\"\(job)\",\"target\":\"\(job)\","
            + "\"stage\":\(stage.rawValue),\"reason\":\"timeout\",\"triggered_at_ms\":1\(grace)}"
    }
}

/// The scripts, each as atomic as Redis makes it.
extension ModelServer {
    func evaluate(_ script: Script) -> RESPValue {
        switch script {
        case .enter(let worker, let instance, let lease):
            instances[worker] = instance
            leases[worker] = lease
            heartbeats[worker] = 0
            silent.remove(worker)
            let left = runs.filter { _, run in
                run.worker == worker && run.instance != instance && !run.state.isEnd
            }
            return .array(left.keys.map(\.rawValue).sorted().map(text))
        case .lose(let run, let instance):
            guard let record = runs[run], !record.state.isEnd, record.instance != instance else { return text("OK") }
            finish(run, .lost)
            return text("OK")
        case .start(let offer, let worker, let instance): return start(offer, worker, instance)
        case .acknowledge(let signal, let run, let instance):
            guard let record = runs[run], !record.state.isEnd else { return text("ended") }
            guard record.instance == instance else { return text("replaced") }
            merge(signal, run)
            if record.stage.map({ signal.stage > $0 }) ?? true {
                runs[run]?.stage = signal.stage
                if signal.stage >= .terminate { runs[run]?.state = .cancelling }
            }
            return text("OK")
        case .importFlag(let signal, let run, let job, let value):
            guard values[keys.flag(.job(job))] == value, runs[run]?.state.isEnd == false else { return .null }
            let isNew = merge(signal, run)
            if isNew { set(keys.flag(.job(job)), nil) }
            return text(requests[run]!.json(run, job))
        case .importWideFlag(let signal, let target, let value):
            guard values[keys.flag(target)] == value else { return .null }
            interrupt(target, signal)
            set(keys.flag(target), nil)
            return text("OK")
        case .end(let run, let instance, let state):
            guard let record = runs[run], !record.state.isEnd else { return text("OK") }
            guard record.instance == instance else { return text("replaced") }
            finish(run, state)
            return text("OK")
        case .giveBack(let offers):
            for offer in offers { putBack(offer) }
            return text("OK")
        case .returnUnclaimed(let worker):
            for (queue, entry, run) in pending[worker] ?? [] {
                putBack(RunOffer(run: run, queue: queue, entry: "\(entry)"))
            }
            return text("OK")
        case .heartbeat(let worker, let instance):
            guard instances[worker] == instance else { return text("replaced") }
            heartbeats[worker, default: 0] += 1
            guard silent.remove(worker) != nil else { return text("OK") }
            return .array([text("holds")] + held(by: worker).map { text($0.rawValue) })
        case .survey:
            for run in delayed.filter({ $0.value <= world.now }).keys.sorted(by: { $0.rawValue < $1.rawValue }) {
                delayed[run] = nil
                if runs[run]?.state == .queued { enqueue(run) }
            }
            return .array(
                instances.keys.sorted().map {
                    .array([
                        text($0), text("\(instances[$0]!)"), .integer(heartbeats[$0] ?? 0),
                        .integer(leases[$0]?.milliseconds ?? 0),
                    ])
                }
            )
        case .takeOver(let sign):
            let worker = sign.worker.description
            guard "\(instances[worker] ?? 0)" == sign.instance, heartbeats[worker] == sign.heartbeat else {
                return text("heard")
            }
            silent.insert(worker)
            for run in held(by: worker) where runs[run]!.retries > 0 {
                world.tell("\(run) is taken over from \(worker)")
                finish(run, .lost)
            }
            return text("OK")
        }
    }

    private func held(by worker: String) -> [RunID] {
        runs.filter { $0.value.worker == worker && !$0.value.state.isEnd }.keys.sorted { $0.rawValue < $1.rawValue }
    }

    func submit(_ run: RunID, _ job: Name, _ queue: Name, _ groups: [Name], retries: Int = 0) {
        runs[run] = Run(job: job, queue: queue, groups: groups, entry: 0, retries: retries)
        newest[job] = run
        set(keys.flag(.job(job)), nil)
        enqueue(run)
        world.tell("\(run) is submitted as \(job)")
    }

    /// What `interruptctl` does: the record, the message, then the flag for others.
    func interrupt(_ target: InterruptTarget, _ signal: InterruptSignal) {
        for (run, record) in runs.sorted(by: { $0.key.rawValue < $1.key.rawValue })
        where !record.state.isEnd && isMeant(run, record, by: target) {
            merge(signal, run)
            guard let request = requests[run] else { continue }
            world.tell("\(run): \(request.id) is on record at \(request.stage)")
            if record.state == .queued {
                withdraw(run)
                finish(run, .interrupted)
                continue
            }
            let json = request.json(run, record.job)
            if let worker = record.worker.flatMap({ try? Name($0) }) { publish(json, on: keys.signals(worker)) }
            if values[keys.flag(.job(record.job))] == nil { set(keys.flag(.job(record.job)), json) }
        }
    }

    func isMeant(_ run: RunID, _ record: Run, by target: InterruptTarget) -> Bool {
        switch target {
        case .job(let job): newest[job] == run
        case .group(let group): record.groups.contains(group)
        case .queue(let queue): record.queue == queue
        case .worker(let worker): record.worker == worker.description
        case .all: true
        }
    }

    /// Answers whether the request was not known.
    @discardableResult
    private func merge(_ signal: InterruptSignal, _ run: RunID) -> Bool {
        guard let job = runs[run]?.job else { return false }
        if var request = requests[run] {
            let wasDrain = request.stage == .drain && signal.stage > .drain
            if signal.stage > request.stage {
                request.stage = signal.stage
                request.recordedAt = world.now
            } else if request.seen.contains(signal.id) {
                return false
            }
            request.seen.insert(signal.id)
            if let grace = signal.gracePeriod, wasDrain || request.gracePeriod.map({ grace < $0 }) ?? true {
                request.gracePeriod = grace
            } else if wasDrain {
                request.gracePeriod = signal.gracePeriod
            }
            requests[run] = request
        } else {
            requests[run] = ModelRequest(
                id: signal.id,
                stage: signal.stage,
                gracePeriod: signal.gracePeriod,
                seen: [signal.id],
                recordedAt: world.now
            )
        }
        set(keys.request(run), requests[run]!.json(run, job))
        return true
    }

    private func start(_ offer: RunOffer, _ worker: String, _ instance: Int) -> RESPValue {
        guard instances[worker] == instance else { return .array([text("replaced")]) }
        guard let run = runs[offer.run] else {
            acknowledge(offer)
            return .array([text("gone")])
        }
        let flag = values[keys.flag(.job(run.job))].map(text) ?? .null
        if run.state == .running, run.instance == instance { return .array([text("started"), flag]) }
        guard run.state == .queued, "\(run.entry)" == offer.entry else {
            acknowledge(offer)
            return .array([text("gone")])
        }
        if requests[offer.run] != nil {
            acknowledge(offer)
            finish(offer.run, .interrupted)
            return .array([text("gone")])
        }
        let targets: [InterruptTarget] = [.all, .queue(run.queue)] + run.groups.map { .group($0) }
        if let paused = targets.first(where: { values[keys.pause($0)] != nil }) {
            putBack(offer)
            return .array([text("held"), text(paused.description)])
        }
        acknowledge(offer)
        runs[offer.run]?.state = .running
        runs[offer.run]?.worker = worker
        runs[offer.run]?.instance = instance
        runs[offer.run]?.starts += 1
        runs[offer.run]?.startedAt = world.now
        return .array([text("started"), flag])
    }

    private func finish(_ run: RunID, _ state: RunState) {
        guard let record = runs[run], !record.state.isEnd else { return world.broken("\(run) ends twice") }
        world.tell("\(run) is \(state) on record")
        runs[run]?.state = state
        // The flag is the newest run's.
        if newest[record.job] == run { set(keys.flag(.job(record.job)), nil) }
        if state == .lost || state == .failed { retry(run, record) }
    }

    /// Nobody tries again what somebody has interrupted.
    private func retry(_ run: RunID, _ record: Run) {
        guard record.attempt <= record.retries, requests[run] == nil, newest[record.job] == run else { return }
        let next = RunID(rawValue: "r-\(record.job).\(record.attempt + 1)")
        runs[next] = Run(job: record.job, queue: record.queue, groups: record.groups, entry: 0, retries: record.retries)
        runs[next]?.attempt = record.attempt + 1
        runs[next]?.submittedAt = world.now
        newest[record.job] = next
        delayed[next] = world.now.advanced(by: world.milliseconds(50..<500))
        world.tell("\(next) waits to be tried")
    }
}
