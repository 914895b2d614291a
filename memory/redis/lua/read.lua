-- read returns what is kept of a run's log, as of one moment.
--
-- KEYS  1 run  2 log  3 snap  4 erased
-- ARGV  1 the run's id  2 only records after this number  3 at most so many, 0 for all  4 '1' to begin with the snapshot
-- Returns {'erased'}, {'absent'}, or {'ok', seq, id, records in the log, snapshot or false, records…}.
-- Only reads.
local h = redis.call('HMGET', KEYS[1], 'seq', 'id')
if not h[1] then
  if redis.call('SISMEMBER', KEYS[4], ARGV[1]) == 1 then return {'erased'} end
  if redis.call('EXISTS', KEYS[2]) == 0 then return {'absent'} end
end
local after, limit, snap = tonumber(ARGV[2]), tonumber(ARGV[3]), false
if ARGV[4] == '1' then
  snap = redis.call('GET', KEYS[3])
  local at = snap and tonumber(string.match(snap, '^%x+ (%d+) ') or nil)
  if at and at >= after then after = at else snap = false end
end
local to = -1
if limit > 0 then to = after + limit - 1 end
return {'ok', h[1] or '', h[2] or '', redis.call('LLEN', KEYS[2]), snap, redis.call('LRANGE', KEYS[2], after, to)}
