internal import InterruptCore

/// Decides which workers are silent, from one survey to the next. Reads no clock.
///
/// A worker is silent when its count of heartbeats has stood still for its whole lease and a tenth more, in surveys that came
/// at least twice in that time over one connection. What this process has missed itself, while it was cut off or stopped, says
/// nothing about others: the count begins anew.
struct SilenceWatch<Instant: InstantProtocol> where Instant.Duration == Duration {
    private struct Sighting {
        var sign: WorkerSign
        /// When it was first seen at this count: when that was answered, for it may have come just before.
        var since: Instant
    }

    /// The worker that watches. Of itself it knows.
    private let own: String
    private let ownLease: Duration
    private var sightings: [Name: Sighting] = [:]
    private var connection: UInt64?
    private var last: Instant?

    /// A watch of the worker's instance `own`, with a lease of its own.
    init(own: String, lease: Duration) {
        self.own = own
        ownLease = lease
    }

    /// How long until the next survey: five of them fit into the shortest lease that is on record. Not below a tenth of a second,
    /// whatever a record says.
    var interval: Duration {
        let shortest = sightings.values.reduce(ownLease) { min($0, $1.sign.lease) }
        return max(.milliseconds(100), shortest / 5)
    }

    /// Takes a survey in that was made at some time between two instants; returns the workers that are silent.
    mutating func observe(_ survey: WorkerSurvey, askedAt asked: Instant, answeredAt answered: Instant) -> [WorkerSign]
    {
        let gap = last.map { $0.duration(to: asked) }
        let isUnbroken = connection == survey.connection
        (connection, last) = (survey.connection, asked)
        var silent: [WorkerSign] = []
        var now: [Name: Sighting] = [:]
        for sign in survey.signs where sign.instance != own {
            var sighting = Sighting(sign: sign, since: answered)
            if isUnbroken, let earlier = sightings[sign.worker], earlier.sign == sign, let gap, gap <= sign.lease / 2 {
                sighting.since = earlier.since
                if earlier.since.duration(to: asked) > sign.lease + sign.lease / 10 { silent.append(sign) }
            }
            now[sign.worker] = sighting
        }
        sightings = now
        return silent
    }

    /// A survey failed: nobody knows what it would have shown.
    mutating func missed() { (sightings, last) = ([:], nil) }
}
