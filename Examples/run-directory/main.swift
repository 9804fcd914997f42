// A job in Swift, as a process of its own, that says how far it is, and saves its place when it is asked to end:
//   interruptctl run -- .build/debug/run-directory
import FoundationEssentials
import Glibc
import InterruptCore

let environment = ProcessInfo.processInfo.environment
guard let directory = environment["INTERRUPT_RUN_DIR"] else {
    print("INTERRUPT_RUN_DIR is not set: let a worker run this")
    exit(64)
}
let pages = environment["PAGES"].flatMap(Int.init) ?? 20

/// One line in one write: lines of several processes do not mix.
func tell(_ message: some Encodable) throws {
    let line = try JSONEncoder().encode(message) + Data("\n".utf8)
    let pipe = open(directory + "/tell", O_WRONLY | O_CLOEXEC)
    guard pipe >= 0 else { return }  // the worker has gone
    defer { close(pipe) }
    _ = line.withUnsafeBytes { write(pipe, $0.baseAddress, $0.count) }
}

/// What is asked, by name.
func asked() throws -> [String: String] {
    let text = try String(contentsOfFile: directory + "/interrupt", encoding: .utf8)
    let pairs = text.split(separator: "\n").map {
        $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    }
    return Dictionary(pairs.map { (String($0[0]), String($0[1])) }) { first, _ in first }
}

struct Progress: Encodable {
    var progress: Double
    var message: String
}

var page = 0
do {
    // SIGTERM becomes an interrupt of the scope, which surfaces at its checkpoints.
    try await withUnixSignalHandling(feedback: nil) { scope in
        while page < pages {
            page += 1
            try tell(Progress(progress: Double(page) / Double(pages), message: "page \(page)"))
            try await scope.sleep(for: .milliseconds(200))
        }
    }
} catch is InterruptedError {
    try tell(["more_time": "20s"])  // before anything else, as long as there is time
    let interrupt = try asked()
    print("asked to end: \(interrupt["reason"] ?? ""), until \(interrupt["deadline"] ?? "")")
    try await Task.sleep(for: .seconds(4))  // what it takes to save
    try tell(["checkpoint": "page \(page)"])
    print("saved page \(page)")
}
