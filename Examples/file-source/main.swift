import FoundationEssentials
import InterruptCore
import InterruptSources

// interrupts/nightly.signal, in a directory of its own here.
let directory = FileManager.default.temporaryDirectory.path + "/interrupts-\(RunID.random())"
try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(atPath: directory) }  // what is left lies among other temporary files

do {
    try await withInterruptScope { scope in
        scope.setChecker(.file(try Name("nightly"), in: directory, every: .milliseconds(50)))
        print("at work")
        // Somebody else would do this: echo 1 > interrupts/nightly.signal
        try Data("1".utf8).write(to: URL(filePath: "\(directory)/nightly.signal"))
        try await scope.sleep(for: .seconds(3_600))
    }
} catch let error as InterruptedError {
    print("stopped: \(error.signal.reason)")
}
