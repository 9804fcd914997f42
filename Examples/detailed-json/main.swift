import FoundationEssentials
import InterruptCore
import InterruptSources

// A directory as Kubernetes mounts it: the name is a link to what holds now, and is swapped as a whole.
let directory = FileManager.default.temporaryDirectory.path + "/mounted-\(RunID.random())"
let files = FileManager.default
try files.createDirectory(atPath: "\(directory)/..1", withIntermediateDirectories: true)
try files.createSymbolicLink(atPath: "\(directory)/..data", withDestinationPath: "..1")
try files.createSymbolicLink(atPath: "\(directory)/nightly.signal", withDestinationPath: "..data/nightly.signal")
defer { try? files.removeItem(atPath: directory) }  // what is left lies among other temporary files

do {
    try await withInterruptScope { scope in
        scope.setChecker(.mountedFile(try Name("nightly"), in: directory, every: .milliseconds(50)))
        print("at work")
        let request = #"{"reason": "priority_override", "message": "make room", "triggered_by": "scheduler"}"#
        try Data(request.utf8).write(to: URL(filePath: "\(directory)/..1/nightly.signal"))
        try await scope.sleep(for: .seconds(3_600))
    }
} catch let error as InterruptedError {
    let signal = error.signal
    print("stopped: \(signal.reason), \(signal.message ?? "no message"), asked by \(signal.triggeredBy ?? "nobody")")
}
