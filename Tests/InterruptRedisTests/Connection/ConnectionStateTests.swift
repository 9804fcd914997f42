import Testing

@testable import InterruptRedis

@Suite struct `Connection state` {
    private typealias State = ConnectionState<String, Int>

    private func call(_ waiter: String, id: UInt64 = 1, _ count: Int = 1, deadline: Int? = nil) -> State.Call {
        State.Call(id: id, waiter: waiter, expectation: .replies(count), name: "GET", deadline: deadline)
    }

    @Test func `replies go to the calls in their order`() throws {
        var state = State()
        _ = state.submit(call("first", id: 1, 2))
        _ = state.submit(call("second", id: 2))
        guard case .none = state.received(.integer(1)) else { Issue.record("half a call is no call"); return }
        guard case .finished("first", [.integer(1), .error("ERR")]) = state.received(.error("ERR")) else {
            Issue.record("the first call is complete")
            return
        }
        guard case .finished("second", [.null]) = state.received(.null) else { Issue.record("the second"); return }
        #expect(!state.isWaiting)
    }

    @Test func `a reply that nobody asked for is a violation and says what came`() {
        var state = State()
        guard case .violation(let error) = state.received(.error("ERR max")) else { Issue.record(); return }
        #expect(error.message.contains("ERR max"))
    }

    @Test func `one wake-up serves many deadlines and the earliest decides`() {
        var state = State()
        guard case .write(wake: 20) = state.submit(call("a", id: 1, deadline: 20)) else { Issue.record(); return }
        guard case .write(wake: nil) = state.submit(call("b", id: 2, deadline: 30)) else { Issue.record(); return }
        guard case .write(wake: 10) = state.submit(call("c", id: 3, deadline: 10)) else { Issue.record(); return }
        guard case .wake(10) = state.timePassed(at: 9) else { Issue.record(); return }
        guard case .close(let cause, culprit: 3) = state.timePassed(at: 10) else { Issue.record(); return }
        #expect(cause.code == .timedOut)
    }

    @Test func `an answered call has no deadline left`() {
        var state = State()
        _ = state.submit(call("a", deadline: 10))
        _ = state.received(.null)
        guard case .none = state.timePassed(at: 11) else { Issue.record(); return }
        guard case .write(wake: 20) = state.submit(call("b", deadline: 20)) else { Issue.record(); return }
    }

    @Test func `a disconnect fails every call with unknown outcome and happens once`() throws {
        var state = State()
        _ = state.submit(call("late", id: 1))
        _ = state.submit(call("other", id: 2))
        let closing = state.close(RedisError(.timedOut, "no reply"), culprit: 1)
        let failed = try #require(closing)
        #expect(failed.map(\.0) == ["late", "other"])
        #expect(failed.map(\.1.code) == [.timedOut, .connectionLost])
        #expect(failed.allSatisfy { $0.1.isOutcomeUnknown })
        #expect(state.close(RedisError(.closed, "again")) == nil)
    }

    @Test func `a call after the end is refused and its outcome known`() {
        var state = State()
        _ = state.close(RedisError(.connectionLost, "gone"))
        guard case .refused("a", let error) = state.submit(call("a")) else { Issue.record(); return }
        #expect(error.code == .connectionLost && !error.isOutcomeUnknown)
        guard case .none = state.received(.null) else { Issue.record(); return }
    }

    @Test(arguments: [RedisError.Code.cancelled, .timedOut])
    func `a call after the end does not take the fate of another one for its own`(code: RedisError.Code) {
        var state = State()
        _ = state.submit(call("a", id: 1))
        _ = state.close(RedisError(code, "the task that waited for GET was cancelled"), culprit: 1)
        guard case .refused("b", let error) = state.submit(call("b", id: 2)) else { Issue.record(); return }
        #expect(error.code == .connectionLost && !error.isOutcomeUnknown)
    }

    @Test func `what the server said before it hung up is in the error`() throws {
        var state = State()
        _ = state.submit(call("greeting", 2))
        _ = state.received(.error("ERR max number of clients reached"))
        let closing = state.close(RedisError(.connectionLost, "closed"))
        let failed = try #require(closing)
        #expect(failed[0].1.message.contains("max number of clients"))
    }

    @Test func `a call that is cancelled keeps its place among the replies`() {
        var state = State()
        _ = state.submit(call("a", id: 7, 2, deadline: 10))
        _ = state.submit(call("b", id: 8))
        _ = state.received(.integer(1))
        guard case .abandoned("a", let error) = state.cancel(7) else { Issue.record(); return }
        #expect(error.code == .cancelled && error.isOutcomeUnknown)
        guard case .late = state.cancel(7) else { Issue.record("nobody is told twice"); return }
        guard case .none = state.received(.integer(2)) else { Issue.record("nobody waits for it"); return }
        guard case .finished("b", [.null]) = state.received(.null) else { Issue.record("the other one"); return }
        guard case .late = state.cancel(8) else { Issue.record("it has its reply"); return }
    }

    @Test func `a call that is cancelled still has to be answered in time, and nobody hears of its end`() throws {
        var state = State()
        _ = state.submit(call("a", id: 7, deadline: 10))
        _ = state.submit(call("b", id: 8))
        _ = state.cancel(7)
        guard case .close(let cause, culprit: 7) = state.timePassed(at: 10) else { Issue.record(); return }
        let closing = state.close(cause, culprit: 7)
        let failed = try #require(closing)
        #expect(failed.map(\.0) == ["b"] && failed[0].1.code == .connectionLost)
    }

    @Test func `a call that waits at the server is cancelled with its connection`() {
        var state = State()
        var blocking = call("a", id: 7)
        blocking.holdsConnection = true
        _ = state.submit(blocking)
        guard case .close(let cause) = state.cancel(7) else { Issue.record(); return }
        #expect(cause.code == .cancelled)
    }

    @Test func `a subscription is complete with its last channel and messages may come between`() {
        var state = State()
        let call = State.Call(id: 1, waiter: "s", expectation: .confirmations(2), name: "SUBSCRIBE", deadline: nil)
        let message = RESPValue.array([.status("message"), .status("a"), .status("x")])
        _ = state.submit(call)
        guard case .none = state.received(.array([.status("subscribe"), .status("a"), .integer(1)])) else {
            Issue.record(); return
        }
        guard case .push(RedisPush(channel: "a", payload: .status("x"))) = state.received(message) else {
            Issue.record(); return
        }
        guard case .finished("s", _) = state.received(.array([.status("subscribe"), .status("b"), .integer(2)])) else {
            Issue.record()
            return
        }
        _ = state.submit(self.call("ping", id: 2))
        _ = state.received(message)
        guard
            case .finished("ping", [.status("PONG")]) = state.received(.array([.bulk(Array("pong".utf8)), .bulk([])]))
        else {
            Issue.record("PING is answered by a list there")
            return
        }
    }

    @Test func `a list that looks like a message is a reply without a subscription`() {
        var state = State()
        let value = RESPValue.array([.status("message"), .status("a"), .status("x")])
        _ = state.submit(call("lrange"))
        guard case .finished("lrange", [value]) = state.received(value) else { Issue.record(); return }
    }

    @Test func `a refused subscription is complete with its one error`() {
        var state = State()
        _ = state.submit(
            State.Call(id: 1, waiter: "s", expectation: .confirmations(3), name: "SUBSCRIBE", deadline: nil)
        )
        guard case .finished("s", [.error("NOPERM")]) = state.received(.error("NOPERM")) else { Issue.record(); return }
    }
}
