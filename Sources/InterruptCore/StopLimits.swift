/// How long a worker and a requester wait for the end of what was sent SIGKILL.
public enum StopLimits {
    /// The time between asking and forcing where nobody says. 10 s: as long as `docker stop` waits.
    public static let gracePeriod = Duration.seconds(10)

    /// How long a worker lets processes outlive SIGKILL before it reports them instead of waiting.
    ///
    /// 3 s: what waits in the kernel longer than that waits for a disk or a server, which is not ours to wait for.
    public static let survival = Duration.seconds(3)

    /// How long a requester waits for the outcome after the grace period: longer than the worker, by what its report may
    /// take to arrive, so that nobody leaves just before the answer.
    public static let answer = survival + .seconds(2)
}
