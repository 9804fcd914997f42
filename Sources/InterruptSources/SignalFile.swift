import Glibc
import InterruptCore
import InterruptJSON

/// A small file that others write, in a directory that others may reach.
///
/// Every step is taken from an open directory and refuses to pass a link by itself, so that nobody can put one in its way
/// between a check and the step that relies on it.
struct SignalFile: Sendable {
    private let directory: String
    private let name: String
    private let followsLinks: Bool

    /// How often a directory is read again that is exchanged meanwhile.
    private static let attempts = 16
    /// The most links on the way; Kubernetes has two.
    private static let maximumLinks = 8

    init(_ id: Name, in directory: String, followsLinks: Bool) {
        (self.directory, self.name, self.followsLinks) = (directory, "\(id).signal", followsLinks)
    }

    var path: String { "\(directory)/\(name)" }

    /// The interrupt that it asks for now; `nil` for none.
    func signal(for run: RunID?) throws(SourceFailure) -> InterruptSignal? {
        guard let text = try read() else { return nil }
        do {
            return try FlagText.signal(text, for: run)
        } catch {
            throw failure(path, "says nothing that can be read: \(error.reason)")
        }
    }

    /// What is in it now; `nil` when there is no such file.
    func read() throws(SourceFailure) -> [UInt8]? {
        guard let top = OpenFile(directory, O_DIRECTORY) else {
            throw failure(directory, "cannot be read: \(errorText())")
        }
        try check(top, directory)
        var (place, gone): (OpenFile?, String?)
        for _ in 0..<Self.attempts {
            switch try look(in: top) {
            case .text(let bytes): return bytes
            // Held open while it is looked for again, so that no other directory can have its number.
            case .absent(let now) where now.isSame(as: top) || place.map(now.isSame) ?? false: return nil
            case .absent(let now): place = now
            case .exchanged(let path) where path == gone: throw failure(path, "is not there, but a link leads to it")
            case .exchanged(let path): (place, gone) = (nil, path)
            }
        }
        throw failure(directory, "changes faster than it can be read")
    }

    private enum Finding {
        case text([UInt8])
        /// It is not in this directory. Where links led there, that counts only if they still do.
        case absent(in: OpenFile)
        /// What a link led to was gone when it was opened. Twice the same is no exchange.
        case exchanged(String)
    }

    private func look(in top: OpenFile) throws(SourceFailure) -> Finding {
        var (place, path, links) = (top, directory, 0)
        var rest = [name][...]
        while let step = rest.popFirst() {
            path += "/\(step)"
            if let target = place.link(step) {
                guard followsLinks else { throw failure(path, "is a symbolic link") }
                let steps = target.split(separator: "/").map(String.init)
                // A link that goes up is refused even if it came back in: nothing that is read here needs one.
                guard target.first != "/", !steps.contains("..") else {
                    throw failure(path, "leads out of the directory")
                }
                links += 1
                guard links <= Self.maximumLinks else { throw failure(path, "leads from link to link") }
                path.removeLast(step.utf8.count + 1)
                rest = steps.filter { $0 != "." } + rest
                continue
            }
            // No pipe is waited for.
            guard let next = OpenFile(step, in: place, rest.isEmpty ? O_NONBLOCK : O_DIRECTORY) else {
                if errno == ENOENT, rest.isEmpty { return .absent(in: place) }
                // ELOOP: it is a link by now.
                if followsLinks, errno == ENOENT || errno == ELOOP { return .exchanged(path) }
                throw failure(path, "cannot be read: \(errorText())")
            }
            try check(next, path)
            place = next
        }
        guard place.isRegular else { throw failure(path, "is not a file") }
        guard let text = place.text(atMost: SignalMessage.maximumFlagSize) else {
            throw failure(path, "cannot be read: \(errorText())")
        }
        guard text.count <= SignalMessage.maximumFlagSize else {
            throw failure(path, "is larger than \(SignalMessage.maximumFlagSize) bytes")
        }
        return .text(text)
    }

    private func check(_ file: OpenFile, _ path: String) throws(SourceFailure) {
        if let objection = file.trust.objection { throw failure(path, objection) }
    }

    private func failure(_ path: String, _ why: String) -> SourceFailure {
        SourceFailure("'\(path.escapedForDisplay())' \(why)")
    }

    private func errorText() -> String { String(cString: strerror(errno)) }
}
