import InterruptRedis
import InterruptTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Connecting fails` {
    private func failure(_ endpoint: RedisEndpoint, within limit: Duration = .seconds(20)) async -> RedisError? {
        let configuration = RedisConnectionConfiguration(connectTimeout: limit)
        do throws(RedisError) {
            try await RedisConnection.connect(to: endpoint, configuration: configuration).close()
            return nil
        } catch {
            return error
        }
    }

    private func local(_ port: Int, tls: RedisEndpoint.TLSFiles? = nil) -> RedisEndpoint {
        RedisEndpoint(address: .tcp(host: "localhost", port: port), tls: tls)
    }

    @Test func `without a server, with the place and the reason`() async throws {
        let refused = await failure(local(try freeLoopbackPort()))
        #expect(refused?.code == .cannotConnect)
        #expect(refused?.message.contains("connection refused") == true, "\(refused?.message ?? "")")
        let absent = await failure(RedisEndpoint(address: .unix(path: "/tmp/no/such.sock")))
        #expect(absent?.code == .cannotConnect)
        #expect(absent?.message.contains("no such socket") == true, "\(absent?.message ?? "")")
        #expect(refused?.isNobodyListening == true && absent?.isNobodyListening == true)
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n"])
    func `when another kind of server answers`(answer: String) async throws {
        let server = OneAnswerServer(answer: answer)
        let error = await failure(local(server.port))
        #expect(error?.code == .notARedisServer, "\(error?.message ?? "")")
    }

    @Test func `in time when nobody answers, with and without TLS`() async throws {
        let server = OneAnswerServer(answer: nil)
        let start = ContinuousClock.now
        let limit = Duration.milliseconds(700)
        let plain = await failure(local(server.port), within: limit)
        let tls = await failure(local(server.port, tls: RedisEndpoint.TLSFiles()), within: limit)
        #expect(plain?.code == .cannotConnect && tls?.code == .cannotConnect)
        #expect(tls?.message.contains("speak TLS?") == true, "\(tls?.message ?? "")")
        #expect(plain?.isNobodyListening == false && tls?.isNobodyListening == false)
        #expect(start.duration(to: .now) < .seconds(20))
    }

    @Test func `when only one side speaks TLS, and says which scheme to use`() async throws {
        try await withTemporaryDirectory { directory in
            let certificates = try await RedisCertificates.make(in: directory)
            try await withRedis(certificates: certificates) { redis in
                let error = await failure(local(redis.port!))
                #expect(error?.code == .notARedisServer, "\(error?.message ?? "")")
                #expect(error?.message.contains("rediss://") == true, "\(error?.message ?? "")")
            }
            try await withRedis(tcp: true) { redis in
                // It waits for the end of what it takes for a line.
                let endpoint = local(redis.port!, tls: certificates.clientFiles)
                let error = await failure(endpoint, within: .milliseconds(700))
                #expect(error?.message.contains("TLS") == true, "\(error?.message ?? "")")
            }
        }
    }

    @Test func `when a TLS file is not there, and names it`() async throws {
        let missing = await failure(local(1, tls: RedisEndpoint.TLSFiles(certificateAuthority: "/nowhere/ca.crt")))
        #expect(missing?.code == .wrongSettings)
        #expect(missing?.message.hasSuffix("/nowhere/ca.crt: No such file or directory") == true)
    }

    @Test func `when certificate and key do not belong together, or the database does not exist`() async throws {
        try await withTemporaryDirectory { directory in
            let certificates = try await RedisCertificates.make(in: directory)
            var files = certificates.clientFiles
            files.key = certificates.serverKey
            let mismatch = await failure(local(1, tls: files))
            #expect(mismatch?.code == .wrongSettings)
            #expect(mismatch?.message.contains("do not belong together") == true, "\(mismatch?.message ?? "")")
        }
        try await withRedis { redis in
            var endpoint = redis.endpoint
            endpoint.database = 99
            #expect(await failure(endpoint)?.code == .wrongSettings)
        }
    }

    @Test func `unless the TLS server has the right authority and name and the client a certificate`() async throws {
        try await withTemporaryDirectory { directory in
            let certificates = try await RedisCertificates.make(in: directory)
            try await withRedis(certificates: certificates) { redis in
                for host in ["localhost", "127.0.0.1"] {
                    var endpoint = redis.tcpEndpoint
                    endpoint.address = .tcp(host: host, port: redis.port!)
                    let connection = try await RedisConnection.connect(to: endpoint, configuration: .patient)
                    let big = [UInt8](repeating: 7, count: 1_000_000)
                    #expect(try await connection.send(RedisCommand("ECHO", .bytes(big))) == .bulk(big))
                    connection.close()
                }
                let anonymous = await failure(
                    local(redis.port!, tls: RedisEndpoint.TLSFiles(certificateAuthority: certificates.authority))
                )
                #expect(anonymous?.code == .wrongSettings)
                #expect(anonymous?.message.contains("client certificate") == true, "\(anonymous?.message ?? "")")
                let systemRoots = await failure(local(redis.port!, tls: RedisEndpoint.TLSFiles()))
                #expect(systemRoots?.code == .wrongSettings)
                #expect(systemRoots?.message.contains("not signed by") == true, "\(systemRoots?.message ?? "")")
            }
            let expired = try await RedisCertificates.make(in: directory, isExpired: true)
            try await withRedis(certificates: expired) { redis in
                var trusting = redis.tcpEndpoint
                trusting.address = .tcp(host: "localhost", port: redis.port!)
                let error = await failure(trusting)
                #expect(error?.code == .wrongSettings)
                #expect(error?.message.contains("has expired") == true, "\(error?.message ?? "")")
            }
            let other = try await RedisCertificates.make(in: directory, serverNames: "DNS:elsewhere.example")
            try await withRedis(certificates: other) { redis in
                let error = await failure(redis.tcpEndpoint)
                #expect(error?.code == .wrongSettings)
                #expect(error?.message.contains("another host") == true, "\(error?.message ?? "")")
            }
        }
    }
}
