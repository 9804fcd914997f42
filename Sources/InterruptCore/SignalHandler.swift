internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The handler of every Unix signal that is taken over: one write to a pipe, then the handler from before if that is to
/// be called too, and all logic elsewhere. What it reads is atomic.
///
/// Unsafe here: a handler is known by its address, of a C function that stays as long as the process.
enum SignalHandler {
    /// Where the handler writes each signal's number from now on. To be called before it is installed: what it reads is
    /// made here, since the first access to a global variable takes a lock.
    static func write(to pipe: Int32) {
        for number in callers.indices {
            callers[number].store(0, ordering: .relaxed)
            chained[number].store(0, ordering: .relaxed)
        }
        pipeOwner.store(getpid(), ordering: .relaxed)
        pipeEntrance.store(pipe, ordering: .relaxed)
    }

    /// Has the handler call that of `original` for each signal of this number; `nil` and what is no function ends it.
    static func chain(_ original: sigaction?, to number: Int32) {
        guard chained.indices.contains(Int(number)) else { return }  // no signal, and never installed
        let address = original.map(\.address) ?? 0
        // SIG_DFL and SIG_IGN are the numbers 0 and 1 in place of an address.
        chained[Int(number)].store(address > 1 ? address : 0, ordering: .releasing)
    }
}

/// The end of the pipe, and whose it is.
private let pipeEntrance = Atomic<Int32>(-1)
private let pipeOwner = Atomic<Int32>(0)

/// By number, of which Linux has 64: the address of the handler from before; and the thread that is in it.
private let chained = InlineArray<65, Atomic<UInt>> { _ in Atomic(0) }
private let callers = InlineArray<65, Atomic<UInt>> { _ in Atomic(0) }

private typealias Handler =
    @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

private func handle(_ number: Int32, _ info: UnsafeMutablePointer<siginfo_t>?, _ context: UnsafeMutableRawPointer?) {
    // A child has the handler too until it executes its program; what it gets is not meant for this process.
    guard getpid() == pipeOwner.load(ordering: .relaxed) else { return }
    let code = errno
    defer { errno = code }
    var byte = UInt8(truncatingIfNeeded: number)
    // A full pipe holds thousands already; one more says nothing new.
    _ = write(pipeEntrance.load(ordering: .relaxed), &byte, 1)
    let address = chained[Int(number)].load(ordering: .acquiring)
    let thread = withUnsafeBytes(of: pthread_self()) { $0.load(as: UInt.self) }
    // A handler that was put over this one may call this one in its turn.
    guard address != 0, callers[Int(number)].load(ordering: .relaxed) != thread else { return }
    callers[Int(number)].store(thread, ordering: .relaxed)
    // One that takes the number alone does not see the rest, as when the kernel calls it.
    unsafeBitCast(address, to: Handler.self)(number, info, context)
    callers[Int(number)].store(0, ordering: .relaxed)
}

extension sigaction {
    /// Our handler, which blocks what the one of `original` blocks and runs on its stack.
    static func ours(after original: sigaction) -> sigaction {
        var ours = original
        #if canImport(Glibc)
            ours.__sigaction_handler.sa_sigaction = handle
        #elseif canImport(Musl)
            ours.__sa_handler.sa_sigaction = handle
        #elseif canImport(Darwin)
            ours.__sigaction_u.__sa_sigaction = handle
        #endif
        ours.sa_flags = SA_RESTART | SA_SIGINFO | (original.sa_flags & SA_ONSTACK)
        return ours
    }

    var isOurs: Bool { address == Self.ours(after: self).address }

    var isIgnoring: Bool { address == 1 }

    fileprivate var address: UInt {
        #if canImport(Glibc)
            unsafeBitCast(__sigaction_handler.sa_handler, to: UInt.self)
        #elseif canImport(Musl)
            unsafeBitCast(__sa_handler.sa_handler, to: UInt.self)
        #elseif canImport(Darwin)
            unsafeBitCast(__sigaction_u.__sa_handler, to: UInt.self)
        #endif
    }
}
