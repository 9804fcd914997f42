/// The scripts, one atomic step each.
///
/// Rules that all of them follow. Redis does not roll back, so a script checks everything first, then writes, and
/// publishes last, in `pcall`. A reply always says whether the request is recorded. JSON from elsewhere never gets here:
/// what `cjson` decodes was written by these scripts. At most 100 runs a script. `KEYS[1]` is a key that every script
/// writes: the history. In a namespace with a newer contract every one of them replies `{'refused', why}`.
enum RedisScripts {
    /// The contract version. A namespace with a newer one is refused.
    static let version = 1

    /// Puts a run in its queue, unless its job is live or something holds it back.
    ///
    /// Arguments: job, run, queue, groups (spaces between), submitted by, command (NUL between), directory, grace in
    /// ms, timeout in ms, then names and values of the environment.
    /// Replies `{'queued', run}`, `{'live', run}` or `{'gated', target, stage, who, at}`.
    static let submit = script(
        "submit",
        """
        local job, run, queue, groups = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
        if redis.call('EXISTS', key.run(run)) == 1 then return {'queued', run} end
        local current = redis.call('HGET', key.job(job), 'run')
        if current then
          local state = redis.call('HGET', key.run(current), 'state')
          if state and not is_end[state] then return {'live', current} end
        end
        local gate = closed_gate(queue, groups)
        if gate then return gate end

        local now = now_ms()
        redis.call('HSET', key.run(run), 'v', 1, 'job', job, 'run', run, 'attempt', 0, 'queue', queue, 'groups', groups,
          'command', ARGV[7], 'cwd', ARGV[8], 'state', 'queued', 'submitted_by', ARGV[6], 'submitted_at_ms', now,
          'grace_ms', ARGV[9], 'timeout_ms', ARGV[10], 'previous_run', current or '')
        redis.call('HSET', key.meta, 'v', 1)
        redis.call('HSET', key.job(job), 'run', run)
        redis.call('PERSIST', key.job(job))
        if #ARGV > 10 then
          for i = 11, #ARGV, 2 do redis.call('HSET', key.env(run), ARGV[i], ARGV[i + 1]) end
        end
        redis.call('ZADD', key.live, now, run)
        for group in string.gmatch(groups, '%S+') do redis.call('SADD', key.group(group), run) end
        drop_flag(job, run, now)
        local entry = redis.call('XADD', key.queue(queue), '*', 'run', run)
        redis.call('HSET', key.run(run), 'entry', entry)
        record(now, 'submitted', job, run, {'triggered_by', ARGV[6], 'queue', queue})
        publish_event('submitted', job, run, 'queued', now)
        return {'queued', run}
        """
    )

