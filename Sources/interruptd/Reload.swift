import InterruptCore
import InterruptRedis
import Logging
import Synchronization

/// What reading the settings again has found.
struct SettingsChange: Equatable {
    /// What has changed and takes effect at once.
    var applied: [String] = []
    /// What has changed and takes effect at the next start.
    var needsRestart: [String] = []

    init(from old: DaemonSettings, to new: DaemonSettings) {
        func note<Value: Equatable>(_ key: SettingsSource.Key, _ value: (DaemonSettings) -> Value, atOnce: Bool = false)
        {
            guard value(old) != value(new) else { return }
            if atOnce { applied.append(key.rawValue) } else { needsRestart.append(key.rawValue) }
        }
        note(.grace, \.gracePeriod, atOnce: true)
        note(.logLevel, \.logLevel, atOnce: true)
        note(.policy, \.policy, atOnce: true)
        note(.jobs, \.jobs, atOnce: true)
        note(.allow, \.allowed, atOnce: true)
        note(.allowEnv, \.allowedVariables, atOnce: true)
        note(.keepOutput, \.keepsOutput, atOnce: true)
        note(.keepOutputSize, \.keepsOutputSize, atOnce: true)
        note(.moreTime, \.moreTime)
        note(.outputLimit, \.outputLimit)
        note(.redis, \.endpoint.redisURL)
        note(.redisPasswordFile, \.endpoint.passwordFile)
        note(.sentinelPasswordFile, \.endpoint.sentinelPasswordFile)
        note(.tlsCA, \.endpoint.tlsCA)
        note(.tlsCert, \.endpoint.tlsCert)
        note(.tlsKey, \.endpoint.tlsKey)
        note(.namespace, \.endpoint.namespace)
        note(.signKey, \.endpoint.signKeyFile)
        note(.queue, \.queues)
        note(.concurrency, \.concurrency)
        note(.name, \.name)
        note(.drainWarning, \.drainWarning)
        note(.pollInterval, \.pollInterval)
        note(.lease, \.lease)
        note(.allowAnyCommand, \.allowsAnyCommand)
        note(.withoutCgroups, \.usesCgroups)
        note(.stateDirectory, \.stateDirectory)
        note(.logFormat, \.logFormat)
        note(.detailed, \.isDetailed)
    }

    /// One sentence.
    var description: String {
        if applied.isEmpty, needsRestart.isEmpty { return "settings read again: nothing has changed" }
        var parts: [String] = []
        if !applied.isEmpty { parts.append("applied \(applied.joined(separator: ", "))") }
        if !needsRestart.isEmpty { parts.append("restart to change \(needsRestart.joined(separator: ", "))") }
        return "settings read again: \(parts.joined(separator: "; "))"
    }
}

/// The settings in force. SIGHUP reads them again: the grace period, the policy and what may run (of runs that start from
/// then on, the first also of a shutdown), how much output is kept and the log level change at once, the rest needs a restart.
final class CurrentSettings: Sendable {
    /// What the daemon was started with, and what of it has been changed since. What needs a restart stays as it runs, so
    /// that it is said again until then.
    private let settings: Mutex<DaemonSettings>
    private let level: LogLevel
    private let read: @Sendable () throws(InvalidSetting) -> DaemonSettings

    /// - Parameter read: reads and checks all sources again.
    init(
        _ settings: DaemonSettings,
        level: LogLevel,
        read: @escaping @Sendable () throws(InvalidSetting) -> DaemonSettings
    ) {
        self.settings = Mutex(settings)
        self.level = level
        self.read = read
    }

    var gracePeriod: Duration { settings.withLock { $0.gracePeriod } }
    var policy: InterruptPolicy { settings.withLock { $0.policy } }
    /// All of them, as they are in force.
    var all: DaemonSettings { settings.withLock { $0 } }

    /// Reads the settings again and applies what can be. Settings that cannot be used change nothing.
    func reload() throws(InvalidSetting) -> SettingsChange {
        let new = try read()
        let change = settings.withLock { settings in
            // What needs a restart is compared with what runs, so that it is said again until the restart.
            let change = SettingsChange(from: settings, to: new)
            (settings.gracePeriod, settings.logLevel, settings.policy) = (new.gracePeriod, new.logLevel, new.policy)
            (settings.jobs, settings.allowed) = (new.jobs, new.allowed)
            settings.allowedVariables = new.allowedVariables
            (settings.keepsOutput, settings.keepsOutputSize) = (new.keepsOutput, new.keepsOutputSize)
            return change
        }
        level.current = new.logLevel
        return change
    }
}
