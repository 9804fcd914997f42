import Foundation
import Glibc
import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(2)), .enabled(if: geteuid() == 0, "only root can give a worker a hosts file of its own"))
struct `A name by which a worker knows Redis` {
    @Test func `is looked up again when the server has gone, and all goes on at its new address`() async throws {
        try await withTemporaryDirectory { directory in
            let settings = ["--protected-mode", "no", "--repl-diskless-sync-delay", "0"]
            try await withRedis(arguments: settings, tcp: true) { first in
                let port = "\(first.port!)"
                let place = ["--port", port, "--bind", "127.0.0.2", "--replicaof", "127.0.0.1", port]
                try await withRedis(arguments: settings + place) { second in
                    try await eventually("it is a copy") {
                        let state = try await second.command("INFO", "replication").text
                        return state?.contains("master_link_status:up") == true
                    }
                    try await move(from: first, to: second, in: directory)
                }
            }
        }
    }

    /// A job runs while its worker's server is replaced by a copy at another address of the same name.
    private func move(from first: TestRedis, to second: TestRedis, in directory: String) async throws {
        let (before, after) = (Fleet(redis: first, directory: directory), Fleet(redis: second, directory: directory))
        let hosts = "\(directory)/hosts"
        try write("127.0.0.1 redis.test\n", to: hosts)
        // The same file all the time: it is the file that is mounted, and not its name.
        let ownHosts = ["unshare", "--mount", "sh", "-c", #"mount --bind '\#(hosts)' /etc/hosts && exec "$0" "$@""#]
        let arguments = ["--redis", "redis://redis.test:\(first.port!)", "--lease", "3s", "--concurrency", "2"]
        try await before.worker("w1", arguments, under: ownHosts) { daemon in
            let submitted = try await before.control("submit", "--id", "through", "--", "sleep", "300")
            try #require(submitted.exitCode == 0, "\(submitted)")
            let client = try await after.client
            try await eventually("the copy has the run, with its process") {
                try await client.newestRun(of: try Name("through"))?.pid != nil
            }
            try await first.takeAway()
            try await second.command("REPLICAOF", "NO", "ONE")
            let last = try await client.worker("w1")?.heartbeat ?? 0
            try write("127.0.0.2 redis.test\n", to: hosts)
            let moved = ContinuousClock.now
            try await eventually("the worker is heard of at the other address") {
                guard let worker = try await client.worker("w1") else { return false }
                return worker.pid == daemon && worker.heartbeat > last
            }
            print("the name has moved: the worker is heard of after \(moved.duration(to: .now))")
            let ran = try await after.control("run", "--", "echo", "well")
            #expect(ran.exitCode == 0 && ran.text == "well\n", "\(ran)")
            let run = try await after.wait(for: "through", .running).run
            #expect(processes(with: "INTERRUPT_RUN=\(run)").count == 1, "it has run through all of this")
            let cancelled = try await after.control("cancel", "through")
            #expect(cancelled.exitCode == 0, "\(cancelled)")
            #expect(try await after.wait(for: "through", .interrupted).run == run)
            #expect(processes(with: "INTERRUPT_RUN=\(run)").isEmpty)
        }
    }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
}
