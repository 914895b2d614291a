-- release gives claims of one shard back, or voids them as the death of their process does.
--
-- KEYS  for each claim: the run's entry, then want and suspects of the agent that the caller knows it to have
-- ARGV  1 PUBLISH or SPUBLISH  2 channel of news  3 '1' to void
--       then for each claim: the run's id, agent and token, number and id of the last record that the
--       worker has folded, and the time before which the run wants no attention, or ''
-- Returns {now} and for each claim 'ok' (also if it is lost), or {'agent', name}: the run has another agent, and nothing was done.
local now = clock()
local reply = {int(now)}
local k = 0
for a = 4, #ARGV, 6 do
  local run, want, suspects = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  k = k + 3
  local id, agent = ARGV[a], ARGV[a + 1]
  local h = redis.pcall('HMGET', run, 'seq', 'id', 'token', 'agent', 'strikes', 'wake')
  if h.err or h[3] ~= ARGV[a + 2] then
    reply[#reply + 1] = 'ok'
  elseif h[4] ~= agent then
    reply[#reply + 1] = {'agent', h[4]}
  else
    local strikes, score = tonumber(h[5]) or 0, tonumber(h[6])
    local ends, whole = listed(want, suspects, id)
    if ARGV[3] == '1' then
      strikes = strikes + 1
      score = math.min(ends or now, now)
    elseif ARGV[a + 5] ~= '' then
      score = tonumber(ARGV[a + 5])
    else
      strikes = 0
      if h[1] ~= ARGV[a + 3] or h[2] ~= ARGV[a + 4] then score = math.min(score or now, now) end
    end
    if strikes > 0 then
      redis.call('HSET', run, 'strikes', int(strikes))
      redis.call('HDEL', run, 'token', 'worker')
    else
      redis.call('HDEL', run, 'token', 'worker', 'strikes')
    end
    if whole then place(want, suspects, id, strikes, score) end
    announce(ARGV[1], ARGV[2], id, agent, score, now)
    reply[#reply + 1] = 'ok'
  end
end
return reply
