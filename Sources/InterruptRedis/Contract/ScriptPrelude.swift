import InterruptJSON

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
          local function add(call, ...)
            return call('XADD', \(key.history), 'MAXLEN', '~', 100000, '*', 'at_ms', now, 'event', event, 'job', job,
              'run', run, ...)
          end
          local reply = add(redis.pcall, ...)
          if type(reply) ~= 'table' or not reply.err then return end
          if not string.find(reply.err, 'WRONGTYPE', 1, true) then add(redis.call, ...) end
          -- A role may write the key without being trusted: what is no history must not end a script half-way.
          redis.pcall('DEL', \(key.history))
          add(redis.pcall, ...)
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
        -- A flag is anyone's to write: what is no string is no flag, and must not end a script half-way. What is too long
        -- for one goes nowhere.
        local function flag_value(target)
          local value = redis.pcall('GET', \(key.flag) .. target)
          return type(value) == 'string' and #value <= \(SignalMessage.maximumFlagSize) and value
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

    /// Claiming a run. Uses `history`.
    static let claims = """
        local function claim(run, job, queue, entry, worker, instance, grace, is_graces_own, now)
          redis.call('XACK', \(key.queue) .. queue, 'workers', entry)
          redis.call('XDEL', \(key.queue) .. queue, entry)
          redis.call('HINCRBY', \(key.run) .. run, 'attempt', 1)
          redis.call('HSET', \(key.run) .. run, 'state', 'running', 'worker', worker, 'instance', instance,
            'started_at_ms', now, 'grace_ms', grace)
          if not is_graces_own then redis.call('HSET', \(key.run) .. run, 'grace_of_worker', 1) end
          redis.call('HDEL', \(key.run) .. run, 'entry', 'due_at_ms')
          redis.call('SADD', \(key.holds) .. worker, run)
          record(now, 'started', job, run, 'worker', worker)
          publish_event('started', job, run, 'running', now)
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
}
