import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

/// A real HTTP server on a free port of the loopback interface that answers as well or as badly as the path says.
final class AnsweringServer: Sendable {
    let port: Int
    /// The requests that came, and the paths of which the client has hung up, in order.
    let requests: AsyncStream<HTTPRequestHead>
    let hangUps: AsyncStream<String>

    static func running<Result>(_ body: (AnsweringServer) async throws -> Result) async throws -> Result {
        let (requests, requested) = AsyncStream<HTTPRequestHead>.makeStream()
        let (hangUps, hungUp) = AsyncStream<String>.makeStream()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Answerer(requested, hungUp))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        let result = try await body(AnsweringServer(port: port, requests: requests, hangUps: hangUps))
        try await channel.close().get()
        return result
    }

    private init(port: Int, requests: AsyncStream<HTTPRequestHead>, hangUps: AsyncStream<String>) {
        (self.port, self.requests, self.hangUps) = (port, requests, hangUps)
    }

    func url(_ path: String) -> String { "http://127.0.0.1:\(port)/\(path)" }
}

private final class Answerer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let requested: AsyncStream<HTTPRequestHead>.Continuation
    private let hungUp: AsyncStream<String>.Continuation
    private var path = ""
    private var isGone = false

    init(_ requested: AsyncStream<HTTPRequestHead>.Continuation, _ hungUp: AsyncStream<String>.Continuation) {
        (self.requested, self.hungUp) = (requested, hungUp)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            path = String(head.uri.dropFirst().prefix { $0 != "?" })
            requested.yield(head)
        case .body: break
        case .end: answer(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isGone = true
        hungUp.yield(path)
    }

    private func answer(_ context: ChannelHandlerContext) {
        let yes = "{\"interrupted\": true, \"message\": \"stop\"}"
        switch path.split(separator: "/").first ?? "" {
        case "yes": respond(context, .ok, yes)
        case "status": respond(context, HTTPResponseStatus(statusCode: Int(path.dropFirst(7)) ?? 0), yes)
        case "body": respond(context, .ok, path.dropFirst(5).removingPercents)
        case "elsewhere": respond(context, .found, yes, [("Location", "/yes")])
        case "never": break
        case "half":
            write(context, .ok, [("Content-Length", "\(yes.utf8.count + 10)")])
            write(context, yes)
            context.close(promise: nil)
        case "large":
            write(context, .ok, [("Content-Length", "\(10 << 20)")])
            write(context, yes + String(repeating: " ", count: 10 << 20 - yes.utf8.count))
        case "endless":
            write(context, .ok, [("Transfer-Encoding", "chunked")])
            for _ in 0..<160 { write(context, String(repeating: " ", count: 1 << 16)) }
        case "trickle":
            write(context, .ok, [("Content-Length", "60000")])
            trickle(context)
        default: respond(context, .notFound, "")
        }
    }

    private func trickle(_ context: ChannelHandlerContext) {
        guard !isGone else { return }
        write(context, " ")
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        let this = NIOLoopBound(self, eventLoop: context.value.eventLoop)
        context.value.eventLoop.scheduleTask(in: .milliseconds(5)) { this.value.trickle(context.value) }
    }

    private func respond(
        _ context: ChannelHandlerContext,
        _ status: HTTPResponseStatus,
        _ body: String,
        _ headers: [(String, String)] = []
    ) {
        let hasBody = status.mayHaveResponseBody
        write(context, status, headers + (hasBody ? [("Content-Length", "\(body.utf8.count)")] : []))
        if hasBody { write(context, body) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func write(_ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ headers: [(String, String)]) {
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: HTTPHeaders(headers))
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }

    private func write(_ context: ChannelHandlerContext, _ text: String) {
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
    }
}

extension Substring {
    /// The text in which `%41` is `A`.
    fileprivate var removingPercents: String {
        let parts = split(separator: "%", omittingEmptySubsequences: false)
        return parts.dropFirst().reduce(String(parts[0])) { text, part in
            text + String(UnicodeScalar(UInt8(part.prefix(2), radix: 16) ?? 0)) + part.dropFirst(2)
        }
    }
}

extension String {
    /// Every byte as `%41`.
    var inPercents: String {
        utf8.map { "%" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
