-- What the scripts share; it stands before each of them. Every key that a script
-- touches is in KEYS, and all of them have one hash tag. A script checks first and
-- writes last, and its first write is one that a server without memory refuses, so
-- that a script that fails has written nothing.

-- A run with so many strikes, the present claim counted in, is a suspect.
local SUSPECT_AFTER = 2

-- int writes a number as a whole one, which tostring does not do for large ones.
local function int(n) return string.format('%.0f', n) end

-- clock returns the server's time in microseconds.
local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- strikes_of returns a run's strikes with that of the present claim, if there is one.
local function strikes_of(strikes, token)
  return (tonumber(strikes) or 0) + (token and 1 or 0)
end

-- sound reports whether a read finds no key of another type. What a script is to
-- write to is read so before the first write.
local function sound(...)
  local v = redis.pcall(...)
  return type(v) ~= 'table' or not v.err
end

-- listed returns when a run wants attention, or nil, and whether the two lists are sound.
local function listed(want, suspects, id)
  local a, b = redis.pcall('ZSCORE', want, id), redis.pcall('ZSCORE', suspects, id)
  if type(a) == 'table' or type(b) == 'table' then return nil, false end
  return tonumber(a or b or nil), true
end

-- place sets when a run wants attention; a score of nil: not by itself.
local function place(want, suspects, id, strikes, score)
  local to, from = want, suspects
  if strikes >= SUSPECT_AFTER then to, from = suspects, want end
  if score then redis.call('ZADD', to, int(score), id) else redis.call('ZREM', to, id) end
  redis.call('ZREM', from, id)
end

-- announce tells waiting workers of a run that nobody has claimed and that wants
-- attention soon; they find the later ones when they look.
local SOON = 10 * 1000000
local function announce(publish, channel, id, agent, score, now)
  if score and score <= now + SOON then
    redis.call(publish, channel, 'want ' .. id .. ' ' .. int(score) .. ' ' .. agent)
  end
end
