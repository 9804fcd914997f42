extension RedisScripts {
    /// A script with what all of them begin with, and the parts that it uses, in the order below: a script pays for
    /// every function that it makes, used or not.
    static func script(_ name: String, using parts: [String], _ body: String) -> RedisScript {
        RedisScript(name: name, source: ([refusal] + parts + [body]).joined())
    }

    /// What scripts call the keys.
    static let key = LuaKeys()

    /// How every script begins.
    private static let refusal = """
        local ns = ARGV[1]
        local version = redis.call('HGET', \(key.meta), 'v')
        if version and (tonumber(version) or 0) > \(version) then
          return {'refused', 'the namespace has contract version ' .. version .. ', this program speaks \(version)'}
        end
        local is_end = { completed = true, failed = true, interrupted = true, lost = true }

        local function now_ms()
          local time = redis.call('TIME')
          return time[1] * 1000 + math.floor(time[2] / 1000)
        end

        """
}

// MARK: - What scripts share

extension RedisScripts {
    /// Writing the history and telling the watchers.
    static let history = """
        local function record(now, event, job, run, ...)
          redis.call('XADD', \(key.history), 'MAXLEN', '~', 100000, '*', 'at_ms', now, 'event', event, 'job', job,
            'run', run, ...)
        end

        local function publish_event(event, job, run, state, now, stage, more)
          local message = more or {}
          message.v, message.event, message.job, message.run, message.state = 1, event, job, run, state
          message.at_ms, message.stage = now, stage
          redis.pcall('PUBLISH', \(key.events), cjson.encode(message))
        end

        """

    /// Reading and dropping flags.
    static let flags = """
        -- A flag is anyone's to write: what is no string is no flag, and must not end a script half-way.
        local function flag_value(target)
          local value = redis.pcall('GET', \(key.flag) .. target)
          return type(value) == 'string' and value
        end

        -- How the mirror of a run's record begins.
        local function mirror_head(run) return '{"v":1,"run":' .. cjson.encode(run) end

        -- The run's own mirror goes without a word: nobody asked for anything with it.
        local function drop_flag(job, run, now)
          local value, head = flag_value(job), mirror_head(run)
          local is_mirror = value and string.sub(value, 1, #head) == head
          if redis.call('DEL', \(key.flag) .. job) == 1 and not is_mirror then record(now, 'flag_dropped', job, run) end
        end

        """

    /// Looking for a closed gate.
    static let gates = """
        local function closed_gate_of(target)
          local gate = redis.call('HMGET', \(key.gate) .. target, 'stage', 'who', 'at_ms', 'request_id', 'reason', 'message')
          if gate[1] and (tonumber(gate[1]) or 0) > 0 then
            return {'gated', target, gate[1], gate[2] or '', gate[3] or '0', gate[4] or '', gate[5] or 'custom',
              gate[6] or ''}
          end
        end

        local function closed_gate(queue, groups)
          local gate = closed_gate_of('all') or closed_gate_of('queue:' .. queue)
          for group in string.gmatch(groups, '%S+') do gate = gate or closed_gate_of('group:' .. group) end
          return gate
        end

        -- The target that is paused and holds back what would start under it.
        local function paused_target(queue, groups, worker)
          local targets = {'all', 'worker:' .. worker, 'queue:' .. queue}
          for group in string.gmatch(groups, '%S+') do targets[#targets + 1] = 'group:' .. group end
          local keys = {}
          for i, target in ipairs(targets) do keys[i] = \(key.pause) .. target end
          if redis.call('EXISTS', unpack(keys)) == 0 then return nil end
          for i, name in ipairs(keys) do if redis.call('EXISTS', name) == 1 then return targets[i] end end
        end

        """

    /// Putting an offer back into its queue.
    static let offers = """
        -- To the end of its queue, unless the offer is an old one.
        local function put_back(queue, run, entry)
          redis.call('XACK', \(key.queue) .. queue, 'workers', entry)
          redis.call('XDEL', \(key.queue) .. queue, entry)
          local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'entry')
          if fields[1] == 'queued' and fields[2] == entry then
            redis.call('HSET', \(key.run) .. run, 'entry', redis.call('XADD', \(key.queue) .. queue, '*', 'run', run))
          end
        end

        """

