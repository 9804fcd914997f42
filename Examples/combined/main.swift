import Glibc
import InterruptCore
import InterruptSources

// Ctrl-C, SIGTERM, a file, a memory limit and a timeout: whichever is first ends the work and says why.
do {
    try await withUnixSignalHandling { scope in
        print("at work")
        scope.setTimeout(.seconds(60))
        scope.setChecker(.file(try Name("nightly"), in: "interrupts"))
        scope.setChecker(.resourceLimits(ResourceLimits(memory: 1_000_000_000)))
        let events = scope.events
        scope.startTask("events") {
            for await event in events {
                // A source that cannot be asked does not stop the work; here there is no directory.
                if case .degraded(let source, _) = event { print("watch degraded: \(source)") }
            }
        }
        try await scope.sleep(for: .milliseconds(200))
        kill(getpid(), SIGTERM)  // as systemd or Kubernetes does
        try await scope.sleep(for: .seconds(3_600))
    }
} catch let error as InterruptedError {
    print("stopped: \(error.signal.reason), by \(error.signal.triggeredBy ?? "nobody")")
}
