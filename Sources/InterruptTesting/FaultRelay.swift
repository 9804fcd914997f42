import Glibc
import InterruptCore
import NIOCore

/// One connection through a ``FaultProxy``: carries out what its two lanes decide. Stays on its event loop.
final class FaultRelay {
    private enum Side { case client, server }

    private struct Lane {
        var decisions = FaultLane<ContinuousClock.Instant>()
        var alarm: Scheduled<Void>?
    }

    private let client: any Channel
    private var server: (any Channel)?
    private var toServer = Lane()
    private var toClient = Lane()
    private var hasEnded = false
    private let rules: () -> FaultRules
    private let random: () -> Double
    private let ended: () -> Void

    /// - Parameters:
    ///   - rules: those that hold now.
    ///   - random: a number from 0 up to 1.
    ///   - ended: called once, when the connection is over.
    init(
        client: any Channel,
        rules: @escaping () -> FaultRules,
        random: @escaping () -> Double,
        ended: @escaping () -> Void
    ) {
        (self.client, self.rules, self.random, self.ended) = (client, rules, random, ended)
    }

    // MARK: What happens

    /// The way to the server is there.
    func connected(to server: any Channel) {
        self.server = server
        hasEnded ? server.close(promise: nil) : rulesChanged()
    }

    /// The rules are others now.
    func rulesChanged() {
        advance(\.toServer)
        advance(\.toClient)
    }

    func received(_ bytes: [UInt8], fromClient isFromClient: Bool) {
        let rules = rules()
        if isFromClient {
            toServer.decisions.receive(bytes, at: .now, under: rules.toServer, random: random())
            advance(\.toServer)
        } else {
            let doubles = rules.duplicatesPushes
            toClient.decisions.receive(
                bytes,
                at: .now,
                under: rules.toClient,
                duplicatesPushes: doubles,
                random: random()
            )
            advance(\.toClient)
        }
    }

    func sourceEnded(isClient: Bool) {
        if isClient {
            toServer.decisions.sourceEnded()
            advance(\.toServer)
        } else {
            toClient.decisions.sourceEnded()
            advance(\.toClient)
        }
    }

    // MARK: What is done

    private func advance(_ path: ReferenceWritableKeyPath<FaultRelay, Lane>) {
        // Nothing is decided before there is a server: what was decided could not be carried out.
        guard !hasEnded, let server else { return }
        self[keyPath: path].alarm?.cancel()
        let isToServer = path == \.toServer
        while !hasEnded {
            let rules = rules()
            let way = isToServer ? rules.toServer : rules.toClient
            switch self[keyPath: path].decisions.step(at: .now, under: way, ending: rules.ending) {
            case .rest: return
            case .wait(let instant):
                let delay = TimeAmount(ContinuousClock.now.duration(to: instant))
                self[keyPath: path].alarm = client.eventLoop.assumeIsolated().scheduleTask(in: delay) {
                    self.advance(path)
                }
                return
            case .write(let bytes):
                (isToServer ? server : client).writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            case .end(let ending): end(ending)
            }
        }
    }

    /// Ends both halves.
    func end(_ ending: FaultRules.Ending) {
        guard !hasEnded else { return }
        hasEnded = true
        toServer.alarm?.cancel()
        toClient.alarm?.cancel()
        for channel in [client, server].compactMap({ $0 }) {
            if ending == .reset {
                // Done at once, on its own event loop; what has been closed already needs none.
                _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            }
            channel.close(promise: nil)
        }
        ended()
    }
}

/// Tells a relay what one of its two channels says.
final class FaultRelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let relay: FaultRelay
    private let isClient: Bool

    init(relay: FaultRelay, isClient: Bool) {
        (self.relay, self.isClient) = (relay, isClient)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        relay.received(Array(unwrapInboundIn(data).readableBytesView), fromClient: isClient)
    }

    func channelInactive(context: ChannelHandlerContext) {
        relay.sourceEnded(isClient: isClient)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)  // its end is told by channelInactive
    }
}
