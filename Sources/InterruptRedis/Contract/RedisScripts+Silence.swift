/// The scripts of those who watch over other workers: what is due, who is silent, what may be taken over.
extension RedisScripts {
    /// Puts into their queues the runs whose time has come, and tells of all workers how often they have given a sign of life.
    ///
    /// Arguments: none. Replies `{ms until the next run is due or -1, {worker, instance, heartbeat, lease in ms}, …}`.
    static let survey = script(
        "survey",
        using: [],
        least: 1,
        """
        local now = now_ms()
        for _, run in ipairs(redis.call('ZRANGEBYSCORE', \(key.delayed), '-inf', now, 'LIMIT', 0, 100)) do
          redis.call('ZREM', \(key.delayed), run)
          local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'queue', 'entry')
          if fields[1] == 'queued' and not fields[3] then
            redis.call('HSET', \(key.run) .. run, 'entry', redis.call('XADD', \(key.queue) .. fields[2], '*', 'run', run))
          end
        end
        local first = redis.call('ZRANGE', \(key.delayed), 0, 0, 'WITHSCORES')
        local reply = {first[2] and math.max(0, first[2] - now) or -1}
        for _, worker in ipairs(redis.call('SMEMBERS', \(key.workers))) do
          local fields = redis.call('HMGET', \(key.worker) .. worker, 'instance', 'heartbeat', 'lease_ms')
          if fields[1] then
            reply[#reply + 1] = {worker, fields[1], fields[2] or '0', fields[3] or '0'}
          end
        end
        return reply
        """
    )

    /// Puts on record that a worker is silent. It changes no state. Only while its last sign of life is the one that is
    /// named.
    ///
    /// Arguments: worker, instance, heartbeat, who has observed it. Replies `{'heard'}` when there was a newer sign of life,
    /// else `{'silent', {run, …}}` with the runs that may be taken over: those that are leased.
    static let markSilent = script(
        "mark_silent",
        using: [history],
        least: 5,
        """
        local name, worker = ARGV[2], \(key.worker) .. ARGV[2]
        local fields = redis.call('HMGET', worker, 'instance', 'heartbeat', 'seen_at_ms')
        if fields[1] ~= ARGV[3] or fields[2] ~= ARGV[4] then return {'heard'} end
        local now, since, leased = now_ms(), fields[3] or now_ms(), {}
        local is_new = redis.call('HSETNX', worker, 'silent_since_ms', since) == 1
        for _, run in ipairs(redis.call('SMEMBERS', \(key.holds) .. name)) do
          local fields = redis.call('HMGET', \(key.run) .. run, 'retries', 'handler', 'job', 'state')
          if redis.call('HSETNX', \(key.run) .. run, 'silent_since_ms', since) == 1 then
            publish_event('silent', fields[3], run, fields[4], now)
          end
          if (tonumber(fields[1] or '') or 0) > 0 and (fields[2] or '') == '' then leased[#leased + 1] = run end
        end
        if is_new then record(now, 'worker_silent', '', '', 'worker', name, 'silent_since_ms', since, 'observer', ARGV[5]) end
        return {'silent', leased}
        """
    )

    /// Takes a leased run over from a worker that is silent: its fence has ended it there. Only while the worker's last sign
    /// of life is the one that is named.
    ///
    /// Arguments: worker, instance, heartbeat, run, who takes it over, retention in seconds, the id of a next run, a random
    /// number below 1000. Replies `heard`, `OK`, or `ended` when it is none that may be taken over.
    static let takeOver = script(
        "take_over",
        using: [history, flags, pauses, endings, retries],
        least: 9,
        """
        if not string.find(ARGV[7], '^[1-9]%d*$') or #ARGV[7] > 10 then
          return redis.error_reply('ERR take_over: its retention is no number of seconds')
        end
        local worker, run = ARGV[2], ARGV[5]
        local holder = redis.call('HMGET', \(key.worker) .. worker, 'instance', 'heartbeat')
        if holder[1] ~= ARGV[3] or holder[2] ~= ARGV[4] then return 'heard' end
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'worker', 'retries', 'handler')
        if not fields[1] or is_end[fields[1]] or fields[3] ~= worker or (tonumber(fields[4] or '') or 0) == 0
          or (fields[5] or '') ~= '' then return 'ended' end
        local now = now_ms()
        redis.call('HSET', \(key.run) .. run, 'state', 'lost', 'ended_at_ms', now,
          'error', "worker '" .. worker .. "' was silent for longer than its lease; taken over by '" .. ARGV[6] .. "'")
        end_pause(run, fields[1], now)
        local next_run = retry(fields[2], run, now, ARGV[8], ARGV[9])
        finish_run(fields[2], run, 'lost', now, tonumber(ARGV[7]), next_run)
        return 'OK'
        """
    )

    /// Ends a run because somebody has decided that it is gone. Not while its worker was heard of within its lease.
    ///
    /// Arguments: run, who, retention in seconds. Replies `{'forgotten', job, worker}`, `{'heard', job, worker, ms since
    /// then}`, `{'queued', job}`, `{'ended', job, state}` or `{'missing'}`.
    static let forget = script(
        "forget",
        using: [history, flags, pauses, endings],
        least: 4,
        """
        if not string.find(ARGV[4], '^[1-9]%d*$') or #ARGV[4] > 10 then
          return redis.error_reply('ERR forget: its retention is no number of seconds')
        end
        local run, who = ARGV[2], ARGV[3]
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'worker', 'instance')
        local state, job, worker = fields[1], fields[2], fields[3] or ''
        if not state then return {'missing'} end
        if is_end[state] then return {'ended', job, state} end
        if state == 'queued' then return {'queued', job} end
        local now = now_ms()
        local holder = redis.call('HMGET', \(key.worker) .. worker, 'instance', 'seen_at_ms', 'lease_ms')
        if holder[1] == fields[4] then
          local since = now - (tonumber(holder[2] or '') or 0)
          if since <= (tonumber(holder[3] or '') or 0) then return {'heard', job, worker, tostring(since)} end
          -- Should it come back, it is told which runs it still has.
          redis.call('HSETNX', \(key.worker) .. worker, 'silent_since_ms', holder[2] or now)
        end
        redis.call('HSET', \(key.run) .. run, 'state', 'lost', 'ended_at_ms', now,
          'error', 'given up by ' .. (who ~= '' and who or 'somebody') .. ': nobody has seen it end')
        end_pause(run, state, now)
        finish_run(job, run, 'lost', now, tonumber(ARGV[4]))
        return {'forgotten', job, worker}
        """
    )
}
