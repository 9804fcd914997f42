import NIOCore

/// One attempt to connect to the server that an endpoint means: the one at its address, the master that sentinels name,
/// or the node of a cluster that owns the keys.
struct ServerSearch {
    /// How long a sentinel may take before the next one is asked.
    static let sentinelLimit = Duration.milliseconds(500)
    /// How long a server may take when there are others to try.
    static let choiceLimit = Duration.seconds(1)

    let endpoint: RedisEndpoint
    let name: String?
    let configuration: RedisConnectionConfiguration
    let group: any EventLoopGroup
    let known: KnownServers

    func run() async throws(RedisError) -> RedisConnection {
        if case .sentinels(let sentinels) = endpoint.address { return try await master(of: sentinels) }
        return try await owner()
    }

    // MARK: Cluster

    private func owner() async throws(RedisError) -> RedisConnection {
        var route = known.route
        var failure: RedisError?
        while let place = route.next() {
            let (node, endpoint): (RedisNode?, RedisEndpoint) =
                switch place {
                case .given: (nil, self.endpoint)
                case .node(let node): (node, self.endpoint.at(node))
                }
            do throws(RedisError) {
                let (link, answer) = try await connect(to: endpoint, within: route.isChoice ? Self.choiceLimit : nil)
                switch answer {
                case .welcome(let clientID, let nodes):
                    known.owner(is: node)
                    known.nodes(are: nodes)
                    return RedisConnection(endpoint: endpoint, clientID: clientID, link: link)
                case .moved(let owner):
                    link.close(RedisError(.closed, "\(owner) has the keys"))
                    failure =
                        failure ?? endpoint.connectionFailure(.cannotConnect, "it says that \(owner) has the keys")
                    route.moved(to: owner)
                }
            } catch {
                // The others would say the same of these settings.
                if error.isFinal { throw error }
                failure = error
            }
        }
        throw failure ?? endpoint.connectionFailure(.cannotConnect, "nobody is left to ask")
    }

    // MARK: Sentinel

    private func master(of sentinels: RedisSentinels) async throws(RedisError) -> RedisConnection {
        var search = MasterSearch(sentinels, first: known.sentinel)
        var sentinel: RedisNode?
        var step = search.next()
        while true {
            switch step {
            case .ask(let node):
                sentinel = node
                step = search.answered(try await answer(of: node, among: sentinels))
            case .connect(let node):
                do throws(RedisError) {
                    let endpoint = endpoint.at(node)
                    let (link, answer) = try await connect(to: endpoint, within: Self.choiceLimit, isMasterNeeded: true)
                    guard case .welcome(let clientID, _) = answer else {
                        link.close(RedisError(.closed, "it is a node of a cluster"))
                        throw endpoint.connectionFailure(.wrongSettings, "it is a node of a cluster: use redis://")
                    }
                    if let sentinel { known.sentinel(is: sentinel) }
                    return RedisConnection(endpoint: endpoint, clientID: clientID, link: link)
                } catch {
                    if error.isFinal { throw error }
                    step = search.masterFailed(error.reason(at: self.endpoint.at(node)))
                }
            case .giveUp(let code, let why):
                throw endpoint.connectionFailure(code, why)
            }
        }
    }

    private func answer(
        of node: RedisNode,
        among sentinels: RedisSentinels
    ) async throws(RedisError) -> MasterSearch.Answer {
        var sentinel = endpoint.at(node)
        (sentinel.username, sentinel.password, sentinel.passwordFile) = (nil, nil, sentinels.passwordFile)
        (sentinel.database, sentinel.keys) = (0, nil)
        do throws(RedisError) {
            let (link, _) = try await connect(to: sentinel, within: Self.sentinelLimit)
            defer { link.close(RedisError(.closed, "the sentinel was asked")) }
            let question = RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.master)
            let reply = try await link.send([question], timeout: Self.sentinelLimit).get()[0]
            if let text = reply.errorText { throw RedisError.fromReply(text) }
            guard let parts = reply.array, parts.count == 2, let host = parts[0].text,
                let port = parts[1].integer.flatMap({ Int(exactly: $0) }), 1...65_535 ~= port
            else { return .unknown }
            return .master(RedisNode(host: host, port: port))
        } catch {
            switch error.code {
            case .cancelled, .wrongSettings: throw error
            case .authenticationFailed: return .refused(error.reason(at: sentinel))
            default: return .failed(error.reason(at: sentinel))
            }
        }
    }

    private func connect(
        to endpoint: RedisEndpoint,
        within limit: Duration?,
        isMasterNeeded: Bool = false
    ) async throws(RedisError) -> (ConnectionLink, Greeting.Answer) {
        var configuration = configuration
        if let limit { configuration.connectTimeout = min(configuration.connectTimeout, limit) }
        let complete: RedisEndpoint
        do throws(SettingsError) {
            complete = try endpoint.withPassword()
        } catch {
            throw endpoint.connectionFailure(.authenticationFailed, error.description)
        }
        let attempt = ConnectionAttempt(
            endpoint: complete,
            name: name,
            configuration: configuration,
            group: group,
            isMasterNeeded: isMasterNeeded
        )
        return try await attempt.run()
    }
}

extension RedisError {
    /// The message without the server, for who has named it already.
    fileprivate func reason(at endpoint: RedisEndpoint) -> String {
        let prefix = endpoint.connectionFailure(.cannotConnect, "").message
        return message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message
    }

    /// Whether asking another server would not help.
    fileprivate var isFinal: Bool {
        [.wrongSettings, .unsuitableNamespace, .authenticationFailed, .notPermitted, .cancelled, .closed]
            .contains(code)
    }
}