    /// Claims an offered run: the only step from queued to running. Until a process is on record, the instance that
    /// claimed the run may ask again and is told the same: a reply may be lost.
    ///
    /// Arguments: run, queue, entry, worker, instance.
    /// Replies `{'started', run fields, environment, {flag target, value, …}}`, `{'gone'}`, `{'held'}` when the worker
    /// itself is behind a gate (the run goes back: another worker may have it), or `{'replaced'}`.
    static let start = script(
        "start",
        """
        local run, queue, entry, worker, instance = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
        if redis.call('HGET', key.worker(worker), 'instance') ~= instance then return {'replaced'} end
        local fields = redis.call('HMGET', key.run(run), 'state', 'job', 'groups', 'instance', 'pid')
        local state, job, groups = fields[1], fields[2], fields[3] or ''
        local function started()
          local flags = {}
          local function look(target)
            local value = flag_value(target)
            if value then flags[#flags + 1] = target; flags[#flags + 1] = value end
          end
          look(job)
          for group in string.gmatch(groups, '%S+') do look('group:' .. group) end
          look('queue:' .. queue); look('worker:' .. worker); look('all')
          return {'started', redis.call('HGETALL', key.run(run)), redis.call('HGETALL', key.env(run)), flags}
        end
        if state == 'running' and fields[4] == instance and not fields[5] then return started() end
        if state ~= 'queued' then
          redis.call('XACK', key.queue(queue), 'workers', entry)
          redis.call('XDEL', key.queue(queue), entry)
          return {'gone'}
        end
        local now = now_ms()
        local request = stored_request(run)
        if not request and closed_gate_of('worker:' .. worker) then
          put_back(queue, run, entry)
          return {'held'}
        end
        local gate = closed_gate(queue, groups)
        if request or gate then
          if not request then
            request = { v = 1, run = run, job = job, request_id = gate[6], target = gate[2], stage = tonumber(gate[3]),
              reason = gate[7], message = gate[8], triggered_by = gate[4], triggered_at_ms = tonumber(gate[5]), save_checkpoint = true,
              source = 'remote', seen = {gate[6]} }
            redis.call('SET', key.request(run), cjson.encode(request))
          end
          redis.call('XACK', key.queue(queue), 'workers', entry)
          redis.call('XDEL', key.queue(queue), entry)
          end_queued(job, run, request, now)
          return {'gone'}
        end

        redis.call('XACK', key.queue(queue), 'workers', entry)
        redis.call('XDEL', key.queue(queue), entry)
        redis.call('HINCRBY', key.run(run), 'attempt', 1)
        redis.call('HSET', key.run(run), 'state', 'running', 'worker', worker, 'instance', instance,
          'started_at_ms', now)
        redis.call('HDEL', key.run(run), 'entry')
        redis.call('SADD', key.holds(worker), run)
        record(now, 'started', job, run, {'worker', worker})
        publish_event('started', job, run, 'running', now)
        return started()
        """
    )

    /// Puts offers that a worker will not start back to the end of their queue.
    ///
    /// Arguments: queue, then run and entry of each.
    static let giveBack = script(
        "give_back",
        """
        local queue = ARGV[2]
        for i = 3, #ARGV, 2 do put_back(queue, ARGV[i], ARGV[i + 1]) end
        return redis.status_reply('OK')
        """
    )

    /// Records an interrupt for up to 100 runs and tells their workers. A queued run ends here.
    ///
    /// Arguments: the signal (nine, see `read_signal`), the expected run or "", then `job` or `run` and an id for each.
    /// Replies for each `{outcome, run, job, state, request record}` with outcome `accepted`, `escalated`, `already`,
    /// `known`, `stopped`, `ended`, `missing` or `replaced`.
    static let interrupt = script(
        "interrupt",
        """
        local signal = read_signal(2)
        local now = now_ms()
        local replies = {}
        for i = 12, #ARGV, 2 do
          local run = ARGV[i + 1]
          if ARGV[i] == 'job' then run = redis.call('HMGET', key.job(run), 'run')[1] end
          local fields = run and redis.call('HMGET', key.run(run), 'state', 'job', 'worker')
          if not run or not fields[1] then
            replies[#replies + 1] = {'missing', run or '', ARGV[i + 1], '', ''}
          elseif ARGV[11] ~= '' and ARGV[11] ~= run then
            replies[#replies + 1] = {'replaced', run, fields[2], fields[1], ''}
          elseif is_end[fields[1]] then
            replies[#replies + 1] = {'ended', run, fields[2], fields[1], redis.call('GET', key.request(run)) or ''}
          else
            replies[#replies + 1] = interrupt_run(run, fields[1], fields[2], fields[3], signal, now)
          end
        end
        return replies
        """
    )

