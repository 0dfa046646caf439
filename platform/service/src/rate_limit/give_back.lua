-- Gives one back to a bucket. KEYS: the bucket. ARGV: its interval and its window, in microseconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_at = tonumber(redis.call('GET', KEYS[1]))
if full_at then
  local used = math.min(math.max(full_at - now, 0), tonumber(ARGV[2])) - tonumber(ARGV[1])
  if used > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000))
  else
    redis.call('DEL', KEYS[1])
  end
end
return 1
