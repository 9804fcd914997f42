import InterruptJSON

/// The scripts, one atomic step each.
///
/// Rules that all of them follow. Redis does not roll back, so a script checks everything first, then writes the
/// record, and publishes after that, in `pcall`. A reply always says whether the request is recorded. JSON from
/// elsewhere never gets here: what `cjson` decodes is a record, and one of another shape counts as none. At most 100
/// runs a script. `KEYS[1]` is a key that most of them write, and that all of them go to: the history. In a namespace with a newer contract every
/// one of them replies `{'refused', why}`.
enum RedisScripts {
    /// The contract version. A namespace with a newer one is refused.
    static let version = SignalMessage.version

    /// Puts a run in its queue, unless its job is live or something holds it back.
    ///
    /// Arguments: job, run, queue, groups (spaces between), submitted by, command (NUL between), directory, grace in
    /// ms, timeout in ms, handler and its input instead of a command, how many further fields of the run there are, their
    /// names and values, then names and values of the environment.
    /// Replies `{'queued', run}`, `{'live', run}`, `{'refused', why}` or `{'gated', target, stage, who, at}`.
    static let submit = script(
        "submit",
        using: [primaryOnly, history, flags, gates],
        least: 13,
        """
        local job, run, queue, groups = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
        local owner = redis.call('HGET', \(key.run) .. run, 'job')
        if owner == job then return {'queued', run} end
        if owner then return {'refused', 'run ' .. run .. ' is one of job ' .. owner} end
        local further = tonumber(ARGV[13])
        if not further or further < 0 or further ~= math.floor(further) or 13 + 2 * further > #ARGV or #ARGV % 2 == 0 then
          return redis.error_reply('ERR submit: its fields and variables are not pairs')
        end
        local current = redis.call('HGET', \(key.job) .. job, 'run')
        if current then
          local state = redis.call('HGET', \(key.run) .. current, 'state')
          if state and not is_end[state] then return {'live', current} end
        end
        local gate = closed_gate(queue, groups)
        if gate then return gate end

        local now = now_ms()
        redis.call('HSET', \(key.run) .. run, 'v', 1, 'job', job, 'run', run, 'attempt', 0, 'queue', queue, 'groups', groups,
          'command', ARGV[7], 'cwd', ARGV[8], 'state', 'queued', 'submitted_by', ARGV[6], 'submitted_at_ms', now,
          'grace_ms', ARGV[9], 'timeout_ms', ARGV[10], 'previous_run', current or '')
        local handler = ARGV[11]
        if handler ~= '' then redis.call('HSET', \(key.run) .. run, 'handler', handler, 'input', ARGV[12]) end
        redis.call('HSET', \(key.meta), 'v', 1)
        redis.call('HSET', \(key.job) .. job, 'run', run)
        redis.call('PERSIST', \(key.job) .. job)
        local variables = 14 + 2 * further
        for i = 14, variables - 1, 2 do redis.call('HSET', \(key.run) .. run, ARGV[i], ARGV[i + 1]) end
        for i = variables, #ARGV, 2 do redis.call('HSET', \(key.env) .. run, ARGV[i], ARGV[i + 1]) end
        redis.call('ZADD', \(key.live), now, run)
        for group in string.gmatch(groups, '%S+') do redis.call('SADD', \(key.group) .. group, run) end
        drop_flag(job, run, now)
        local entry = redis.call('XADD', \(key.queue) .. queue, '*', 'run', run)
        redis.call('HSET', \(key.run) .. run, 'entry', entry)
        record(now, 'submitted', job, run, 'triggered_by', ARGV[6], 'queue', queue, 'handler', handler)
        publish_event('submitted', job, run, 'queued', now)
        return {'queued', run}
        """
    )

