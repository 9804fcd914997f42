import AsyncHTTPClient
import FoundationEssentials
public import InterruptCore
import InterruptJSON
import NIOCore
import NIOHTTP1

extension InterruptChecker {
    /// Interrupts when an HTTP server says so: GET `url`, again and again.
    ///
    ///     scope.setChecker(.http("https://ops.example.com/interrupts/nightly", headers: ["Authorization": "Bearer …"]))
    ///
    /// | answer | meaning |
    /// |---|---|
    /// | 200 with `{"interrupted": true}` | an interrupt, with all other fields of a flag in Redis |
    /// | 200 with `{"interrupted": false}` | none |
    /// | 204, 404 | none: nothing is known of the work |
    /// | everything else | the checker fails, and does not interrupt |
    ///
    /// The field `interrupted` must be there, unlike in a flag: the JSON of whoever else answers at this address, such as
    /// a proxy that wants a password, is not to stop anything. Everything else means any other status, redirects, which are
    /// not followed, a body that is malformed, cut off or larger than 64 KiB, no connection, and no whole answer within
    /// `limit`.
    ///
    /// - `url`: `http` or `https`. Its path is part of the checker's name; user, password and query are never shown.
    /// - `headers`: sent with each question, and never shown.
    /// - `limit`: for all of a question, from the connection to the last byte. 2 s, if nothing is said.
    public static func http(
        _ url: String,
        headers: [String: String] = [:],
        every interval: Duration = defaultInterval,
        limit: Duration = defaultLimit
    ) -> InterruptChecker {
        let place = URLComponents(string: url)?.place ?? "HTTP"
        var request = HTTPClientRequest(url: url)
        request.headers = HTTPHeaders(headers.map { ($0.key, $0.value) })
        let question = request
        return InterruptChecker(place, every: interval, limit: limit) { () async throws -> InterruptSignal? in
            do {
                // It is the checker's limit that ends it: it holds to the last byte, this one only to the first.
                let response = try await client.execute(question, deadline: .distantFuture)
                return try await signal(of: response)
            } catch let error as MalformedSignal {
                throw SourceFailure("the answer of \(place) cannot be read: \(error.reason)")
            } catch let error as UnexpectedStatus {
                throw SourceFailure("\(place) answered \(error.code)")
            } catch is NIOTooManyBytesError {
                throw SourceFailure("the answer of \(place) is larger than \(SignalMessage.maximumFlagSize) bytes")
            } catch let error as HTTPClientError {
                // Not its description, which may have headers.
                throw SourceFailure("no answer from \(place): \(error.shortDescription)")
            } catch {
                throw SourceFailure("no answer from \(place): \("\(error)".escapedForDisplay(limit: 200))")
            }
        }
    }
}

/// One for the process, as `HTTPClient.shared`, and lives as long. It follows no redirect, and says at once when nobody
/// listens: the next question is the next try.
private let client: HTTPClient = {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .shared(HTTPClient.defaultEventLoopGroup), configuration: configuration)
}()

private struct UnexpectedStatus: Error {
    let code: UInt
}

private struct Verdict: Decodable {
    let interrupted: Bool
}

private func signal(of response: HTTPClientResponse) async throws -> InterruptSignal? {
    switch response.status {
    case .noContent, .notFound: return nil
    case .ok: break
    default: throw UnexpectedStatus(code: response.status.code)
    }
    let body = Array(try await response.body.collect(upTo: SignalMessage.maximumFlagSize).readableBytesView)
    let message = try SignalMessage(json: body)
    guard let verdict = try? JSONDecoder().decode(Verdict.self, from: Data(body)) else {  // it is JSON, as we know
        throw MalformedSignal(reason: "it has no field interrupted that is true or false")
    }
    return verdict.interrupted ? message.checkerSignal : nil
}

extension URLComponents {
    /// Which resource it is, without anything that may be secret.
    fileprivate var place: String {
        "\(scheme ?? "")://\(host ?? "")\(port.map { ":\($0)" } ?? "")\(path)".escapedForDisplay(limit: 200)
    }
}
