internal import Glibc
internal import InterruptCore
internal import SystemPackage

/// The file that keeps a run's output, both streams in the order in which they were read.
///
/// It is bounded: when it has grown to half of the limit it becomes `<name>.1`, in the place of the one that was that
/// before, and the output goes on in a new file. So the end is always in the file itself, at least the newer half of what
/// may be kept is there, and a line at its beginning says what came before and where that is.
///
/// After the first failure nothing more is kept, but the offsets go on counting. A file is locked as long as it may be
/// read back: that keeps ``OutputRetention`` away, of this and of any other daemon.
struct OutputFile: ~Copyable {
    /// Why and from which byte on the output is not kept.
    struct Failure: Error, Equatable {
        let errno: Errno
        let offset: Int64

        /// One sentence, as the reader of the output sees it.
        var text: String { "interruptd: output file: \(errno); output from byte \(offset) on is not kept" }
    }

    private enum Target {
        /// Nothing was written yet: many jobs never do, and are spared the file. May become open or failed.
        case unused(FilePath)
        /// Output is kept. May become failed.
        case open(FileDescriptor)
        /// Nothing is kept any more. Final.
        case failed
    }

    private var target: Target
    /// Where it is; `nil` for one that cannot be rotated.
    private let path: FilePath?
    /// The most that both files have together, in bytes.
    private let limit: Int64
    private let kept: KeptOutput?
    /// The offset that the next byte gets.
    private(set) var end: Int64 = 0
    /// The offset of the first byte in the file itself.
    private var start: Int64 = 0
    /// The offset of the first byte that is kept, here or in the file before.
    private(set) var keptFrom: Int64 = 0
    /// What went wrong, if anything.
    private(set) var failure: Failure?

    /// A new file that only this user can read, created with the first byte. A file or link that is there already is a
    /// failure.
    init(creating path: FilePath, limit: Int64 = .max) {
        (target, self.path, self.limit, kept) = (.unused(path), path, limit, KeptOutput())
    }

    /// Keeps nothing, because of `errno`.
    init(failed errno: Errno) {
        (target, path, limit, kept) = (.failed, nil, .max, nil)
        failure = Failure(errno: errno, offset: 0)
    }

    /// Writes to `descriptor`, which is closed at the end.
    init(writingTo descriptor: FileDescriptor) {
        (target, path, limit, kept) = (.open(descriptor), nil, .max, KeptOutput())
        kept?.goOn(in: descriptor, from: 0, after: 0)
    }

    deinit {
        if case .open(let descriptor) = target { try? descriptor.close() }  // nothing is buffered, nothing can be done
    }

    /// For reading back what is kept; `nil` when nothing is.
    func reader() -> KeptOutput? { kept }

    /// Whether what was written is kept, as far as the limit lets it be, and something was.
    var isKept: Bool {
        if case .open = target { true } else { false }
    }

    /// Appends `bytes` and returns their offset. Never fails; see ``failure``.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        let offset = end
        createIfUnused()
        rotateIfFull()
        end += Int64(bytes.count)
        guard case .open(let descriptor) = target else { return offset }
        var rest = bytes[...]
        do {
            while !rest.isEmpty {
                let count = try descriptor.write(UnsafeRawBufferPointer(rebasing: rest))
                rest = rest.dropFirst(count)
            }
        } catch {
            fail(error as? Errno ?? .ioError, at: end - Int64(rest.count))
        }
        return offset
    }

    private mutating func createIfUnused() {
        guard case .unused(let path) = target else { return }
        do throws(Errno) {
            let descriptor = try Self.create(path)
            target = .open(descriptor)
            kept?.goOn(in: descriptor, from: 0, after: 0)
        } catch {
            target = .failed
            failure = Failure(errno: error, offset: 0)
        }
    }

    private mutating func rotateIfFull() {
        guard end - start >= limit / 2, end > start, case .open(let old) = target, let path else { return }
        let previous = path.string + ".1"
        do {
            guard rename(path.string, previous) == 0 else { throw Errno(rawValue: errno) }
            let new = try Self.create(path)
            target = .open(new)
            try? old.close()  // everything was written to it
            (keptFrom, start) = (start, end)
            let lost = keptFrom > 0 ? ", those before are not kept" : ""
            let name = path.lastComponent?.string ?? ""
            let header = "interruptd: bytes \(keptFrom) to \(end) of the output are in \(name).1\(lost)\n"
            try new.writeAll(header.utf8)
            kept?.goOn(in: new, from: end, after: Int64(header.utf8.count))
        } catch {
            fail(error as? Errno ?? .ioError, at: end)
        }
    }

    private mutating func fail(_ errno: Errno, at offset: Int64) {
        guard case .open(let descriptor) = target else { return }
        failure = Failure(errno: errno, offset: offset)
        try? descriptor.close()  // it takes nothing more in any case
        target = .failed
    }

    private static func create(_ path: FilePath) throws(Errno) -> FileDescriptor {
        do {
            let descriptor = try FileDescriptor.open(
                path,
                .readWrite,
                options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
                permissions: [.ownerReadWrite]
            )
            // Nobody else has it. Where there are no locks nothing is removed either.
            flock(descriptor.rawValue, LOCK_SH | LOCK_NB)
            return descriptor
        } catch {
            throw error as? Errno ?? .ioError
        }
    }
}
