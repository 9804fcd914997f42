import Foundation
import Glibc
import InterruptCore
import Testing

/// What came of asking a checker once.
enum Verdict: Equatable {
    case interrupt(InterruptSignal)
    case none
    case failed(String)

    var signal: InterruptSignal? {
        if case .interrupt(let signal) = self { signal } else { nil }
    }

    var failure: String? {
        if case .failed(let why) = self { why } else { nil }
    }
}

/// Asks in a scope, as any program would, with more patience than one needs on a machine that has nothing else to do.
func ask(_ checker: InterruptChecker, within limit: Duration = .seconds(50)) async -> Verdict {
    var checker = checker
    checker.limit = limit
    let question = checker
    return await withInterruptScope { scope in
        let events = scope.events
        scope.setChecker(question)
        try? await scope.checkInterrupt()  // what was found is the scope's cause, also where it does not throw
        if let signal = scope.cause { return .interrupt(signal) }
        scope.notice("asked")
        for await event in events {
            if case .degraded(_, let why) = event { return .failed(why) }
            if event == .notice("asked") { break }
        }
        return .none
    }
}

/// A directory that is gone when the test is over.
final class Directory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/interrupt-sources.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }  // what is left lies in /tmp

    /// Makes a file, and the directories that it is in.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        let file = "\(path)/\(name)"
        let directory = String(file[..<(try #require(file.lastIndex(of: "/")))])
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: file))
        return file
    }
}
