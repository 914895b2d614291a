-- adopt finds out whether a run has a log and no entry, and makes the entry if it is told to, as far as the
-- log tells. How the run stands is for somebody to find out who can fold the log.
--
-- KEYS  1 run  2 log  3 runs
-- ARGV  1 the run's id  2 '1' to repair
-- Returns 1 if it has no entry, and 0 if it has one, or no log.
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
if ARGV[2] ~= '1' then return 1 end
local _, created = string.match(redis.call('LINDEX', KEYS[2], 0), '^(%S+) (%d+) ')
local id, updated = string.match(redis.call('LINDEX', KEYS[2], -1), '^(%S+) (%d+) ')
if not created or not updated then return 1 end
redis.call('HSET', KEYS[1], 'seq', redis.call('LLEN', KEYS[2]), 'id', id, 'created', created,
  'agent', '', 'status', 'stuck', 'reason', 'its entry was lost and made anew from its log')
redis.call('ZADD', KEYS[3], '-' .. updated, ARGV[1])
return 1
