import InterruptCore
import Testing

@testable import interruptd

@Suite struct `Pattern of a command` {
    private func problem(_ text: String) -> String {
        do throws(InvalidSetting) {
            _ = try CommandPattern(text, origin: "--allow")
            return "accepted"
        } catch {
            return error.description
        }
    }

    private func allows(_ pattern: String, _ words: [String], path: String? = nil) throws -> Bool {
        let path = path ?? words[0].split(separator: "/").last.map { "/usr/bin/\($0)" }
        return try CommandPattern(pattern, origin: "--allow")
            .matches(words.map { Array($0.utf8) }, path: path.map { Array($0.utf8) })
    }

    @Test(arguments: [
        ("ls", ["ls"]), ("ls /tmp", ["ls", "/tmp"]), ("ls *", ["ls", ""]), ("ls *", ["ls", "a b\nc;$(id)"]),
        ("ls **", ["ls"]), ("ls **", ["ls", "-la", "../.."]), ("ls -* *", ["ls", "-l", "x"]), ("l*", ["ls"]),
        ("cp /a/* /b/*", ["cp", "/a/x/y", "/b/"]), ("echo 'a  b'", ["echo", "a  b"]), ("echo '*'", ["echo", "*"]),
        (#"echo \* "\"" '"#, []), (#"echo \* "\"""#, ["echo", "*", "\""]), ("echo ''", ["echo", ""]),
        ("echo a*b*c", ["echo", "aXbbYc"]), ("echo a*b*c", ["echo", "abc"]), ("echo '**'", ["echo", "**"]),
        ("  ls   /tmp ", ["ls", "/tmp"]), ("echo --x=*", ["echo", "--x=-5"]), ("echo ..", ["echo", ".."]),
    ])
    func `allows what it says, argument by argument`(pattern: String, words: [String]) throws {
        if words.isEmpty { return #expect(problem(pattern).contains("a quote is not closed")) }
        #expect(try allows(pattern, words))
    }

    @Test(arguments: [
        ("ls", ["ls", "x"]), ("ls *", ["ls"]), ("ls *", ["ls", "a", "b"]), ("ls *", ["ls", "-la"]),
        ("ls *x", ["ls", "-x"]), ("ls a*", ["ls", "ba"]), ("ls a", ["ls", "a\n"]), ("ls a", ["ls", "a\0"]),
        ("ls 'a b'", ["ls", "a", "b"]), ("ls a b", ["ls", "a b"]), ("ls", ["lsof"]), ("ls", ["LS"]),
        ("cat /srv/*", ["cat", "/srv/../etc/passwd"]), ("cat /srv/*", ["cat", "/srv/a/.."]),
        ("cat --file=/srv/*", ["cat", "--file=/srv/x/../../etc/passwd"]), ("cat *", ["cat", "a..b"]),
        ("cat /srv/*", ["cat", "/srv"]), ("ls a ** ", ["ls"]), ("ls '**'", ["ls", "x", "y"]),
        ("echo a*b", ["echo", "ab\n"]),
        ("ls", ["/usr/bin/ls"]), ("ls", ["./ls"]), ("l*", ["/tmp/ls"]), ("ls", [""]),
    ])
    func `allows nothing else`(pattern: String, words: [String]) throws {
        #expect(try !allows(pattern, words))
    }

    @Test func `a program with a slash is the file that would run, however it was called`() throws {
        #expect(try allows("/usr/bin/ls", ["ls"], path: "/usr/bin/ls"))
        #expect(try allows("/usr/bin/ls", ["/usr/bin/ls"], path: "/usr/bin/ls"))
        #expect(try !allows("/usr/bin/ls", ["ls"], path: "/tmp/ls"))
        #expect(try allows("/opt/*/run", ["/opt/etl/run"], path: "/opt/etl/run"))
        #expect(try !allows("/opt/*/run", ["/opt/etl/x/run"], path: "/opt/etl/x/run"))
        #expect(try !allows("/opt/*/run", ["/opt/../run"], path: "/opt/../run"))
        #expect(try !allows("/opt/*", ["run"], path: "opt/run"))
        #expect(try !CommandPattern("/bin/ls", origin: "").matches([Array("ls".utf8)], path: nil))
        #expect(try !CommandPattern("ls **", origin: "").matches([], path: nil))
    }

    @Test func `bytes that are no text are arguments as any other`() throws {
        let pattern = try CommandPattern("cat /srv/*", origin: "")
        #expect(pattern.matches([Array("cat".utf8), Array("/srv/".utf8) + [0xFF, 0xFE]], path: nil))
        #expect(!pattern.matches([Array("cat".utf8) + [0xFF], Array("/srv/".utf8)], path: nil))
    }

    @Test func `an argument of 128 KiB is decided in no time worth speaking of`() throws {
        let pattern = try CommandPattern("x " + String(repeating: "a*", count: 300) + "b", origin: "")
        let argument = [UInt8](repeating: UInt8(ascii: "a"), count: 128 << 10)
        #expect(!pattern.matches([[UInt8(ascii: "x")], argument], path: nil))
        #expect(pattern.matches([[UInt8(ascii: "x")], argument + [UInt8(ascii: "b")]], path: nil))
    }

    @Test(arguments: [
        ("", "it needs a program"), ("   ", "it needs a program"), ("''", "it needs a program"),
        ("**", "it needs a program"),
        ("*", "pass --allow-any-command"), ("* **", "pass --allow-any-command"),
        ("ls ** x", "'**' may only be the last"),
        ("ls 'a", "a quote is not closed"), ("ls \"a", "a quote is not closed"),
        ("ls a\\", "a quote is not closed, or a"),
        ("./ls", "which begins with '/'"), ("*/ls", "which begins with '/'"),
        (String(repeating: "a", count: 1_025), "1025 bytes, at most 1024"), ("\u{1B}'", "'\\x1b''"),
    ])
    func `one that cannot be meant is one line`(pattern: String, text: String) {
        let problem = problem(pattern)
        #expect(problem.contains(text) && problem.hasPrefix("--allow: "), "\(problem)")
    }

    @Test func `a command is shown in quotes where it needs them, and bounded`() {
        func shown(_ words: String...) -> String { CommandText(words.map { Array($0.utf8) }).description }
        #expect(shown("rm", "-rf", "/") == "rm -rf /")
        #expect(shown("a b", "", "it's", "$(id)") == "'a b' '' 'it'\\\\''s' '$(id)'")
        #expect(shown("x", "\u{1B}[2J\n") == "x '\\x1b[2J\\n'")
        #expect(shown("x", String(repeating: "y", count: 200_000)).count == 201)
    }
}
