import Synchronization
import Testing

@testable import InterruptWorker

@Suite(.timeLimit(.minutes(1))) struct `What a run was asked last` {
    @Test func `a paused run that is asked anew is reported paused again`() {
        let reports = Mutex<[Bool]>([])
        let pause = PauseSwitch { isPaused in reports.withLock { $0.append(isPaused) } }
        pause.set(true)
        #expect(pause.due() == true)
        pause.done(true)
        #expect(pause.due() == nil)
        pause.set(false)
        pause.set(true)
        #expect(pause.due() == true)
        pause.done(true)
        #expect(pause.due() == nil)
        #expect(reports.withLock { $0 } == [true, true])
    }

    @Test func `a pause that is taken back before it was done asks for nothing`() async {
        let pause = PauseSwitch()
        pause.set(true)
        pause.set(false)
        #expect(pause.due() == nil)
        #expect(await pause.isTakenBack())
        pause.set(true)
        #expect(pause.due() == true)
        pause.set(false)
        pause.done(true)
        #expect(pause.due() == false)
    }

    @Test func `what has failed is due again, as it is asked then, and reported only if it was paused`() {
        let reports = Mutex<[Bool]>([])
        let pause = PauseSwitch { isPaused in reports.withLock { $0.append(isPaused) } }
        pause.set(true)
        pause.failed()
        #expect(pause.due() == true)
        pause.set(false)
        #expect(pause.due() == false)
        pause.done(false)
        #expect(pause.due() == nil)
        #expect(reports.withLock { $0 } == [])
        pause.set(true)
        pause.done(true)
        pause.set(true)
        pause.failed()
        #expect(pause.due() == true)
        pause.set(false)
        pause.done(false)
        #expect(reports.withLock { $0 } == [true, false])
    }
}
