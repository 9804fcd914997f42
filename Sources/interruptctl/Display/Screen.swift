import ArgumentParser
import FoundationEssentials
import Glibc
import InterruptCore

/// How output is formatted.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// When output has colour.
enum ColorChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, always, never
}

/// How things are shown; the same for every command.
struct DisplayOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .customLong("output")], help: "table, or json: one object a line.")
    var format = OutputFormat.table

    @Option(help: "auto: on a terminal, unless NO_COLOR is set.")
    var color = ColorChoice.auto

    @Flag(help: "Plain ASCII instead of symbols.")
    var ascii = false

    var isJSON: Bool { format == .json }

    /// The screen that this process writes to.
    var screen: Screen {
        Screen(
            options: self,
            environment: ProcessInfo.processInfo.environment,
            isTerminal: isatty(STDOUT_FILENO) == 1,
            columns: Screen.columnsOfTerminal
        )
    }
}

/// What may be shown where the output goes: colours, symbols, how many columns.
struct Screen: Equatable {
    enum Color: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case dim = "2"
    }

    /// A sign before a line, in its two forms.
    enum Symbol {
        case interrupt, success, failure

        fileprivate var forms: (symbol: String, plain: String) {
            switch self {
            case .interrupt: ("⏹", "[stop]")
            case .success: ("✓", "[ok]")
            case .failure: ("✗", "[failed]")
            }
        }
    }

    let hasColor: Bool
    let isPlain: Bool
    /// At least 80.
    let width: Int

    init(hasColor: Bool = false, isPlain: Bool = false, width: Int = 80) {
        self.hasColor = hasColor
        self.isPlain = isPlain
        self.width = max(80, width)
    }

    init(options: DisplayOptions, environment: [String: String], isTerminal: Bool, columns: Int?) {
        let isColorless = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        let color =
            switch options.color {
            case .always: true
            case .never: false
            case .auto: isTerminal && !isColorless && environment["TERM"] != "dumb"
            }
        self.init(
            hasColor: color,
            isPlain: options.ascii || DisplayEnvironment.isPlain(environment),
            width: isTerminal ? columns ?? 80 : 80
        )
    }

    /// The screen for what is said when the options are not parsed, or not any more.
    static func unparsed(_ arguments: RawArguments) -> Screen {
        let isAsked = arguments.options.contains(Array("--ascii".utf8))
        return Screen(isPlain: isAsked || DisplayEnvironment.isPlain(ProcessInfo.processInfo.environment))
    }

    static var columnsOfTerminal: Int? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    func sign(_ symbol: Symbol) -> String { isPlain ? symbol.forms.plain : symbol.forms.symbol }

    func colored(_ text: String, _ color: Color) -> String {
        hasColor ? "\u{1B}[\(color.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Text from elsewhere: nothing in it can steer the terminal.
    func shown(_ text: String, limit: Int = .max) -> String {
        fitted(text.escapedForDisplay(limit: limit))
    }

    /// What is left out at the end of a cut text.
    var ellipsis: String { isPlain ? "..." : "…" }

    /// Text that is escaped already, with the signs that this screen has.
    func fitted(_ text: String) -> String {
        guard isPlain else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.isASCII {
                result.unicodeScalars.append(scalar)
            } else if scalar == "…" {
                result += "..."
            } else {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return result
    }
}
