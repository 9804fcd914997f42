import InterruptCore
import Testing

@Suite struct `Sizes in bytes` {
    @Test(arguments: [
        ("0", Int64(0)), ("1048577", 1_048_577), ("64K", 64 << 10), ("64k", 64 << 10), ("512M", 512 << 20),
        ("2G", 2 << 30), ("1024T", 1 << 50), ("9223372036854775807", .max),
    ])
    func `are a whole number with its unit, and written so again`(text: String, bytes: Int64) throws {
        let size = try #require(ByteSize(text))
        #expect(size.bytes == bytes && ByteSize("\(size)") == size)
    }

    @Test(arguments: [
        "", "M", "1.5G", "-1G", "+1G", "1 G", "1GB", "1GG", "512Q", "0x10", "١G", "9999999999T", "9223372036854775808",
        "5\u{FB06}", "5\u{212A}",
    ])
    func `are nothing else, and no more than there can be`(text: String) {
        #expect(ByteSize(text) == nil)
    }

    @Test(arguments: [(Int64(0), "0"), (1_023, "1023"), (1_024, "1K"), (1_536, "1536"), (3 << 40, "3T")])
    func `are written with the largest unit that fits`(bytes: Int64, text: String) {
        #expect("\(ByteSize(bytes))" == text)
    }
}
