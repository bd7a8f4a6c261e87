-- Puts ARGV[4] under KEYS[1] for ARGV[5] ms, if what get.lua gives is still ARGV[3] (or nothing, if ARGV[2] isn't '1').
local value = false
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' and redis.call('STRLEN', KEYS[1]) <= tonumber(ARGV[1]) then
  value = redis.call('GET', KEYS[1])
elseif kind ~= 'none' then
  value = ''
end
local expected = ARGV[2] == '1' and ARGV[3]
if value == expected then
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
  return {1}
end
local time = redis.call('TIME')
return {0, value, time[1], time[2]}
