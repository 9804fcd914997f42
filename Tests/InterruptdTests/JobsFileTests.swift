import Glibc
import InterruptCore
import InterruptWorker
import Testing

@testable import interruptd

@Suite struct `Jobs file` {
    private let example = """
        jobs:
          transcode:
            command: [ffmpeg, -i, "{input}", -t, "{seconds}", "{verbose}", "-o={output}", "{{x}}"]
            parameters:
              input: {type: path, under: /}
              seconds: {type: integer, min: 1, max: 3600}
              output: {type: text, pattern: "[a-z0-9]+\\\\.mp4"}
              quality: {type: choice, of: [low, high], default: low}
              verbose: {type: flag, argument: -v}
              note: {type: text, default: none, max_length: 131071}
            directory: /srv/media
            environment: {LANG: C, QUALITY: "{quality}", NOTE: "{note}"}
            allow_environment: [PRIORITY]
          list:
            command: [ls]
        """

    private func problem(_ yaml: String) -> String {
        do throws(InvalidSetting) {
            _ = try JobsFile(yaml: yaml, file: "dir/j.yaml", name: "j.yaml")
            return "accepted"
        } catch {
            return error.description
        }
    }

    /// What became of a submission: the words, or the refusal.
    private func run(
        _ words: [String],
        variables: [String: String] = [:],
        yaml: String? = nil
    ) throws -> (text: String, order: RunOrder?) {
        let rules = CommandRules(
            worker: try Name("w"),
            jobs: try JobsFile(yaml: yaml ?? example, file: "dir/j.yaml", name: "j.yaml")
        )
        let order = RunOrder(
            run: RunID(rawValue: "r"),
            job: try Name("j"),
            queue: try Name("q"),
            work: .command(words.map { Array($0.utf8) }),
            directory: "/somewhere/else",
            environment: variables.mapValues { Array($0.utf8) }
        )
        switch rules.admit(order) {
        case .asItIs: return ("as it is", nil)
        case .refused(let why): return (why, nil)
        case .run(let order):
            guard case .command(let words) = order.work else { return ("no command", order) }
            return (words.map { "<\(String(decoding: $0, as: UTF8.self))>" }.joined(), order)
        }
    }

    private let good = ["transcode", "input=/usr", "seconds=30", "output=x.mp4"]

