import InterruptCore
import Yams

/// One place where settings come from: the flags, the environment or the file. Every value is text and knows its origin.
struct SettingsSource {
    /// A value and where it stands, for messages.
    struct Value: Equatable {
        var text: String
        var origin: String
    }

    /// The settings that exist. The raw value is the key in the file; flags spell `_` as `-`, the environment in capitals.
    enum Key: String, CaseIterable {
        case redis
        case redisPasswordFile = "redis_password_file"
        case tlsCA = "tls_ca"
        case tlsCert = "tls_cert"
        case tlsKey = "tls_key"
        case namespace, queue, concurrency, name, grace
        case drainWarning = "drain_warning"
        case pollInterval = "poll_interval"
        case lease
        case allowAnyCommand = "allow_any_command"
        case withoutCgroups = "without_cgroups"
        case stateDirectory = "state_dir"
        case policy
        case logFormat = "log_format"
        case logLevel = "log_level"
        case detailed

        var environmentName: String {
            self == .redis ? "INTERRUPT_REDIS_URL" : "INTERRUPT_" + rawValue.uppercased()
        }
        var flag: String { "--" + rawValue.replacing("_", with: "-") }
    }

    private(set) var values: [Key: [Value]] = [:]

    /// What was given on the command line.
    init(flags: [Key: [String]]) {
        for (key, texts) in flags { values[key] = texts.map { Value(text: $0, origin: key.flag) } }
    }

    /// What the environment says.
    init(environment: [String: String]) {
        for key in Key.allCases {
            guard let text = environment[key.environmentName], !text.isEmpty else { continue }
            values[key] = [Value(text: text, origin: key.environmentName)]
        }
    }

    /// What a YAML file says.
    ///
    /// - Throws: ``InvalidSetting`` with file, line and column.
    init(yaml: String, file: String) throws(InvalidSetting) {
        for (name, valueNode, place) in try Node.mapping(of: yaml, file: file) {
            guard let key = Key(rawValue: name) else {
                let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
                throw InvalidSetting(
                    "\(place): unknown setting '\(name.escapedForDisplay(limit: 40))': known are \(known)"
                )
            }
            let nodes = valueNode.sequence.map(Array.init) ?? [valueNode]
            values[key] = try nodes.map { node throws(InvalidSetting) in
                guard let text = node.scalar?.string else {
                    throw InvalidSetting("\(place): \(name) takes a value or a list of values")
                }
                return Value(text: text, origin: place)
            }
        }
    }
}

extension Node {
    /// The entries of a YAML text, each with its place for messages; none of an empty one.
    ///
    /// - Throws: ``InvalidSetting`` with file, line and column.
    static func mapping(
        of yaml: String,
        file: String
    ) throws(InvalidSetting) -> [(name: String, value: Node, place: String)] {
        do {
            guard let root = try Yams.compose(yaml: yaml), root.null == nil else { return [] }
            return try root.entries(file: file)
        } catch let error as YamlError {
            throw InvalidSetting(error, file: file)
        } catch let error as InvalidSetting {
            throw error
        } catch {
            throw InvalidSetting("\(file): not YAML")
        }
    }

    /// The entries of a mapping; anything else is an error.
    func entries(file: String) throws(InvalidSetting) -> [(name: String, value: Node, place: String)] {
        guard let mapping else {
            let place = mark.map { "\($0.line):\($0.column)" } ?? "1:1"
            throw InvalidSetting("\(file):\(place): expected 'name: value' lines")
        }
        return mapping.map { name, value in
            (name.string ?? "", value, name.mark.map { "\(file):\($0.line):\($0.column)" } ?? file)
        }
    }
}

/// A setting that cannot be used: one line that says where it stands, what is wrong and what is allowed.
struct InvalidSetting: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension InvalidSetting {
    /// What the YAML parser says, without the excerpt that it adds on lines of its own.
    fileprivate init(_ error: YamlError, file: String) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            self.init("\(file):\(mark.line):\(mark.column): not YAML: \(problem.escapedForDisplay(limit: 200))")
        case .duplicatedKeysInMapping(let names, let context):
            let name = names.first?.escapedForDisplay(limit: 40) ?? ""
            self.init("\(file):\(context.mark.line):\(context.mark.column): '\(name)' is given more than once")
        case .no, .memory, .reader, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            self.init("\(file): not YAML")
        }
    }
}
