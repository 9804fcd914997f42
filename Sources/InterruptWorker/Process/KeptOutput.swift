internal import Glibc
internal import InterruptCore
internal import Synchronization
internal import SystemPackage

/// Reads back what a run's files keep, also while they are being written: the file itself and the one before.
final class KeptOutput: Sendable {
    /// One file, through a descriptor of our own.
    private final class Segment: Sendable {
        private let descriptor: FileDescriptor
        /// The offset of its first byte of output.
        let start: Int64
        /// What stands before that in the file, in bytes.
        private let header: Int64

        /// `nil` when no descriptor is free.
        init?(duplicating other: FileDescriptor, start: Int64, header: Int64) {
            let copy = fcntl(other.rawValue, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { return nil }
            descriptor = FileDescriptor(rawValue: copy)
            (self.start, self.header) = (start, header)
        }

        deinit { try? descriptor.close() }  // it was only read from

        func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            try descriptor.read(fromAbsoluteOffset: offset - start + header, into: buffer)
        }
    }

    /// Oldest first; two at most.
    private let segments = Mutex<[Segment]>([])

    /// The output goes on in a file, the first one or another, from the offset `start` on, which stands there behind
    /// `header` bytes.
    func goOn(in descriptor: FileDescriptor, from start: Int64, after header: Int64) {
        let segment = Segment(duplicating: descriptor, start: start, header: header)
        // Without it nothing may be read: what comes now would be looked for in the wrong file.
        segments.withLock { segments in segments = segment.map { segments.suffix(1) + [$0] } ?? [] }
    }

    /// What stands there; `nil` when it is not kept any more, or somebody has cut the file.
    func chunk(at stretch: OutputBacklog.Stretch) -> OutputChunk? {
        let segments = segments.withLock { $0 }
        let count = stretch.range.count
        let bytes = try? [UInt8](unsafeUninitializedCapacity: count) { array, initialized in
            let buffer = UnsafeMutableRawBufferPointer(array)
            while initialized < count {
                let offset = stretch.range.lowerBound + Int64(initialized)
                guard let index = segments.lastIndex(where: { $0.start <= offset }) else { break }
                let next = segments[(index + 1)...].first
                let end = next.map { min(count, initialized + Int($0.start - offset)) } ?? count
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[initialized..<end])
                let more = try segments[index].read(at: offset, into: rest)
                if more == 0 { break }
                initialized += more
            }
        }
        // An error is like a cut: what cannot be read is left out, and counted by whoever follows the offsets.
        guard let bytes, bytes.count == count else { return nil }
        return OutputChunk(stream: stretch.stream, offset: stretch.range.lowerBound, bytes: bytes)
    }
}
