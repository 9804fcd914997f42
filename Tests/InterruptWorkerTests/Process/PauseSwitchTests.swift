import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `What a run was asked last` {
    @Test func `a paused run that is asked anew is reported paused again`() async {
        let reports = Mutex<[Bool]>([])
        let pause = PauseSwitch { isPaused in reports.withLock { $0.append(isPaused) } }
        pause.set(true)
        #expect(await pause.next() == true)
        pause.done(true)
        pause.set(false)
        pause.set(true)
        #expect(await pause.next() == true)
        pause.done(true)
        #expect(reports.withLock { $0 } == [true, true])
    }

    @Test func `a pause that is taken back before it was done asks for nothing`() async {
        let pause = PauseSwitch()
        pause.set(true)
        pause.set(false)
        async let next = pause.next()
        pause.set(true)
        #expect(await next == true)
        pause.done(true)
        pause.set(false)
        #expect(await pause.next() == false)
    }

    @Test func `whoever waits is told that its task was cancelled`() async {
        let pause = PauseSwitch()
        let waiting = Task { await pause.next() }
        waiting.cancel()
        #expect(await waiting.value == nil)
    }
}
