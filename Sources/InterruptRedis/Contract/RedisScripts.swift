import InterruptJSON

/// The scripts, one atomic step each.
///
/// Rules that all of them follow. Redis does not roll back, so a script checks everything first, then writes the
/// record, and publishes after that, in `pcall`. A reply always says whether the request is recorded. JSON from
/// elsewhere never gets here: what `cjson` decodes is a record, and one of another shape counts as none. At most 100
/// runs a script. `KEYS[1]` is a key that every script writes: the history. In a namespace with a newer contract every
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

    /// Claims an offered run: the only step from queued to running. Until a process is on record, the instance that
    /// claimed the run may ask again and is told the same: a reply may be lost.
    ///
    /// Arguments: run, queue, entry, worker, instance, and the grace period in ms of a run that names none.
    /// Replies `{'started', run fields, environment, {flag target, value, …}}`, `{'gone'}`, `{'held', target}` when the
    /// worker itself is behind a gate, or a target is paused (the run goes back: another worker may have it, or it starts
    /// later), or `{'replaced'}`.
    static let start = script(
        "start",
        using: [history, flags, gates, claims, offers, requests, endings, unstarted],
        least: 7,
        """
        local run, queue, entry, worker, instance, grace = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
        -- A server that has forgotten the worker is no other instance; the next heartbeat enters again.
        local holder = redis.call('HGET', \(key.worker) .. worker, 'instance')
        if holder and holder ~= instance then return {'replaced'} end
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'groups', 'instance', 'pid', 'grace_ms')
        local state, job, groups = fields[1], fields[2], fields[3] or ''
        if fields[6] and fields[6] ~= '' then grace = fields[6] end
        local function started()
          local flags = {}
          local function look(target)
            local value = flag_value(target)
            if value then flags[#flags + 1] = target; flags[#flags + 1] = value end
          end
          look(job)
          for group in string.gmatch(groups, '%S+') do look('group:' .. group) end
          look('queue:' .. queue); look('worker:' .. worker); look('all')
          return {'started', redis.call('HGETALL', \(key.run) .. run), redis.call('HGETALL', \(key.env) .. run), flags}
        end
        if state == 'running' and fields[4] == instance and not fields[5] then return started() end
        if state ~= 'queued' then
          redis.call('XACK', \(key.queue) .. queue, 'workers', entry)
          redis.call('XDEL', \(key.queue) .. queue, entry)
          return {'gone'}
        end
        local now = now_ms()
        local request = stored_request(run)
        if not request and closed_gate_of('worker:' .. worker) then
          put_back(queue, run, entry)
          return {'held', 'worker:' .. worker}
        end
        local gate = closed_gate(queue, groups)
        if request or gate then
          if not request then
            -- A gate whose fields are no request's is closed all the same.
            local id, at = utf8_text(string.sub(gate[6], 1, 128)), tonumber(gate[5])
            if id == '' then id = 'gate' end
            request = { v = 1, run = run, job = job, request_id = id, target = gate[2],
              stage = math.max(1, math.min(3, math.floor(tonumber(gate[3])))), reason = utf8_text(gate[7]),
              message = utf8_text(gate[8]), triggered_by = utf8_text(gate[4]),
              triggered_at_ms = is_whole(at, 0, 1e14) and at or now, save_checkpoint = true, source = 'remote', seen = {id} }
            redis.call('SET', \(key.request) .. run, cjson.encode(request))
            record(now, 'requested', job, run, 'request_id', id, 'target', gate[2], 'stage', request.stage,
              'reason', gate[7], 'message', gate[8], 'triggered_by', gate[4], 'source', 'remote')
            publish_event('requested', job, run, state, now, request.stage)
          end
          redis.call('XACK', \(key.queue) .. queue, 'workers', entry)
          redis.call('XDEL', \(key.queue) .. queue, entry)
          end_queued(job, run, request, now)
          return {'gone'}
        end
        local paused = paused_target(queue, groups, worker)
        if paused then
          put_back(queue, run, entry)
          return {'held', paused}
        end

        claim(run, job, queue, entry, worker, instance, grace, grace == fields[6], now)
        return started()
        """
    )

    /// Claims runs once more that a worker has processes of, should the server have forgotten it: one that has taken the
    /// place of another may not have got the claim. A gate or an interrupt that it has on record does not count here: the run
    /// was started, and is told of them as any other.
    ///
    /// Arguments: worker, instance, then of each run: run, queue, entry, grace period in ms, and process, its start and its
    /// boot or three times "". Replies the runs that had to be claimed.
    static let claimAgain = script(
        "claim_again",
        using: [history, claims],
        least: 3,
        """
        local worker, instance, claimed = ARGV[2], ARGV[3], {}
        for i = 4, #ARGV - 6, 7 do
          if not string.find(ARGV[i + 2], '^%d+%-%d+$') or not string.find(ARGV[i + 3], '^%d+$') then
            return redis.error_reply('ERR claim_again: an entry or a grace period is none')
          end
        end
        local now = now_ms()
        for i = 4, #ARGV - 6, 7 do
          local run, queue, grace, pid = ARGV[i], ARGV[i + 1], ARGV[i + 3], ARGV[i + 4]
          local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'entry', 'grace_ms', 'retries')
          if fields[1] == 'queued' and fields[2] then
            local own = fields[4] and fields[4] ~= '' and fields[4]
            if fields[3] then redis.call('XDEL', \(key.queue) .. queue, fields[3]) end
            redis.call('ZREM', \(key.delayed), run)
            claim(run, fields[2], queue, ARGV[i + 2], worker, instance, own or grace, own, now)
            if pid ~= '' then
              redis.call('HSET', \(key.run) .. run, 'pid', pid, 'pid_start', ARGV[i + 5], 'boot', ARGV[i + 6])
              if (tonumber(fields[5] or '') or 0) == 0 then redis.call('DEL', \(key.env) .. run) end
            end
            claimed[#claimed + 1] = run
          end
        end
        return claimed
        """
    )

    /// Puts offers that a worker will not start back to the end of their queue.
    ///
    /// Arguments: queue, then run and entry of each.
    static let giveBack = script(
        "give_back",
        using: [offers],
        least: 2,
        """
        local queue = ARGV[2]
        for i = 3, #ARGV - 1, 2 do put_back(queue, ARGV[i], ARGV[i + 1]) end
        return redis.status_reply('OK')
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
