import Glibc
import InterruptCore
import InterruptWorker

/// Tells the service manager how the daemon is doing, where one has started it (`Type=notify`).
///
/// Unsafe here: a socket address is a fixed structure that a path is copied into.
struct ServiceNotifier: Sendable {
    private let path: String
    /// How often it wants to hear that the daemon is well: half of the time after which it ends it. `nil` is never.
    let watchdogInterval: Duration?

    /// `nil` where no service manager listens.
    init?(environment: [String: String]) {
        guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
        self.path = path
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let limit = environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap {
            $0 > 0 ? Duration.microseconds($0) : nil
        }
        watchdogInterval = isForUs ? limit.map { $0 / 2 } : nil
    }

    /// The daemon can be used: its settings are right, and it can start jobs. Redis may be out of reach; that is waited
    /// for.
    func ready() { send("READY=1\nSTATUS=Waiting for Redis") }

    /// Tells what of an event concerns the service manager.
    func report(_ event: WorkerEvent) {
        switch event {
        case .entered: send("STATUS=Taking jobs")
        case .stage(let previous, let stage, let held):
            send((previous == nil ? "STOPPING=1\n" : "") + "STATUS=Stage \(stage.name), \(held) running")
        default: return
        }
    }

    /// Says again and again that tasks get to run, until its own is cancelled; at once if nobody wants to hear it.
    func beat() async {
        guard let watchdogInterval else { return }
        while !Task.isCancelled {
            send("WATCHDOG=1")
            try? await Task.sleep(for: watchdogInterval, clock: .continuous)  // cancelled: the loop ends
        }
    }

    /// Best effort: a manager that does not listen any more is none of the daemon's business.
    private func send(_ text: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            place.copyBytes(from: bytes)
            if bytes[0] == UInt8(ascii: "@") { place[0] = 0 }  // a name that is no file
        }
        let length = socklen_t(MemoryLayout.offset(of: \sockaddr_un.sun_path)! + bytes.count)
        let message = Array(text.utf8)
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), address, length)
            }
        }
    }
}
