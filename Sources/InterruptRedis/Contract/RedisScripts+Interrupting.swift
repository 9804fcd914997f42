/// The scripts that take an interrupt in: requests, receipts, flags, gates.
extension RedisScripts {
    /// Records an interrupt for up to 100 runs and tells their workers. A queued run ends here.
    ///
    /// Arguments: the signal (nine, see `read_signal`), the expected run or "", then for each `job` or `run`, an id, and the
    /// signed request for it or "".
    /// Replies for each `{outcome, run, job, state, request record}` with outcome `accepted`, `escalated`, `already`,
    /// `known`, `stopped`, `ended`, `missing` or `replaced`. Of a run that has ended, `known` says that this request was on
    /// record before: an outcome that was unknown is told apart so.
    static let interrupt = script(
        "interrupt",
        using: [primaryOnly, history, flags, requests],
        least: 11,
        """
        -- The record as a flag, for checkers in other programs. The same record always gives the same text.
        local function mirror(run, request, stage)
          local text = mirror_head(run) .. ',"request_id":' .. cjson.encode(request.request_id)
            .. ',"stage":' .. stage .. ',"reason":' .. cjson.encode(request.reason)
          if request.message then text = text .. ',"message":' .. cjson.encode(request.message) end
          if request.triggered_by then text = text .. ',"triggered_by":' .. cjson.encode(request.triggered_by) end
          return text .. ',"save_checkpoint":' .. tostring(request.save_checkpoint) .. '}'
        end

        local is_down = { [''] = true, ['0'] = true, ['false'] = true }

        local function signal_with(signed)
          local signal = read_signal(2)
          if signed ~= '' then signal.signed = {signed} end
          return signal
        end

        local function interrupt_queued(run, job, signed, now)
          \(endings + unstarted)
          local outcome, request, text = merge(run, job, 'queued', signal_with(signed), now)
          local state = end_queued(job, run, request, now)
          if state == 'interrupted' then outcome = 'stopped' end
          return {outcome, run, job, state, text}
        end

        local function interrupt_running(run, state, job, worker, signed, now)
          local outcome, request, text, earlier = merge(run, job, state, signal_with(signed), now)
          -- Before the flag, whose change the server tells the worker too: that is to come second.
          if worker then redis.pcall('PUBLISH', \(key.signals) .. worker, text) end
          local flag = mirror(run, request, request.stage)
          if not redis.pcall('SET', \(key.flag) .. job, flag, 'EX', 86400, 'NX') then
            -- Somebody else's flag that the worker has not yet taken in stays: it may be harder than this request.
            local there = flag_value(job)
            if not there or is_down[there] or (earlier and there == mirror(run, request, earlier)) then
              redis.pcall('SET', \(key.flag) .. job, flag, 'EX', 86400)
            end
          end
          return {outcome, run, job, state, text}
        end

        local now = now_ms()
        local replies = {}
        for i = 12, #ARGV, 3 do
          local run = ARGV[i + 1]
          if ARGV[i] == 'job' then run = redis.call('HGET', \(key.job) .. run, 'run') end
          local fields = run and redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'worker')
          -- What was seen as this run is being tried again by now.
          while ARGV[11] == '' and fields and fields[1] and is_end[fields[1]] do
            local next_run = redis.call('HGET', \(key.run) .. run, 'next_run')
            if not next_run then break end
            run, fields = next_run, redis.call('HMGET', \(key.run) .. next_run, 'state', 'job', 'worker')
          end
          if not run or not fields[1] then
            replies[#replies + 1] = {'missing', run or '', ARGV[i + 1], '', ''}
          elseif ARGV[11] ~= '' and ARGV[11] ~= run then
            replies[#replies + 1] = {'replaced', run, fields[2], fields[1], ''}
          elseif is_end[fields[1]] then
            local request, text = stored_request(run)
            local outcome = request and has_seen(request, ARGV[2]) and 'known' or 'ended'
            replies[#replies + 1] = {outcome, run, fields[2], fields[1], text or ''}
          else
            replies[#replies + 1] = fields[1] == 'queued' and interrupt_queued(run, fields[2], ARGV[i + 2], now)
              or interrupt_running(run, fields[1], fields[2], fields[3], ARGV[i + 2], now)
          end
        end
        return replies
        """
    )

    /// Writes a worker's receipt; records the signal first when nobody has, as for what arose in the worker itself.
    ///
    /// Arguments: the signal (nine), run, instance, way, how long ago in ms that was. Replies `OK`, `ended` or `replaced`.
    static let acknowledge = script(
        "acknowledge",
        using: [history, instants, requests, pauses],
        least: 13,
        """
        local signal = read_signal(2)
        local run, instance, way = ARGV[11], ARGV[12], ARGV[13]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'instance', 'worker', 'stage', 'started_at_ms')
        local state, job = fields[1], fields[2]
        if not state or is_end[state] then return 'ended' end
        if fields[3] ~= instance then return 'replaced' end
        local now = happened_ms(ARGV[14], fields[6])
        local outcome, request = merge(run, job, state, signal, now)
        now = math.max(now, request.triggered_at_ms)
        local previous = tonumber(fields[5] or '0') or 0
        -- The receipt is for what the worker has seen; the record may be at a harder stage by now.
        if signal.stage > previous then
          redis.call('HSET', \(key.run) .. run, 'stage', signal.stage)
          if previous == 0 then
            redis.call('HSET', \(key.run) .. run, 'acknowledged_at_ms', now)
            copy_request(run, request, signal.stage, way)
          end
          if request.escalated_by then
            redis.call('HSET', \(key.run) .. run, 'escalated_by', cjson.encode(request.escalated_by))
          end
          if signal.stage >= 2 and (state == 'running' or state == 'paused') then
            end_pause(run, state, now)
            state = 'cancelling'
            redis.call('HSET', \(key.run) .. run, 'state', state)
          end
          record(now, 'acknowledged', job, run, 'request_id', request.request_id, 'stage', signal.stage,
            'reason', request.reason, 'via', way, 'worker', fields[4],
            'latency_ms', now - request.triggered_at_ms)
          publish_event('acknowledged', job, run, state, now, signal.stage)
        end
        return 'OK'
        """
    )

