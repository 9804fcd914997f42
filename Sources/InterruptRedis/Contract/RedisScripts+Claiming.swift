/// The scripts by which an offered run becomes a worker's, or goes back.
extension RedisScripts {
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
        local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'groups', 'instance', 'pid', 'grace_ms',
          'entry')
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
        -- Given back meanwhile, it is another offer.
        if state ~= 'queued' or (fields[7] and fields[7] ~= entry) then
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
    /// boot or three times "". Replies the runs that had to be claimed, those of all that have no end on record and are
    /// this instance's, and those of these that are paused.
    static let claimAgain = script(
        "claim_again",
        using: [history, claims],
        least: 3,
        """
        local worker, instance, claimed, own, paused = ARGV[2], ARGV[3], {}, {}, {}
        for i = 4, #ARGV - 6, 7 do
          if not string.find(ARGV[i + 2], '^%d+%-%d+$') or not string.find(ARGV[i + 3], '^%d+$') then
            return redis.error_reply('ERR claim_again: an entry or a grace period is none')
          end
        end
        local now = now_ms()
        for i = 4, #ARGV - 6, 7 do
          local run, queue, grace, pid = ARGV[i], ARGV[i + 1], ARGV[i + 3], ARGV[i + 4]
          local fields = redis.call('HMGET', \(key.run) .. run, 'state', 'job', 'entry', 'grace_ms', 'retries', 'instance')
          if fields[1] == 'queued' and fields[2] then
            local own_grace = fields[4] and fields[4] ~= '' and fields[4]
            if fields[3] then redis.call('XDEL', \(key.queue) .. queue, fields[3]) end
            redis.call('ZREM', \(key.delayed), run)
            claim(run, fields[2], queue, ARGV[i + 2], worker, instance, own_grace or grace, own_grace, now)
            if pid ~= '' then
              redis.call('HSET', \(key.run) .. run, 'pid', pid, 'pid_start', ARGV[i + 5], 'boot', ARGV[i + 6])
              if (tonumber(fields[5] or '') or 0) == 0 then redis.call('DEL', \(key.env) .. run) end
            end
            claimed[#claimed + 1] = run
            own[#own + 1] = run
          elseif fields[1] and not is_end[fields[1]] and fields[6] == instance then
            own[#own + 1] = run
            if fields[1] == 'paused' then paused[#paused + 1] = run end
          end
        end
        return {claimed, own, paused}
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
}
