/// Unix signals by name, as Linux numbers them.
public enum SignalName {
    /// From 1 on.
    private static let names = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
        "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
        "SIGSYS",
    ]

    /// The first real-time signal that programs may use: the C library keeps 32 and 33 to itself.
    private static let firstRealTime: Int32 = 34

    /// The name of a Unix signal; one without a name is called by its number.
    public static func of(_ number: Int32) -> String {
        switch number {
        case 1...Int32(names.count): names[Int(number) - 1]
        case firstRealTime: "SIGRTMIN"
        case firstRealTime...64: "SIGRTMIN+\(number - firstRealTime)"
        default: "Unix signal \(number)"
        }
    }
}
