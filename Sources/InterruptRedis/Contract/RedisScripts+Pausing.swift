/// The scripts that pause runs and let them go on.
extension RedisScripts {
    /// Records for up to 100 runs that they are to be paused, or to go on. The workers hear of it by the key.
    ///
    /// Arguments: `pause` or `resume`, request id, who, the expected run or "", then for each `job` or `run`, an id, and the
    /// signed request for it or "".
    /// Replies for each `{outcome, run, job, state}` with outcome `recorded`, `already`, `withdrawn`, `queued`, `handler`,
    /// `cancelling`, `ended`, `missing` or `replaced`.
    static let pause = script(
        "pause",
        using: [],
        least: 5,
        """
        local is_pause, id, who, expected = ARGV[2] == 'pause', ARGV[3], ARGV[4], ARGV[5]
        local now = now_ms()

        local function change(run, state, handler, signed)
          if state == 'queued' or state == 'cancelling' then return state end
          if is_end[state] then return 'ended' end
          if handler and handler ~= '' then return 'handler' end
          local asked = redis.call('GET', \(key.pause) .. run)
          -- A worker with a key takes no notice of a pause that is not signed: a signed one takes its place.
          local is_unsigned = asked and signed ~= '' and not string.find(asked, '"signed"', 1, true)
          if (asked and true or false) == is_pause and not is_unsigned then return 'already' end
          if is_pause then
            redis.call('HSET', \(key.run) .. run, 'paused_by', who)
            redis.call('SET', \(key.pause) .. run,
              cjson.encode({ v = 1, request_id = id, triggered_by = who ~= '' and who or nil, at_ms = now,
                signed = signed ~= '' and {signed} or nil }))
          else
            redis.call('HSET', \(key.run) .. run, 'resumed_by', who)
            redis.call('DEL', \(key.pause) .. run)
            if state == 'running' then return 'withdrawn' end
          end
          return 'recorded'
        end

        local replies = {}
        for i = 6, #ARGV, 3 do
          local run = ARGV[i + 1]
          if ARGV[i] == 'job' then run = redis.call('HGET', \(key.job) .. run, 'run') end
          local fields = run and redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'handler')
          if not run or not fields[1] then
            replies[#replies + 1] = {'missing', run or '', ARGV[i + 1], ''}
          elseif expected ~= '' and expected ~= run then
            replies[#replies + 1] = {'replaced', run, fields[2], fields[1]}
          else
            replies[#replies + 1] = {change(run, fields[1], fields[3], ARGV[i + 2]), run, fields[2], fields[1]}
          end
        end
        return replies
        """
    )

    /// Closes or opens the gate of a target of many that holds back what would start under it.
    ///
    /// Arguments: `pause` or `resume`, target, request id, who. Replies 1, or 0 when it was so already.
    static let hold = script(
        "hold",
        using: [history],
        least: 5,
        """
        local target, id, who, now = ARGV[3], ARGV[4], ARGV[5], now_ms()
        local event = 'gate_opened'
        if ARGV[2] == 'pause' then
          event = 'gate_closed'
          local text = cjson.encode({ v = 1, request_id = id, triggered_by = who ~= '' and who or nil, at_ms = now })
          if not redis.call('SET', \(key.pause) .. target, text, 'NX') then return 0 end
        elseif redis.call('DEL', \(key.pause) .. target) == 0 then
          return 0
        end
        record(now, event, '', '', 'target', target, 'request_id', id, 'kind', 'pause', 'triggered_by', who)
        return 1
        """
    )

    /// Records that a run is paused now, or goes on. A pause that was taken back meanwhile is not recorded: that the run
    /// goes on follows.
    ///
    /// Arguments: run, instance, `1` or `0`. Replies `OK`, `ended` or `replaced`.
    static let paused = script(
        "paused",
        using: [history, pauses],
        least: 4,
        """
        local run, is_paused = ARGV[2], ARGV[4] == '1'
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance', 'job', 'stage', 'paused_by', 'resumed_by')
        if not fields[1] or is_end[fields[1]] then return 'ended' end
        if fields[2] ~= ARGV[3] then return 'replaced' end
        if fields[1] ~= (is_paused and 'running' or 'paused') then return 'OK' end
        if is_paused and redis.call('EXISTS', \(key.pause) .. run) == 0 then return 'OK' end
        local now = now_ms()
        local event, state, who = 'resumed', 'running', fields[6]
        if is_paused then
          event, state, who = 'paused', 'paused', fields[5]
          redis.call('HSET', \(key.run) .. run, 'paused_at_ms', now)
        else
          add_paused_time(run, now)
        end
        redis.call('HSET', \(key.run) .. run, 'state', state)
        record(now, event, fields[3], run, 'triggered_by', who or '')
        publish_event(event, fields[3], run, state, now, tonumber(fields[4] or ''))
        return 'OK'
        """
    )
}
