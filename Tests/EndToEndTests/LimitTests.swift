import InterruptCore
import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(3)))
struct `A job's limits` {
    @Test
    func `interrupt it, go on record with their reason, and show in its status with its hooks`() async throws {
        try await withFleet { fleet in
            try await fleet.worker("w1") { _ in
                let words = [
                    "submit", "--id", "job", "--max-processes", "1", "--max-memory", "2G", "--max-cpu", "1h",
                    "--max-output", "512M", "--on-interrupt", "echo interrupted", "--on-end", "echo ended",
                    "--hook-limit", "5s", "--charge-paused", "--", "sh", "-c", "sleep 300 & wait",
                ]
                let submitted = try await fleet.control(words)
                #expect(submitted.exitCode == 0, "\(submitted)")
                let record = try await fleet.wait(for: "job", .interrupted)
                #expect(record.reason == .resourceLimit && record.triggeredBy == "resource_monitor")
                #expect(record.message == "Process count 2 exceeds limit 1")
                let status = try await fleet.control("status", "job").text
                let hour = Duration.seconds(3_600).displayText
                for line in [
                    "memory 2G, CPU time \(hour), processes 1, output 512M", "echo interrupted", "echo ended",
                    Duration.seconds(5).displayText,
                ] {
                    #expect(status.contains(line), "\(status)")
                }
                let json = try await fleet.control("status", "job", "-o", "json").text
                for field in [
                    #""max_processes":1,"#, #""max_memory_bytes":2147483648,"#, #""max_cpu_ms":3600000,"#,
                    #""max_output_bytes":536870912,"#, #""on_interrupt":"echo interrupted","#,
                    #""on_end":"echo ended","#, #""hook_limit_ms":5000,"#, #""charge_paused":true,"#,
                ] {
                    #expect(json.contains(field), "\(json)")
                }
            }
        }
    }
}
