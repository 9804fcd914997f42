public import InterruptCore

extension InterruptChecker {
    /// Interrupts when the file `<id>.signal` in `directory` says so: `interrupts/nightly.signal`, if nothing else is said.
    ///
    ///     scope.setChecker(.file(try Name("nightly")))
    ///
    ///     $ echo 1 > interrupts/nightly.signal
    ///     $ echo '{"reason": "priority_override", "message": "make room"}' > interrupts/nightly.signal
    ///
    /// The file says what a flag in Redis says: `1`, `true` or a JSON object interrupts; no file, an empty one, `0` and
    /// `false` do not. A text of which only a part is written yet is no JSON and interrupts nothing; the next reading finds
    /// the rest. Nobody deletes the file: whoever made it does, or the next work with this id is interrupted as well.
    ///
    /// Whoever can make the file can stop the work, so it is read only where that was meant. The checker fails, and does
    /// not interrupt, when the file or the directory is a symbolic link, belongs to neither this user nor root, or may be
    /// written by everybody; when the file is none (a pipe, a device), is larger than 64 KiB, or holds anything else; and
    /// when there is no directory.
    ///
    /// - `run`: makes a text that names another run in its field `run` none.
    /// - `interval`: the time between two readings.
    public static func file(
        _ id: Name,
        in directory: String = "interrupts",
        run: RunID? = nil,
        every interval: Duration = defaultInterval
    ) -> InterruptChecker {
        InterruptChecker(SignalFile(id, in: directory, followsLinks: false), run, every: interval)
    }

    /// Interrupts when the file `<id>.signal` in a directory that is mounted says so: a ConfigMap or Secret of Kubernetes.
    ///
    ///     scope.setChecker(.mountedFile(try Name("nightly"), in: "/etc/interrupts"))
    ///
    ///     $ kubectl patch configmap interrupts -p '{"data": {"nightly.signal": "1"}}'
    ///
    /// It is as ``file(_:in:run:every:)``, except that symbolic links are followed as long as they stay inside the
    /// directory: Kubernetes makes each name a link into `..data`, which is a link to the directory with what holds now,
    /// and changes everything at once by renaming another link over `..data`. What is read is always one whole file of one
    /// of these directories. Where a mount is read-only it does not matter who else could write.
    ///
    /// Together with `withUnixSignalHandling` this is all that a container needs: SIGTERM when Kubernetes ends the pod, the
    /// file when somebody wants the work to stop, whichever is first.
    public static func mountedFile(
        _ id: Name,
        in directory: String,
        run: RunID? = nil,
        every interval: Duration = defaultInterval
    ) -> InterruptChecker {
        InterruptChecker(SignalFile(id, in: directory, followsLinks: true), run, every: interval)
    }

    private init(_ file: SignalFile, _ run: RunID?, every interval: Duration) {
        self.init(file.path, every: interval) { () throws -> InterruptSignal? in try file.signal(for: run) }
    }
}
