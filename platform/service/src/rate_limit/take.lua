-- Takes one from each bucket, or none from any.
--
-- KEYS: a bucket each. ARGV: of each its interval and its window, in microseconds.
-- Answers whether it was taken, Redis's time, and when each bucket is full: with what was taken, or as it was.
-- Numbers stay below 2^53, so they are exact.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local before = redis.call('MGET', unpack(KEYS))
local taken = 1
local full = {}
for i = 1, #KEYS do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local used = math.min(math.max((tonumber(before[i]) or now) - now, 0), window)
  full[i] = now + used
  if used + interval > window then
    taken = 0
  end
end
if taken == 1 then
  for i = 1, #KEYS do
    full[i] = full[i] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', KEYS[i], string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
  end
end
return { taken, now, unpack(full) }
