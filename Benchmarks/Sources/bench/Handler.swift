import Glibc
import InterruptCore

/// What the handler of a Unix signal costs the thread that it interrupts: the signal is raised by the thread itself, so
/// the handler has run when `raise` returns.
enum Handler {
    static let count = 2_000

    static func run() async throws {
        var handled = Sample()
        try await withUnixSignals([SIGUSR1]) { signals in
            var set = sigset_t()
            sigemptyset(&set)
            sigaddset(&set, SIGUSR1)
            pthread_sigmask(SIG_UNBLOCK, &set, nil)  // Dispatch's threads take no Unix signals
            for _ in 0..<count {
                let began = monotonicNanoseconds()
                raise(SIGUSR1)
                handled.add(monotonicNanoseconds() - began)
            }
            signals.forget()
        }
        var ignored = Sample()
        signal(SIGUSR1, SIG_IGN)
        for _ in 0..<count {
            let began = monotonicNanoseconds()
            raise(SIGUSR1)
            ignored.add(monotonicNanoseconds() - began)
        }
        print(handled.line("a Unix signal with its handler"))
        print(ignored.line("a Unix signal that is ignored"))
    }
}
