-- renew extends claims of one shard.
--
-- KEYS  for each claim: the run's entry, then want and suspects of the agent that the caller knows it to have
-- ARGV  1 the lease, in microseconds; then for each claim: the run's id, agent and the token
-- Returns {now} and for each claim {'held', seq, id}, {'lost', seq, id} or {'agent', name}: the run has
--       another agent, and nothing was done.
local now = clock()
local reply = {int(now)}
for i = 1, #KEYS, 3 do
  local a = 2 + (i - 1)
  local h = redis.pcall('HMGET', KEYS[i], 'seq', 'id', 'token', 'agent', 'strikes')
  if h.err or not h[1] then
    reply[#reply + 1] = {'lost', '0', ''}
  elseif h[3] ~= ARGV[a + 2] then
    reply[#reply + 1] = {'lost', h[1], h[2]}
  elseif h[4] ~= ARGV[a + 1] then
    reply[#reply + 1] = {'agent', h[4]}
  else
    local _, whole = listed(KEYS[i + 1], KEYS[i + 2], ARGV[a])
    if whole then place(KEYS[i + 1], KEYS[i + 2], ARGV[a], strikes_of(h[5], h[3]), now + tonumber(ARGV[1])) end
    reply[#reply + 1] = {'held', h[1], h[2]}
  end
end
return reply
