import InterruptCore

/// Which right a Redis user lacks. The server names a command that it does not let run, but neither the key nor, in a
/// script, the command: these are in what it was sent.
enum MissingRight {
    /// The command and what it is about: `HGETALL interrupt/env/r`.
    static func text(of command: RedisCommand) -> String {
        let words = command.arguments.prefix(8).map { String(decoding: $0.prefix(200), as: UTF8.self) }
        // What a stream is read by says less than its key.
        guard let streams = words.firstIndex(of: "STREAMS") else { return words.prefix(2).joined(separator: " ") }
        return ([words[0]] + words[(streams + 1)...].prefix(1)).joined(separator: " ")
    }

    /// The commands in the line of the script that the server names, with the keys as far as they are known beforehand:
    /// `SET interrupt/pause/*`. `nil` when it names none.
    static func text(of script: RedisScript, namespace: String, answer: String) -> String? {
        let lines = script.source.split(separator: "\n", omittingEmptySubsequences: false)
        let numbers = answer.ranges(of: "user_script:").compactMap {
            Int(answer[$0.upperBound...].prefix(while: \.isNumber))
        }
        guard let number = numbers.first, lines.indices.contains(number - 1) else { return nil }
        let calls = lines[number - 1].split(separator: "call('").dropFirst().compactMap { call -> String? in
            guard let quote = call.firstIndex(of: "'") else { return nil }
            let rest = call[call.index(after: quote)...].drop { $0 == "," || $0 == " " }
            let key = rest.prefix { $0 != "," && $0 != ")" }
            return "\(call[..<quote]) \(pattern(of: key, in: lines, namespace: namespace))"
        }
        return calls.isEmpty ? nil : calls.joined(separator: " or ")
    }

    /// A key in Lua as a pattern: the namespace and literal parts as they are, `*` for what is known only in the script.
    private static func pattern(of key: Substring, in lines: [Substring], namespace: String) -> String {
        var key = key
        // A key that has a name of its own stands behind that, as the first of what is named there.
        for start in ["local \(key) = ", "local \(key), "] {
            guard let line = lines.first(where: { $0.drop { $0 == " " }.hasPrefix(start) }),
                let equals = line.firstRange(of: " = ")
            else { continue }
            key = line[equals.upperBound...].prefix { $0 != "," }
            break
        }
        return key.split(separator: " .. ").map { part in
            if part == "ns" { return namespace }
            return part.first == "'" && part.last == "'" ? String(part.dropFirst().dropLast()) : "*"
        }.joined()
    }
}

extension RedisError {
    /// The error that a command's error reply stands for, with the right that is missing.
    static func fromReply(_ text: String, to command: RedisCommand) -> RedisError {
        fromReply(text).naming(MissingRight.text(of: command))
    }

    /// The error that a script's error reply stands for, with the right that is missing.
    static func fromReply(_ text: String, to script: RedisScript, keys: [String], namespace: String) -> RedisError {
        let right = MissingRight.text(of: script, namespace: namespace, answer: text)
        let ofScript = "EVALSHA \(keys.joined(separator: " "))"
        return fromReply(text).naming("\(right ?? ofScript), in the script '\(script.name)'")
    }

    private func naming(_ right: String) -> RedisError {
        guard code == .notPermitted else { return self }
        var error = self
        error.message += " (\(right.escapedForDisplay(limit: 200)))"
        return error
    }
}

extension RedisCommands {
    /// The replies to commands, in order, none of which may be an error.
    func replies(to commands: [RedisCommand]) async throws(RedisError) -> [RESPValue] {
        let replies = try await send(commands)
        for (command, reply) in zip(commands, replies) {
            if let text = reply.errorText { throw RedisError.fromReply(text, to: command) }
        }
        return replies
    }
}