    /// Takes a job's flag into the record, and deletes it if it still has the value that was read.
    ///
    /// Arguments: the signal (nine), run, job, the value that was read.
    /// Replies `{outcome, request record}` with an outcome of `interrupt`, or `changed`.
    static let importFlag = script(
        "import_flag",
        """
        local signal = read_signal(2)
        local run, job, value = ARGV[11], ARGV[12], ARGV[13]
        if flag_value(job) ~= value then return {'changed', ''} end
        local state = redis.call('HGET', key.run(run), 'state')
        if not state or is_end[state] then return {'ended', ''} end
        local now = now_ms()
        local outcome, request = merge(run, job, signal, now)
        if outcome ~= 'known' then redis.call('DEL', key.flag(job)) end
        return {outcome, cjson.encode(request)}
        """
    )

    /// Gives a wide flag its request id, if it still has the value that was read.
    ///
    /// Arguments: target, the value that was read, the new value. Replies 1 or 0.
    static let adoptFlag = script(
        "adopt_flag",
        """
        if flag_value(ARGV[2]) ~= ARGV[3] then return 0 end
        redis.call('SET', key.flag(ARGV[2]), ARGV[4], 'KEEPTTL')
        return 1
        """
    )

    /// Deletes a flag if it still has this value. Arguments: target, value. Replies 1 or 0.
    static let dropFlag = script(
        "drop_flag",
        """
        if flag_value(ARGV[2]) ~= ARGV[3] then return 0 end
        return redis.call('DEL', key.flag(ARGV[2]))
        """
    )

    /// Writes a worker's receipt; records the signal first when nobody has, as for what arose in the worker itself.
    ///
    /// Arguments: the signal (nine), run, instance, way. Replies `OK`, `ended` or `replaced`.
    static let acknowledge = script(
        "acknowledge",
        """
        local signal = read_signal(2)
        local run, instance, way = ARGV[11], ARGV[12], ARGV[13]
        local fields = redis.call('HMGET', key.run(run), 'state', 'job', 'instance', 'worker', 'stage')
        local state, job = fields[1], fields[2]
        if not state or is_end[state] then return 'ended' end
        if fields[3] ~= instance then return 'replaced' end
        local now = now_ms()
        local outcome, request = merge(run, job, signal, now)
        local previous = tonumber(fields[5] or '0') or 0
        if request.stage > previous then
          redis.call('HSET', key.run(run), 'stage', request.stage)
          if previous == 0 then
            redis.call('HSET', key.run(run), 'acknowledged_at_ms', now)
            copy_request(run, request, way)
          end
          if request.escalated_by then
            redis.call('HSET', key.run(run), 'escalated_by', cjson.encode(request.escalated_by))
          end
          if request.stage >= 2 and (state == 'running' or state == 'paused') then
            state = 'cancelling'
            redis.call('HSET', key.run(run), 'state', state)
          end
          record(now, 'acknowledged', job, run, {'request_id', request.request_id, 'stage', request.stage,
            'reason', request.reason, 'via', way, 'worker', fields[4],
            'latency_ms', now - request.triggered_at_ms})
          publish_event('acknowledged', job, run, state, now, request.stage)
        end
        return 'OK'
        """
    )

    /// Records how a run ended. Repeating it changes nothing.
    ///
    /// Arguments: run, instance, state, exit code, Unix signal, core dumped, late interrupt, error, retention in
    /// seconds. Replies `OK` or `replaced`.
    static let end = script(
        "end",
        """
        local run, instance, state = ARGV[2], ARGV[3], ARGV[4]
        local fields = redis.call('HMGET', key.run(run), 'state', 'job', 'instance')
        local old, job = fields[1], fields[2]
        if not is_end[state] then return redis.error_reply('ERR ' .. state .. ' is not an end') end
        if not old or is_end[old] then return 'OK' end
        if fields[3] ~= instance then return 'replaced' end
        local now = now_ms()
        local changes = {'state', state, 'ended_at_ms', now}
        local function set(name, value) if value ~= '' then changes[#changes + 1] = name; changes[#changes + 1] = value end end
        set('exit_code', ARGV[5]); set('term_signal', ARGV[6]); set('core_dumped', ARGV[7])
        local late = ARGV[8]
        if state == 'completed' or state == 'failed' then
          -- Asked so late that the worker did not see it any more.
          local request = stored_request(run)
          if request and request.stage >= 2 then late = '1' end
        end
        set('late_interrupt', late); set('error', ARGV[9])
        if state == 'interrupted' then set('confirmed_at_ms', now) end
        redis.call('HSET', key.run(run), unpack(changes))
        finish_run(job, run, state, now, tonumber(ARGV[10]))
        return 'OK'
        """
    )

