public import InterruptRedis

extension RedisConnectionConfiguration {
    /// The limits of a connection by which a test asks, for 20 s each: a machine that is full of tests and builds lets a
    /// server wait for a processor for longer than a program's 2 s, which says nothing about what is tested.
    public static let patient = RedisConnectionConfiguration(
        connectTimeout: .seconds(20),
        commandTimeout: .seconds(20),
        pingTimeout: .seconds(20)
    )
}