    @Test func `a name with its parameters becomes the command, in its own directory and environment`() throws {
        let (text, order) = try run(good)
        #expect(text == "<ffmpeg><-i></usr><-t><30><-o=x.mp4><{x}>")
        #expect(order?.directory == "/srv/media")
        #expect(
            order?.environment.mapValues { String(decoding: $0, as: UTF8.self) }
                == ["LANG": "C", "QUALITY": "low", "NOTE": "none"]
        )
        #expect(try run(good + ["verbose"]).text.contains("<30><-v><-o="))
        #expect(try run(good + ["verbose=true", "quality=high"]).text.contains("<-v>"))
        #expect(try run(["list"]).text == "<ls>")
        #expect(try run(["list"]).order?.directory == nil)
    }

    @Test func `its hooks are the file's, with the parameters as arguments, and a submission brings none`() throws {
        let yaml = """
            jobs:
              save:
                command: [save, "{to}"]
                parameters: {to: {type: text}, loud: {type: flag, argument: -v}}
                on_interrupt: [logger, "stopping {to}"]
                on_end: [rm, -f, "{loud}", "{to}.part"]
                hook_limit: 7s
            """
        let hooks = try #require(try run(["save", "to=$(id)"], yaml: yaml).order).hooks
        func words(_ texts: String...) -> RunHooks.Command { .program(texts.map { Array($0.utf8) }) }
        #expect(hooks.onInterrupt == words("logger", "stopping $(id)"))
        #expect(hooks.onEnd == words("rm", "-f", "$(id).part"))
        #expect(hooks.limit == .seconds(7))
        #expect(try run(["list"]).order?.hooks == RunHooks())
    }

    @Test(arguments: [
        "a b", "it's \"x\"", "$(id)", "`id`", "a\nb", "; rm -rf /", "{seconds}", "../..", "a=b=c", "é\u{301}", "*",
        String(repeating: "n", count: 131_071),
    ])
    func `a value stays one argument, however it looks`(value: String) throws {
        let yaml = "jobs: {say: {command: [echo, '{note}', end], parameters: {note: {type: text, max_length: 131071}}}}"
        #expect(try run(["say", "note=\(value)"], yaml: yaml).text == "<echo><\(value)><end>")
        let order = try run(good + ["note=\(value)"]).order
        #expect(order?.environment["NOTE"] == Array(value.utf8))
    }

    @Test func `what the rules do not let is refused in one line that names the rule`() throws {
        func refusal(_ words: String...) throws -> String { try run(words).text }
        let start = "refused by j.yaml: transcode: "
        func changed(_ word: String) throws -> String {
            let name = word.prefix { $0 != "=" }
            let text = try run(good.filter { !$0.hasPrefix("\(name)=") } + [word]).text
            #expect(text.hasPrefix(start) && !text.contains("\n"), "\(text)")
            return String(text.dropFirst(start.count))
        }
        #expect(try changed("seconds=9999") == "seconds '9999' is not from 1 to 3600")
        #expect(try changed("seconds=0") == "seconds '0' is not from 1 to 3600")
        for number in ["x", "", "1.5", "+5", "0x10", " 5", "-", "９", "99999999999999999999"] {
            #expect(try changed("seconds=\(number)") == "seconds '\(number)' is not a whole number")
        }
        #expect(try changed("output=x.mp4\n").contains("does not match"))
        #expect(try changed("output=a b.mp4").contains("does not match '[a-z0-9]+"))
        #expect(try changed("output=").contains("output '' does not match"))
        #expect(try changed("output=-x.mp4") == "output '-x.mp4' begins with '-', as an option does")
        #expect(try changed("output=x\0.mp4") == "output 'x\\x00.mp4' contains a NUL byte")
        #expect(try changed("output=" + String(repeating: "x", count: 2_000)) == "output has 2000 bytes, at most 1024")
        #expect(try changed("note=") == "note is empty")
        #expect(try changed("quality=medium") == "quality 'medium' is not one of low, high")
        #expect(try changed("verbose=maybe") == "verbose 'maybe' is not true or false")
        #expect(try changed("seconds") == "seconds needs a value: seconds=VALUE")
        #expect(try changed("volume=11").hasPrefix("no parameter 'volume': it has input, note, output, "))
        #expect(try changed("\u{1B}[2J").hasPrefix("no parameter '\\x1b[2J'"))
        #expect(try run(good + ["seconds=31"]).text == start + "seconds is given more than once")
        #expect(try refusal("transcode", "input=/usr", "seconds=3") == start + "output is missing")
        #expect(try refusal("list", "x").contains("list: no parameter 'x': it has none"))
        #expect(try refusal("rm", "-rf", "/") == "refused by j.yaml: no job 'rm'; j.yaml has the jobs list, transcode")
        #expect(try refusal("\u{7}").contains("no job '\\x07'"))
        #expect(
            try run(good, variables: ["LD_PRELOAD": "/x"]).text
                == start + "the variable 'LD_PRELOAD' is not allowed, but PRIORITY"
        )
        #expect(try run(good, variables: ["PRIORITY": "5"]).order?.environment["PRIORITY"] == Array("5".utf8))
    }

    @Test func `a parameter that is no text is refused`() throws {
        let rules = CommandRules(worker: try Name("w"), jobs: try JobsFile(yaml: example, file: "j", name: "j"))
        let order = RunOrder(
            run: RunID(rawValue: "r"),
            job: try Name("j"),
            queue: try Name("q"),
            work: .command([Array("list".utf8), [0xFF, 0x3D]])
        )
        #expect(rules.admit(order) == .refused("refused by j: list: '\u{FFFD}=' is not UTF-8 text"))
    }

    @Test func `a file with several patterns takes a whole match of either`() throws {
        let yaml = #"jobs: {x: {command: [x, "{p}"], parameters: {p: {type: text, pattern: "a|ab"}}}}"#
        #expect(try run(["x", "p=ab"], yaml: yaml).text == "<x><ab>")
        #expect(try run(["x", "p=a"], yaml: yaml).text == "<x><a>")
        #expect(try run(["x", "p=abc"], yaml: yaml).text.contains("does not match"))
        #expect(try run(["x", "p=ba"], yaml: yaml).text.contains("does not match"))
        let dash = #"jobs: {x: {command: [x, "{p}"], parameters: {p: {type: text, allow_dash: true, pattern: ".*"}}}}"#
        #expect(try run(["x", "p=-rf"], yaml: dash).text == "<x><-rf>")
        #expect(try run(["x", "p="], yaml: dash).text == "<x><>")
        let slow =
            #"jobs: {x: {command: [x, "{p}"], parameters: {p: {type: text, pattern: "(a*)*b", max_length: 9999}}}}"#
        #expect(
            try run(["x", "p=" + String(repeating: "a", count: 9_000)], yaml: slow).text.contains("does not match")
        )
    }

    @Test(arguments: [
        ("jobs: {}", "has no jobs"), ("", "has no jobs"), ("job: {}", "1:1: unknown 'job'"),
        ("jobs: {a/b: {}}", "1:8: 'a/b' is not a name"), ("jobs: {a: x}", "expected 'name: value' lines"),
        ("jobs: {a: {}}", "1:8: job a: command: is missing"), ("jobs: {a: {command: ls}}", "command: takes a list"),
        ("jobs: {a: {command: []}}", "command: is missing"), ("jobs: {a: {command: ['']}}", "command: is missing"),
        ("jobs: {a: {command: ['{p}']}}", "'{p}' is none of its parameters"),
        ("jobs: {a: {command: ['{p}'], parameters: {p: {type: text}}}}", "the program itself cannot be a parameter"),
        ("jobs: {a: {command: [ls, '{']}}", "has a '{' without a parameter"),
        ("jobs: {a: {command: [ls, '{}']}}", "has a '{' without a parameter"),
        ("jobs: {a: {command: [ls, 'x}']}}", "has a '}' without a '{'"),
        ("jobs: {a: {command: [ls], shell: true}}", "1:27: job a: unknown 'shell': known are parameters, command"),
        ("jobs: {a: {command: [ls], hook_limit: 0s}}", "hook_limit: it must be longer than 0"),
        ("jobs: {a: {command: [ls], directory: srv}}", "directory: has to be an absolute path"),
        ("jobs: {a: {command: [ls], environment: {A=B: x}}}", "environment: takes names of variables"),
        ("jobs: {a: {command: [ls], allow_environment: [LD_AUDIT]}}", "'LD_AUDIT' would let any program run"),
        ("jobs: {a: {command: [ls], allow_environment: [1a]}}", "'1a' is no name of a variable"),
        ("jobs: {a: {command: [ls], parameters: {p: {}}}}", "parameter p: type: '' is none of text, integer"),
        ("jobs: {a: {command: [ls], parameters: {p: {type: regex}}}}", "'regex' is none of text"),
        ("jobs: {a: {command: [ls], parameters: {'a-b': {type: text}}}}", "'a-b' is no parameter"),
        ("jobs: {a: {command: [ls], parameters: {p: {type: text, pattern: '['}}}}", "parameter p: pattern: '[': "),
        (
            #"jobs: {a: {command: [ls], parameters: {p: {type: text, pattern: '(a)\1'}}}}"#,
            "back references are not read"
        ),
        (
            "jobs: {a: {command: [ls], parameters: {p: {type: text, pattern: '\(String(repeating: "(", count: 101))'}}}}",
            "more than 100 parentheses"
        ),
        (
            "jobs: {a: {command: [ls], parameters: {p: {type: text, pattern: '\(String(repeating: "a", count: 1_025))'}}}}",
            "1025 bytes, at most 1024"
        ),
        (
            "jobs: {a: {command: [ls], parameters: {p: {type: text, pattern: '((a{1,99}){9,99}){9}'}}}}",
            "repetitions, multiplied, are more than 1000"
        ),
        ("jobs: {a: {command: [ls], parameters: {p: {type: text, min: 1}}}}", "unknown 'min': known are default, type"),
        ("jobs: {a: {command: [ls], parameters: {p: {type: integer, min: 5, max: 4}}}}", "min: 5 is more than max, 4"),
        ("jobs: {a: {command: [ls], parameters: {p: {type: integer, max: x}}}}", "'x' is not a whole number"),
        (
            "jobs: {a: {command: [ls], parameters: {p: {type: integer, max: 4, default: 5}}}}",
            "default: '5' is not from 0"
        ),
        ("jobs: {a: {command: [ls], parameters: {p: {type: path}}}}", "under: a path needs the absolute path"),
        ("jobs: {a: {command: [ls], parameters: {p: {type: choice}}}}", "of: a choice needs the list"),
        (
            "jobs: {a: {command: [ls], parameters: {p: {type: choice, of: [a], default: b}}}}",
            "default: 'b' is not one of a"
        ),
        ("jobs: {a: {command: [ls], parameters: {p: {type: flag}}}}", "argument: a flag needs the argument"),
        (
            "jobs: {a: {command: [ls, 'x{p}'], parameters: {p: {type: flag, argument: -v}}}}",
            "has to be a word of its own"
        ),
    ])
    func `a file that cannot be meant is one line with its place`(yaml: String, text: String) {
        let problem = problem(yaml)
        #expect(problem.contains(text) && problem.hasPrefix("dir/j.yaml:") && !problem.contains("\n"), "\(problem)")
    }
}