    /// Takes a worker's name for an instance.
    ///
    /// Arguments: worker, instance, the instance that is known to be dead or "", then names and values of the fields.
    /// Replies `{'entered', {{run, boot, pid, start}, …}}` with the runs that the name still holds, or
    /// `{'in_use', fields of the holder}`.
    static let enter = script(
        "enter",
        """
        local worker, instance, dead = ARGV[2], ARGV[3], ARGV[4]
        local holder = redis.call('HGET', key.worker(worker), 'instance')
        if holder and holder ~= instance and holder ~= dead then
          return {'in_use', redis.call('HGETALL', key.worker(worker))}
        end
        local now = now_ms()
        if holder ~= instance then redis.call('DEL', key.worker(worker)) end
        redis.call('HSET', key.meta, 'v', 1)
        redis.call('HSET', key.worker(worker), 'instance', instance, 'started_at_ms', now, 'seen_at_ms', now,
          'heartbeat', 0, 'running', 0)
        for i = 5, #ARGV, 2 do redis.call('HSET', key.worker(worker), ARGV[i], ARGV[i + 1]) end
        redis.call('SADD', key.workers, worker)
        if holder ~= instance then record(now, 'worker_started', '', '', {'worker', worker}) end
        local left = {}
        for _, run in ipairs(redis.call('SMEMBERS', key.holds(worker))) do
          local fields = redis.call('HMGET', key.run(run), 'instance', 'boot', 'pid', 'pid_start')
          if fields[1] ~= instance then
            left[#left + 1] = {run, fields[2] or '', fields[3] or '', fields[4] or ''}
          end
        end
        return {'entered', left}
        """
    )

    /// Counts a heartbeat. Arguments: worker, instance, number of runs. Replies `OK` or `replaced`.
    static let heartbeat = script(
        "heartbeat",
        """
        local worker = key.worker(ARGV[2])
        if redis.call('HGET', worker, 'instance') ~= ARGV[3] then return 'replaced' end
        redis.call('HINCRBY', worker, 'heartbeat', 1)
        redis.call('HSET', worker, 'seen_at_ms', now_ms(), 'running', ARGV[4])
        return 'OK'
        """
    )

    /// Gives a worker's name back. Arguments: worker, instance.
    static let leave = script(
        "leave",
        """
        if redis.call('HGET', key.worker(ARGV[2]), 'instance') ~= ARGV[3] then return 'replaced' end
        redis.call('DEL', key.worker(ARGV[2]))
        redis.call('SREM', key.workers, ARGV[2])
        record(now_ms(), 'worker_left', '', '', {'worker', ARGV[2]})
        return 'OK'
        """
    )

    /// Marks a run of an earlier instance as lost. Arguments: run, this instance, why, retention in seconds. Replies `OK`
    /// or `replaced`.
    static let lose = script(
        "lose",
        """
        local run = ARGV[2]
        local fields = redis.call('HMGET', key.run(run), 'state', 'job', 'instance', 'worker')
        if not fields[4] or is_end[fields[1]] or fields[3] == ARGV[3] then return 'OK' end
        if redis.call('HGET', key.worker(fields[4]), 'instance') ~= ARGV[3] then return 'replaced' end
        local now = now_ms()
        redis.call('HSET', key.run(run), 'state', 'lost', 'ended_at_ms', now, 'error', ARGV[4])
        finish_run(fields[2], run, 'lost', now, tonumber(ARGV[5]))
        return 'OK'
        """
    )

