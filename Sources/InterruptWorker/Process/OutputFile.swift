internal import Glibc
internal import InterruptCore
internal import SystemPackage

/// The one file that keeps a run's output, both streams in the order in which they were read.
///
/// After the first failure nothing more is kept, but the offsets go on counting.
struct OutputFile: ~Copyable {
    /// Why and from which byte on the output is not kept.
    struct Failure: Error, Equatable {
        let errno: Errno
        let offset: Int64

        /// One sentence, as the reader of the output sees it.
        var text: String { "interruptd: output file: \(errno); output from byte \(offset) on is not kept" }
    }

    private enum Target {
        /// Output is kept. May become failed.
        case open(FileDescriptor)
        /// Nothing is kept any more. Final.
        case failed
    }

    private var target: Target
    /// The offset that the next byte gets.
    private(set) var end: Int64 = 0
    /// What went wrong, if anything.
    private(set) var failure: Failure?

    /// Creates a new file that only this user can read. A file or link that is there already is a failure.
    init(creating path: FilePath) {
        do {
            let descriptor = try FileDescriptor.open(
                path,
                .readWrite,
                options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
                permissions: [.ownerReadWrite]
            )
            target = .open(descriptor)
        } catch {
            target = .failed
            failure = Failure(errno: error as? Errno ?? .ioError, offset: 0)
        }
    }

    /// Keeps nothing, because of `errno`.
    init(failed errno: Errno) {
        target = .failed
        failure = Failure(errno: errno, offset: 0)
    }

    /// Writes to `descriptor`, which is closed at the end.
    init(writingTo descriptor: FileDescriptor) {
        target = .open(descriptor)
    }

    deinit {
        if case .open(let descriptor) = target { try? descriptor.close() }  // nothing is buffered, nothing can be done
    }

    /// For reading back what is kept; `nil` when nothing is.
    func reader() -> KeptOutput? {
        guard case .open(let descriptor) = target else { return nil }
        return KeptOutput(duplicating: descriptor)
    }

    /// Appends `bytes` and returns their offset. Never fails; see ``failure``.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        let offset = end
        end += Int64(bytes.count)
        guard case .open(let descriptor) = target else { return offset }
        var rest = bytes[...]
        do {
            while !rest.isEmpty {
                let count = try descriptor.write(UnsafeRawBufferPointer(rebasing: rest))
                rest = rest.dropFirst(count)
            }
        } catch {
            failure = Failure(errno: error as? Errno ?? .ioError, offset: end - Int64(rest.count))
            try? descriptor.close()  // it takes nothing more in any case
            target = .failed
        }
        return offset
    }
}

/// Reads back what a run's file keeps, also while it is being written.
final class KeptOutput: Sendable {
    private let descriptor: FileDescriptor

    /// Reads through a descriptor of its own; `nil` when none is free.
    init?(duplicating other: FileDescriptor) {
        let copy = fcntl(other.rawValue, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return nil }
        descriptor = FileDescriptor(rawValue: copy)
    }

    deinit { try? descriptor.close() }  // it was only read from

    /// What stands there; `nil` when somebody has cut the file.
    func chunk(at stretch: OutputBacklog.Stretch) -> OutputChunk? {
        let count = stretch.range.count
        let bytes = try? [UInt8](unsafeUninitializedCapacity: count) { array, initialized in
            let buffer = UnsafeMutableRawBufferPointer(array)
            while initialized < count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[initialized..<count])
                let offset = stretch.range.lowerBound + Int64(initialized)
                let more = try descriptor.read(fromAbsoluteOffset: offset, into: rest)
                if more == 0 { break }
                initialized += more
            }
        }
        // An error is like a cut: what cannot be read is left out, and counted by whoever follows the offsets.
        guard let bytes, bytes.count == count else { return nil }
        return OutputChunk(stream: stretch.stream, offset: stretch.range.lowerBound, bytes: bytes)
    }
}
