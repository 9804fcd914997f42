extension RedisScripts {
    /// A script with what all of them begin with, and the parts that it uses, in the order below: a script pays for
    /// every function that it makes, used or not.
    ///
    /// - Parameter least: how many arguments there have to be; with less of them it would end half-way.
    static func script(_ name: String, using parts: [String], least: Int, _ body: String) -> RedisScript {
        let count = "if #ARGV < \(least) then return redis.error_reply('ERR \(name): it has too few arguments') end\n"
        return RedisScript(name: name, source: ([refusal, count] + parts + [body]).joined())
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
          local ok, text = pcall(cjson.encode, message)
          if ok then redis.pcall('PUBLISH', \(key.events), text) end
        end

        """

    /// When it happened what a worker writes late. Uses no other part.
    static let instants = """
        -- So many ms ago by the worker's clock, which may have been set since: not before what came before it.
        local function happened_ms(ago, earliest)
          return math.max(now_ms() - math.max(tonumber(ago or '') or 0, 0), tonumber(earliest or '') or 0)
        end

        """

    /// Failing on a replica also where nothing would be written: what it knows may be old, and `missing` or `known` wrong.
    /// The write is one that does nothing, as no run has an empty id. It must be of the kind that a full server refuses: after
    /// a first write a server lets a script finish, whatever its memory.
    static let primaryOnly = """
        local probe = redis.pcall('SET', \(key.request), '', 'XX')
        if type(probe) == 'table' and string.find(probe.err or '', 'READONLY', 1, true) then
          redis.call('SET', \(key.request), '', 'XX')
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
        -- JSON is UTF-8: with other bytes in it nobody reads the record any more.
        local function utf8_text(text)
          if not string.find(text, '[\\128-\\255]') then return text end
          local rest = text
          for _, sequence in ipairs({ '[\\194-\\223][\\128-\\191]', '\\224[\\160-\\191][\\128-\\191]',
            '[\\225-\\236\\238\\239][\\128-\\191][\\128-\\191]', '\\237[\\128-\\159][\\128-\\191]',
            '\\240[\\144-\\191][\\128-\\191][\\128-\\191]', '[\\241-\\243][\\128-\\191][\\128-\\191][\\128-\\191]',
            '\\244[\\128-\\143][\\128-\\191][\\128-\\191]' }) do
            rest = string.gsub(rest, sequence, ' ')
          end
          if not string.find(rest, '[\\128-\\255]') then return text end
          return (string.gsub(text, '[\\128-\\255]', '?'))
        end

        local function is_whole(number, least, most)
          return type(number) == 'number' and number >= least and number <= most and number == math.floor(number)
        end

        local function read_signal(first)
          local id, stage, grace = ARGV[first], tonumber(ARGV[first + 2]), tonumber(ARGV[first + 7])
          if stage ~= 1 and stage ~= 2 and stage ~= 3 then error('stage ' .. ARGV[first + 2] .. ' is not 1, 2 or 3') end
          if id == '' or #id > 128 then error('the request id has ' .. #id .. ' bytes, allowed are 1 to 128') end
          -- What is too long would make a record that nobody reads any more.
          local function optional(i)
            if #ARGV[i] > 8192 then return '(too long, left out)' end
            if ARGV[i] ~= '' then return utf8_text(ARGV[i]) end
          end
          return { v = 1, request_id = utf8_text(id), target = optional(first + 1), stage = stage,
            reason = optional(first + 3) or '', message = optional(first + 4), triggered_by = optional(first + 5),
            save_checkpoint = ARGV[first + 6] ~= '0', source = optional(first + 8) or '',
            grace_ms = grace and grace >= 0 and math.floor(math.min(grace, 315360000000)) or nil }
        end

        -- The record and its text. One with another shape than ours counts as none: a role may write the key without
        -- being trusted.
        local function stored_request(run)
          local text = redis.call('GET', \(key.request) .. run)
          if not text or #text > 524288 or utf8_text(text) ~= text then return nil end
          local ok, request = pcall(cjson.decode, text)
          if not ok or type(request) ~= 'table' then return nil end
          local function is(name, wanted, or_missing)
            return type(request[name]) == wanted or (or_missing and request[name] == nil)
          end
          if is_whole(request.stage, 1, 3) and is('request_id', 'string') and request.request_id ~= ''
            and #request.request_id <= 128 and is('reason', 'string') and is_whole(request.triggered_at_ms, 0, 1e14)
            and is('message', 'string', true) and is('triggered_by', 'string', true) and is('target', 'string', true)
            and is('run', 'string', true) and is('job', 'string', true) and is('source', 'string', true)
            and is('save_checkpoint', 'boolean', true) and request.probe == nil
            and is('seen', 'table', true) and is('escalated_by', 'table', true) and is('signed', 'table', true)
            and (request.v == nil or is_whole(request.v, 0, 1))
            and (request.grace_ms == nil or is_whole(request.grace_ms, 0, 315360000000))
            -- It may have more than that, in numbers that are none.
            and pcall(cjson.encode, request) then
            return request, text
          end
        end

        local function has_seen(request, id)
          for _, seen in ipairs(request.seen or {}) do if seen == id then return true end end
          return request.request_id == id
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
            if has_seen(request, signal.request_id) then
              if keep_signed(request, signal) then
                text = cjson.encode(request)
                redis.call('SET', \(key.request) .. run, text)
              end
              return 'known', request, text, earlier
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
