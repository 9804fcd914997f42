import Glibc

/// Answers the first connection with fixed bytes, whatever it is asked. With `nil` it accepts nothing: the kernel does,
/// and nobody ever answers.
final class OneAnswerServer {
    let port: Int
    private let descriptor: Int32
    private var thread = pthread_t()
    private let job: UnsafeMutablePointer<(descriptor: Int32, answer: [UInt8])>

    init(answer: String?) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = bind(descriptor, pointer, length)
                _ = listen(descriptor, 8)
                _ = getsockname(descriptor, pointer, &length)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        job = .allocate(capacity: 1)
        job.initialize(to: (descriptor, Array((answer ?? "").utf8)))
        guard answer != nil else { return }
        pthread_create(
            &thread,
            nil,
            { context in
                let job = context!.assumingMemoryBound(to: (descriptor: Int32, answer: [UInt8]).self).pointee
                let client = accept(job.descriptor, nil, nil)
                var scratch = [UInt8](repeating: 0, count: 4_096)
                if read(client, &scratch, scratch.count) > 0 { _ = write(client, job.answer, job.answer.count) }
                // Waits for the other side to hang up, so that the answer is not cut off by a reset.
                while read(client, &scratch, scratch.count) > 0 {}
                close(client)
                return nil
            },
            job
        )
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        if thread != 0 { pthread_join(thread, nil) }
        close(descriptor)
        job.deinitialize(count: 1)
        job.deallocate()
    }
}
