import Foundation
import InterruptTesting
import Testing

/// What a fuzz test tries: inputs that are made of valid ones and of chance. The seed is printed and can be given:
/// `INTERRUPT_FUZZ_SEED`; for how long each subject is tried, too: `INTERRUPT_FUZZ_SECONDS`.
struct Fuzzing {
    static let seconds = number("INTERRUPT_FUZZ_SECONDS").map { Double($0) } ?? 1.5
    static let seed = number("INTERRUPT_FUZZ_SEED") ?? .random(in: 0 ... .max >> 16)

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    var numbers: SeededRandom
    private let corpus: [[UInt8]]
    private var latest: [[UInt8]] = []
    private var accepted = 0
    private var wrong = 0

    init(_ corpus: [String]) {
        self.init(bytes: corpus.map { Array($0.utf8) })
    }

    init(bytes corpus: [[UInt8]]) {
        numbers = SeededRandom(seed: Self.seed)
        self.corpus = corpus
    }

    /// Tries inputs for a while. What does not hold is said with the input; a crash says the seed before.
    ///
    /// - Parameter attempt: answers what does not hold, or nothing; an input that it accepts is varied further.
    mutating func run(
        _ subject: String,
        seconds: Double = Fuzzing.seconds,
        _ attempt: ([UInt8], inout SeededRandom) -> Verdict
    ) {
        print("fuzzing \(subject) with INTERRUPT_FUZZ_SEED=\(Self.seed)")
        for input in corpus + Self.hostile { check(subject, input, attempt) }
        let begin = ContinuousClock.now
        var tried = 0
        repeat {
            for _ in 0..<20 { check(subject, next(), attempt) }
            tried += 20
        } while begin.duration(to: .now) < .seconds(seconds) && wrong < 3
        print("\(subject): \(tried) inputs, \(accepted) accepted")
        #expect(accepted > 0, "nothing is accepted: what is tried is no test")
    }

    /// What became of an input.
    enum Verdict: Equatable {
        case refused
        case accepted
        case wrong(String)
    }

    private mutating func check(
        _ subject: String,
        _ input: [UInt8],
        _ attempt: ([UInt8], inout SeededRandom) -> Verdict
    ) {
        let begin = ContinuousClock.now
        let verdict = attempt(input, &numbers)
        let shown = String(decoding: input.prefix(300), as: UTF8.self).debugDescription
        switch verdict {
        case .refused: break
        case .accepted:
            accepted += 1
            if input.count < 4_096, latest.count < 200 { latest.append(input) }
        case .wrong(let why):
            wrong += 1
            Issue.record("\(subject): \(why), of \(shown) with INTERRUPT_FUZZ_SEED=\(Self.seed)")
        }
        // A machine may be busy; what is not bounded takes minutes.
        if begin.duration(to: .now) > .seconds(20) { Issue.record("\(subject): takes too long, of \(shown)") }
    }

    // MARK: Inputs

    /// The next input: a valid one with some changes, now and then nothing but chance.
    private mutating func next() -> [UInt8] {
        if numbers.chance(5) { return random(below: 80) }
        let pool = numbers.chance(50) && !latest.isEmpty ? latest : corpus
        var input = pool[numbers.below(pool.count)]
        for _ in 0...numbers.below(4) { change(&input) }
        return input
    }

    private mutating func change(_ input: inout [UInt8]) {
        let place = numbers.below(input.count + 1)
        switch numbers.below(8) {
        case 0 where place < input.count: input[place] = UInt8(numbers.below(256))
        case 1 where place < input.count: input.removeSubrange(place..<min(input.count, place + 1 + numbers.below(8)))
        case 2: input.insert(contentsOf: random(below: 8), at: place)
        case 3: input.insert(contentsOf: Self.pieces[numbers.below(Self.pieces.count)], at: place)
        case 4 where place < input.count:
            let piece = input[place..<min(input.count, place + 1 + numbers.below(12))]
            input.insert(contentsOf: Array(piece), at: numbers.below(input.count + 1))
        case 5 where !corpus.isEmpty:
            let other = corpus[numbers.below(corpus.count)]
            input = Array(input.prefix(place)) + other.dropFirst(numbers.below(other.count + 1))
        case 6 where place < input.count:
            let piece = Self.pieces[numbers.below(Self.pieces.count)]
            input.replaceSubrange(place..<min(input.count, place + numbers.below(8)), with: piece)
        default: input = Array(input.prefix(place))
        }
    }

    mutating func random(below bound: Int) -> [UInt8] {
        (0..<numbers.below(bound)).map { _ in UInt8(numbers.below(256)) }
    }

    /// What numbers, texts and structures stumble over.
    static let pieces: [[UInt8]] =
        [
            "0", "-1", "1e999", "-0", "nan", "inf", "0x10", "1.5", "9223372036854775807", "9223372036854775808",
            "18446744073709551616", "-9223372036854775808", "1e-400", "٣", "\u{1B}[2J", "\u{9B}31m", "\u{202E}",
            "\u{2028}",
            "\u{FEFF}", "\u{0}", "\r\n", "\n", "\t", "\\", "\"", "'", "%00", "%", "%zz", "..", "*", "**", "{", "}", "[",
            "]",
            ":", ",", "null", "true", "{}", "[]", "\\u0000", "\\ud800", "\\u001b", "é", "K", "ﬆ", "e\u{301}", "😀", "&a",
            "*a",
            "!t", "<<", "---", "...", "$-1\r\n", "*-1\r\n", "*100000\r\n", "$999999999\r\n",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]]

    /// What is as long, or as deep, as nothing valid is.
    private static let hostile: [[UInt8]] = [
        [], [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20),
        [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20),
        Array(String(repeating: "{\"a\":", count: 100_000).utf8), Array(String(repeating: "[", count: 600).utf8),
        Array(String(repeating: "*1\r\n", count: 10_000).utf8), Array(String(repeating: "- ", count: 100_000).utf8),
        Array(String(repeating: "?", count: 20_000).utf8), Array(String(repeating: "(", count: 100_000).utf8),
        Array(String(repeating: "9", count: 100_000).utf8), Array(repeating: 0, count: 1_000),
        Array(String(repeating: "\u{1B}", count: 1_000).utf8),
    ]
}

extension SeededRandom {
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

extension [UInt8] {
    /// As a program's argument or a file is read.
    var text: String { String(decoding: self, as: UTF8.self) }
}

extension String {
    /// Whether it is one line that cannot steer a terminal.
    var isOnePlainLine: Bool {
        unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0x00...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: false
            default: true
            }
        }
    }
}

extension Fuzzing.Verdict {
    /// Refused, if that is said in one line that can be shown.
    static func refused(_ error: String) -> Fuzzing.Verdict {
        if !error.isOnePlainLine { return .wrong("the error is not one plain line: \(error.debugDescription)") }
        // Nobody reads a page.
        return error.utf8.count <= 2_000 ? .refused : .wrong("the error has \(error.utf8.count) bytes")
    }

    static func accepted(if holds: Bool, _ what: String) -> Fuzzing.Verdict { holds ? .accepted : .wrong(what) }
}