    /// Records the leader's process, which has its environment now: nobody needs to read it any more, unless the job may
    /// be tried again.
    ///
    /// Arguments: run, instance, pid, start, boot. Replies `OK`, `ended` or `replaced`.
    static let spawned = script(
        "spawned",
        using: [],
        least: 6,
        """
        local run = ARGV[2]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance', 'retries')
        if fields[2] and fields[2] ~= ARGV[3] then return 'replaced' end
        local is_live = fields[1] and not is_end[fields[1]]
        -- On a record that is gone, the fields would begin a new one that nobody ever deletes.
        if is_live then redis.call('HSET', \(key.run) .. run, 'pid', ARGV[4], 'pid_start', ARGV[5], 'boot', ARGV[6]) end
        if not is_live or (tonumber(fields[3] or '') or 0) == 0 then redis.call('DEL', \(key.env) .. run) end
        return is_live and 'OK' or 'ended'
        """
    )

    /// Records how far a run is. `progress_at_ms` is when it first was this far: a new message alone does not move it.
    /// Repeating it changes nothing.
    ///
    /// Arguments: run, instance, the part that is done, message. Replies `OK`, `ended` or `replaced`.
    static let progress = script(
        "progress",
        using: [history],
        least: 5,
        """
        local run, part, message = ARGV[2], ARGV[4], ARGV[5]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance', 'progress', 'job', 'started_at_ms', 'stage',
          'progress_message')
        if not fields[1] or is_end[fields[1]] then return 'ended' end
        if fields[2] ~= ARGV[3] then return 'replaced' end
        if fields[3] == part and fields[7] == message then return 'OK' end
        local now = now_ms()
        redis.call('HSET', \(key.run) .. run, 'progress', part, 'progress_message', message)
        if fields[3] ~= part then redis.call('HSET', \(key.run) .. run, 'progress_at_ms', now) end
        publish_event('progress', fields[4], run, fields[1], now, tonumber(fields[6] or ''), {
          progress = tonumber(part), progress_message = message ~= '' and message or nil,
          elapsed_ms = now - (tonumber(fields[5] or '') or now) })
        return 'OK'
        """
    )

    /// Records why a run goes on although it was asked to end. Repeating it changes nothing.
    ///
    /// Arguments: run, instance, section, checkpoint, for how long in ms, processes that are left. Replies `OK`, `ended` or
    /// `replaced`.
    static let holdout = script(
        "holdout",
        using: [history],
        least: 6,
        """
        local run = ARGV[2]
        if not string.find(ARGV[6], '^%d+$') or #ARGV[6] > 15 then
          return redis.error_reply('ERR holdout: its time is no number of milliseconds')
        end
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance', 'job', 'stage',
          'holdout_section', 'holdout_checkpoint', 'survivors', 'holdout_elapsed_ms')
        if not fields[1] or is_end[fields[1]] then return 'ended' end
        if fields[2] ~= ARGV[3] then return 'replaced' end
        local now, elapsed, survivors = now_ms(), tonumber(ARGV[6]), ARGV[7] or ''
        -- The reply was lost, and it is said again.
        if fields[5] == ARGV[4] and fields[6] == ARGV[5] and fields[7] == survivors and fields[8] == ARGV[6] then return 'OK' end
        redis.call('HSET', \(key.run) .. run, 'holdout_section', ARGV[4], 'holdout_checkpoint', ARGV[5],
          'holdout_since_ms', now - elapsed, 'holdout_elapsed_ms', ARGV[6], 'survivors', survivors)
        record(now, 'holdout', fields[3], run, 'section', ARGV[4], 'checkpoint', ARGV[5], 'elapsed_ms', elapsed,
          'survivors', survivors)
        publish_event('holdout', fields[3], run, fields[1], now, tonumber(fields[4] or ''), {
          section = ARGV[4] ~= '' and ARGV[4] or nil, checkpoint = ARGV[5] ~= '' and ARGV[5] or nil, elapsed_ms = elapsed,
          survivors = survivors ~= '' and survivors or nil })
        return 'OK'
        """
    )

