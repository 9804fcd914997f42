internal import Glibc
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
                .writeOnly,
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
