/// One argument of a command: text, bytes or a whole number.
///
/// Literals and interpolated text need no spelling out; for variables there are ``text(_:)``, ``bytes(_:)`` and
/// ``number(_:)``.
public struct RedisArgument: Sendable, Hashable, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral {
    /// The bytes that go to the server.
    public var bytes: [UInt8]

    /// An argument of these bytes, which need not be text.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// An argument of this text, in UTF-8.
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// An argument of this number, in decimal digits.
    public init(_ number: some BinaryInteger) { bytes = Array(String(number).utf8) }

    /// An argument of this text, in UTF-8.
    public init(stringLiteral text: String) { self.init(text) }

    /// An argument of this number, in decimal digits.
    public init(integerLiteral number: Int) { self.init(number) }

    /// An argument of this text, in UTF-8.
    public static func text(_ text: String) -> RedisArgument { RedisArgument(text) }

    /// An argument of these bytes, which need not be text.
    public static func bytes(_ bytes: [UInt8]) -> RedisArgument { RedisArgument(bytes) }

    /// An argument of this number, in decimal digits.
    public static func number(_ number: some BinaryInteger) -> RedisArgument { RedisArgument(number) }
}

/// One command with its arguments, as bytes.
///
/// Commands that have no reply of their own or more than one (`SUBSCRIBE`, `MONITOR`, `CLIENT REPLY OFF`) would mix up
/// the replies of a connection and must not be sent; for subscriptions there is ``RedisConnection/subscribe(_:onMessage:)``.
///
///     RedisCommand("GET", key)
///     RedisCommand("SET", .text(key), .bytes(value), "EX", 60)
public struct RedisCommand: Sendable, Hashable {
    /// The command's name and then its arguments. Never empty.
    public var arguments: [[UInt8]]

    /// A command without arguments.
    public init(_ name: String) { arguments = [Array(name.utf8)] }

    /// A command with arguments of any kind.
    public init(_ name: String, _ arguments: RedisArgument...) { self.init(name, arguments) }

    /// A command whose arguments are all text.
    public init(_ name: String, _ arguments: String...) { self.init(name, arguments.map { RedisArgument($0) }) }

    /// A command with a list of arguments.
    public init(_ name: String, _ arguments: [RedisArgument]) {
        self.arguments = [Array(name.utf8)] + arguments.map(\.bytes)
    }

    /// A command from its name and arguments in one list, which must not be empty.
    public init(arguments: [[UInt8]]) {
        precondition(!arguments.isEmpty, "a command has at least a name")
        self.arguments = arguments
    }

    /// The first argument, as text.
    var name: String { String(decoding: arguments.first ?? [], as: UTF8.self) }
}
