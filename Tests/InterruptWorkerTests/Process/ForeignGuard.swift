import Foundation
import Glibc
import InterruptCore
import InterruptTesting
import Logging
import Subprocess
import SystemPackage
import Testing

@testable import InterruptWorker

/// A guard that is not root, in a cgroup that was delegated to its user: what most workers have. Made by root only.
final class ForeignGuard: Sendable {
    /// Whether it can be made here.
    static let isPossible =
        getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0 && (try? CgroupPlace.ofProcess().get()) != nil

    /// What starts it, in place of `interrupt-launch`.
    let program: FilePath
    /// The directory of the cgroup below which each run gets a leaf.
    let base: String
    private let own: String

    init(in directory: TemporaryDirectory) throws {
        let mount = try CgroupPlace.ofProcess().get().mount
        let name = "/\(directory.path.lastComponent?.string ?? "test")"
        own = mount + name
        base = own + "/interrupt"
        let launch = directory.path.appending("interrupt-launch").string
        try FileManager.default.copyItem(atPath: "\(Self.products)/interrupt-launch", toPath: launch)
        try #require(chmod(directory.path.string, 0o755) == 0)
        let script = """
            #!/bin/sh
            mkdir -p \(own)/worker
            chown -R 65534 \(own)
            echo $$ > \(own)/worker/cgroup.procs
            exec setpriv \(Self.asNobody.joined(separator: " ")) \(launch) \(mount) \(name)/interrupt "$3"
            """
        program = FilePath(try directory.write(script, to: "launch-as-nobody", mode: 0o755))
    }

    /// The guard's pid, once it runs.
    var pid: Int32? { kernelText(of: own + "/worker/cgroup.procs").flatMap { Int32($0.prefix { $0 != "\n" }) } }

    /// How many descriptors the guard has open.
    var openDescriptors: Int {
        pid.flatMap { try? FileManager.default.contentsOfDirectory(atPath: "/proc/\($0)/fd").count } ?? 0
    }

    /// Changes what the guard may use of a resource, as `prlimit` calls it; `nil` is as much as it can.
    func limit(_ resource: String, to value: String?) async throws {
        let pid = try #require(pid)
        func prlimit(_ arguments: String...) async throws -> String {
            let result = try await Subprocess.run(
                .name("setpriv"),  // root may, too, but not everywhere
                arguments: Arguments(Self.asNobody + ["prlimit", "--pid", "\(pid)"] + arguments),
                output: .string(limit: 1_024),
                error: .string(limit: 1_024)
            )
            try #require(result.terminationStatus == .exited(0), "\(result.standardError)")
            return result.standardOutput
        }
        let most = try await prlimit("--\(resource)", "--noheadings", "--output", "HARD")
        _ = try await prlimit("--\(resource)=\(value ?? most.filter { !$0.isWhitespace }):")
    }

    /// A runner that starts it.
    func runner(in directory: TemporaryDirectory, giveUpAfter: Duration = .seconds(30)) -> ProcessRunner {
        ProcessRunner(
            outputDirectory: directory.path,
            defaultGracePeriod: .seconds(5),
            baseEnvironment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            giveUpAfter: giveUpAfter,
            launchProgram: program
        )
    }

    /// Waits until the guard has gone and nothing is left below its cgroup, and removes that.
    func end() async throws {
        try await eventually("the guard has gone, with all cgroups of its runs") {
            rmdir(base)
            rmdir(own + "/worker")
            return rmdir(own) == 0
        }
    }

    private static let asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]

    /// Where the build has put the programs: beside the tests.
    static let products: String = {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return String(bundle[..<(bundle.lastIndex(of: "/") ?? bundle.endIndex)])
    }()
}
