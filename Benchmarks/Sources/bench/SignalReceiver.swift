import Glibc

/// The job of the latency benchmark: says that it is ready, waits for SIGTERM and prints when it came.
enum SignalReceiver {
    static func run(count: Int) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigprocmask(SIG_BLOCK, &set, nil)
        write(1, "ready\n", 6)
        var number: Int32 = 0
        sigwait(&set, &number)
        let text = "\(monotonicNanoseconds())\n"
        _ = text.withCString { write(1, $0, strlen($0)) }
    }
}
