import ArgumentParser
import FoundationEssentials
import Glibc
import InterruptCore
import InterruptRedis

/// Which Redis and which namespace; the same for every command.
struct ConnectionOptions: ParsableArguments {
    @Option(
        name: .customLong("redis"),
        help: ArgumentHelp(
            "The Redis to use: redis://, rediss://, redis+unix:///path or redis+sentinel:// (INTERRUPT_REDIS_URL).",
            discussion: "Without it: the Redis that 'interruptd' started here.",
            valueName: "url"
        )
    )
    var redisURL: String?

    @Option(
        name: .customLong("redis-password-file"),
        help: ArgumentHelp("A file with the password (INTERRUPT_REDIS_PASSWORD_FILE).", valueName: "file"),
        completion: .file()
    )
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "A file with the sentinels' own password (INTERRUPT_SENTINEL_PASSWORD_FILE).",
            valueName: "file"
        ),
        completion: .file()
    )
    var sentinelPasswordFile: String?

    @Option(
        name: .customLong("tls-ca"),
        help: ArgumentHelp("Certificates that may sign the server's (INTERRUPT_TLS_CA).", valueName: "file"),
        completion: .file()
    )
    var tlsCA: String?

    @Option(
        help: ArgumentHelp("This client's certificate (INTERRUPT_TLS_CERT).", valueName: "file"),
        completion: .file()
    )
    var tlsCert: String?

    @Option(help: ArgumentHelp("Its key (INTERRUPT_TLS_KEY).", valueName: "file"), completion: .file())
    var tlsKey: String?

    @Option(help: ArgumentHelp("The namespace (INTERRUPT_NAMESPACE; default: interrupt).", valueName: "ns"))
    var namespace: String?

    @Option(
        help: ArgumentHelp(
            "A file with the key to sign with, for workers that ask for it (INTERRUPT_SIGN_KEY).",
            valueName: "file"
        ),
        completion: .file()
    )
    var signKey: String?

    /// The settings after the environment was asked too.
    var settings: EndpointSettings {
        EndpointSettings(
            redisURL: redisURL,
            passwordFile: passwordFile,
            sentinelPasswordFile: sentinelPasswordFile,
            tlsCA: tlsCA,
            tlsCert: tlsCert,
            tlsKey: tlsKey,
            namespace: namespace,
            signKeyFile: signKey,
            environment: ProcessInfo.processInfo.environment
        )
    }
}
