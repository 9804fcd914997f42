#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An instant of wall time in whole milliseconds since 1970, for display and for the record. Never used to measure.
public struct Timestamp: Hashable, Sendable, Comparable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public let milliseconds: Int64

    /// The instant `milliseconds` after 1970-01-01T00:00:00Z.
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// This machine's wall clock.
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// The instant as RFC 3339 in UTC with milliseconds; the earliest or latest one that has four digits for its year, if
    /// it has more.
    public var rfc3339: String {
        let milliseconds = min(max(milliseconds, -62_135_596_800_000), 253_402_300_799_999)
        let (days, inDay) = Self.split(milliseconds, by: 86_400_000)
        // The calendar repeats every 400 years, which have 146,097 days; years begin in March, so that leap days are last.
        let (era, dayOfEra) = Self.split(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let year = era * 400 + yearOfEra + (month >= 10 ? 1 : 0)
        let date = "\(year.digits(4))-\((month < 10 ? month + 3 : month - 9).digits(2))-\(day.digits(2))"
        let (seconds, fraction) = (inDay / 1_000, inDay % 1_000)
        let clock = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map { $0.digits(2) }.joined(separator: ":")
        return "\(date)T\(clock).\(fraction.digits(3))Z"
    }

    /// The instant `duration` later; the last one there is when it is too far.
    package func advanced(by duration: Duration) -> Timestamp {
        let (sum, overflows) = milliseconds.addingReportingOverflow(duration.milliseconds)
        return Timestamp(milliseconds: overflows ? (duration < .zero ? .min : .max) : sum)
    }

    /// The quotient, rounded down, and what is left.
    private static func split(_ number: Int64, by divisor: Int64) -> (quotient: Int64, rest: Int64) {
        let rest = (number % divisor + divisor) % divisor
        return ((number - rest) / divisor, rest)
    }

    /// Orders by time.
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    /// The time from `earlier` to `self`.
    public static func - (later: Self, earlier: Self) -> Duration {
        let (difference, overflows) = later.milliseconds.subtractingReportingOverflow(earlier.milliseconds)
        return .milliseconds(overflows ? (later > earlier ? .max : .min) : difference)
    }
}

extension Duration {
    /// The duration in whole milliseconds, rounded toward zero; the nearest that fits when it is longer than that.
    public var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000)
        if isTooLong { return seconds < 0 ? .min : .max }
        let (sum, overflows) = whole.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return overflows ? (seconds < 0 ? .min : .max) : sum
    }
}

extension Int64 {
    /// With zeros in front.
    fileprivate func digits(_ count: Int) -> String {
        let text = String(self)
        return String(repeating: "0", count: Swift.max(0, count - text.count)) + text
    }
}