    /// Reading and writing the record of an interrupt; `merge` is the one place where one gets into it. Uses `history`.
    static let requests = """
        local function read_signal(first)
          local stage, grace = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 7])
          if stage ~= 1 and stage ~= 2 and stage ~= 3 then error('stage ' .. ARGV[first + 2] .. ' is not 1, 2 or 3') end
          -- What is too long would make a record that nobody reads any more.
          local function optional(i)
            if #ARGV[i] > 8192 then return '(too long, left out)' end
            if ARGV[i] ~= '' then return ARGV[i] end
          end
          return { v = 1, request_id = ARGV[first], target = optional(first + 1), stage = stage,
            reason = ARGV[first + 3], message = optional(first + 4), triggered_by = optional(first + 5),
            save_checkpoint = ARGV[first + 6] ~= '0', source = ARGV[first + 8],
            grace_ms = grace and grace >= 0 and math.min(grace, 315360000000) or nil }
        end

        -- The record and its text. One with another shape than ours counts as none: a role may write the key without
        -- being trusted.
        local function stored_request(run)
          local text = redis.call('GET', \(key.request) .. run)
          if not text then return nil end
          local ok, request = pcall(cjson.decode, text)
          if not ok or type(request) ~= 'table' then return nil end
          local function is(name, wanted, or_missing)
            return type(request[name]) == wanted or (or_missing and request[name] == nil)
          end
          if is('stage', 'number') and is('request_id', 'string') and is('reason', 'string')
            and is('triggered_at_ms', 'number') and is('message', 'string', true) and is('triggered_by', 'string', true)
            and is('seen', 'table', true) and is('escalated_by', 'table', true) and is('grace_ms', 'number', true)
            and is('signed', 'table', true) then
            return request, text
          end
        end

        -- Keeps a signed request, whatever else is on record: a worker with a key looks at nothing else. Replies whether it
        -- is new.
        local function keep_signed(request, signal)
          if not signal.signed then return false end
          local signed = request.signed or {}
          for _, text in ipairs(signed) do if text == signal.signed[1] then return false end end
          signed[#signed + 1] = signal.signed[1]
          if #signed > 50 then table.remove(signed, 1) end
          request.signed = signed
          return true
        end

        -- The first request keeps reason, message and name; a harder one raises the stage; nothing counts twice. Replies
        -- the outcome, the record, its text, and its earlier stage if there was one. The signal may become the record.
        local function merge(run, job, state, signal, now)
          local request, text = stored_request(run)
          local earlier = request and request.stage
          local outcome
          -- A drain has no force deadline that could hold.
          local was_drain = earlier == 1 and signal.stage > 1
          if not request then
            request = signal
            request.run, request.job, request.triggered_at_ms, request.seen = run, job, now, {signal.request_id}
            outcome = 'accepted'
          elseif signal.stage > earlier then
            local escalations = request.escalated_by or {}
            escalations[#escalations + 1] = { request_id = signal.request_id, stage = signal.stage,
              triggered_by = signal.triggered_by, reason = signal.reason, message = signal.message, at_ms = now }
            request.escalated_by, request.stage = escalations, signal.stage
            outcome = 'escalated'
          else
            for _, id in ipairs(request.seen or {}) do
              if id == signal.request_id then
                if keep_signed(request, signal) then
                  text = cjson.encode(request)
                  redis.call('SET', \(key.request) .. run, text)
                end
                return 'known', request, text, earlier
              end
            end
            outcome = 'already'
          end
          if outcome ~= 'accepted' then
            keep_signed(request, signal)
            local seen = request.seen or {}
            seen[#seen + 1] = signal.request_id
            if #seen > 100 then table.remove(seen, 2) end
            request.seen = seen
            if was_drain or (signal.grace_ms and (not request.grace_ms or signal.grace_ms < request.grace_ms)) then
              request.grace_ms = signal.grace_ms
            end
          end
          text = cjson.encode(request)
          redis.call('SET', \(key.request) .. run, text)
          local event = outcome == 'accepted' and 'requested' or outcome == 'already' and 'late' or outcome
          record(now, event, job, run, 'request_id', signal.request_id, 'target', signal.target or job, 'stage', signal.stage,
            'reason', signal.reason, 'message', signal.message or '', 'triggered_by', signal.triggered_by or '',
            'source', signal.source)
          -- It is on record and stays there, whatever the script writes next: those who watch hear of it, once.
          if outcome ~= 'already' then publish_event(event, job, run, state, now, request.stage) end
          return outcome, request, text, earlier
        end

        local function copy_request(run, request, stage, way)
          redis.call('HSET', \(key.run) .. run, 'stage', stage, 'reason', request.reason,
            'message', request.message or '', 'triggered_by', request.triggered_by or '',
            'request_id', request.request_id, 'save_checkpoint', request.save_checkpoint and 1 or 0,
            'requested_at_ms', request.triggered_at_ms, 'via', way)
        end

        """

