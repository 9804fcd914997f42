/// Which scope the running task is in.
///
/// Unsafe here: the scope is bound twice, once without a count of its references, since counting takes longer than a
/// checkpoint may. Tasks that inherit or copy bindings get both, and the uncounted one is bound inside of the other: where
/// it is read, the other keeps the scope alive.
@usableFromInline enum CurrentScope {
    @TaskLocal static var counted: InterruptScope?
    @TaskLocal @usableFromInline static var uncounted: Unmanaged<InterruptScope>?

    /// Whether there is a scope whose work is to end; a checkpoint where that is not so.
    @inlinable static func mustSurface(at name: StaticString) -> Bool {
        uncounted?._withUnsafeGuaranteedRef { !$0.pass(name) } ?? false
    }

    static func bind<Result>(
        _ scope: InterruptScope,
        while body: () async throws -> Result
    ) async rethrows -> Result {
        try await $counted.withValue(scope) {
            try await $uncounted.withValue(Unmanaged.passUnretained(scope)) { try await body() }
        }
    }
}
