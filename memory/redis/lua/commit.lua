-- commit puts one step of a run into effect, all or nothing.
--
-- KEYS  1 run  2 log  3 snap  4 asks  5 runs  6 inbox  7 erased  8 agents
--       9 want  10 suspects: of the agent that the run has after the step
--       11 want  12 suspects: of the agent that it had before, if that is another
-- ARGV  1 the run's id
--       2 number and 3 id of the last record that the step was decided on; 0 and '' create the run
--       4 the claim, or ''   5 PUBLISH or SPUBLISH   6 channel of news   7 channel of the run
--       8 agent  9 status  10 title  11 reason  12 wake-up time, or ''
--       13 the run that started it as a delegate, or ''
--       14 '1' if the step clears the strikes   15 the snapshot, or ''
--       16 number of records  17 of opened asks  18 of closed asks
--       19 time of the first and 20 of the last record, 21 id of the last record
--       22 '1' if the caller waits for replicas or the disk, which follow a write
--       then the records; then for each opened ask its id, score and value; then the ids of closed asks
-- Returns {now, 'ok'}; or, with nothing changed, {now, 'done'} (the records are there
--       already), {now, 'conflict', seq, id}, {now, 'lost'}, {now, 'erased'},
--       {now, 'agent', name} (KEYS 11 and 12 must be those of this agent),
--       {now, 'corrupt', what}; or {now, 'done, and not waited for', why}.
local run, log, asks = KEYS[1], KEYS[2], KEYS[4]
local id, base_seq, base_id, claim = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local agent, wake = ARGV[8], ARGV[12]
local records, opened, closed = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local first = 23
local now = clock()
local reply = int(now)

local h = redis.call('HMGET', run, 'seq', 'id', 'token', 'agent', 'strikes', 'title', 'reason', 'wake', 'parent')
local seq, token = tonumber(h[1] or 0), h[3]
if not h[1] then
  if redis.call('SISMEMBER', KEYS[7], id) == 1 then return {reply, 'erased'} end
  if h[3] or h[4] or redis.call('EXISTS', log) == 1 then return {reply, 'corrupt', 'its entry has no number of records'} end
elseif not seq then
  return {reply, 'corrupt', 'its entry says that it has ' .. h[1] .. ' records'}
end
if seq ~= base_seq or (h[2] or '') ~= base_id then
  if records > 0 and seq >= base_seq + records then
    local there = redis.call('LRANGE', log, base_seq, base_seq + records - 1)
    local own = #there == records
    for i = 1, #there do
      own = own and string.match(there[i], '^%S+') == string.match(ARGV[first + i - 1], '^%S+')
    end
    if own then
      if ARGV[22] == '1' then
        local wrote = redis.pcall('HSET', run, 'seq', int(seq))
        if type(wrote) == 'table' then return {reply, 'done, and not waited for', wrote.err} end
      end
      return {reply, 'done'}
    end
  end
  local last = string.match(redis.call('LINDEX', log, -1) or '', '^%S+')
  if redis.call('LLEN', log) ~= seq or (last or '') ~= (h[2] or '') then
    return {reply, 'corrupt', 'its log does not end with the record that its entry says'}
  end
  return {reply, 'conflict', int(seq), h[2] or ''}
end
if claim ~= '' and token ~= claim then return {reply, 'lost'} end
if redis.call('LLEN', log) ~= seq then
  return {reply, 'corrupt', 'its log has ' .. redis.call('LLEN', log) .. ' records, and its entry says ' .. int(seq)}
end
if h[4] and h[4] ~= agent and not KEYS[11] then return {reply, 'agent', h[4]} end
if not (sound('ZSCORE', KEYS[9], id) and sound('ZSCORE', KEYS[10], id)
    and (not KEYS[11] or sound('ZSCORE', KEYS[11], id) and sound('ZSCORE', KEYS[12], id))
    and (records == 0 or sound('ZSCORE', KEYS[5], id))
    and (h[4] == agent or sound('SISMEMBER', KEYS[8], agent))
    and (opened + closed == 0 or sound('HEXISTS', asks, '') and sound('ZSCORE', KEYS[6], ''))) then
  return {reply, 'corrupt', 'one of its keys, or a list of its shard, is of another type'}
end

for i = first, first + records - 1, 1000 do
  redis.call('RPUSH', log, unpack(ARGV, i, math.min(i + 999, first + records - 1)))
end
local fields, gone = {'agent', agent, 'status', ARGV[9]}, {}
for i, name in ipairs({'title', 'reason', 'wake', 'parent'}) do -- an empty one takes no room
  if ARGV[9 + i] ~= '' then
    fields[#fields + 1] = name
    fields[#fields + 1] = ARGV[9 + i]
  elseif h[5 + i] then
    gone[#gone + 1] = name
  end
end
if records > 0 then
  for _, v in ipairs({'seq', int(seq + records), 'id', ARGV[21]}) do fields[#fields + 1] = v end
end
if not h[1] then
  fields[#fields + 1] = 'created'
  fields[#fields + 1] = ARGV[19]
end
redis.call('HSET', run, unpack(fields))
if #gone > 0 then redis.call('HDEL', run, unpack(gone)) end
if records > 0 then redis.call('ZADD', KEYS[5], '-' .. ARGV[20], id) end
if h[4] ~= agent then redis.call('SADD', KEYS[8], agent) end
if ARGV[15] ~= '' then redis.call('SET', KEYS[3], ARGV[15]) end

local at = first + records
for i = at, at + 3 * opened - 1, 3 do
  redis.call('HSET', asks, ARGV[i], ARGV[i + 2])
  redis.call('ZADD', KEYS[6], ARGV[i + 1], ARGV[i])
end
at = at + 3 * opened
for i = at, at + closed - 1 do
  redis.call('HDEL', asks, ARGV[i])
  redis.call('ZREM', KEYS[6], ARGV[i])
end

local score = tonumber(wake)
local strikes = tonumber(h[5]) or 0
local moved, forgiven = h[4] and h[4] ~= agent, ARGV[14] == '1' and strikes > 0
if token and (moved or forgiven) then -- the end of the lease stays as it is
  score = tonumber(redis.call('ZSCORE', KEYS[11] or KEYS[9], id) or redis.call('ZSCORE', KEYS[12] or KEYS[10], id) or now)
end
if moved then
  redis.call('ZREM', KEYS[11], id)
  redis.call('ZREM', KEYS[12], id)
end
if forgiven then
  redis.call('HDEL', run, 'strikes')
  strikes = 0
end
if not token or moved or forgiven then
  place(KEYS[9], KEYS[10], id, strikes_of(strikes, token), score)
end
if claim == '' then
  if token then
    redis.call(ARGV[5], ARGV[6], 'news ' .. id)
  else
    announce(ARGV[5], ARGV[6], id, agent, score, now)
  end
end
redis.call(ARGV[5], ARGV[7], 'end ' .. int(seq + records) .. ' ' .. (records > 0 and ARGV[21] or base_id))
return {reply, 'ok'}
