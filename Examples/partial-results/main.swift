import InterruptCore

let pages = Array(1...8)
let (begun, pageBegins) = AsyncStream.makeStream(of: Int.self)
let results = try await withInterruptScope { scope in
    try await ParallelRunner(workers: 2).run(pages) { page in
        pageBegins.yield(page)
        // A reader that is fed by a slow server.
        try await Interrupt.sleep(for: .milliseconds(page < 4 ? 10 : 3_600_000))
        if page == 2 { throw BrokenPage() }
        // Stands for somebody who waits no longer, while page 4 is being read.
        if page == 3, await begun.contains(4) { scope.interrupt(message: "show what there is") }
        return "text of page \(page)"
    }
}
for (index, value) in results.values { print("page \(pages[index]): \(value)") }
print(StageTexts.partialResults(results.counts.completed, of: results.counts.total))
for (page, outcome) in zip(pages, results.outcomes) {
    switch outcome {
    case .completed: break
    case .failed(let error): print("page \(page) failed: \(error)")
    case .terminated, .stillRunning: print("page \(page) was being read")
    case .cancelled: print("page \(page) was not begun")
    }
}

struct BrokenPage: Error, CustomStringConvertible {
    var description: String { "the page is broken" }
}
