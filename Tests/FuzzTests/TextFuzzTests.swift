import InterruptCore
import Testing

@testable import InterruptRedis
@testable import interruptd

/// What people write on a command line.
@Suite(.timeLimit(.minutes(10))) struct `Texts from elsewhere` {
    @Test func `are durations that can be waited for, or are refused in a line`() {
        var fuzzing = Fuzzing(["500ms", "10s", "1.5s", "5m", "2h", "1d", "0", "3650d"])
        fuzzing.run("a duration") { input, _ in
            do throws(DurationError) {
                let duration = try Duration(text: input.text)
                let isInRange = duration >= .zero && duration <= .longestAccepted
                let again = try Duration(text: "\(duration.milliseconds)ms")
                return .accepted(
                    if: isInRange && again.milliseconds == duration.milliseconds && duration.displayText.isOnePlainLine,
                    "\(duration)"
                )
            } catch {
                return .refused("\(error)")
            }
        }
    }

    @Test func `are sizes that read back as they are written, or none`() {
        var fuzzing = Fuzzing(["512M", "10G", "1048576", "1t", "0", "7k", "8388607T"])
        fuzzing.run("a size") { input, _ in
            guard let size = ByteSize(input.text) else { return .refused }
            let isPlain = input.allSatisfy { $0 < 0x80 }
            return .accepted(if: isPlain && size.bytes >= 0 && ByteSize("\(size)") == size, "\(size)")
        }
    }

    @Test func `are names, targets and namespaces that read back, or are refused in a line`() {
        var fuzzing = Fuzzing([
            "nightly", "a.b_c-9", "group:etl", "queue:q", "worker:w1", "all", "{prod}",
            String(repeating: "n", count: 128),
        ])
        fuzzing.run("a target") { input, _ in
            let text = input.text
            if (try? RedisKeys(namespace: text)) != nil, !text.isOnePlainLine { return .wrong("is a namespace") }
            do throws(TargetError) {
                let target = try InterruptTarget(text)
                guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return .wrong("is a target") }
                return .accepted(if: try InterruptTarget("\(target)") == target && "\(target)" == text, "\(target)")
            } catch {
                guard case .refused = Fuzzing.Verdict.refused("\(error)") else { return .refused("\(error)") }
                do throws(NamespaceError) { _ = try RedisKeys(namespace: text) } catch { return .refused("\(error)") }
                return .refused
            }
        }
    }

    @Test func `are Redis URLs that mean what they say, or are refused in a line without the password`() {
        var fuzzing = Fuzzing([
            "redis://h", "redis://user:hunter2@host:6380/3", "rediss://:hunter2@[::1]:6379/0", "unix:///run/r.sock",
            "redis+unix://u:hunter2@/run/r.sock?db=3", "redis://u%40x:%68unter2@h/",
            "redis+sentinel://h:26379/mymaster",
        ])
        fuzzing.run("a URL") { input, _ in
            do throws(RedisURLError) {
                let endpoint = try RedisEndpoint(url: input.text)
                let shown = "\(endpoint)"
                if !shown.isOnePlainLine {
                    return .wrong("is not shown in one plain line: \(shown.debugDescription)")
                }
                var other = endpoint
                other.password = endpoint.password.map { _ in "another" }
                if "\(other)" != shown { return .wrong("shows the password") }
                guard case .tcp(_, let port) = endpoint.address else { return .accepted }
                return .accepted(if: (1...65_535).contains(port) && (0..<65_536).contains(endpoint.database), shown)
            } catch {
                if error.description.contains(":hunter2@") { return .wrong("shows the password: \(error)") }
                return .refused("\(error)")
            }
        }
    }

    @Test func `are shown without anything that could steer a terminal`() {
        var fuzzing = Fuzzing(["plain", "\u{1B}[31mred\u{7}", "a\\b", "größe", "\u{202E}abc"])
        fuzzing.run("a text for display") { input, numbers in
            let limit = numbers.below(60)
            let shown = input.text.escapedForDisplay(limit: limit)
            // An escape has nine characters at most.
            let isBounded = shown.unicodeScalars.count <= 9 * limit + 1
            return .accepted(if: shown.isOnePlainLine && isBounded, shown.debugDescription)
        }
    }

    @Test func `are patterns of commands that match in bounded time, or are refused in a line`() {
        var fuzzing = Fuzzing([
            "make", "/usr/bin/ffmpeg -i * -y", "git 'a b' \"c\\\"d\" **", "tar -* /srv/*/x", "a\\ b *", "/opt/*/run **",
        ])
        fuzzing.run("a pattern") { input, numbers in
            do throws(InvalidSetting) {
                let pattern = try CommandPattern(input.text, origin: "--allow")
                let words = (0...numbers.below(4)).map { _ in
                    numbers.chance(30) ? input : Fuzzing.pieces[numbers.below(Fuzzing.pieces.count)]
                }
                let once = pattern.matches(words, path: words[0])
                return .accepted(if: once == pattern.matches(words, path: words[0]), "matches once and once not")
            } catch {
                return .refused("\(error)")
            }
        }
    }

    @Test func `are expressions that compile and match in bounded time, or are refused in a line`() {
        var fuzzing = Fuzzing(["[a-z0-9]+\\.mp4", "(a|b)*c", "a{1,3}", "[[:alpha:]]+", "^x$", "(((a)))"])
        fuzzing.run("an expression") { input, _ in
            do throws(TextPattern.Problem) {
                let pattern = try TextPattern(input.text)
                _ = pattern.matches(String(repeating: "a", count: 200) + "b")
                return .accepted
            } catch {
                return .refused(error.text)
            }
        }
    }
}
