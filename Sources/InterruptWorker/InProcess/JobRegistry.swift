import FoundationEssentials
public import InterruptCore

/// The Swift functions that a worker runs, each by the name under which it is submitted (`--handler NAME`).
///
///     var jobs = JobRegistry()
///     try jobs.register("resize", decoding: Resize.self) { resize, scope in
///         for (index, image) in resize.images.enumerated() {
///             try scope.report(progress: Double(index) / Double(resize.images.count), image)
///             try await shrink(image, to: resize.width)
///         }
///     }
///
/// A worker gets the registry when it is made; what is registered later is not its own any more.
///
/// A job runs on threads of its own, one if nothing else is said, never on the pool that carries the worker's tasks. It
/// may block its thread. What else the job starts runs there as well: child tasks, task groups, the tasks and steps of its
/// scope. What leaves the task, such as `Task { }` and `Task.detached`, and asynchronous checkers of the scope, run on the
/// pool and must not block. A crash of a job is a crash of the program.
///
/// A job is asked to stop through its scope, and ends at the next checkpoint that it passes. When its grace period is over,
/// or at stage 3, its task is cancelled as well. What goes on nevertheless is reported as "cannot be interrupted yet" and
/// keeps its slot; only the end of the program ends it. Looking at `InterruptScope.isInterrupted` alone is not taking
/// notice: who returns because of it has completed, and the interrupt was late.
public struct JobRegistry: Sendable {
    /// What a job does with its input.
    public typealias Handler = @Sendable (_ input: String, _ scope: InterruptScope) async throws -> Void

    /// A function and the threads that it is given.
    struct Entry: Sendable {
        let threads: Int
        /// Decodes the input first, where there is something to decode.
        let run: Handler
    }

    private var entries: [Name: Entry] = [:]

    /// A registry without any function.
    public init() {}

    /// The names that are taken, in order.
    public var names: [Name] { entries.keys.sorted { $0.description < $1.description } }

    subscript(name: Name) -> Entry? { entries[name] }

    /// Registers a function that takes the input as it was submitted; without `--input` it is empty.
    ///
    /// A job has ended well when `handler` returns. When it returns or throws because it was asked to stop, the run is
    /// `interrupted`; any other error makes it `failed`, with the error's text on record.
    /// - `name`: what is submitted. Names are compared as they are written.
    /// - `threads`: how many threads the job has; at least one. With more, its child tasks run at the same time.
    /// - Throws: ``RegistrationError`` when the name is none, or taken.
    public mutating func register(
        _ name: String,
        threads: Int = 1,
        _ handler: @escaping Handler
    ) throws(RegistrationError) {
        try add(name, Entry(threads: max(1, threads), run: handler))
    }

    /// Registers a function that takes the input as JSON of `type`. One that cannot be read so ends the run as `failed`,
    /// with the name of the field that is wrong. Everything else as for the input as it was submitted.
    public mutating func register<Input: Decodable & Sendable>(
        _ name: String,
        decoding type: Input.Type,
        threads: Int = 1,
        _ handler: @escaping @Sendable (_ input: Input, _ scope: InterruptScope) async throws -> Void
    ) throws(RegistrationError) {
        let entry = Entry(threads: max(1, threads)) { text, scope in
            try scope.checkpoint("before the input is decoded")
            let input = try JobInput.decode(type, from: text)
            try scope.checkpoint("after the input is decoded")
            try await handler(input, scope)
        }
        try add(name, entry)
    }

    private mutating func add(_ text: String, _ entry: Entry) throws(RegistrationError) {
        let name: Name
        do throws(NameError) {
            name = try Name(text)
        } catch {
            throw .invalidName(error)
        }
        guard entries.updateValue(entry, forKey: name) == nil else { throw .taken(name) }
    }
}

/// Why a function was not registered.
public enum RegistrationError: Error, Equatable, CustomStringConvertible {
    /// Its name is none.
    case invalidName(NameError)
    /// There is one of this name.
    case taken(Name)

    /// One sentence.
    public var description: String {
        switch self {
        case .invalidName(let error): "the handler cannot be registered: \(error)"
        case .taken(let name): "a handler '\(name)' is registered already: one name is one function"
        }
    }
}

/// Reads the input of a job.
enum JobInput {
    static func decode<Input: Decodable>(_ type: Input.Type, from text: String) throws(JobInputError) -> Input {
        if text.isEmpty { throw JobInputError(why: "it is empty, JSON is expected") }
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch let error as DecodingError {
            throw JobInputError(error)
        } catch {
            throw JobInputError(why: "\(error)".escapedForDisplay(limit: 200))
        }
    }
}

/// Why an input is not what a handler takes. It names the field, never what stands in it.
struct JobInputError: Error, Equatable, CustomStringConvertible {
    let why: String

    var description: String { "the input cannot be read: \(why)" }
}

extension JobInputError {
    fileprivate init(_ error: DecodingError) {
        func field(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String? {
            let path = (context.codingPath + [last].compactMap(\.self)).map {
                $0.intValue.map(String.init) ?? $0.stringValue
            }
            // A key of a dictionary comes from the input.
            return path.isEmpty ? nil : "'\(path.joined(separator: ".").escapedForDisplay(limit: 100))'"
        }
        switch error {
        case .keyNotFound(let key, let context): why = "\(field(context, key) ?? "it") is missing"
        case .typeMismatch(let type, let context):
            why = "\(field(context) ?? "it") has the wrong type, \(type) is expected"
        case .valueNotFound(let type, let context): why = "\(field(context) ?? "it") is null, \(type) is expected"
        case .dataCorrupted(let context): why = field(context).map { "\($0) is not valid" } ?? "it is not JSON"
        @unknown default: why = "it is not what the handler takes"
        }
    }
}
