-- What is under KEYS[1] (an empty value for what can't be one of ours: not a string, or longer than ARGV[1]), and the time.
local value = false
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' and redis.call('STRLEN', KEYS[1]) <= tonumber(ARGV[1]) then
  value = redis.call('GET', KEYS[1])
elseif kind ~= 'none' then
  value = ''
end
local time = redis.call('TIME')
return {value, time[1], time[2]}
