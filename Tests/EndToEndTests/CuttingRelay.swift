import Foundation
import Glibc
import Synchronization
import SystemPackage

/// Carries bytes between clients and a server, both on Unix sockets, and cuts a connection at a script if it is told to.
final class CuttingRelay: Sendable {
    /// What gets lost with the connection.
    enum Cut: CaseIterable {
        /// The call: it never reaches the server.
        case call
        /// The reply: the server has carried out the call.
        case reply
    }

    let path: String
    private let server: String
    private let listener: Int32
    /// What is to be cut, and how many scripts go through before.
    private let armed = Mutex<(cut: Cut, scriptsBefore: Int)?>(nil)

    init(path: String, server: String) throws {
        (self.path, self.server) = (path, server)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let isListening = Self.withAddress(path) { bind(listener, $0, $1) == 0 && listen(listener, 64) == 0 }
        guard isListening else { throw Errno(rawValue: errno) }
        Thread.detachNewThread { [self] in
            while case let client = accept(listener, nil, nil), client >= 0 {
                Thread.detachNewThread { [self] in carry(client) }
            }
        }
    }

    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// Cuts once.
    func arm(_ cut: Cut, after scriptsBefore: Int = 0) { armed.withLock { $0 = (cut, scriptsBefore) } }

    /// Whether the cut has happened.
    var isDone: Bool { armed.withLock { $0 == nil } }

    private func carry(_ client: Int32) {
        let upstream = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            Glibc.close(client)
            Glibc.close(upstream)
        }
        guard Self.withAddress(server, { connect(upstream, $0, $1) == 0 }) else { return }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            var both = [client, upstream].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&both, 2, -1) > 0 else { return }
            if both[0].revents != 0 {
                let count = read(client, &bytes, bytes.count)
                guard count > 0 else { return }
                let cut = cut(at: bytes[..<count])
                if cut == .call { return }
                guard write(upstream, bytes, count) == count else { return }
                if cut == .reply {
                    // Answered is carried out; nobody hears of it.
                    _ = read(upstream, &bytes, bytes.count)
                    return
                }
            }
            if both[1].revents != 0 {
                let count = read(upstream, &bytes, bytes.count)
                guard count > 0, write(client, bytes, count) == count else { return }
            }
        }
    }

    private func cut(at bytes: ArraySlice<UInt8>) -> Cut? {
        guard bytes.firstRange(of: Array("EVALSHA".utf8)) != nil else { return nil }
        return armed.withLock { armed in
            guard let (cut, scriptsBefore) = armed else { return nil }
            armed = scriptsBefore == 0 ? nil : (cut, scriptsBefore - 1)
            return scriptsBefore == 0 ? cut : nil
        }
    }

    private static func withAddress<R>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // Unsafe here: C's array is a tuple in Swift, and every kind of address has its own type.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
