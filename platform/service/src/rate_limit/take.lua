-- Takes one from each bucket, or none from any. Where more are wanted, it takes as many as leave every bucket half full.
--
-- KEYS: a bucket each. ARGV: of each its interval and its window, in microseconds; then how many are wanted.
-- Answers how many were taken, Redis's time, and when each bucket is full: with what was taken, or as it was.
-- Numbers stay below 2^53, so they are exact.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local before = redis.call('MGET', unpack(KEYS))
local taken = tonumber(ARGV[2 * #KEYS + 1])
local full = {}
for i = 1, #KEYS do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local used = math.min(math.max((tonumber(before[i]) or now) - now, 0), window)
  full[i] = now + used
  local least = used + interval > window and 0 or 1
  taken = math.min(taken, math.max(least, math.floor((window / 2 - used) / interval)))
end
if taken > 0 then
  for i = 1, #KEYS do
    full[i] = full[i] + taken * tonumber(ARGV[2 * i - 1])
    redis.call('SET', KEYS[i], string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
  end
end
return { taken, now, unpack(full) }
