import InterruptCore
import Testing

@testable import InterruptWorker

@Suite struct `A registry of jobs` {
    private struct Resize: Decodable, Equatable {
        struct Size: Decodable, Equatable { var width: Int }
        var path: String
        var size: Size
        var tags: [String: Int]?
    }

    @Test func `takes each name once`() throws {
        var jobs = JobRegistry()
        try jobs.register("resize") { _, _ in }
        try jobs.register("convert", decoding: Resize.self) { _, _ in }
        #expect(throws: RegistrationError.taken(try Name("resize"))) { try jobs.register("resize") { _, _ in } }
        #expect(throws: RegistrationError.taken(try Name("convert"))) {
            try jobs.register("convert", decoding: Resize.self) { _, _ in }
        }
        #expect(jobs.names.map(\.description) == ["convert", "resize"])
        #expect(RegistrationError.taken(try Name("x")).description.contains("'x' is registered already"))
    }

    @Test func `takes no name that cannot be submitted`() throws {
        var jobs = JobRegistry()
        for name in ["", "a b", "all", "../x"] {
            #expect(throws: RegistrationError.self) { try jobs.register(name) { _, _ in } }
        }
        #expect(jobs.names.isEmpty)
    }

    @Test func `hands the input on as it is, or as a value`() async throws {
        var jobs = JobRegistry()
        try jobs.register("raw") { input, _ in #expect(input == "{not json") }
        try jobs.register("typed", decoding: Resize.self) { resize, _ in
            #expect(resize == Resize(path: "a.png", size: .init(width: 100)))
        }
        try await withInterruptScope { scope in
            try await jobs[try Name("raw")]?.run("{not json", scope)
            try await jobs[try Name("typed")]?.run(#"{"path":"a.png","size":{"width":100},"more":1}"#, scope)
        }
        #expect(jobs[try Name("other")] == nil)
    }

    @Test(
        arguments: [
            ("", "it is empty, JSON is expected"),
            ("{secret", "it is not JSON"),
            (#"{"path":"secret"}"#, "'size' is missing"),
            (#"{"path":"secret","size":{}}"#, "'size.width' is missing"),
            (#"{"path":"secret","size":{"width":"secret"}}"#, "'size.width' has the wrong type, Int is expected"),
            (#"{"path":null,"size":{"width":1}}"#, "'path' is null, String is expected"),
            (#"["secret"]"#, "it has the wrong type, Dictionary<String, Any> is expected"),
            (
                #"{"path":"","size":{"width":1},"tags":{"a\u001b":"secret"}}"#,
                #"'tags.a\x1b' has the wrong type, Int is expected"#
            ),
        ]
    )
    func `names the field that is wrong, and never says what stands in it`(input: String, why: String) {
        #expect(throws: JobInputError(why: why)) { try JobInput.decode(Resize.self, from: input) }
    }

    @Test func `is checked before and after the input is decoded`() async throws {
        struct Trap: Decodable {
            init(from decoder: any Decoder) throws { Interrupt.scope?.interrupt() }
        }
        var jobs = JobRegistry()
        try jobs.register("trap", decoding: Trap.self) { _, _ in Issue.record("it was started") }
        let entry = try #require(jobs[try Name("trap")])
        for (isEarly, checkpoint) in [(true, "before the input is decoded"), (false, "after the input is decoded")] {
            await withInterruptScope { scope in
                if isEarly { scope.interrupt() }
                let error = await #expect(throws: InterruptedError.self) { try await entry.run("{}", scope) }
                #expect(error?.checkpoint == checkpoint)
            }
        }
    }
}
