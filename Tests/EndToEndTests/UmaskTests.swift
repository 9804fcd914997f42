import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A worker whose umask is 0` {
    /// The permissions of a directory and of everything in it, by its path from there.
    private func permissions(in directory: String) throws -> [String: mode_t] {
        var found: [String: mode_t] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: directory) + ["."] {
            var status = stat()
            // What has just been removed is open to nobody.
            if lstat("\(directory)/\(path)", &status) == 0 { found[path] = status.st_mode & 0o7777 }
        }
        return found
    }

    private func openToOthers(_ permissions: [String: mode_t]) -> [String] {
        permissions.filter { $0.value & 0o077 != 0 }.map { "\($0.key): 0\(String($0.value, radix: 8))" }.sorted()
    }

    @Test func `leaves nothing open to others, while a job runs and while its end waits in a file`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1", under: ["sh", "-c", #"umask 0; exec "$0" "$@""#]) { daemon in
                let status = try String(contentsOfFile: "/proc/\(daemon)/status", encoding: .utf8)
                try #require(status.contains("Umask:\t0000\n"))
                let (state, runtime) = ("\(fleet.directory)/w1", "\(fleet.directory)/interrupt")
                let go = "\(fleet.directory)/go"
                let script = "echo begun; until [ -e '\(go)' ]; do sleep 0.05; done; exit 3"
                let submitted = try await fleet.control("submit", "--id", "job", "--", "sh", "-c", script)
                try #require(submitted.exitCode == 0, "\(submitted)")
                try await eventually("it has begun") { try await fleet.output(of: "job") == "begun\n" }
                let run = try await fleet.wait(for: "job", .running).run

                let (kept, shared) = (try permissions(in: state), try permissions(in: runtime))
                #expect(kept["output/\(run).log"] == 0o600 && kept["."] == 0o700, "\(kept)")
                #expect(shared.keys.contains { $0.hasSuffix("/\(run)/tell") }, "\(shared)")
                #expect(openToOthers(kept) == [] && openToOthers(shared) == [])

                try await fleet.redis.takeAway()
                close(creat(go, 0o600))
                let outcome = "outbox/w1/\(run).json"
                try await eventually("its end is in a file") {
                    let data = FileManager.default.contents(atPath: "\(state)/\(outcome)") ?? Data()
                    return String(decoding: data, as: UTF8.self).contains("\"ending\"")
                }
                let waiting = try permissions(in: state)
                #expect(waiting[outcome] == 0o600 && waiting["outbox"] == 0o700, "\(waiting)")
                #expect(openToOthers(waiting) == [])

                try await fleet.redis.bringBack()
                #expect(try await fleet.wait(for: "job", .failed).exitCode == 3)
            }
        }
    }
}