    /// What becomes of a pause. Uses no other part.
    static let pauses = """
        -- A run that was paused is not any more: the time is added up.
        local function add_paused_time(run, now)
          local fields = redis.call('HMGET', \(key.run) .. run, 'paused_at_ms', 'paused_ms')
          local paused = math.max(0, now - (tonumber(fields[1] or '') or now))
          redis.call('HSET', \(key.run) .. run, 'paused_ms', (tonumber(fields[2] or '') or 0) + paused)
          redis.call('HDEL', \(key.run) .. run, 'paused_at_ms')
        end

        -- The run is being interrupted, or has ended: nobody is to pause it any more.
        local function end_pause(run, state, now)
          redis.call('DEL', \(key.pause) .. run)
          if state == 'paused' then add_paused_time(run, now) end
        end

        """

    /// Ending a run. Uses `history` and `flags`.
    static let endings = """
        -- Takes an ended run out of every index. An ended run stays readable for the retention time.
        local function finish_run(job, run, state, now, retention)
          local fields = redis.call('HMGET', \(key.run) .. run, 'groups', 'worker', 'reason', 'stage', 'message',
            'triggered_by', 'exit_code', 'term_signal', 'late_interrupt', 'requested_at_ms', 'request_id', 'error',
            'last_output', 'handler')
          redis.call('ZREM', \(key.live), run)
          redis.call('ZADD', \(key.ended), now, run)
          redis.call('ZREMRANGEBYSCORE', \(key.ended), '-inf', now - retention * 1000)
          for group in string.gmatch(fields[1] or '', '%S+') do
            redis.call('SREM', \(key.group) .. group, run)
            local gate = \(key.gate) .. 'group:' .. group
            if redis.call('EXISTS', \(key.group) .. group) == 0 and redis.call('HGET', gate, 'until_empty') then
              redis.call('PEXPIRE', gate, 60000)
            end
          end
          if fields[2] then redis.call('SREM', \(key.holds) .. fields[2], run) end
          redis.call('DEL', \(key.env) .. run)
          drop_flag(job, run, now)
          redis.call('XADD', \(key.output) .. run, '*', 'end', state)
          redis.call('EXPIRE', \(key.output) .. run, retention)
          redis.call('EXPIRE', \(key.run) .. run, retention)
          redis.call('EXPIRE', \(key.request) .. run, retention)
          if redis.call('HGET', \(key.job) .. job, 'run') == run then redis.call('EXPIRE', \(key.job) .. job, retention) end
          local more = {'state', state}
          local function add(name, value)
            if value and value ~= '' then more[#more + 1] = name; more[#more + 1] = value end
          end
          add('worker', fields[2]); add('reason', fields[3]); add('stage', fields[4]); add('message', fields[5])
          add('triggered_by', fields[6]); add('exit_code', fields[7]); add('term_signal', fields[8])
          add('late_interrupt', fields[9]); add('request_id', fields[11]); add('error', fields[12])
          add('last_output', fields[13]); add('handler', fields[14])
          if fields[10] then add('latency_ms', now - fields[10]) end
          record(now, 'ended', job, run, unpack(more))
          publish_event('ended', job, run, state, now)
        end

        """

    /// Ending a run that never began. Uses `requests` and `endings`.
    static let unstarted = """
        -- A caller that may not write the run leaves it marked: the start script ends it.
        local function end_queued(job, run, request, now)
          local fields = redis.call('HMGET', \(key.run) .. run, 'queue', 'entry')
          local first = redis.pcall('HSET', \(key.run) .. run, 'state', 'interrupted', 'ended_at_ms', now,
            'acknowledged_at_ms', now, 'confirmed_at_ms', now)
          if type(first) == 'table' and first.err then return 'queued' end
          copy_request(run, request, request.stage, 'queued')
          if fields[2] then redis.call('XDEL', \(key.queue) .. fields[1], fields[2]) end
          finish_run(job, run, 'interrupted', now, 604800)
          return 'interrupted'
        end

        """
}
