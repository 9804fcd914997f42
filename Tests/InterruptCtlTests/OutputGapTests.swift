import Glibc
import InterruptCore
import InterruptRedis
import Testing

@testable import interruptctl

@Suite struct `What is missing of the output` {
    @Test func `what is missing of the output is counted, an overlap is not`() {
        var gaps = OutputGaps()
        func chunk(_ offset: Int64, _ count: Int) -> OutputChunk {
            OutputChunk(stream: .output, offset: offset, bytes: Array(repeating: 65, count: count))
        }
        gaps.copied(chunk(0, 10))
        gaps.copied(chunk(10, 5))
        #expect(gaps.missing(of: nil) == 0 && gaps.summary(of: makeRecord(), on: Screen()) == nil)
        gaps.copied(chunk(115, 5))
        gaps.copied(chunk(118, 2))
        #expect(gaps.missing(of: nil) == 100)
        let ended = makeRecord(["output_bytes": "150", "output_file": "/var/r1.log"], state: .completed)
        #expect(
            gaps.summary(of: ended, on: Screen())
                == "… 130 bytes of the output left out: /var/r1.log on worker 'alpha' has everything"
        )
        #expect(
            gaps.summary(of: makeRecord(), on: Screen())
                == "… 100 bytes of the output left out: the run's file on worker 'alpha' has what is kept"
        )
        var rotated = ["output_bytes": "150", "output_file": "/no/r1.log", "output_kept_from": "70"]
        #expect(
            gaps.summary(of: makeRecord(rotated, state: .completed), host: "far", on: Screen())
                == "… 130 bytes of the output left out: far:/no/r1.log on worker 'alpha' and the one before, with .1 at "
                + "the end, have what is from byte 70 on"
        )
        rotated["output_kept_from"] = "0"
        var here = [CChar](repeating: 0, count: 256)
        gethostname(&here, 255)
        let host = String(decoding: here.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        #expect(
            gaps.summary(of: makeRecord(rotated, state: .completed), host: host, on: Screen())
                == "… 130 bytes of the output left out: \(host):/no/r1.log on worker 'alpha' has been removed"
        )
        let notKept = makeRecord(["output_bytes": "120"], state: .completed)
        #expect(gaps.summary(of: notKept, on: Screen()) == "… 100 bytes of the output left out")
    }
}
