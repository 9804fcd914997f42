import InterruptCore

@testable import InterruptRedis
@testable import InterruptWorker

/// One run on its worker: ``InterruptInbox`` merges what asks it to stop, ``TeardownLadder`` says what is done to its
/// processes, and what they do then is chance.
final class ModelRun {
    let order: RunOrder
    private let world: World
    private let worker: ModelWorker
    private let onEnd: () -> Void
    private(set) var inbox = InterruptInbox()
    private var ladder = TeardownLadder<VirtualInstant>()
    private var receipts: [(InterruptSignal, DeliveryWay)] = []
    private var isWriting = false
    private var hasExited = false
    private var wasTold = false
    private var isOver = false
    private var hasBegun = false
    private var endsSoon = false
    /// When the guard kills it, if nobody moves that on.
    private var fence: VirtualInstant?
    private var isLost = false
    /// By when SIGKILL is due at the latest: what the run may ask for itself is in it.
    private var forcedBy: VirtualInstant?
    /// How much more than its grace period it may have.
    private let moreTime: Duration

    init(_ order: RunOrder, _ worker: ModelWorker, _ onEnd: @escaping () -> Void) {
        (self.order, self.worker, self.world, self.onEnd) = (order, worker, worker.world, onEnd)
        moreTime = worker.world.chance(30) ? worker.world.milliseconds(0..<2_000) : .zero
    }

    /// - Parameter fence: when the guard kills it; `nil` for a run that is not leased.
    func begin(until fence: VirtualInstant? = nil) {
        if hasExited { return }
        hasBegun = true
        world.tell("\(order.run) runs on \(worker.name)")
        if let other = world.promises.living.updateValue(order.run, forKey: order.job) {
            world.broken("\(order.run) runs, and \(other) does still")
        }
        if let fence { move(fence, isFirst: true) }
        // Some end soon, most only because they are asked to.
        endsSoon = world.chance(25)
        world.after(endsSoon ? world.milliseconds(1..<4_000) : .seconds(600)) { [self] in exit() }
        if moreTime > .zero {
            for _ in 0..<3 { world.after(world.milliseconds(0..<8_000)) { [self] in askForMore() } }
        }
    }

    func receive(_ signal: InterruptSignal, _ way: DeliveryWay) {
        if isOver || worker.hasCrashed { return }
        if !world.promises.isAsked(signal.id, signal.stage, of: order.run) {
            world.broken("\(order.run) was delivered \(signal.id) at \(signal.stage), which nobody had asked")
        }
        let earlier = inbox.stage
        let reception = inbox.receive(signal)
        if let earlier, inbox.stage! < earlier { world.broken("\(order.run) fell from \(earlier) to \(inbox.stage!)") }
        if inbox.stage! < signal.stage { world.broken("\(order.run) did not rise to \(signal.stage)") }
        if reception == .known { return }
        world.tell("\(order.run) receives \(signal.id) at \(signal.stage) by \(way): \(reception)")
        receipts.append((signal, way))
        writeReceipts()
        if reception != .late, reception != .passedOver { tearDown(signal) }
    }

    /// Whether it goes on, nobody wants it to end, nor does it by itself, and all is on record.
    var isAtRest: Bool { hasBegun && !hasExited && !endsSoon && receipts.isEmpty && inbox.stage ?? .drain == .drain }

    // MARK: The processes

    /// The worker was heard of: the guard has more time. Not for a run that has no fence, nor sooner than before.
    func move(_ instant: VirtualInstant, isFirst: Bool = false) {
        guard hasBegun, !hasExited, isFirst || fence.map({ $0 < instant }) ?? false else { return }
        fence = instant
        world.at(instant) { [self] in
            guard fence == instant, !hasExited else { return }
            world.tell("\(order.run) is fenced")
            isLost = true
            exit()
        }
    }

    /// Another worker may have it by now: it never begins.
    func fail() {
        isLost = true
        exit()
    }

    /// It is not this worker's any more.
    func giveUp() {
        world.tell("\(order.run) is given up by \(worker.name)")
        exit()
    }

    private func tearDown(_ signal: InterruptSignal) {
        let grace = signal.gracePeriod ?? order.gracePeriod ?? .zero
        if signal.stage > .drain, !hasExited {
            let isForced = signal.stage == .kill || grace == .zero
            force(by: world.now.advanced(by: isForced ? .zero : grace + moreTime))
        }
        carryOut(ladder.interrupt(stage: signal.stage, gracePeriod: grace, moreTime: moreTime, now: world.now))
    }

    private func askForMore() { carryOut(ladder.extend(by: world.milliseconds(0..<3_000), now: world.now)) }

    private func carryOut(_ action: TeardownLadder<VirtualInstant>.Action) {
        if hasExited, action != .none { return world.broken("\(order.run) has ended, and yet: \(action)") }
        switch action {
        case .none: break
        case .terminate(let killAt):
            if wasTold { world.broken("\(order.run) was asked to end twice") }
            wasTold = true
            deadline(killAt)
            if world.chance(50) { world.after(world.milliseconds(0..<4_000)) { [self] in exit() } }
        case .shorten(let killAt):
            // Who asks again and sooner means it: the run may not move that.
            force(by: killAt)
            deadline(killAt)
        case .extend(let killAt, _): deadline(killAt)
        case .kill:
            if forcedBy == nil { world.broken("\(order.run) was forced, which nobody had asked") }
            world.tell("\(order.run) gets SIGKILL")
            exit()
        }
    }

    private func deadline(_ killAt: VirtualInstant) {
        world.at(killAt) { [self] in
            carryOut(ladder.deadlineReached(now: world.now))
        }
    }

    /// A little after SIGKILL was due, nothing of it is left.
    private func force(by instant: VirtualInstant) {
        if let forcedBy, forcedBy <= instant { return }
        forcedBy = instant
        world.at(instant.advanced(by: .milliseconds(1))) { [self] in
            if !hasExited { world.broken("\(order.run) outlives its grace period") }
        }
    }

    private func exit() {
        if hasExited { return }
        hasExited = true
        world.tell("\(order.run) has ended")
        endLiving()
        ladder.treeEnded()
        if worker.hasCrashed { return }
        isOver = true
        worker.checker.unwatch(order.run)
        writeReceipts()
    }

    /// The worker's process has gone, and all of the run with it.
    func vanish() {
        hasExited = true
        endLiving()
        ladder.treeEnded()
        isOver = true
    }

    private func endLiving() {
        if world.promises.living[order.job] == order.run { world.promises.living[order.job] = nil }
    }

    // MARK: What goes on record

    private func writeReceipts() {
        if isWriting || worker.hasCrashed { return }
        if let (signal, _) = receipts.first {
            isWriting = true
            let script = ModelServer.Script.acknowledge(signal, order.run, instance: worker.instance)
            return worker.write(script) { [self] _ in
                receipts.removeFirst()
                isWriting = false
                writeReceipts()
            }
        }
        guard hasExited else { return }
        isWriting = true
        let isInterrupted = inbox.stage ?? .drain > .drain
        let state: RunState = isLost ? .lost : isInterrupted ? .interrupted : .completed
        worker.write(.end(order.run, instance: worker.instance, state)) { [self] _ in onEnd() }
    }
}
