internal import CLaunch
internal import InterruptCore
internal import SystemPackage

/// What `interrupt-launch` is told of a run, as bytes.
struct LaunchSpec {
    private(set) var bytes: [UInt8] = []

    /// - Parameters:
    ///   - leaf: the name of the run's cgroup, where there is one.
    ///   - settings: what is written into that cgroup's files before the run begins.
    ///   - fence: when its processes are killed, unless that is moved.
    init(
        _ command: JobCommand,
        leaf: String,
        settings: [(file: String, value: String)] = [],
        fence: BootTime? = nil
    ) {
        var head = launch_spec()
        head.version = UInt32(LAUNCH_VERSION)
        head.argument_count = UInt32(command.arguments.count)
        head.variable_count = UInt32(command.environment.count)
        head.setting_count = UInt32(settings.count)
        head.fence = fence?.milliseconds ?? 0
        withUnsafeBytes(of: &head) { bytes += $0 }
        append(command.program.string)
        append(command.directory?.string ?? "")
        append(leaf)
        for argument in command.arguments { bytes += argument }
        for variable in command.environment { bytes += variable }
        for setting in settings {
            append(setting.file)
            append(setting.value)
        }
    }

    private mutating func append(_ text: String) {
        bytes += text.utf8
        bytes.append(0)
    }
}
