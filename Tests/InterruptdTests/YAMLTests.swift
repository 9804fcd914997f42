import InterruptCore
import Testing

@testable import interruptd

@Suite struct `YAML of a file` {
    private func problem(_ yaml: String) -> String {
        do throws(InvalidSetting) {
            _ = try YAMLNode.entries(of: yaml, file: "y.yaml")
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test func `texts, lists and entries are read as they stand, each with its place`() throws {
        let entries = try YAMLNode.entries(
            of: """
                # a comment
                text: 'it''s'
                list:
                  - a
                  - "b\\n"
                inner: {number: 0x1F, empty: }
                """,
            file: "y.yaml"
        )
        #expect(entries.map(\.name) == ["text", "list", "inner"])
        #expect(entries.map(\.place) == ["y.yaml:2:1", "y.yaml:3:1", "y.yaml:6:1"])
        #expect(entries[0].value.text == "it's" && entries[0].value.texts == ["it's"])
        #expect(entries[1].value.list?.map(\.place) == ["y.yaml:4:5", "y.yaml:5:5"])
        #expect(entries[1].value.texts == ["a", "b\n"] && entries[1].value.text == nil)
        #expect(entries[2].value.texts == nil)
        let inner = try entries[2].value.entries()
        // Numbers are not calculated: who reads them says what they are.
        #expect(inner.map(\.value.text) == ["0x1F", ""])
    }

    @Test(arguments: [
        ("a: &x 1\nb: *x\n", "y.yaml:1:4: anchors ('&name') are not read here: leave it out"),
        ("b: *x\n", "y.yaml:1:4: aliases ('*name') are not read here: write the value out"),
        ("b: !!int 5\n", "y.yaml:1:4: tags ('!name') are not read here: leave it out"),
        ("b: !exec [a]\n", "y.yaml:1:4: tags ('!name') are not read here: leave it out"),
        ("b: !exec {}\n", "y.yaml:1:4: tags"), ("b: &x []\n", "y.yaml:1:4: anchors"),
        ("&x a: 1\n", "y.yaml:1:1: anchors"),
        ("a:\n  <<: {b: 1}\n", "y.yaml:2:3: merge keys ('<<') are not read here: write the entries out"),
        ("'<<': 1\n", "accepted"), ("? [a]\n: 1\n", "y.yaml:1:3: a name is one text"),
        ("a: 1\n---\nb: 2\n", "y.yaml:2:1: a second document: a file has one"),
        ("a: 1\nb: 2\na: 3\n", "y.yaml:3:1: 'a' is given more than once"),
        ("a: {b: 1, b: 2}\n", "y.yaml:1:11: 'b' is given more than once"),
        ("a: 1\nb: \u{7}\n", "y.yaml:2:4: not YAML: control characters are not allowed"),
        ("a: [\n", "y.yaml:2:1: not YAML: "), ("a: \"\\q\"\n", "not YAML: found unknown escape character"),
        ("%YAML 9.9\n---\na: 1\n", "not YAML: found incompatible YAML document"),
        ("[[a]]", "expected 'name: value' lines"),
    ])
    func `what is not read here is one line with its place`(yaml: String, text: String) {
        let problem = problem(yaml)
        #expect(problem.contains(text), "\(problem)")
        #expect(!problem.contains("\n"))
    }

    @Test func `depth is bounded, and a file of brackets is refused at once`() {
        #expect(problem("a: " + String(repeating: "[", count: 15) + String(repeating: "]", count: 15)) == "accepted")
        let tooDeep = "a: " + String(repeating: "[", count: 16) + String(repeating: "]", count: 16)
        #expect(problem(tooDeep) == "y.yaml:1:19: values lie in each other more than 16 deep")
        #expect(problem("a: " + String(repeating: "[", count: 1_000_000)).contains("more than 16 deep"))
        #expect(problem(String(repeating: "a:\n ", count: 100_000)).contains("y.yaml:"))
        #expect(problem(String(repeating: "- a\n", count: 250_000)) == "y.yaml:1:1: expected 'name: value' lines")
    }
}
