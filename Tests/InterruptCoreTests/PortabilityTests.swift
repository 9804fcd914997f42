import Foundation
import Testing

@Suite struct `The core` {
    @Test func `imports nothing but what every platform has and, guarded, its C library`() throws {
        let portable = ["Synchronization", "Dispatch", "HeapModule"]
        let directory = String(#filePath.split(separator: "/Tests/")[0]) + "/Sources/InterruptCore"
        let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".swift") }
        #expect(files.count > 10)
        for file in files {
            let text = try String(contentsOfFile: "\(directory)/\(file)", encoding: .utf8)
            var guarded: String?
            for line in text.split(separator: "\n").map({ $0.trimmingCharacters(in: .whitespaces) }) {
                if line.hasPrefix("#") {
                    let condition = line.split(separator: "canImport(").dropFirst().first
                    guarded = condition.map { String($0.prefix { $0 != ")" }) }
                } else if line.hasPrefix("import ") || line.contains(" import "), !line.hasPrefix("//") {
                    let module = String(line.split(separator: " ").last ?? "")
                    #expect(portable.contains(module) || module == guarded, "\(file): \(line)")
                }
            }
        }
    }
}
