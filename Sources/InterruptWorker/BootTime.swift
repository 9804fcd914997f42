internal import CLaunch

/// An instant since the boot of the machine. It goes on while the machine is suspended, and nobody sets it: the same clock
/// for this process and for those who hold its runs.
public struct BootTime: InstantProtocol {
    /// Milliseconds since the boot.
    public var milliseconds: UInt64

    /// An instant so many milliseconds after the boot.
    public init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    /// The present instant.
    public static var now: BootTime { BootTime(milliseconds: launch_boot_time()) }

    /// An instant later or, by a negative duration, earlier; none before the boot.
    public func advanced(by duration: Duration) -> BootTime {
        BootTime(milliseconds: UInt64(max(0, Int64(milliseconds) + duration.wholeMilliseconds)))
    }

    /// The time from this instant to `other`.
    public func duration(to other: BootTime) -> Duration {
        .milliseconds(Int64(other.milliseconds) - Int64(milliseconds))
    }

    /// Whether this instant is the earlier one.
    public static func < (left: BootTime, right: BootTime) -> Bool { left.milliseconds < right.milliseconds }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
