import Foundation
import Testing

@Suite struct `Articles` {
    private static let root = String(#filePath.split(separator: "/Tests/")[0])
    private static let articles = [
        "InterruptCore", "FirstCheckpoint", "ShieldingCleanup", "ChoosingASource", "KeepingPartialResults",
    ]

    private func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: "\(Self.root)/\(path)", encoding: .utf8)
            .split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    /// Every example is compiled and run.
    @Test(arguments: articles) func `show code of the examples, line by line in their order`(article: String) throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: "\(Self.root)/Examples")
        let examples = try folders.map { folder in
            try FileManager.default.contentsOfDirectory(atPath: "\(Self.root)/Examples/\(folder)")
                .flatMap { try lines("Examples/\(folder)/\($0)") }
        }
        var blocks: [[String]] = []
        var isCode = false
        for line in try lines("Sources/InterruptCore/InterruptCore.docc/\(article).md") {
            if line.hasPrefix("```") {
                isCode.toggle()
                if isCode { blocks.append([]) }
            } else if isCode {
                blocks[blocks.count - 1].append(line)
            }
        }
        #expect(!blocks.isEmpty && !isCode)
        for block in blocks {
            let isShown = examples.contains { example in
                var rest = example[...]
                return block.allSatisfy { line in
                    guard let place = rest.firstIndex(of: line) else { return false }
                    rest = rest[(place + 1)...]
                    return true
                }
            }
            #expect(isShown, "\(block)")
        }
    }
}
