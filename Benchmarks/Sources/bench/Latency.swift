import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting

/// From the request to SIGTERM in the job, against a bare PUBLISH to a bare subscriber on the same Redis: among running
/// jobs where nothing else happens, and right after a process was started, when the processor's caches are cold.
enum Latency {
    static let count = 300
    static let batch = 50

    static func run() async throws {
        try await withWorker(slots: batch) { client, redis in
            var rounds = try await Rounds(client: client, redis: redis)
            for _ in 0..<count / batch {
                var jobs: [RunningJob] = []
                for _ in 0..<batch { jobs.append(try await rounds.start()) }
                for job in jobs {
                    try await idle()
                    try await rounds.publish()
                    try await idle()
                    try await rounds.interrupt(job)
                }
            }
            rounds.print(title: "among \(batch) running jobs")
            rounds.forget()
            for number in 0..<2 * count {
                // Each is measured in every other round, at the same moment.
                let job = try await rounds.start()
                if number.isMultiple(of: 2) {
                    try await rounds.publish()
                    try await rounds.end(job)
                } else {
                    try await rounds.interrupt(job)
                }
            }
            rounds.print(title: "right after a process was started")
        }
    }

    private static func idle() async throws { try await Task.sleep(for: .milliseconds(10)) }
}

/// A job that says when SIGTERM came.
private struct RunningJob {
    let name: Name
    let run: RunID
    var reader: OutputLines
}

/// The lines of a run's output, one after the other.
private struct OutputLines {
    let run: RunID
    var last = "0"
    var text = ""

    mutating func next(_ client: InterruptClient) async throws -> String {
        while true {
            if let end = text.firstIndex(of: "\n") {
                defer { text = String(text[text.index(after: end)...]) }
                return String(text[..<end])
            }
            for (id, entry) in try await client.output(of: run, after: last, waiting: .milliseconds(500)) {
                last = id
                if case .chunk(let chunk) = entry { text += String(decoding: chunk.bytes, as: UTF8.self) }
            }
        }
    }
}

/// What is done in each round, and how long it took.
private struct Rounds {
    private let client: InterruptClient
    private let publisher: RedisConnection
    private let subscriber: RedisConnection
    private var arrivals: AsyncStream<UInt64>.Iterator
    private var started = 0
    private var bare = Sample()
    private var recorded = Sample()
    private var delivered = Sample()

    init(client: InterruptClient, redis: TestRedis) async throws {
        self.client = client
        publisher = try await RedisConnection.connect(to: redis.endpoint)
        subscriber = try await RedisConnection.connect(to: redis.endpoint)
        let (arrivals, arrival) = AsyncStream.makeStream(of: UInt64.self)
        try await subscriber.subscribe(["bare"]) { _ in arrival.yield(monotonicNanoseconds()) }
        self.arrivals = arrivals.makeAsyncIterator()
    }

    /// Starts a job and returns when it waits for its signal.
    mutating func start() async throws -> RunningJob {
        started += 1
        let name = try Name("latency-\(started)")
        let submission = Submission(
            job: name,
            queue: try Name("default"),
            command: [Array("/proc/self/exe".resolvedLink.utf8), Array("await-sigterm".utf8), Array("1".utf8)]
        )
        guard case .queued(let run) = try await client.submit(submission) else { throw Unexpected.answer }
        var job = RunningJob(name: name, run: run, reader: OutputLines(run: run))
        while try await job.reader.next(client) != "ready" {}
        return job
    }

    mutating func publish() async throws {
        let sent = monotonicNanoseconds()
        try await publisher.send(RedisCommand("PUBLISH", "bare", "x"))
        if let arrived = await arrivals.next() { bare.add(arrived - sent) }
    }

    mutating func interrupt(_ job: RunningJob) async throws {
        let asked = monotonicNanoseconds()
        _ = try await client.interrupt([.run(job.run)], InterruptSignal(source: .remote))
        recorded.add(monotonicNanoseconds() - asked)
        var job = job
        guard let arrived = UInt64(try await job.reader.next(client)) else { throw Unexpected.answer }
        delivered.add(arrived - asked)
        _ = try await client.ending(of: job.name)
    }

    func end(_ job: RunningJob) async throws {
        _ = try await client.interrupt([.run(job.run)], InterruptSignal(source: .remote))
        _ = try await client.ending(of: job.name)
    }

    mutating func forget() { (bare, recorded, delivered) = (Sample(), Sample(), Sample()) }

    func print(title: String) {
        Swift.print("-- \(title)")
        Swift.print(bare.line("bare PUBLISH to subscriber"))
        Swift.print(recorded.line("request recorded (one script)"))
        Swift.print(delivered.line("request to SIGTERM in the job"))
        Swift.print("ratio of the medians: \(rounded(delivered.percentile(50) / bare.percentile(50)))")
    }
}

private enum Unexpected: Error { case answer }

extension String {
    /// Where this symbolic link leads; the text itself if it is none.
    fileprivate var resolvedLink: String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = readlink(self, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : self
    }
}
