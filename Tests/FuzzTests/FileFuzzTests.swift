import InterruptCore
import Testing

@testable import interruptd

/// The files that a daemon reads at its start.
@Suite(.timeLimit(.minutes(10))) struct `Files from elsewhere` {
    private static let files = [
        "namespace: prod\nqueue: [a, b]\nconcurrency: 4\ngrace: 10s\nallow:\n  - make *\n  - '/usr/bin/env **'\n",
        "jobs:\n  transcode:\n    command: [ffmpeg, -i, \"{input}\", -t, \"{seconds}\", \"{output}\"]\n    parameters:\n"
            + "      input: {type: path, under: /srv/media}\n      seconds: {type: integer, min: 1, max: 3600}\n"
            + "      output: {type: text, pattern: \"[a-z0-9]+\\\\.mp4\"}\n    directory: /srv/media\n    environment: {LANG: C}\n",
        "jobs: {a: {command: [x, \"{b}\"], parameters: {b: {type: choice, of: [c, d], default: c}}}}",
        "# nothing\n", "a: |\n  text\n  more\nb: >-\n  folded\n", "? a\n: b\n",
    ]

    @Test func `are settings, or are refused in a line with their place`() {
        var fuzzing = Fuzzing(Self.files)
        fuzzing.run("a settings file") { input, _ in
            do throws(InvalidSetting) {
                _ = try SettingsSource(yaml: input.text, file: "f.yml")
                return .accepted
            } catch {
                return error.description.hasPrefix("f.yml") ? .refused("\(error)") : .wrong("names no place: \(error)")
            }
        }
    }

    @Test func `are jobs, or are refused in a line with their place`() {
        var fuzzing = Fuzzing(Self.files)
        fuzzing.run("a jobs file") { input, _ in
            do throws(InvalidSetting) {
                let file = try JobsFile(yaml: input.text, file: "f.yml", name: "f.yml")
                return .accepted(if: file.jobs.keys.allSatisfy { (try? Name($0)) != nil }, "has a job without a name")
            } catch {
                return error.description.hasPrefix("f.yml") ? .refused("\(error)") : .wrong("names no place: \(error)")
            }
        }
    }
}
