-- Puts an entry under each key whose entry is not newer. KEYS. ARGV: the version as 20 digits and a colon, what was made of
-- it (nothing: only the version stays), and how long to keep it, in milliseconds.
for i = 1, #KEYS do
  if redis.call('GETRANGE', KEYS[i], 0, 20) <= ARGV[1] then
    redis.call('SET', KEYS[i], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
  end
end
return 1
