import InterruptCore

@testable import InterruptRedis
@testable import InterruptWorker

/// The signs of life of a worker and its look at others', as `Worker+Lease` has them: ``Lease`` and ``SilenceWatch`` decide.
extension ModelWorker {
    func beat() {
        if hasCrashed { return }
        let asked = world.now
        renewLease { [self] isHeard in
            if hasCrashed { return }
            let pause = world.now.duration(to: lease.nextHeartbeat(after: asked, wasHeard: isHeard))
            world.after(max(.zero, pause)) { [self] in beat() }
        }
    }

    /// Sends one heartbeat; answers whether it was heard.
    func renewLease(_ done: @escaping (Bool) -> Void) {
        let asked = world.now
        let before = runs
        let heartbeat = ModelServer.Script.heartbeat(worker: name.description, instance: instance)
        commands.send("heartbeat", [.script(heartbeat)]) { [self] result in
            guard !hasCrashed, case .success(let replies) = result, replies[0].text != "replaced" else {
                return done(false)
            }
            lease.renewed(at: asked)
            for run in before.values { if let fence = lease.fence { run.move(fence) } }
            if let kept = replies[0].array?.compactMap(\.text) {
                for run in before.values where !kept.contains(run.order.run.rawValue) { run.giveUp() }
            }
            done(true)
        }
    }

    /// The fence of a leased run that is about to begin; answers `nil` when another worker may have it by now. Asks again as
    /// long as nobody can be asked.
    func makeFence(
        _ offer: RunOffer,
        claimedBefore claim: VirtualInstant?,
        _ done: @escaping (VirtualInstant?) -> Void
    ) {
        if lease.lets(begin: world.now, below: claim) { return done(claim) }
        func again() {
            if hasCrashed { return }
            if let claim, claim > world.now { return done(claim) }
            world.after(world.milliseconds(25..<1_000)) { [self] in
                if !hasCrashed { makeFence(offer, claimedBefore: claim, done) }
            }
        }
        renewLease { [self] isHeard in
            guard isHeard, let renewed = lease.fence else { return again() }
            let start = ModelServer.Script.start(offer, worker: name.description, instance: instance)
            commands.send("a claim", [.script(start)]) { [self] result in
                guard case .success(let replies) = result else { return again() }
                guard replies[0].array?.first?.text == "started" else { return done(nil) }
                renewed > world.now ? done(renewed) : again()
            }
        }
    }

    func survey() {
        if hasCrashed { return }
        let asked = world.now
        func again() { world.after(watch.interval) { [self] in survey() } }
        guard let connection = commands.current else {
            watch.missed()
            return again()
        }
        let answer = Answer("survey", world) { [self] result in
            if hasCrashed { return }
            if case .success(let replies) = result {
                let signs = (replies[0].array ?? []).compactMap(WorkerSign.init(reply:))
                let survey = WorkerSurvey(signs: signs, connection: UInt64(connection.id))
                for silent in watch.observe(survey, askedAt: asked, answeredAt: world.now) {
                    takeOver(silent, over: connection)
                }
            } else {
                watch.missed()
            }
            again()
        }
        connection.send([.script(.survey)], timeout: .seconds(2), answer)
    }

    /// Everything over the connection on which the silence was seen.
    private func takeOver(_ silent: WorkerSign, over connection: ModelConnection) {
        world.tell("\(name) finds \(silent.worker) silent")
        let answer = Answer("take over", world) { _ in }  // what is left is found by the next survey
        connection.send([.script(.takeOver(silent))], timeout: .seconds(2), answer)
    }
}

extension WorkerSign {
    fileprivate init?(reply: RESPValue) {
        guard let parts = reply.array, parts.count == 4, let worker = parts[0].text.flatMap({ try? Name($0) }),
            let instance = parts[1].text, let heartbeat = parts[2].integer, let lease = parts[3].integer
        else { return nil }
        self.init(worker: worker, instance: instance, heartbeat: heartbeat, lease: .milliseconds(lease))
    }
}
