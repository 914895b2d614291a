-- mend holds the lists of a shard against what is kept of one run, and puts them in order if it is told to.
--
-- KEYS  1 run  2 log  3 asks  4 runs  5 inbox  6 agents  7 want  8 suspects, of the agent that the run has
-- ARGV  1 the run's id  2 its agent as far as is known  3 '1' to repair  4 how long, in microseconds, a
--       claim that is in no list is left to its worker, which may still renew it
-- Returns {'agent', name} (KEYS 7 and 8 must be those of this agent), or {'ok', what is wrong…}.
local id, repair = ARGV[1], ARGV[3] == '1'
local h = redis.call('HMGET', KEYS[1], 'agent', 'wake', 'token', 'strikes', 'seq')
if not h[5] then return {'ok'} end -- it is gone
if (h[1] or '') ~= ARGV[2] then return {'agent', h[1] or ''} end
local wrong = {'ok'}
local function found(what, mend)
  wrong[#wrong + 1] = what
  if repair then mend() end
end

local updated = string.match(redis.call('LINDEX', KEYS[2], -1) or '', '^%S+ (%d+) ')
if updated and tonumber(redis.call('ZSCORE', KEYS[4], id) or nil) ~= -tonumber(updated) then
  found('it is not in the list of runs at the time of its last record', function() redis.call('ZADD', KEYS[4], '-' .. updated, id) end)
end
if h[1] and h[1] ~= '' and redis.call('SISMEMBER', KEYS[6], h[1]) == 0 then
  found('its agent ' .. h[1] .. ' is not among the agents', function() redis.call('SADD', KEYS[6], h[1]) end)
end

local strikes = strikes_of(h[4], h[3])
local here, there = KEYS[7], KEYS[8]
if strikes >= SUSPECT_AFTER then here, there = KEYS[8], KEYS[7] end
local score = redis.call('ZSCORE', here, id)
local stray = redis.call('ZSCORE', there, id)
if stray then
  found('it is in ' .. there .. ' and should be in ' .. here, function()
    if not score then redis.call('ZADD', here, stray, id) end
    redis.call('ZREM', there, id)
  end)
  score = score or stray
end
if not score and h[3] then
  found('it is claimed and no list has the end of its lease', function() redis.call('ZADD', here, int(clock() + tonumber(ARGV[4])), id) end)
elseif not score and tonumber(h[2]) then
  found('it wants attention at ' .. h[2] .. ' and no list has it', function() redis.call('ZADD', here, h[2], id) end)
end

local asks = redis.call('HGETALL', KEYS[3])
for i = 1, #asks, 2 do
  local opened = string.match(asks[i + 1], '^%x+ %S* (%d*) ')
  if opened == '' then opened = '0' end
  if opened and not redis.call('ZSCORE', KEYS[5], asks[i]) then
    found('its ask ' .. asks[i] .. ' is not in the inbox', function() redis.call('ZADD', KEYS[5], opened, asks[i]) end)
  end
end
return wrong
