import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `A lease` {
    private let length = Duration.seconds(30)

    @Test func `has no fence before the first heartbeat was heard`() {
        let lease = Lease<BootTime>(length: length)
        #expect(lease.fence == nil)
        #expect(!lease.lets(begin: BootTime(milliseconds: 0), below: lease.fence))
    }

    @Test func `ends a fifth of its length before others may take over, counted from when the heartbeat was sent`() {
        var lease = Lease<BootTime>(length: length)
        lease.renewed(at: BootTime(milliseconds: 1_000))
        #expect(lease.fence == BootTime(milliseconds: 25_000))
    }

    @Test func `lets no run begin that would soon be fenced`() {
        let lease = Lease<BootTime>(length: length)
        let fence = BootTime(milliseconds: 25_000)
        #expect(lease.lets(begin: BootTime(milliseconds: 13_000), below: fence))
        for late: UInt64 in [13_001, 25_000, 99_000] {
            #expect(!lease.lets(begin: BootTime(milliseconds: late), below: fence))
        }
    }

    @Test func `is renewed in time when a heartbeat was heard late`() {
        let lease = Lease<BootTime>(length: length)
        let sent = BootTime(milliseconds: 1_000)
        #expect(lease.nextHeartbeat(after: sent, wasHeard: true) == BootTime(milliseconds: 7_000))
        #expect(lease.nextHeartbeat(after: sent, wasHeard: false) == BootTime(milliseconds: 2_000))
        let brief = Lease<BootTime>(length: .seconds(1))
        #expect(brief.nextHeartbeat(after: sent, wasHeard: false) == BootTime(milliseconds: 1_200))
    }

    @Test func `holds three lost heartbeats, and never moves back`() {
        var lease = Lease<BootTime>(length: length)
        lease.renewed(at: BootTime(milliseconds: 50_000))
        lease.renewed(at: BootTime(milliseconds: 10_000))
        #expect(lease.fence == BootTime(milliseconds: 74_000))
        #expect(
            lease.heartbeatInterval * 4 <= BootTime(milliseconds: 50_000).duration(to: BootTime(milliseconds: 74_000))
        )
    }
}

@Suite struct `A watch over other workers` {
    private typealias Watch = SilenceWatch<BootTime>

    private func sign(_ heartbeat: Int64, _ worker: String = "w2", instance: String = "i2") throws -> WorkerSign {
        WorkerSign(worker: try Name(worker), instance: instance, heartbeat: heartbeat, lease: .seconds(30))
    }

    /// Observes every six seconds, from `first` to `last`; returns who was silent in the last survey.
    private func observe(
        _ watch: inout Watch,
        _ signs: [WorkerSign],
        over connection: UInt64 = 1,
        from first: UInt64,
        to last: UInt64
    ) -> [WorkerSign] {
        var silent: [WorkerSign] = []
        for second in stride(from: first, through: last, by: 6) {
            let now = BootTime(milliseconds: second * 1_000)
            silent = watch.observe(
                WorkerSurvey(signs: signs, connection: connection),
                askedAt: now,
                answeredAt: now
            )
        }
        return silent
    }

    @Test func `calls silent whose count stands still for longer than the lease and a tenth`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        #expect(observe(&watch, [try sign(5)], from: 0, to: 30) == [])
        #expect(observe(&watch, [try sign(5)], from: 36, to: 36) == [try sign(5)])
    }

    @Test func `counts from when the first survey was answered to when the last one was asked for`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        let survey = WorkerSurvey(signs: [try sign(5)], connection: 1)
        _ = watch.observe(
            survey,
            askedAt: BootTime(milliseconds: 0),
            answeredAt: BootTime(milliseconds: 4_000)  // a heartbeat may have come at 3.9 s
        )
        #expect(observe(&watch, [try sign(5)], from: 6, to: 36) == [], "32 s, and not 36")
        #expect(observe(&watch, [try sign(5)], from: 42, to: 42) == [try sign(5)])
    }

    @Test func `begins anew with every heartbeat and every new instance`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        _ = observe(&watch, [try sign(5)], from: 0, to: 30)
        #expect(observe(&watch, [try sign(6)], from: 36, to: 66) == [])
        #expect(observe(&watch, [try sign(6, instance: "i3")], from: 72, to: 102) == [])
        #expect(observe(&watch, [try sign(6, instance: "i3")], from: 108, to: 108).count == 1)
    }

    @Test func `begins anew when its own connection was lost`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        _ = observe(&watch, [try sign(5)], from: 0, to: 30)
        #expect(observe(&watch, [try sign(5)], over: 2, from: 36, to: 66) == [])
        #expect(observe(&watch, [try sign(5)], over: 2, from: 72, to: 72).count == 1)
    }

    @Test func `begins anew when it was stopped itself, or a survey failed`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        _ = observe(&watch, [try sign(5)], from: 0, to: 30)
        #expect(observe(&watch, [try sign(5)], from: 100, to: 130) == [], "nothing was seen for seventy seconds")
        watch.missed()
        #expect(observe(&watch, [try sign(5)], from: 136, to: 166) == [])
        #expect(observe(&watch, [try sign(5)], from: 172, to: 172).count == 1)
    }

    @Test func `leaves out its own worker and tells each of the others by itself`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        let own = try sign(5, "w1", instance: "i1")
        _ = observe(&watch, [own, try sign(5), try sign(9, "w3", instance: "i3")], from: 0, to: 30)
        let silent = observe(&watch, [own, try sign(6), try sign(9, "w3", instance: "i3")], from: 36, to: 36)
        #expect(silent == [try sign(9, "w3", instance: "i3")])
    }

    @Test func `looks five times within the shortest lease, whoever has it`() throws {
        var watch = Watch(own: "i1", lease: .seconds(30))
        #expect(watch.interval == .seconds(6))
        let brief = WorkerSign(worker: try Name("w2"), instance: "i2", heartbeat: 5, lease: .seconds(3))
        var silent: [WorkerSign] = []
        var now = BootTime(milliseconds: 0)
        while silent.isEmpty, now < BootTime(milliseconds: 10_000) {
            silent = watch.observe(
                WorkerSurvey(signs: [brief, try sign(7, "w3")], connection: 1),
                askedAt: now,
                answeredAt: now
            )
            now = now.advanced(by: watch.interval)
        }
        #expect(silent == [brief])
        var hostile = brief
        hostile.lease = .milliseconds(1)
        _ = watch.observe(WorkerSurvey(signs: [hostile], connection: 1), askedAt: now, answeredAt: now)
        #expect(watch.interval == .milliseconds(100))
    }
}
