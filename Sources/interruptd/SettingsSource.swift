import InterruptCore

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
        case sentinelPasswordFile = "sentinel_password_file"
        case tlsCA = "tls_ca"
        case tlsCert = "tls_cert"
        case tlsKey = "tls_key"
        case namespace, queue, concurrency, name, grace
        case drainWarning = "drain_warning"
        case pollInterval = "poll_interval"
        case lease
        case allowAnyCommand = "allow_any_command"
        case withoutCgroups = "without_cgroups"
        case allow
        case allowEnv = "allow_env"
        case jobs
        case signKey = "sign_key"
        case moreTime = "more_time"
        case outputLimit = "output_limit"
        case keepOutput = "keep_output"
        case keepOutputSize = "keep_output_size"
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
        for entry in try YAMLNode.entries(of: yaml, file: file) {
            let (name, place) = (entry.name, entry.place)
            guard let key = Key(rawValue: name) else {
                let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
                throw InvalidSetting(
                    "\(place): unknown setting '\(name.escapedForDisplay(limit: 40))': known are \(known)"
                )
            }
            guard let texts = entry.value.texts else {
                throw InvalidSetting("\(place): \(name) takes a value or a list of values")
            }
            values[key] = texts.map { Value(text: $0, origin: place) }
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
