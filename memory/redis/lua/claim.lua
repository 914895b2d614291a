-- claim takes runs of one shard that want attention, of those that the caller has found.
--
-- KEYS  for each run: its entry, then want and suspects of the agent that the caller knows it to have
-- ARGV  1 the worker's name   2 the lease, in microseconds
--       3 which: 'sound', 'suspects' or 'any'   4 '1' to leave out runs whose claim has lapsed
--       5 the server's time after which the request is too old to be served: it was asked before an outage
--       6 how many at most
--       then for each run: its id, agent, and the token that it gets
-- Returns {now, 'old'} if it is too late; otherwise {now, 'ok'} and for each run one of
--       {'taken', seq, id, strikes}, {'no'}, {'no', how long until it wants attention}, {'corrupt', what}.
local worker, lease, which, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[6])
local now = clock()
if now > tonumber(ARGV[5]) then return {int(now), 'old'} end

local function try(run, want, suspects, id, agent, mine)
  local score, whole = listed(want, suspects, id)
  if not whole then return {'corrupt', 'a list of its agent is of another type'} end
  local h = redis.pcall('HMGET', run, 'seq', 'id', 'token', 'agent', 'strikes')
  if h.err then
    -- It is looked at again in a minute, and stops nobody else.
    redis.call('ZADD', want, int(now + 60 * 1000000), id)
    redis.call('ZREM', suspects, id)
    return {'corrupt', 'its entry is of another type'}
  end
  if not h[4] or h[4] ~= agent then
    redis.call('ZREM', want, id)
    redis.call('ZREM', suspects, id)
    return {'no'}
  end
  local token, strikes = h[3], strikes_of(h[5], h[3])
  if token == mine then return {'taken', h[1], h[2], int(tonumber(h[5]) or 0)} end -- the reply to it was lost
  if most <= 0 then return {'no'} end
  if not score then return {'no'} end
  if score > now then return {'no', int(score - now)} end
  if token and ARGV[4] == '1' then return {'no'} end
  local suspect = strikes >= SUSPECT_AFTER
  if which == 'sound' and suspect or which == 'suspects' and not suspect then return {'no'} end
  most = most - 1
  redis.call('HSET', run, 'token', mine, 'worker', worker)
  if strikes > 0 then redis.call('HSET', run, 'strikes', int(strikes)) end
  place(want, suspects, id, strikes + 1, now + lease)
  return {'taken', h[1], h[2], int(strikes)}
end

local reply = {int(now), 'ok'}
for i = 1, #KEYS, 3 do
  local a = 7 + (i - 1)
  reply[#reply + 1] = try(KEYS[i], KEYS[i + 1], KEYS[i + 2], ARGV[a], ARGV[a + 1], ARGV[a + 2])
end
return reply
