-- speak adds to the sentence that a run's planner is saying: a string that begins
-- with the attempt and a line's end. It expires.
--
-- KEYS  1 run  2 words
-- ARGV  1 attempt, or '' to end the sentence  2 how many bytes of it came before  3 the piece
--       4 milliseconds until it is forgotten  5 PUBLISH or SPUBLISH  6 channel of the run
-- Returns nothing of interest.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local attempt, from = ARGV[1], tonumber(ARGV[2])
if attempt == '' then
  redis.call('DEL', KEYS[2])
  redis.call(ARGV[5], ARGV[6], 'words \n0\n')
  return 1
end
local head = attempt .. '\n'
if redis.call('GETRANGE', KEYS[2], 0, #head - 1) ~= head then
  redis.call('SET', KEYS[2], head)
end
if redis.call('STRLEN', KEYS[2]) == #head + from then redis.call('APPEND', KEYS[2], ARGV[3]) end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call(ARGV[5], ARGV[6], 'words ' .. attempt .. '\n' .. ARGV[2] .. '\n' .. ARGV[3])
return 1
