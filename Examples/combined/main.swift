import Glibc
import InterruptCore
import InterruptSources

// Ctrl-C, SIGTERM, a file, a memory limit and a timeout: whichever is first ends the work and says why.
do {
    try await withUnixSignalHandling { scope in
        print("at work")
        let events = scope.events
        scope.setTimeout(.seconds(60))
        scope.setChecker(.file(try Name("nightly"), in: "interrupts"))
        scope.setChecker(.resourceLimits(ResourceLimits(memory: 1_000_000_000)))
        for await event in events {
            if case .accepted = event { break }
            // A source that cannot be asked does not stop the work; here there is no directory.
            guard case .degraded(let source, _) = event else { continue }
            print("watch degraded: \(source)")
            break
        }
        kill(getpid(), SIGTERM)  // as systemd or Kubernetes does
        try await scope.sleep(for: .seconds(3_600))
    }
} catch let error as InterruptedError {
    print("stopped: \(error.signal.reason), by \(error.signal.triggeredBy ?? "nobody")")
}
