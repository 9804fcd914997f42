/// Why a source could not be asked: one sentence, in which no text from elsewhere stands unescaped.
struct SourceFailure: Error, Hashable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