    /// Closes a gate: what would start under it does not.
    ///
    /// Arguments: the signal (nine), target, and how long: a lifetime in ms, `empty` for as long as the group has live
    /// runs and a little more, or `open` for until it is opened.
    static let closeGate = script(
        "close_gate",
        """
        local signal = read_signal(2)
        local gate, lifetime = key.gate(ARGV[11]), ARGV[12]
        local now = now_ms()
        local stage = tonumber(redis.call('HGET', gate, 'stage') or '0') or 0
        local stands = redis.call('PTTL', gate) == -1 and not redis.call('HGET', gate, 'until_empty')
        if stage > 0 and stands then
          if signal.stage > stage then redis.call('HSET', gate, 'stage', signal.stage) end
          return 'OK'
        end
        redis.call('HSET', gate, 'request_id', signal.request_id, 'stage', signal.stage, 'who', signal.triggered_by or '',
          'at_ms', now, 'reason', signal.reason, 'message', signal.message or '')
        redis.call('PERSIST', gate)
        redis.call('HDEL', gate, 'until_empty')
        if lifetime == 'empty' then
          redis.call('HSET', gate, 'until_empty', 1)
          -- The last run may have ended since the members were listed; nobody else would ever open the gate.
          if redis.call('EXISTS', key.group(string.sub(ARGV[11], 7))) == 0 then redis.call('PEXPIRE', gate, 60000) end
        elseif lifetime ~= 'open' then
          redis.call('PEXPIRE', gate, lifetime)
        end
        record(now, 'gate_closed', '', '', {'target', ARGV[11], 'request_id', signal.request_id, 'stage', signal.stage,
          'triggered_by', signal.triggered_by or ''})
        return 'OK'
        """
    )

    /// Opens a gate. Arguments: target, the request id that closed it or "" for any, who. Replies 1 or 0.
    static let openGate = script(
        "open_gate",
        """
        local gate = key.gate(ARGV[2])
        local id = redis.call('HGET', gate, 'request_id')
        if not id or (ARGV[3] ~= '' and id ~= ARGV[3]) then return 0 end
        redis.call('DEL', gate)
        record(now_ms(), 'gate_opened', '', '', {'target', ARGV[2], 'triggered_by', ARGV[4]})
        return 1
        """
    )

    private static func script(_ name: String, _ body: String) -> RedisScript {
        RedisScript(name: name, source: RedisKeys.lua + prelude + refusal + body)
    }

    /// How every script begins.
    private static let refusal = """
        local version = redis.call('HMGET', key.meta, 'v')[1]
        if version and (tonumber(version) or 0) > \(version) then
          return {'refused', 'the namespace has contract version ' .. version .. ', this program speaks \(version)'}
        end

        """

