import Foundation
import Glibc
import InterruptCore
import Synchronization
import Testing

@testable import InterruptSources

/// A directory as the kubelet makes it for a ConfigMap.
private struct Mount {
    let directory: Directory
    var path: String { directory.path }

    init(_ directory: Directory) { self.directory = directory }

    /// Makes the next version, lets everybody see it by one `rename`, and removes the last one. With nothing but the calls
    /// that this takes: a test does it often.
    func publish(_ files: [String: String]) throws {
        let last = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(path)/..data")
        let version = "..2026_11_21_\(RunID.random())"
        try #require(mkdir("\(path)/\(version)", 0o755) == 0)
        for (name, text) in files {
            let file = try #require(fopen("\(path)/\(version)/\(name)", "w"))
            fputs(text, file)
            fclose(file)
        }
        try #require(symlink(version, "\(path)/..data_tmp") == 0)
        try #require(rename("\(path)/..data_tmp", "\(path)/..data") == 0)
        for name in files.keys { symlink("..data/\(name)", "\(path)/\(name)") }
        guard let last else { return }
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(last)") {
            unlink("\(path)/\(last)/\(name)")
        }
        rmdir("\(path)/\(last)")
    }

    /// Takes the name of a key that is not published any more.
    func forget(_ name: String) { unlink("\(path)/\(name)") }
}

@Suite(.timeLimit(.minutes(2))) struct `A mounted signal file` {
    private let mount: Mount
    private let checker: InterruptChecker

    init() throws {
        mount = Mount(try Directory())
        checker = .mountedFile(try Name("nightly"), in: mount.path)
    }

    @Test func `is what the directory holds now`() async throws {
        #expect(await ask(checker) == .none)
        try mount.publish(["other": "x"])
        #expect(await ask(checker) == .none)
        try mount.publish(["nightly.signal": "0"])
        #expect(await ask(checker) == .none)
        try mount.publish(["nightly.signal": "{\"message\": \"make room\"}"])
        #expect(await ask(checker).signal?.message == "make room")
        // The kubelet takes the name away only afterwards.
        try mount.publish([:])
        #expect(await ask(checker) == .none)
        mount.forget("nightly.signal")
        #expect(await ask(checker) == .none)
    }

    @Test func `is read whole, of one version, while versions follow each other`() async throws {
        let texts = ["a", "b"].map { "{\"message\": \"\(String(repeating: $0, count: 500))\"}" }
        let file = SignalFile(try Name("nightly"), in: mount.path, followsLinks: true)
        try mount.publish(["nightly.signal": texts[0]])
        let seen = Mutex<Set<[UInt8]>>([])
        let reading = Task {
            while !Task.isCancelled {
                do {
                    let text = try #require(try file.read())
                    seen.withLock { _ = $0.insert(text) }
                } catch let failure where "\(failure)".hasSuffix("changes faster than it can be read") {
                    continue  // on a busy machine; nothing was read, and nothing torn
                }
            }
        }
        defer { reading.cancel() }
        var round = 0
        // And on until both were read: the reader may have to wait for a processor.
        while round < 1_000 || round < 100_000 && seen.withLock({ $0.count < 2 }) {
            round += 1
            try mount.publish(["nightly.signal": texts[round % 2]])
        }
        reading.cancel()
        try await reading.value
        #expect(seen.withLock { $0 } == Set(texts.map { Array($0.utf8) }))
    }

    @Test func `that leads out of its directory fails`() async throws {
        let outside = try Directory()
        try outside.write("1", to: "nightly.signal")
        let file = "\(mount.path)/nightly.signal"
        let up = "../" + outside.path.split(separator: "/").dropFirst().joined(separator: "/") + "/nightly.signal"
        for target in ["\(outside.path)/nightly.signal", up, "..", "inside/../../x"] {
            unlink(file)
            #expect(symlink(target, file) == 0)
            #expect(await ask(checker) == .failed("'\(file)' leads out of the directory"))
        }
        unlink(file)
        #expect(symlink("..data/nightly.signal", file) == 0 && symlink(outside.path, "\(mount.path)/..data") == 0)
        #expect(await ask(checker) == .failed("'\(mount.path)/..data' leads out of the directory"))
    }

    @Test func `that leads in a circle or to nothing fails`() async throws {
        let file = "\(mount.path)/nightly.signal"
        #expect(symlink("nightly.signal", file) == 0)
        #expect(await ask(checker) == .failed("'\(file)' leads from link to link"))
        unlink(file)
        #expect(symlink("..data/nightly.signal", file) == 0 && symlink("..gone", "\(mount.path)/..data") == 0)
        #expect(await ask(checker) == .failed("'\(mount.path)/..gone' is not there, but a link leads to it"))
    }

    @Test func `that everybody may write fails, and so does one in such a version`() async throws {
        try mount.publish(["nightly.signal": "1"])
        let version = try FileManager.default.destinationOfSymbolicLink(atPath: "\(mount.path)/..data")
        #expect(chmod("\(mount.path)/\(version)", 0o777) == 0)
        #expect(await ask(checker) == .failed("'\(mount.path)/\(version)' may be written by everybody"))
        #expect(chmod("\(mount.path)/\(version)", 0o755) == 0)
        #expect(chmod("\(mount.path)/\(version)/nightly.signal", 0o666) == 0)
        #expect(await ask(checker) == .failed("'\(mount.path)/\(version)/nightly.signal' may be written by everybody"))
    }
}

/// What a container needs: SIGTERM, or a mounted file, whichever is first.
@Suite(.serialized, .timeLimit(.minutes(1))) struct `A job in Kubernetes` {
    /// What nobody has read when the handling ends is raised again; here it is ignored then.
    private func run(_ body: (InterruptScope, Mount) async throws -> Void) async throws {
        signal(SIGTERM, SIG_IGN)
        defer { signal(SIGTERM, SIG_DFL) }
        let mount = Mount(try Directory())
        try mount.publish(["nightly.signal": "0"])
        try await withUnixSignalHandling { scope in
            scope.setChecker(.mountedFile(try Name("nightly"), in: mount.path, every: .milliseconds(1)))
            try await body(scope, mount)
        }
    }

    @Test func `is stopped when its pod ends`() async throws {
        try await run { scope, _ in
            kill(getpid(), SIGTERM)
            let signal = await scope.signals.first { _ in true }
            #expect(signal?.reason == .systemShutdown && signal?.source == .unixSignal)
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
        }
    }

    @Test func `is stopped when its ConfigMap says so`() async throws {
        try await run { scope, mount in
            try mount.publish(["nightly.signal": "{\"reason\": \"priority_override\"}"])
            let signal = await scope.signals.first { _ in true }
            #expect(signal?.reason == .priorityOverride && signal?.source == .checker)
            #expect(throws: InterruptedError.self) { try scope.checkpoint() }
        }
    }

    @Test func `has one cause when both come at once`() async throws {
        for _ in 0..<20 {
            try await run { scope, mount in
                try mount.publish(["nightly.signal": "1"])
                kill(getpid(), SIGTERM)
                while scope.late.isEmpty { await Task.yield() }
                let sources = [scope.cause?.source, scope.late.first?.source]
                #expect(scope.late.count == 1 && Set(sources) == [.checker, .unixSignal])
            }
        }
    }
}
