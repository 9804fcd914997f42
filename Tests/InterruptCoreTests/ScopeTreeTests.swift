import Synchronization
import Testing

@testable import InterruptCore

@Suite(.timeLimit(.minutes(1))) struct `Tree of scopes` {
    @Test func `an interrupt reaches every scope below, with the same cause, and none above or beside`() async {
        await withInterruptScope { root in
            await withInterruptScope { middle in
                await withInterruptScope { leaf in
                    middle.interrupt(message: "m", triggeredBy: "ann")
                    for scope in [middle, leaf] {
                        #expect(scope.stage == .terminate && scope.cause?.message == "m")
                        #expect(scope.cause?.triggeredBy == "ann")
                    }
                    #expect(middle.cause?.id == leaf.cause?.id)
                    #expect(!root.isInterrupted)
                }
            }
            await withInterruptScope { beside in #expect(!beside.isInterrupted) }
        }
    }

    @Test func `a scope below an interrupted one is born interrupted, at the same stage`() async {
        await withInterruptScope { root in
            root.interrupt(message: "first", stage: .drain)
            root.interrupt(message: "harder", stage: .kill)
            await withInterruptScope { child in
                #expect(child.stage == .kill && child.cause?.message == "first")
                let seen = await child.signals.prefix(2).reduce(into: []) { $0.append($1.stage) }
                #expect(seen == [.drain, .kill])
            }
        }
    }

    @Test func `a scope's own cause stays when the one above is interrupted later`() async {
        await withInterruptScope { root in
            await withInterruptScope { child in
                child.interrupt(message: "own")
                root.interrupt(message: "above")
                #expect(child.cause?.message == "own" && child.late.map(\.message) == ["above"])
                root.interrupt(message: "above", stage: .kill)
                #expect(child.cause?.message == "own" && child.stage == .kill)
            }
        }
    }

    @Test func `a scope below has the run of the one above, unless it has its own`() async {
        let run = RunID.random()
        await withInterruptScope { root in
            await withInterruptScope { #expect($0.run == root.run) }
            await withInterruptScope(run: run) { #expect($0.run == run) }
        }
    }

    @Test func `a timeout above ends what has a longer one below`() async {
        await withInterruptScope(timeout: .milliseconds(5)) { root in
            await withInterruptScope(timeout: .longestAccepted) { child in
                await #expect(throws: InterruptedError.self) { try await child.sleep(for: .longestAccepted) }
                #expect(child.cause?.reason == .timeout && child.cause?.id == root.cause?.id)
            }
        }
    }

    @Test func `a scope that has ended is not kept and not reached`() async {
        await withInterruptScope { root in
            let ended = await withInterruptScope { $0 }
            for _ in 0..<100 { await withInterruptScope { _ in } }
            #expect(root.state.withLock { $0.children.isEmpty })
            root.interrupt()
            #expect(!ended.isInterrupted)
        }
    }

    @Test func `what is asked while a scope ends still reaches what it waits for`() async {
        let stage = FirstAnswer<InterruptStage?>()
        await withInterruptScope { root in
            let isBegun = Wakeup()
            await withInterruptScope { scope in
                scope.startTask("cleans up", limit: .seconds(50)) {
                    await withInterruptShield(limit: .longestAccepted) { shielded in
                        isBegun.signal()
                        while shielded.stage != .kill { await Task.yield() }
                        stage.give(shielded.stage)
                    }
                }
                #expect(scope.onEnd("nothing") {})
                await isBegun.wait()
                root.startTask("asks") { root.interrupt(stage: .kill) }
            }
        }
        #expect(await stage.wait() == .kill)
    }

    @Test func `no duration is too long or too short`() async throws {
        for duration in [Duration.seconds(Int64.max), .seconds(Int64.min), .zero] {
            await withInterruptScope(timeout: duration) { scope in
                scope.warnIfIgnored(for: duration)
                scope.setTimeout(duration, warningAfter: 0.5)
                scope.interrupt()
                await withInterruptShield(limit: duration) { _ in }
                await #expect(throws: InterruptedError.self) { try await scope.sleep(for: duration) }
            }
            #expect(RetryPolicy(attempts: 2, firstPause: duration, longestPause: duration).pause(after: 9) >= .zero)
        }
    }

    @Test func `of 1,000 scopes that begin while the one above is interrupted all are interrupted`() async {
        await withInterruptScope { root in
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<1_000 {
                    if number == 500 { group.addTask { root.interrupt() == .first } }
                    group.addTask {
                        await withInterruptScope { child in
                            for await _ in child.signals { break }  // ends only with an interrupt
                            return child.cause?.id == root.cause?.id
                        }
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test func `every scope hears what two threads ask of the one above in one order`() async {
        for _ in 0..<200 {
            await withInterruptScope { root in
                await withInterruptScope { child in
                    let streams = [root.signals, child.signals]
                    await withDiscardingTaskGroup { group in
                        for stage in InterruptStage.allCases { group.addTask { root.interrupt(stage: stage) } }
                    }
                    var orders: [[RequestID]] = []
                    for stream in streams {
                        var iterator = stream.makeAsyncIterator()
                        var order: [RequestID] = []
                        repeat {
                            guard let signal = await iterator.next() else { break }
                            order.append(signal.id)
                            if signal.stage == .kill { break }
                        } while true
                        orders.append(order)
                    }
                    #expect(orders[0] == orders[1] && root.cause?.id == child.cause?.id)
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Current scope` {
    @Test func `is the innermost one, also in child tasks, and none outside`() async {
        #expect(Interrupt.scope == nil && !Interrupt.isInterrupted)
        await withInterruptScope { outer in
            #expect(Interrupt.scope === outer)
            await withInterruptScope { inner in
                #expect(Interrupt.scope === inner)
                async let below = Interrupt.scope
                #expect(await below === inner)
                #expect(await Task { Interrupt.scope }.value === inner)
                #expect(await Task.detached { Interrupt.scope }.value == nil)
            }
            #expect(Interrupt.scope === outer)
        }
        #expect(Interrupt.scope == nil)
    }

    @Test func `a checkpoint deep in code that knows of no scope throws its cause`() async throws {
        func deep() async throws { try Interrupt.checkpoint() }
        try await deep()
        try await withInterruptScope { scope in
            try await deep()
            scope.interrupt(message: "stop")
            #expect(Interrupt.isInterrupted)
            let error = await #expect(throws: InterruptedError.self) { try await deep() }
            #expect(error?.signal.message == "stop")
        }
    }

    @Test func `a sleep in it is woken by its interrupt, and is a plain one outside`() async throws {
        try await Interrupt.sleep(for: .milliseconds(1))
        await withInterruptScope { scope in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: InterruptedError.self) { try await Interrupt.sleep(for: .longestAccepted) }
                }
                scope.interrupt()
            }
        }
    }

    @Test func `a detached scope is reached by nothing that is around it`() async {
        await withInterruptScope { outer in
            outer.interrupt()
            await withDetachedInterruptScope { inner in
                #expect(!inner.isInterrupted && inner.run != outer.run && Interrupt.scope === inner)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Shield` {
    @Test func `keeps what is asked above from the work inside, until it ends`() async {
        await withInterruptScope { root in
            await withInterruptShield(limit: .longestAccepted) { shielded in
                root.interrupt()
                #expect(root.isInterrupted && !shielded.isInterrupted)
                #expect(throws: Never.self) { try Interrupt.checkpoint() }
            }
            #expect(throws: InterruptedError.self) { try Interrupt.checkpoint() }
        }
    }

    @Test func `lets it through after its limit, in order and with the first cause`() async {
        await withInterruptScope { root in
            root.interrupt(message: "first", stage: .drain)
            let began = ContinuousClock.now
            await withInterruptShield(limit: .milliseconds(200)) { shielded in
                root.interrupt(message: "harder")
                await #expect(throws: InterruptedError.self) { try await shielded.sleep(for: .longestAccepted) }
                #expect(began.duration(to: .now) >= .milliseconds(200))
                #expect(shielded.cause?.message == "first" && shielded.stage == .terminate)
            }
        }
    }

    @Test func `lets stage 3 through at once`() async {
        await withInterruptScope { root in
            root.interrupt(message: "first")
            await withInterruptShield(limit: .longestAccepted) { shielded in
                #expect(!shielded.isInterrupted)
                root.interrupt(message: "now", stage: .kill)
                #expect(shielded.stage == .kill && shielded.cause?.message == "first")
            }
        }
    }

    @Test func `covers the scopes inside, which may be interrupted by themselves`() async {
        await withInterruptScope { root in
            await withInterruptShield(limit: .longestAccepted) { shielded in
                await withInterruptScope { inner in
                    root.interrupt()
                    #expect(!inner.isInterrupted)
                    shielded.interrupt(message: "own")
                    #expect(inner.cause?.message == "own")
                }
            }
        }
    }
}
