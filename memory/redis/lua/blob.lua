-- blob keeps a large value of a run.
--
-- KEYS  1 blobs  2 erased
-- ARGV  1 the run's id  2 the value's SHA-256 in hexadecimal  3 the value
-- Returns 'ok' or 'erased'.
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 'erased' end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 'ok'
