"""The atomic steps of the Redis store, in Lua. Each touches keys of one slot only (but for TOUCH,
where there are no slots), and publishes its news in the same step as the write. Times come as
arguments, by the gateway's clock, unless it is said otherwise.

A session is a hash: `v` version, `d` sealed bytes, `x` absolute expiry in ms; its TTL is the idle
expiry. Works unchanged on Valkey; needs Redis 6.2 or later.
"""

from collections.abc import Mapping

# KEYS: session; ARGV: sealed, absolute expiry ms, TTL ms. 0 when the key holds another record.
CREATE = """
if redis.call('exists', KEYS[1]) == 1 then
  return redis.call('hget', KEYS[1], 'd') == ARGV[1] and 1 or 0
end
redis.call('hset', KEYS[1], 'v', 1, 'd', ARGV[1], 'x', ARGV[2])
redis.call('pexpire', KEYS[1], ARGV[3])
return 1
"""

# KEYS: session.
LOAD = """
local record = redis.call('hmget', KEYS[1], 'v', 'd')
if not record[1] then return false end
return {record[1], record[2], redis.call('pttl', KEYS[1])}
"""

# KEYS: session; ARGV: expected version, new version, sealed, channel, message.
# HSET leaves the TTL alone, and comes after the check that the record is still there.
REPLACE = """
if redis.call('hget', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('hset', KEYS[1], 'v', ARGV[2], 'd', ARGV[3])
redis.call('publish', ARGV[4], ARGV[5])
return 1
"""

# KEYS: sessions; ARGV: now ms, and the idle ms of each. Returns the places of those that are gone.
TOUCH = """
local gone = {}
for place, key in ipairs(KEYS) do
  local expires_at = redis.call('hget', key, 'x')
  if expires_at then
    local ttl = math.min(tonumber(ARGV[place + 1]), tonumber(expires_at) - tonumber(ARGV[1]))
    if ttl > redis.call('pttl', key) then
      redis.call('pexpire', key, string.format('%.0f', ttl))
    end
  else
    gone[#gone + 1] = place
  end
end
return gone
"""

# KEYS: session; ARGV: channel, message, expected version or ''.
DELETE = """
local record = redis.call('hmget', KEYS[1], 'v', 'd')
if not record[1] then return false end
if ARGV[3] ~= '' and record[1] ~= ARGV[3] then return false end
local ttl = redis.call('pttl', KEYS[1])
redis.call('del', KEYS[1])
redis.call('publish', ARGV[1], ARGV[2])
return {record[1], record[2], ttl}
"""

# KEYS: index; ARGV: session key, absolute expiry ms, now ms.
INDEX = """
redis.call('zremrangebyscore', KEYS[1], '-inf', ARGV[3])
redis.call('zadd', KEYS[1], ARGV[2], ARGV[1])
local ttl = tonumber(ARGV[2]) - tonumber(ARGV[3])
if ttl > redis.call('pttl', KEYS[1]) then
  redis.call('pexpire', KEYS[1], string.format('%.0f', ttl))
end
return 1
"""

# KEYS: lease; ARGV: TTL ms, claim, former claims. The lease is the claim of its holder: the process
# that asks again under that claim, or names it as a former one of its own, holds it from then on
# under the new claim.
ACQUIRE = """
local held = redis.call('get', KEYS[1])
local is_free = not held
for place = 2, #ARGV do is_free = is_free or held == ARGV[place] end
if not is_free then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[1])
return 1
"""

# KEYS: lease; ARGV: channel, message, claims.
TAKE_BACK = """
local held = redis.call('get', KEYS[1])
local is_theirs = false
for place = 3, #ARGV do is_theirs = is_theirs or held == ARGV[place] end
if not is_theirs then return 0 end
redis.call('del', KEYS[1])
redis.call('publish', ARGV[1], ARGV[2])
return 1
"""

# KEYS: lease; ARGV: claim, TTL ms.
RENEW = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])
"""

# KEYS: lease; ARGV: claim, channel, message.
RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1])
redis.call('publish', ARGV[2], ARGV[3])
return 1
"""

# KEYS: a browser's open logins; ARGV: state key, now ms, TTL ms, cap. Returns those that are too
# many. Scores only grow, so that logins of one millisecond keep their order.
OPEN_LOGIN = """
redis.call('zremrangebyscore', KEYS[1], '-inf', tonumber(ARGV[2]) - tonumber(ARGV[3]))
local last = redis.call('zrevrange', KEYS[1], 0, 0, 'withscores')[2]
local score = math.max(tonumber(ARGV[2]), tonumber(last or '0') + 1)
redis.call('zadd', KEYS[1], string.format('%.0f', score), ARGV[1])
redis.call('pexpire', KEYS[1], ARGV[3])
local dropped = {}
local excess = redis.call('zcard', KEYS[1]) - tonumber(ARGV[4])
if excess > 0 then
  dropped = redis.call('zrange', KEYS[1], 0, excess - 1)
  redis.call('zrem', KEYS[1], unpack(dropped))
end
return dropped
"""

# KEYS: bucket, the time at which it is empty, in us; ARGV: us to add, size us, 1 to add what fits.
# Returns how full it was. By the server's time: here a replica's wrong clock would refuse, or let
# pass, all clients. What rounding leaves over does not count.
FILL = """
local time = redis.call('time')
local now = time[1] * 1000000 + time[2]
local before = math.max(0, tonumber(redis.call('get', KEYS[1]) or '0') - now)
local add, size = tonumber(ARGV[1]), tonumber(ARGV[2])
if before + add * 0.99 > size then
  if ARGV[3] ~= '1' then return string.format('%.0f', before) end
  add = math.max(0, size - before)
end
if add > 0 then
  local after = before + add
  redis.call('set', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
end
return string.format('%.0f', before)
"""

# KEYS: stream; ARGV: how many entries to keep about, records. In one step, so that a failure leaves
# all of them or none.
APPEND = """
for place = 2, #ARGV do
  redis.call('xadd', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'record', ARGV[place])
end
return #ARGV - 1
"""

# What metrics call each.
NAMES: Mapping[str, str] = {
    CREATE: "create",
    LOAD: "load",
    REPLACE: "replace",
    TOUCH: "touch",
    DELETE: "delete",
    INDEX: "index",
    ACQUIRE: "acquire",
    TAKE_BACK: "take_back",
    RENEW: "renew",
    RELEASE: "release",
    OPEN_LOGIN: "open_login",
    FILL: "fill",
    APPEND: "append",
}
