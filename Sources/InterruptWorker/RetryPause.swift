import InterruptCore

/// The growing, jittered pause between attempts to reach a transport: 50 ms doubling to 1 s.
struct RetryPause {
    private var limit = Duration.milliseconds(50)

    /// Waits once; returns early when `wakeup` is signalled or the task is cancelled.
    mutating func wait(orUntil wakeup: Wakeup?) async {
        let pause = limit * Double.random(in: 0.5...1)
        limit = min(limit * 2, .seconds(1))
        await (wakeup ?? Wakeup()).wait(until: .now + pause)
    }
}
