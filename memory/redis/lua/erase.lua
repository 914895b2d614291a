-- erase removes a run and all that is kept of it, and leaves its id among the erased.
--
-- KEYS  1 run  2 log  3 snap  4 asks  5 runs  6 inbox  7 erased  8 blobs  9 words
--       10 want  11 suspects, of the agent that the run has; absent if the caller knows none
-- ARGV  1 the run's id  2 PUBLISH or SPUBLISH  3 channel of the run
--       4 the agent whose keys are 10 and 11, or ''
-- Returns {'ok'} or {'agent', name}: KEYS 10 and 11 must be those of this agent, and nothing was done.
local agent = redis.pcall('HGET', KEYS[1], 'agent')
if type(agent) == 'string' and agent ~= ARGV[4] then return {'agent', agent} end
redis.call('SADD', KEYS[7], ARGV[1])
local asks = redis.pcall('HKEYS', KEYS[4])
if asks.err then asks = {} end
for i = 1, #asks do redis.pcall('ZREM', KEYS[6], asks[i]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9])
redis.pcall('ZREM', KEYS[5], ARGV[1]) -- a list of another type keeps nobody from erasing
if KEYS[10] then
  redis.pcall('ZREM', KEYS[10], ARGV[1])
  redis.pcall('ZREM', KEYS[11], ARGV[1])
end
redis.call(ARGV[2], ARGV[3], 'end 0 ')
return {'ok'}
