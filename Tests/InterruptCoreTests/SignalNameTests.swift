import Glibc
import InterruptCore
import Testing

@Suite struct `Names of Unix signals` {
    @Test(arguments: [
        (SIGHUP, "SIGHUP"), (SIGINT, "SIGINT"), (SIGQUIT, "SIGQUIT"), (SIGILL, "SIGILL"), (SIGTRAP, "SIGTRAP"),
        (SIGABRT, "SIGABRT"), (SIGBUS, "SIGBUS"), (SIGFPE, "SIGFPE"), (SIGKILL, "SIGKILL"), (SIGUSR1, "SIGUSR1"),
        (SIGSEGV, "SIGSEGV"), (SIGUSR2, "SIGUSR2"), (SIGPIPE, "SIGPIPE"), (SIGALRM, "SIGALRM"), (SIGTERM, "SIGTERM"),
        (SIGSTKFLT, "SIGSTKFLT"), (SIGCHLD, "SIGCHLD"), (SIGCONT, "SIGCONT"), (SIGSTOP, "SIGSTOP"),
        (SIGTSTP, "SIGTSTP"), (SIGTTIN, "SIGTTIN"), (SIGTTOU, "SIGTTOU"), (SIGURG, "SIGURG"), (SIGXCPU, "SIGXCPU"),
        (SIGXFSZ, "SIGXFSZ"), (SIGVTALRM, "SIGVTALRM"), (SIGPROF, "SIGPROF"), (SIGWINCH, "SIGWINCH"),
        (SIGIO, "SIGIO"), (SIGPWR, "SIGPWR"), (SIGSYS, "SIGSYS"), (34, "SIGRTMIN"), (35, "SIGRTMIN+1"),
        (64, "SIGRTMIN+30"), (32, "Unix signal 32"), (33, "Unix signal 33"), (0, "Unix signal 0"),
        (65, "Unix signal 65"), (-1, "Unix signal -1"),
    ])
    func `are those of the system`(number: Int32, name: String) {
        #expect(SignalName.of(number) == name)
    }

    @Test func `are all different, and only the two of the C library have none`() {
        let names = (1...64).map(SignalName.of)
        #expect(Set(names).count == 64)
        #expect(names.filter { !$0.hasPrefix("SIG") } == ["Unix signal 32", "Unix signal 33"])
    }
}
