import InterruptCore

/// The file of `--jobs`: commands that can be submitted by name.
///
///     jobs:
///       transcode:
///         command: [ffmpeg, -i, "{input}", -t, "{seconds}", "{output}"]
///         parameters:
///           input: {type: path, under: /srv/media}
///           seconds: {type: integer, min: 1, max: 3600}
///           output: {type: text, pattern: "[a-z0-9]+\\.mp4"}
///         directory: /srv/media
///         environment: {LANG: C}
struct JobsFile: Equatable, Sendable {
    /// As messages call it: without its directory.
    let name: String
    let jobs: [String: NamedJob]

    /// - Parameters:
    ///   - file: as messages of the start call it.
    ///   - name: as those who submit are told.
    /// - Throws: ``InvalidSetting`` with file, line and column.
    init(yaml: String, file: String, name: String) throws(InvalidSetting) {
        var jobs: [String: NamedJob] = [:]
        for top in try YAMLNode.entries(of: yaml, file: file) {
            guard top.name == "jobs" else {
                let shown = top.name.escapedForDisplay(limit: 40)
                throw InvalidSetting("\(top.place): unknown '\(shown)': the file has the one entry 'jobs'")
            }
            for entry in try top.value.entries() {
                do throws(NameError) { _ = try Name(entry.name) } catch {
                    throw InvalidSetting("\(entry.place): \(error)")
                }
                jobs[entry.name] = try NamedJob(entry)
            }
        }
        guard !jobs.isEmpty else { throw InvalidSetting("\(file): has no jobs") }
        (self.name, self.jobs) = (name, jobs)
    }

    /// Reads the file of `--jobs`.
    init(path: String) throws(InvalidSetting) {
        let text = try SettingsFile.text(of: path, flag: "--jobs")
        let name = path.split(separator: "/").last.map(String.init) ?? path
        try self.init(yaml: text, file: path.escapedForDisplay(), name: name.escapedForDisplay(limit: 60))
    }

    /// The job that a command names; `nil` when it names none.
    func job(named word: [UInt8]?) -> (name: String, job: NamedJob)? {
        guard let word, let name = String(validating: word, as: UTF8.self), let job = jobs[name] else { return nil }
        return (name, job)
    }
}
