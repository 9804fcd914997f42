/// What scripts share that end a run, and maybe have its job tried again.
extension RedisScripts {
    /// Ending a run. Uses `history` and `flags`.
    static let endings = """
        -- Takes an ended run out of every index. An ended run stays readable for the retention time. With a next run of
        -- the job, that has the flag.
        local function finish_run(job, run, state, now, retention, next_run)
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
          if not next_run then drop_flag(job, run, now) end
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
          add('last_output', fields[13]); add('handler', fields[14]); add('next_run', next_run)
          local requested = tonumber(fields[10] or '')
          if requested then add('latency_ms', now - requested) end
          record(now, 'ended', job, run, unpack(more))
          publish_event('ended', job, run, state, now)
        end

        """

    /// Trying a job again. Uses `history`.
    static let retries = """
        -- What a submission says of a run, and the next one repeats.
        local submitted = {'queue', 'groups', 'command', 'cwd', 'submitted_by', 'timeout_ms', 'handler', 'input',
          'retries', 'max_memory_bytes', 'max_cpu_ms', 'max_processes', 'max_output_bytes', 'on_interrupt', 'on_end',
          'hook_limit_ms', 'charge_paused', 'grace_ms', 'grace_of_worker', 'first_run', 'signature', 'expires_at_ms'}

        -- Has the job tried again after this run of it, which is about to end: as a run with the id `next_run`, which waits
        -- for half a second to a second, twice as long each time, half a minute to a minute at most. Replies its id, or nil
        -- when it is not to be tried again. Nobody tries again what somebody has interrupted.
        local function retry(job, run, now, next_run, random)
          local fields = redis.call('HMGET', \(key.run) .. run, 'attempt', unpack(submitted))
          local attempt, limit = tonumber(fields[1] or '') or 1, tonumber(fields[10] or '') or 0
          if attempt > limit or (next_run or '') == '' then return nil end
          -- What was signed is good under these ids only.
          if fields[22] then next_run = (fields[21] or run) .. '.' .. attempt + 1 end
          if redis.call('EXISTS', \(key.request) .. run) == 1 or redis.call('EXISTS', \(key.run) .. next_run) == 1
            or redis.call('HGET', \(key.job) .. job, 'run') ~= run then return nil end
          local delay = math.floor(math.min(1000 * 2 ^ (attempt - 1), 60000) * (500 + (tonumber(random) or 0) / 2) / 1000)
          redis.call('HSET', \(key.run) .. next_run, 'v', 1, 'job', job, 'run', next_run, 'attempt', attempt,
            'state', 'queued', 'previous_run', run, 'submitted_at_ms', now, 'due_at_ms', now + delay)
          for i, name in ipairs(submitted) do
            if fields[i + 1] then redis.call('HSET', \(key.run) .. next_run, name, fields[i + 1]) end
          end
          -- The grace period of the one worker is not the other's.
          if fields[20] == '1' then redis.call('HDEL', \(key.run) .. next_run, 'grace_ms', 'grace_of_worker') end
          redis.call('HSETNX', \(key.run) .. next_run, 'first_run', run)
          redis.call('HSET', \(key.run) .. run, 'next_run', next_run)
          redis.call('HSET', \(key.job) .. job, 'run', next_run)
          if redis.call('EXISTS', \(key.env) .. run) == 1 then redis.call('RENAME', \(key.env) .. run, \(key.env) .. next_run) end
          redis.call('ZADD', \(key.live), now, next_run)
          for group in string.gmatch(fields[3] or '', '%S+') do redis.call('SADD', \(key.group) .. group, next_run) end
          redis.call('ZADD', \(key.delayed), now + delay, next_run)
          record(now, 'retried', job, next_run, 'previous_run', run, 'attempt', attempt + 1, 'delay_ms', delay)
          publish_event('retried', job, next_run, 'queued', now, nil, { previous_run = run })
          return next_run
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
          redis.call('ZREM', \(key.delayed), run)
          finish_run(job, run, 'interrupted', now, 604800)
          return 'interrupted'
        end

        """
}
