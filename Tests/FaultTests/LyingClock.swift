import Foundation
import InterruptTesting
import Subprocess
import SystemPackage
import Testing

/// A wall clock that says what it is told, to programs that are started with ``preload``. All other clocks tell the truth,
/// and so do the kernel's timers.
struct LyingClock {
    /// As the dynamic linker finds it in `LD_PRELOAD`.
    let preload: String
    private let file: String

    /// Builds it. At first it tells the truth.
    init(in directory: String) async throws {
        preload = "\(directory)/clock.so"
        file = "\(directory)/offset"
        let source = "\(directory)/clock.c"
        try Self.source(offsetIn: file).write(toFile: source, atomically: true, encoding: .utf8)
        try jump(by: .zero)
        let built = try await run(
            .name("clang"),
            arguments: ["-shared", "-fPIC", "-O1", "-o", preload, source],
            output: .discarded,
            error: .string(limit: 10_000)
        )
        try #require(built.terminationStatus == .exited(0), "\(built.standardError)")
    }

    /// From now on it says this much more than the truth.
    func jump(by offset: Duration) throws {
        try "\(offset.components.seconds)\n".write(toFile: file, atomically: true, encoding: .utf8)
    }

    private static func source(offsetIn path: String) -> String {
        """
        #define _GNU_SOURCE
        #include <stdio.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        int clock_gettime(clockid_t clock, struct timespec *time) {
            int result = syscall(SYS_clock_gettime, clock, time);
            if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
            FILE *file = fopen("\(path)", "re");
            long offset = 0;
            if (file && fscanf(file, "%ld", &offset) != 1) offset = 0;
            if (file) fclose(file);
            time->tv_sec += offset;
            return result;
        }

        int gettimeofday(struct timeval *restrict time, void *restrict zone) {
            struct timespec now;
            (void)zone;
            int result = clock_gettime(CLOCK_REALTIME, &now);
            *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
            return result;
        }

        time_t time(time_t *place) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (place) *place = now.tv_sec;
            return now.tv_sec;
        }

        """
    }
}
