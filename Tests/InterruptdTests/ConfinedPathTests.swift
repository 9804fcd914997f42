import Glibc
import InterruptTesting
import Testing

@testable import interruptd

@Suite(.timeLimit(.minutes(1))) struct `Path of a parameter` {
    /// Runs `body` with a directory `root` that has a file, and one beside it that must not be reached.
    private func withDirectories(_ body: (_ root: String, _ outside: String) throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let buffer = try #require(realpath(directory, nil))
            defer { free(buffer) }
            let directory = String(cString: buffer)
            let (root, outside) = ("\(directory)/root", "\(directory)/root-not")
            for path in [root, outside, "\(root)/sub"] { mkdir(path, 0o700) }
            for path in ["\(root)/file", "\(outside)/secret"] { close(creat(path, 0o600)) }
            try body(root, outside)
        }
    }

    private func problem(_ path: String, under root: String) -> String {
        do throws(ConfinedPath.Problem) {
            return "accepted: " + (try ConfinedPath.resolved(path, under: root))
        } catch {
            return error.text
        }
    }

    @Test func `is where it really leads, also when it does not exist yet`() async throws {
        try await withDirectories { root, _ in
            symlink("sub", "\(root)/link")
            #expect(problem("\(root)/file", under: root) == "accepted: \(root)/file")
            #expect(problem(root, under: root) == "accepted: \(root)")
            #expect(problem("\(root)//sub/./../file", under: root) == "accepted: \(root)/file")
            #expect(problem("\(root)/link/new/a b", under: root) == "accepted: \(root)/sub/new/a b")
            #expect(problem("\(root)/file", under: "/") == "accepted: \(root)/file")
            #expect(problem("\(root)/$(id)\n", under: "\(root)/") == "accepted: \(root)/$(id)\n")
        }
    }

    @Test func `is refused when it leads out, by dots or by a link, whole or in part`() async throws {
        try await withDirectories { root, outside in
            symlink(outside, "\(root)/out")
            symlink("\(outside)/new", "\(root)/dangling")
            symlink("loop", "\(root)/loop")
            symlink("\(root)/file", "\(outside)/in")
            for path in [
                "\(root)/../root-not/secret", "\(root)/out/secret", "\(root)/out", "\(root)/out/new", outside, "/",
                "\(root)-not/secret", "\(root)/sub/../../root-not", "/etc/passwd", "/no/such/file",
            ] {
                #expect(problem(path, under: root) == "is not under \(root)", "\(path)")
            }
            #expect(problem("\(root)/dangling", under: root) == "is or contains a link to nowhere")
            #expect(problem("\(root)/dangling/x", under: root) == "is or contains a link to nowhere")
            #expect(problem("\(root)/loop", under: root).hasPrefix("cannot be used: "))
            #expect(problem("\(root)/file/x", under: root).hasPrefix("cannot be used: "))
            #expect(problem("file", under: root) == "is not an absolute path")
            #expect(problem("", under: root) == "is not an absolute path")
            #expect(problem("\(root)/file\0/../x", under: root) == "contains a NUL byte")
            #expect(problem("/" + String(repeating: "a/", count: 64 << 10), under: root) == "is longer than 4095 bytes")
            #expect(problem("\(root)/" + String(repeating: "a", count: 300), under: root).hasPrefix("cannot be used: "))
            #expect(problem("\(root)/file", under: "\(root)/none").hasPrefix("cannot be checked: \(root)/none: "))
            #expect(problem("\(outside)/in", under: root) == "accepted: \(root)/file")
        }
    }
}