    /// What the scripts share. `merge` is the one place where an interrupt gets into the record.
    private static let prelude = """
        local is_end = { completed = true, failed = true, interrupted = true, lost = true }

        local function now_ms()
          local time = redis.call('TIME')
          return time[1] * 1000 + math.floor(time[2] / 1000)
        end

        local function record(now, event, job, run, more)
          redis.call('XADD', key.history, 'MAXLEN', '~', 100000, '*', 'at_ms', now, 'event', event, 'job', job,
            'run', run, unpack(more))
        end

        local function publish_event(event, job, run, state, now, stage)
          redis.pcall('PUBLISH', key.events, cjson.encode({ v = 1, event = event, job = job, run = run, state = state,
            at_ms = now, stage = stage }))
        end

        -- A flag is anyone's to write: what is no string is no flag, and must not end a script half-way.
        local function flag_value(target)
          local value = redis.pcall('GET', key.flag(target))
          return type(value) == 'string' and value
        end

        local function drop_flag(job, run, now)
          if redis.call('DEL', key.flag(job)) == 1 then record(now, 'flag_dropped', job, run, {}) end
        end

        local function closed_gate_of(target)
          local gate = redis.call('HMGET', key.gate(target), 'stage', 'who', 'at_ms', 'request_id', 'reason', 'message')
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

        -- To the end of its queue, unless the offer is an old one.
        local function put_back(queue, run, entry)
          redis.call('XACK', key.queue(queue), 'workers', entry)
          redis.call('XDEL', key.queue(queue), entry)
          local fields = redis.call('HMGET', key.run(run), 'state', 'entry')
          if fields[1] == 'queued' and fields[2] == entry then
            redis.call('HSET', key.run(run), 'entry', redis.call('XADD', key.queue(queue), '*', 'run', run))
          end
        end

        local function read_signal(first)
          local function optional(i) if ARGV[i] ~= '' then return ARGV[i] end end
          return { v = 1, request_id = ARGV[first], target = optional(first + 1), stage = tonumber(ARGV[first + 2]),
            reason = ARGV[first + 3], message = optional(first + 4), triggered_by = optional(first + 5),
            save_checkpoint = ARGV[first + 6] ~= '0', grace_ms = tonumber(ARGV[first + 7]), source = ARGV[first + 8] }
        end

        local function stored_request(run)
          local text = redis.call('GET', key.request(run))
          if not text then return nil end
          local ok, request = pcall(cjson.decode, text)
          if ok and type(request) == 'table' and type(request.stage) == 'number' then return request end
        end

        -- The first request keeps reason, message and name; a harder one raises the stage; nothing counts twice.
        local function merge(run, job, signal, now)
          local request = stored_request(run)
          local outcome
          if not request then
            request = signal
            request.run, request.job, request.triggered_at_ms, request.seen = run, job, now, {signal.request_id}
            outcome = 'accepted'
          elseif signal.stage > request.stage then
            local escalations = request.escalated_by or {}
            escalations[#escalations + 1] = { request_id = signal.request_id, stage = signal.stage,
              triggered_by = signal.triggered_by, reason = signal.reason, message = signal.message, at_ms = now }
            request.escalated_by, request.stage = escalations, signal.stage
            outcome = 'escalated'
          else
            for _, id in ipairs(request.seen or {}) do
              if id == signal.request_id then return 'known', request end
            end
            outcome = 'already'
          end
          if outcome ~= 'accepted' then
            local seen = request.seen or {}
            seen[#seen + 1] = signal.request_id
            if #seen > 100 then table.remove(seen, 2) end
            request.seen = seen
            if signal.grace_ms and (not request.grace_ms or signal.grace_ms < request.grace_ms) then
              request.grace_ms = signal.grace_ms
            end
          end
          redis.call('SET', key.request(run), cjson.encode(request))
          local event = outcome == 'accepted' and 'requested' or outcome == 'already' and 'late' or outcome
          record(now, event, job, run, {'request_id', signal.request_id, 'target', signal.target or job, 'stage', signal.stage,
            'reason', signal.reason, 'message', signal.message or '', 'triggered_by', signal.triggered_by or '',
            'source', signal.source})
          return outcome, request
        end

        local function copy_request(run, request, way)
          redis.call('HSET', key.run(run), 'stage', request.stage, 'reason', request.reason,
            'message', request.message or '', 'triggered_by', request.triggered_by or '',
            'request_id', request.request_id, 'save_checkpoint', request.save_checkpoint and 1 or 0,
            'requested_at_ms', request.triggered_at_ms, 'via', way)
        end

        -- Takes an ended run out of every index. An ended run stays readable for the retention time.
        local function finish_run(job, run, state, now, retention)
          local fields = redis.call('HMGET', key.run(run), 'groups', 'worker', 'reason', 'stage', 'message',
            'triggered_by', 'exit_code', 'term_signal', 'late_interrupt', 'requested_at_ms', 'request_id', 'error')
          redis.call('ZREM', key.live, run)
          redis.call('ZADD', key.ended, now, run)
          redis.call('ZREMRANGEBYSCORE', key.ended, '-inf', now - retention * 1000)
          for group in string.gmatch(fields[1] or '', '%S+') do
            redis.call('SREM', key.group(group), run)
            local gate = key.gate('group:' .. group)
            if redis.call('EXISTS', key.group(group)) == 0 and redis.call('HGET', gate, 'until_empty') then
              redis.call('PEXPIRE', gate, 60000)
            end
          end
          if fields[2] then redis.call('SREM', key.holds(fields[2]), run) end
          redis.call('DEL', key.env(run))
          drop_flag(job, run, now)
          redis.call('XADD', key.output(run), '*', 'end', state)
          redis.call('EXPIRE', key.output(run), retention)
          redis.call('EXPIRE', key.run(run), retention)
          redis.call('EXPIRE', key.request(run), retention)
          if redis.call('HGET', key.job(job), 'run') == run then redis.call('EXPIRE', key.job(job), retention) end
          local more = {'state', state}
          local function add(name, value)
            if value and value ~= '' then more[#more + 1] = name; more[#more + 1] = value end
          end
          add('worker', fields[2]); add('reason', fields[3]); add('stage', fields[4]); add('message', fields[5])
          add('triggered_by', fields[6]); add('exit_code', fields[7]); add('term_signal', fields[8])
          add('late_interrupt', fields[9]); add('request_id', fields[11]); add('error', fields[12])
          if fields[10] then add('latency_ms', now - fields[10]) end
          record(now, 'ended', job, run, more)
          publish_event('ended', job, run, state, now)
        end

        -- Ends a run that never began. A caller that may not write the run leaves it marked: the start script ends it.
        local function end_queued(job, run, request, now)
          local fields = redis.call('HMGET', key.run(run), 'queue', 'entry')
          local first = redis.pcall('HSET', key.run(run), 'state', 'interrupted', 'ended_at_ms', now,
            'acknowledged_at_ms', now, 'confirmed_at_ms', now)
          if type(first) == 'table' and first.err then return 'queued' end
          copy_request(run, request, 'queued')
          if fields[2] then redis.call('XDEL', key.queue(fields[1]), fields[2]) end
          finish_run(job, run, 'interrupted', now, 604800)
          return 'interrupted'
        end

        -- The record as a flag, for checkers in other programs. The same record always gives the same text.
        local function mirror(request)
          local text = '{"request_id":' .. cjson.encode(request.request_id) .. ',"stage":' .. request.stage
            .. ',"reason":' .. cjson.encode(request.reason)
          if request.message then text = text .. ',"message":' .. cjson.encode(request.message) end
          if request.triggered_by then text = text .. ',"triggered_by":' .. cjson.encode(request.triggered_by) end
          return text .. ',"save_checkpoint":' .. tostring(request.save_checkpoint) .. '}'
        end

        local is_down = { [''] = true, ['0'] = true, ['false'] = true }

        local function interrupt_run(run, state, job, worker, signal, now)
          local earlier = stored_request(run)
          local copy = {}
          for name, value in pairs(signal) do copy[name] = value end
          local outcome, request = merge(run, job, copy, now)
          if state == 'queued' then
            state = end_queued(job, run, request, now)
            if state == 'interrupted' then outcome = 'stopped' end
          else
            -- Somebody else's flag that the worker has not yet taken in stays: it may be harder than this request.
            local flag = flag_value(job)
            if not flag or is_down[flag] or (earlier and flag == mirror(earlier)) then
              redis.pcall('SET', key.flag(job), mirror(request), 'EX', 86400)
            end
            if worker then redis.pcall('PUBLISH', key.signals(worker), cjson.encode(request)) end
            if outcome ~= 'known' then publish_event('requested', job, run, state, now, request.stage) end
          end
          return {outcome, run, job, state, cjson.encode(request)}
        end

        """
}
