-- stray finds members of a list whose runs have nothing of the kind, and takes them out if it is told to.
--
-- KEYS  1 the list, then for each member its run's entry, or for the inbox its run's asks
-- ARGV  1 'runs', 'inbox', or 'want' for the lists of an agent  2 the agent  3 '1' to repair   then the members
-- Returns the members that do not belong there.
local strays = {}
for i = 2, #KEYS do
  local id, belongs = ARGV[i + 2], nil
  if ARGV[1] == 'inbox' then
    belongs = redis.pcall('HEXISTS', KEYS[i], id) == 1
  elseif ARGV[1] == 'runs' then
    belongs = redis.pcall('HEXISTS', KEYS[i], 'seq') == 1
  else
    belongs = redis.pcall('HGET', KEYS[i], 'agent') == ARGV[2]
  end
  if not belongs and redis.call('ZSCORE', KEYS[1], id) then
    if ARGV[3] == '1' then redis.call('ZREM', KEYS[1], id) end
    strays[#strays + 1] = id
  end
end
return strays