    /// Records what a run tells of itself. Repeating it changes nothing.
    ///
    /// Arguments: run, instance, `checkpoint` and its text, or `more_time` and how many ms. Replies `OK`, `ended` or
    /// `replaced`.
    static let note = script(
        "note",
        using: [history],
        least: 5,
        """
        local run, kind, value = ARGV[2], ARGV[4], ARGV[5]
        local field = kind == 'more_time' and 'more_time_ms' or kind
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance', 'job', 'stage', field)
        if not fields[1] or is_end[fields[1]] then return 'ended' end
        if fields[2] ~= ARGV[3] then return 'replaced' end
        if fields[5] == value then return 'OK' end
        redis.call('HSET', \(key.run) .. run, field, value)
        local now = now_ms()
        record(now, kind, fields[3], run, field, value)
        publish_event(kind, fields[3], run, fields[1], now, tonumber(fields[4] or ''), {
          [field] = kind == 'more_time' and tonumber(value) or value })
        return 'OK'
        """
    )

    /// Adds to the tail of a run's output. What an ended run has written stands before its end already; of one that is
    /// not on record nothing is kept, for nobody would ever delete it.
    ///
    /// Arguments: run, instance, then of each piece its entry's id, the lowest id to keep, stream, offset and data.
    /// Replies `OK`, `ended` or `replaced`.
    static let append = script(
        "append",
        using: [],
        least: 3,
        """
        local run = ARGV[2]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance')
        if not fields[1] or is_end[fields[1]] then return 'ended' end
        if fields[2] ~= ARGV[3] then return 'replaced' end
        for i = 4, #ARGV - 4, 5 do
          redis.call('XADD', \(key.output) .. run, 'MINID', '~', ARGV[i + 1], ARGV[i], 'stream', ARGV[i + 2],
            'offset', ARGV[i + 3], 'data', ARGV[i + 4])
        end
        return 'OK'
        """
    )

    /// Records how a run ended, and has the job tried again where that was asked for: after an end by an exit status or a
    /// Unix signal, or a loss. Repeating it changes nothing.
    ///
    /// Arguments: run, instance, state, exit code, Unix signal, core dumped, late interrupt, error, retention in
    /// seconds, kills for want of memory, bytes of output, file of the output, last line of output, first byte of output that is
    /// kept, what went wrong with its hooks, how long ago in ms it ended, the id of a next run, a random number below 1000.
    /// Replies `OK` or `replaced`.
    static let end = script(
        "end",
        using: [history, instants, flags, requests, pauses, endings, retries],
        least: 10,
        """
        local run, instance, state = ARGV[2], ARGV[3], ARGV[4]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'instance', 'started_at_ms', 'acknowledged_at_ms')
        local old, job = fields[1], fields[2]
        if not is_end[state] then return redis.error_reply('ERR ' .. state .. ' is not an end') end
        if not string.find(ARGV[10], '^[1-9]%d*$') or #ARGV[10] > 10 then
          return redis.error_reply('ERR end: its retention is no number of seconds')
        end
        if not old or is_end[old] then return 'OK' end
        if fields[3] ~= instance then return 'replaced' end
        local now = happened_ms(ARGV[17], fields[5] or fields[4])
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
        if (ARGV[11] or '') ~= '' then set('oom', '1'); set('oom_kills', ARGV[11]) end
        set('output_bytes', ARGV[12] or ''); set('output_file', ARGV[13] or '')
        set('last_output', ARGV[14] or ''); set('output_kept_from', ARGV[15] or '')
        set('hook_error', ARGV[16] or '')
        -- Nothing is called stopped that has not ended cleanly.
        if state == 'interrupted' and ARGV[9] == '' then set('confirmed_at_ms', now) end
        redis.call('HSET', \(key.run) .. run, unpack(changes))
        end_pause(run, old, now)
        local retention = tonumber(ARGV[10])
        local next_run
        if state == 'lost' or (state == 'failed' and ARGV[9] == '') then
          next_run = retry(job, run, now_ms(), ARGV[18], ARGV[19])
        end
        finish_run(job, run, state, now, retention, next_run)
        -- A long tail is for those who read along; memory is not held for it as long as for a record.
        if (tonumber(ARGV[12]) or 0) > 1048576 then redis.call('EXPIRE', \(key.output) .. run, math.min(retention, 3600)) end
        return 'OK'
        """
    )
}
