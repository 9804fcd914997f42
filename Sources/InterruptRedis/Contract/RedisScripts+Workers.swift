/// The scripts of a worker's own life.
extension RedisScripts {
    /// Takes a worker's name for an instance. The name of one that is silent and holds nothing any more is free.
    ///
    /// Arguments: worker, instance, the instance that is known to be dead or "", then names and values of the fields.
    /// Replies `{'entered', earlier instance or '', {{run, boot, pid, start, handler}, …}}` with the runs that the name still
    /// holds, or `{'in_use', fields of the holder}`.
    static let enter = script(
        "enter",
        using: [history],
        least: 4,
        """
        local worker, instance, dead = ARGV[2], ARGV[3], ARGV[4]
        local fields = redis.call('HMGET', \(key.worker) .. worker, 'instance', 'silent_since_ms')
        local holder = fields[1]
        if holder and holder ~= instance and holder ~= dead
          and not (fields[2] and redis.call('EXISTS', \(key.holds) .. worker) == 0) then
          return {'in_use', redis.call('HGETALL', \(key.worker) .. worker)}
        end
        local now = now_ms()
        if holder ~= instance then redis.call('DEL', \(key.worker) .. worker) end
        redis.call('HSET', \(key.meta), 'v', 1)
        redis.call('HSET', \(key.worker) .. worker, 'instance', instance, 'started_at_ms', now, 'seen_at_ms', now,
          'heartbeat', 0, 'running', 0)
        for i = 5, #ARGV - 1, 2 do redis.call('HSET', \(key.worker) .. worker, ARGV[i], ARGV[i + 1]) end
        redis.call('SADD', \(key.workers), worker)
        if holder ~= instance then record(now, 'worker_started', '', '', 'worker', worker) end
        local left = {}
        for _, run in ipairs(redis.call('SMEMBERS', \(key.holds) .. worker)) do
          local fields = redis.call('HMGET', \(key.run) .. run, 'instance', 'boot', 'pid', 'pid_start', 'handler')
          if fields[1] ~= instance then
            left[#left + 1] = {run, fields[2] or '', fields[3] or '', fields[4] or '', fields[5] or ''}
          end
        end
        return {'entered', holder or '', left}
        """
    )

    /// Counts a heartbeat. Arguments: worker, instance, number of runs, number of malformed signals, number of refused
    /// requests, 1 from a worker that has had no answer to the last one, the instance that it has replaced, how often it has
    /// lost the server, and number of refused submissions. Replies `OK`, `replaced`, `unknown` when the server has forgotten
    /// the worker or knows the earlier instance only, or `{'holds', run, …}` with the runs that it still holds to one that
    /// asks, or that had been taken for silent.
    static let heartbeat = script(
        "heartbeat",
        using: [history],
        least: 5,
        """
        local worker = \(key.worker) .. ARGV[2]
        local fields = redis.call('HMGET', worker, 'instance', 'silent_since_ms')
        if not fields[1] then return 'unknown' end
        if fields[1] ~= ARGV[3] then return fields[1] == ARGV[8] and 'unknown' or 'replaced' end
        local now = now_ms()
        redis.call('HINCRBY', worker, 'heartbeat', 1)
        redis.call('HSET', worker, 'seen_at_ms', now, 'running', ARGV[4], 'malformed', ARGV[5],
          'refused_requests', ARGV[6] or 0, 'refused_submissions', ARGV[10] or 0, 'outages', ARGV[9] or 0)
        if not fields[2] and ARGV[7] ~= '1' then return 'OK' end
        local reply = {'holds'}
        for _, run in ipairs(redis.call('SMEMBERS', \(key.holds) .. ARGV[2])) do
          redis.call('HDEL', \(key.run) .. run, 'silent_since_ms')
          reply[#reply + 1] = run
        end
        if fields[2] then
          redis.call('HDEL', worker, 'silent_since_ms')
          record(now, 'worker_back', '', '', 'worker', ARGV[2], 'silent_since_ms', fields[2])
        end
        return reply
        """
    )

    /// Gives a worker's name back. Arguments: worker, instance. Replies `OK`, `replaced`, or `holding` while it has a run
    /// whose end is not on record: then it stays on the list, and is found silent.
    static let leave = script(
        "leave",
        using: [history],
        least: 3,
        """
        if redis.call('HGET', \(key.worker) .. ARGV[2], 'instance') ~= ARGV[3] then return 'replaced' end
        for _, run in ipairs(redis.call('SMEMBERS', \(key.holds) .. ARGV[2])) do
          local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'instance')
          if fields[1] and not is_end[fields[1]] and fields[2] == ARGV[3] then return 'holding' end
        end
        redis.call('DEL', \(key.worker) .. ARGV[2])
        redis.call('SREM', \(key.workers), ARGV[2])
        record(now_ms(), 'worker_left', '', '', 'worker', ARGV[2])
        return 'OK'
        """
    )

    /// Marks a run of an earlier instance as lost, and has its job tried again where that was asked for.
    ///
    /// Arguments: run, this instance, why, retention in seconds, the id of a next run, a random number below 1000. Replies
    /// `OK` or `replaced`.
    static let lose = script(
        "lose",
        using: [history, flags, pauses, endings, retries],
        least: 5,
        """
        local run = ARGV[2]
        if not string.find(ARGV[5], '^[1-9]%d*$') or #ARGV[5] > 10 then
          return redis.error_reply('ERR lose: its retention is no number of seconds')
        end
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'instance', 'worker')
        if not fields[4] or is_end[fields[1]] or fields[3] == ARGV[3] then return 'OK' end
        if redis.call('HGET', \(key.worker) .. fields[4], 'instance') ~= ARGV[3] then return 'replaced' end
        local now = now_ms()
        redis.call('HSET', \(key.run) .. run, 'state', 'lost', 'ended_at_ms', now, 'error', ARGV[4])
        end_pause(run, fields[1], now)
        local next_run = retry(fields[2], run, now, ARGV[6], ARGV[7])
        finish_run(fields[2], run, 'lost', now, tonumber(ARGV[5]), next_run)
        return 'OK'
        """
    )
}
