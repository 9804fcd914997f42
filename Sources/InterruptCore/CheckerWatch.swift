import Synchronization

/// One checker of a scope, asked again and again until it is cleared.
final class CheckerWatch: Sendable {
    fileprivate enum Phase {
        /// May become `asking`.
        case idle
        /// Those who asked wait for the answer. May become `idle`, or `overdue` when there is none in time.
        case asking(Question, [Wakeup])
        /// The question goes on, and nobody waits. May become `idle`.
        case overdue(Question)
    }

    /// A question that is under way.
    fileprivate struct Question {
        let number: Int
        let task: Task<Void, Never>
        let alarm: Alarm
    }

    fileprivate enum Answer {
        case signal(InterruptSignal?)
        case failed(String)
        /// There was none within the limit.
        case late
    }

    fileprivate struct State {
        var phase = Phase.idle
        var count = 0
        var isCleared = false
        var isDegraded = false
        var found: InterruptSignal?
    }

    private let checker: InterruptChecker
    private let scope: InterruptScope
    private let state = Mutex(State())
    private let cleared = Wakeup()

    init(_ checker: InterruptChecker, of scope: InterruptScope) {
        (self.checker, self.scope) = (checker, scope)
    }

    /// No question begins any more, and one that is under way finds nothing.
    func clear() {
        let (question, waiting) = state.withLock { state -> (Question?, [Wakeup]) in
            state.isCleared = true
            switch state.phase {
            case .idle: return (nil, [])
            case .asking(let question, let waiting):
                state.phase = .overdue(question)
                return (question, waiting)
            case .overdue(let question): return (question, [])
            }
        }
        cleared.signal()
        question?.alarm.cancel()
        if let question { cancelElsewhere([question.task]) }
        for one in waiting { one.signal() }
    }

    /// Asks until cleared or cancelled. The pauses differ by up to a tenth, so that many scopes do not ask at once.
    func run() async {
        while !Task.isCancelled, !state.withLock({ $0.isCleared }) {
            await ask()
            let pause = checker.interval.clamped * Double.random(in: 0.9...1.1)
            await cleared.wait(until: .now + pause)
        }
    }

    /// Asks, or joins those who wait for the question that is under way. Returns when the answer is merged into the scope,
    /// its limit is over, or the task is cancelled.
    func ask() async {
        let turn = Wakeup()
        let waits = state.withLock { state -> Bool in
            if state.isCleared { return false }
            switch state.phase {
            case .overdue: return false
            case .asking(let question, let others): state.phase = .asking(question, others + [turn])
            case .idle: state.phase = .asking(begin(&state), [turn])
            }
            return true
        }
        if waits { await turn.wait() }
    }

    /// Starts a question. Not awaited when it is late: nothing ends code that does not heed its cancellation, and the work
    /// must not wait for it. It is not asked again before this one is over.
    private func begin(_ state: inout State) -> Question {
        state.count += 1
        let number = state.count
        let task = Task {
            let answer: Answer
            do {
                answer = .signal(try await checker.ask())
            } catch {
                answer = .failed("\(error)")
            }
            conclude(number, answer)
        }
        let alarm = AlarmClock.ofProcess.setAlarm(at: .now + checker.limit.clamped) { self.conclude(number, .late) }
        return Question(number: number, task: task, alarm: alarm)
    }

    private func conclude(_ number: Int, _ answer: Answer) {
        let ended = state.withLock { state -> (question: Question, waiting: [Wakeup], Conclusion)? in
            switch state.phase {
            case .asking(let question, let waiting) where question.number == number:
                if case .late = answer { state.phase = .overdue(question) } else { state.phase = .idle }
                return (question, waiting, state.conclude(answer, from: checker))
            case .overdue(let question) where question.number == number:
                if case .late = answer { return nil }
                state.phase = .idle
                return nil
            case .idle, .asking, .overdue: return nil
            }
        }
        guard let (question, waiting, conclusion) = ended else { return }
        question.alarm.cancel()
        if case .late = answer { cancelElsewhere([question.task]) }
        if let news = conclusion.news { scope.bus.publish(news) }
        if let signal = conclusion.signal { scope.receive(signal, from: self, named: checker.name) }
        for one in waiting { one.signal() }
    }

    /// What there is to tell, and the interrupt that was found.
    private typealias Conclusion = (news: ScopeEvent?, signal: InterruptSignal?)
}

extension CheckerWatch.State {
    /// What an answer means. What was found once is the same interrupt at every further question.
    fileprivate mutating func conclude(
        _ answer: CheckerWatch.Answer,
        from checker: InterruptChecker
    ) -> (news: ScopeEvent?, signal: InterruptSignal?) {
        let why: String
        switch answer {
        case .failed(let text): why = text
        case .late: why = "no answer within \(checker.limit.displayText)"
        case .signal(let signal):
            let news: ScopeEvent? = isDegraded ? .restored(source: checker.name) : nil
            isDegraded = false
            // The same again is the one from before, which may not have been merged yet: whoever asks must find it.
            if let signal, let found, found.says(sameAs: signal) { return (news, found) }
            found = signal
            return (news, signal)
        }
        defer { isDegraded = true }
        return (isDegraded ? nil : .degraded(source: checker.name, why: why), nil)
    }
}

extension InterruptScope {
    /// Asks `checker` now and then at its interval, and merges what it finds, until it is cleared, replaced or the scope
    /// ends. Replaces an earlier one of the same name. Callable from anywhere; returns at once.
    public func setChecker(_ checker: InterruptChecker) {
        let watch = CheckerWatch(checker, of: self)
        let replaced = state.withLock { state -> CheckerWatch? in
            guard state.phase == .open else { return nil }
            state.runUntilEnd(in: self) { await watch.run() }
            return state.checkers.updateValue(watch, forKey: checker.name)
        }
        replaced?.clear()
    }

    /// Takes a checker back: once this has returned it is not asked any more, and a question that is under way finds
    /// nothing.
    public func clearChecker(named name: String) {
        state.withLock { $0.checkers.removeValue(forKey: name) }?.clear()
    }

    /// A checkpoint that also asks every checker: first whether anything was asked of the scope already. Returns when all
    /// have answered or their limits are over.
    ///
    /// - Throws: as ``checkpoint(_:)``. A checker that fails is no error.
    public func checkInterrupt(_ name: StaticString = #function) async throws(InterruptedError) {
        try checkpoint(name)
        await withDiscardingTaskGroup { group in
            for watch in state.withLock({ $0.checkers.values }) { group.addTask { await watch.ask() } }
        }
        try checkpoint(name)
    }

    /// Looking whether the checker still counts and merging what it found are one step, so that it finds nothing after
    /// `clearChecker`.
    fileprivate func receive(_ signal: InterruptSignal, from watch: CheckerWatch, named name: String) {
        change { state, then in
            guard state.checkers[name] === watch else { return }
            _ = state.receive(signal, in: self, &then)
        }
    }
}

extension InterruptSignal {
    /// Whether this asks for the same in the same words, whenever and under whatever id.
    fileprivate func says(sameAs other: InterruptSignal) -> Bool {
        var other = other
        (other.id, other.triggeredAt) = (id, triggeredAt)
        return self == other
    }
}