    /// Takes a job's flag into the record, and deletes it if it still has the value that was read.
    ///
    /// Arguments: the signal (nine), run, job, the value that was read.
    /// Replies `{outcome, request record}` with an outcome of `interrupt`, or `changed`. Where the run's record is gone and
    /// its worker asks, so that it still runs, `missing`: the flag is deleted, and there is nothing to record it on.
    static let importFlag = script(
        "import_flag",
        using: [history, flags, requests],
        least: 13,
        """
        local signal = read_signal(2)
        local run, job, value = ARGV[11], ARGV[12], ARGV[13]
        if flag_value(job) ~= value then return {'changed', ''} end
        local state = redis.call('HGET', \(key.run) .. run, 'state')
        if state and is_end[state] then return {'ended', ''} end
        if not state then
          redis.call('DEL', \(key.flag) .. job)
          return {'missing', ''}
        end
        local now = now_ms()
        local outcome, _, text = merge(run, job, state, signal, now)
        if outcome ~= 'known' then redis.call('DEL', \(key.flag) .. job) end
        return {outcome, text}
        """
    )

    /// Gives a wide flag its request id, if it still has the value that was read.
    ///
    /// Arguments: target, the value that was read, the new value. Replies 1 or 0.
    static let adoptFlag = script(
        "adopt_flag",
        using: [flags],
        least: 4,
        """
        if flag_value(ARGV[2]) ~= ARGV[3] then return 0 end
        if ARGV[3] ~= ARGV[4] then redis.call('SET', \(key.flag) .. ARGV[2], ARGV[4], 'KEEPTTL') end
        return 1
        """
    )

    /// Deletes a flag if it still has this value. Arguments: target, value. Replies 1 or 0.
    static let dropFlag = script(
        "drop_flag",
        using: [flags],
        least: 3,
        """
        if flag_value(ARGV[2]) ~= ARGV[3] then return 0 end
        return redis.call('DEL', \(key.flag) .. ARGV[2])
        """
    )

    /// Closes a gate: what would start under it does not.
    ///
    /// Arguments: the signal (nine), target, and how long: a lifetime in ms, `empty` for as long as the group has live
    /// runs and a little more, or `open` for until it is opened. At last, when the same was asked before and may be lost,
    /// how many ms ago; else "". Who has opened the gate since is not overruled.
    static let closeGate = script(
        "close_gate",
        using: [history, requests],
        least: 12,
        """
        local signal = read_signal(2)
        local gate, lifetime = \(key.gate) .. ARGV[11], ARGV[12]
        if lifetime ~= 'open' and lifetime ~= 'empty' and (not string.find(lifetime, '^%d+$') or #lifetime > 12) then
          return redis.error_reply('ERR close_gate: its lifetime is no number of milliseconds')
        end
        local now = now_ms()
        local function was_opened_since(at_ms)
          for _, entry in ipairs(redis.call('XREVRANGE', \(key.history), '+', '-', 'COUNT', 1000)) do
            local fields = {}
            for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
            if (tonumber(fields.at_ms) or 0) < at_ms then return false end
            if fields.event == 'gate_opened' and fields.target == ARGV[11] then return true end
          end
        end
        local ago = tonumber(ARGV[13] or '')
        if ago and (redis.call('EXISTS', gate) == 1 or was_opened_since(now - ago)) then return 'OK' end
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
          if redis.call('EXISTS', \(key.group) .. string.sub(ARGV[11], 7)) == 0 then redis.call('PEXPIRE', gate, 60000) end
        elseif lifetime ~= 'open' then
          redis.call('PEXPIRE', gate, lifetime)
        end
        record(now, 'gate_closed', '', '', 'target', ARGV[11], 'request_id', signal.request_id, 'stage', signal.stage,
          'triggered_by', signal.triggered_by or '')
        return 'OK'
        """
    )

    /// Opens a gate. Arguments: target, the request id that closed it or "" for any, who. Replies 1 or 0.
    static let openGate = script(
        "open_gate",
        using: [history],
        least: 4,
        """
        local gate = \(key.gate) .. ARGV[2]
        local id = redis.call('HGET', gate, 'request_id')
        if not id or (ARGV[3] ~= '' and id ~= ARGV[3]) then return 0 end
        redis.call('DEL', gate)
        record(now_ms(), 'gate_opened', '', '', 'target', ARGV[2], 'triggered_by', ARGV[4])
        return 1
        """
    )
}
