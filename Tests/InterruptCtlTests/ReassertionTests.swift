import Testing

@testable import interruptctl

@Suite struct `A request without a receipt` {
    /// When it is asserted in the first half minute, looked at every quarter of a second.
    private func instants(random: Double, lostAt: Duration? = nil) -> [Duration] {
        var reassertion = Reassertion(random: random)
        return stride(from: 0, through: 30_000, by: 250).map { Duration.milliseconds($0) }.filter { elapsed in
            if elapsed == lostAt { reassertion.connectionWasLost() }
            guard reassertion.isDue(at: elapsed) else { return false }
            reassertion.asserted(at: elapsed, hasArrived: true, random: random)
            return true
        }
    }

    @Test func `is asserted after a second, and then in growing distances of five seconds at most`() {
        let seconds: [Double] = [1, 2, 4, 8, 13, 18, 23, 28]
        #expect(instants(random: 0.5) == seconds.map { .seconds($0) })
    }

    @Test func `is asserted at moments that differ from one who waits to the other`() {
        let distances = [0, 0.999].map { random in
            let all = instants(random: random)
            return zip(all, all.dropFirst()).map { $1 - $0 }
        }
        #expect(distances[0].max()! == .milliseconds(3_750))
        #expect(distances[1].max()! <= .milliseconds(6_250) && distances[1].max()! > .seconds(6))
    }

    @Test func `is asserted at once when the connection was lost, and soon again`() {
        let all = instants(random: 0.5, lostAt: .milliseconds(9_250)).drop { $0 < .seconds(9) }
        #expect(all.prefix(3) == [.milliseconds(9_250), .milliseconds(10_250), .milliseconds(12_250)])
    }

    @Test func `is asserted every second while it is refused, and is not taken for arrived`() {
        var reassertion = Reassertion(random: 0.5)
        reassertion.connectionWasLost()
        for second in 0..<10 {
            #expect(reassertion.isDue(at: .seconds(second)) && reassertion.isAfterLoss)
            reassertion.asserted(at: .seconds(second), hasArrived: false, random: 0.5)
            #expect(!reassertion.isDue(at: .seconds(second) + .milliseconds(999)))
        }
        reassertion.asserted(at: .seconds(10), hasArrived: true, random: 0.5)
        #expect(!reassertion.isAfterLoss)
    }
}
