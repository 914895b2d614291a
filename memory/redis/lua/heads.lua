-- heads returns the heads of asks: all that is kept of them but their data.
--
-- KEYS  for each ask: its run's asks, and the run
-- ARGV  for each ask: its id
-- Returns for each ask its value up to its data (all of it if it has not that form), or false if it is not
--       open, and the agent of its run, or false. Only reads.
local reply = {}
for i, id in ipairs(ARGV) do
  local value, agent = redis.call('HGET', KEYS[2 * i - 1], id), redis.pcall('HGET', KEYS[2 * i], 'agent')
  reply[2 * i - 1] = value and (string.match(value, '^%x+ %S* %S* %S* %S* %x+ ') or value)
  reply[2 * i] = type(agent) == 'string' and agent
end
return reply
