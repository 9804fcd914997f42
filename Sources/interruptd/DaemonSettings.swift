import InterruptCore
import InterruptRedis
import Logging

/// Everything the daemon is told, checked: flag, then environment, then file, then default.
struct DaemonSettings {
    var endpoint: EndpointSettings
    var queues: [Name]
    var concurrency: Int
    /// `nil` lets the daemon take the host's name.
    var name: Name?
    var gracePeriod: Duration
    /// How much more than its grace period a job gets that asks for it.
    var moreTime: Duration
    var drainWarning: Duration
    var pollInterval: Duration
    var lease: Duration
    var allowsAnyCommand: Bool
    var usesCgroups: Bool
    /// Commands that may run, and variables that may be set for them.
    var allowed: [CommandPattern]
    var allowedVariables: Set<String>
    var jobs: JobsFile?
    /// The most that is kept of one run's output, in bytes.
    var outputLimit: Int64
    /// How long, and how much of all runs together.
    var keepsOutput: Duration
    var keepsOutputSize: Int64
    var stateDirectory: String?
    var policy: InterruptPolicy
    var logFormat: LogFormat
    var logLevel: Logger.Level
    /// Whether a person at the terminal is told what each stage does.
    var isDetailed: Bool

    enum LogFormat: String, CaseIterable {
        case text, json
    }

    /// - Parameter sources: the strongest first.
    init(
        sources: [SettingsSource],
        environment: [String: String],
        processorCount: Int
    ) throws(InvalidSetting) {
        let settings = Layers(sources: sources)
        endpoint = EndpointSettings(
            redisURL: try settings.text(.redis),
            passwordFile: try settings.text(.redisPasswordFile),
            sentinelPasswordFile: try settings.text(.sentinelPasswordFile),
            tlsCA: try settings.text(.tlsCA),
            tlsCert: try settings.text(.tlsCert),
            tlsKey: try settings.text(.tlsKey),
            namespace: try settings.text(.namespace),
            signKeyFile: try settings.text(.signKey),
            environment: environment
        )
        queues = try settings.names(.queue) ?? [.defaultQueue]
        // Three quarters of the cores, at least one.
        concurrency = try settings.number(.concurrency, in: 1...10_000) ?? max(1, processorCount * 3 / 4)
        name = try settings.names(.name)?.last
        gracePeriod = try settings.duration(.grace, in: .zero ... .seconds(86_400)) ?? StopLimits.gracePeriod
        moreTime = try settings.duration(.moreTime, in: .zero ... .seconds(86_400)) ?? .seconds(30)
        drainWarning = try settings.duration(.drainWarning, in: .zero ... .seconds(86_400)) ?? .seconds(60)
        pollInterval = try settings.duration(.pollInterval, in: .milliseconds(100) ... .seconds(3_600)) ?? .seconds(1)
        lease = try settings.duration(.lease, in: .seconds(3) ... .seconds(3_600)) ?? .seconds(30)
        allowsAnyCommand = try settings.flag(.allowAnyCommand) ?? false
        usesCgroups = try !(settings.flag(.withoutCgroups) ?? false)
        allowed = try settings.values(.allow).map { value throws(InvalidSetting) in
            try CommandPattern(value.text, origin: value.origin)
        }
        allowedVariables = try settings.variables(.allowEnv)
        jobs = try settings.text(.jobs).map(JobsFile.init(path:))
        outputLimit = try settings.size(.outputLimit, atLeast: 1 << 20) ?? 1 << 30
        // As long as the records.
        keepsOutput = try settings.duration(.keepOutput, in: .zero ... .longestAccepted) ?? .seconds(7 * 86_400)
        keepsOutputSize = try settings.size(.keepOutputSize, atLeast: 0) ?? 10 << 30
        stateDirectory = try settings.text(.stateDirectory)
        policy = try settings.text(.policy).map(InterruptPolicy.init(path:)) ?? InterruptPolicy()
        logFormat = try settings.choice(.logFormat) ?? .text
        logLevel = try settings.choice(.logLevel) ?? .info
        isDetailed = try settings.flag(.detailed) ?? false
    }
}

extension Name {
    /// The queue of those who name none.
    static let defaultQueue = try! Name("default")  // a literal of ours, and a valid name
}

/// The sources on top of each other: the first one that has a value gives it.
private struct Layers {
    let sources: [SettingsSource]

    func values(_ key: SettingsSource.Key) -> [SettingsSource.Value] {
        sources.lazy.compactMap { $0.values[key] }.first { !$0.isEmpty } ?? []
    }

    func text(_ key: SettingsSource.Key) throws(InvalidSetting) -> String? {
        guard let value = values(key).last else { return nil }
        guard !value.text.isEmpty else { throw InvalidSetting("\(value.origin): has no value") }
        return value.text
    }

    func names(_ key: SettingsSource.Key) throws(InvalidSetting) -> [Name]? {
        let values = values(key)
        if values.isEmpty { return nil }
        return try values.map { value throws(InvalidSetting) in
            do throws(NameError) {
                return try Name(value.text)
            } catch {
                throw InvalidSetting("\(value.origin): \(error)")
            }
        }
    }

    func variables(_ key: SettingsSource.Key) throws(InvalidSetting) -> Set<String> {
        for value in values(key) {
            if let why = VariableRules.problem(allowing: value.text) { throw InvalidSetting("\(value.origin): \(why)") }
        }
        return Set(values(key).map(\.text))
    }

    func number(_ key: SettingsSource.Key, in range: ClosedRange<Int>) throws(InvalidSetting) -> Int? {
        guard let value = values(key).last else { return nil }
        guard let number = Int(value.text), range.contains(number) else {
            throw wrong(value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func duration(_ key: SettingsSource.Key, in range: ClosedRange<Duration>) throws(InvalidSetting) -> Duration? {
        guard let value = values(key).last else { return nil }
        let duration: Duration
        do throws(DurationError) {
            duration = try Duration(text: value.text)
        } catch {
            throw InvalidSetting("\(value.origin): \(error)")
        }
        guard range.contains(duration) else {
            throw wrong(value, "\(range.lowerBound.displayText) to \(range.upperBound.displayText)")
        }
        return duration
    }

    func size(_ key: SettingsSource.Key, atLeast least: Int64) throws(InvalidSetting) -> Int64? {
        guard let value = values(key).last else { return nil }
        guard let size = ByteSize(value.text)?.bytes, size >= least else {
            throw wrong(value, "a size such as 512M or 10G, at least \(least)")
        }
        return size
    }

    func flag(_ key: SettingsSource.Key) throws(InvalidSetting) -> Bool? {
        guard let value = values(key).last else { return nil }
        switch value.text {
        case "true", "1", "yes": return true
        case "false", "0", "no": return false
        default: throw wrong(value, "true or false")
        }
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: SettingsSource.Key
    ) throws(InvalidSetting) -> Choice? where Choice.RawValue == String {
        guard let value = values(key).last else { return nil }
        guard let choice = Choice(rawValue: value.text) else {
            throw wrong(value, Choice.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return choice
    }

    private func wrong(_ value: SettingsSource.Value, _ allowed: String) -> InvalidSetting {
        InvalidSetting("\(value.origin): '\(value.text.escapedForDisplay(limit: 40))' is not allowed: \(allowed)")
    }
}
