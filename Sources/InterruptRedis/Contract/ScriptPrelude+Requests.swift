/// What scripts share that read or write the record of an interrupt.
extension RedisScripts {
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
          local text = redis.pcall('GET', \(key.request) .. run)
          if type(text) ~= 'string' or #text > 524288 or utf8_text(text) ~= text then return nil end
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
            request.run, request.job = utf8_text(run), utf8_text(job)
            request.triggered_at_ms, request.seen = now, {signal.request_id}
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
}
