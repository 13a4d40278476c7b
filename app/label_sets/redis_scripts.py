"""The scripts that Redis runs, each as one step. The keys are in `KEYS`, in this order.

    {siglip}:store         hash: id, schema, revision, forgotten
    {siglip}:sets          hash: name -> revision, of the sets that exist
    {siglip}:definitions   hash: name -> text
    {siglip}:deleted       sorted set: name -> revision of its deletion

A revision is Redis' time in microseconds, or one more than the last revision if that is higher.
"""

KEYS = ("{siglip}:store", "{siglip}:sets", "{siglip}:definitions", "{siglip}:deleted")
CHANGED = "{siglip}:changed"  # the channel

_HEAD = """
local store, sets, definitions, deleted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function number(value) return string.format('%.0f', value) end
local function now() local t = redis.call('TIME'); return t[1] * 1000000 + t[2] end
local function last() return tonumber(redis.call('HGET', store, 'revision')) end
local function revision_of(name)
    return tonumber(redis.call('HGET', sets, name) or redis.call('ZSCORE', deleted, name) or 0)
end
local function put(name, revision, text, exists, most)
    if exists then
        redis.call('HSET', sets, name, number(revision))
        redis.call('HSET', definitions, name, text)
        redis.call('ZREM', deleted, name)
    else
        redis.call('HDEL', sets, name)
        redis.call('HDEL', definitions, name)
        redis.call('ZADD', deleted, number(revision), name)
        local excess = redis.call('ZCARD', deleted) - most
        if excess > 0 then
            local oldest = redis.call('ZPOPMIN', deleted, excess)
            redis.call('HSET', store, 'forgotten', number(tonumber(oldest[#oldest])))
        end
    end
    redis.call('HSET', store, 'revision', number(math.max(revision, last())))
    redis.call('PUBLISH', '{siglip}:changed', number(revision))
end
"""

# ARGV: a new id, our schema. Makes the store if there is none. Returns id, schema, revision.
STATE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], 'id', ARGV[1], 'schema', ARGV[2], 'revision', 0, 'forgotten', 0)
end
return redis.call('HMGET', KEYS[1], 'id', 'schema', 'revision')
"""

# Returns sets, deleted and forgotten.
VERSIONS = """
return {redis.call('HGETALL', KEYS[2]), redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
        redis.call('HGET', KEYS[1], 'forgotten')}
"""

# ARGV: names. Returns a revision and a text for each; false if there is no such set.
DEFINITIONS = """
local found = {}
for i, name in ipairs(ARGV) do
    found[i] = {redis.call('HGET', KEYS[2], name), redis.call('HGET', KEYS[3], name)}
end
return found
"""

# ARGV: schema, latest time, name, expected revision or 0, whether it shall exist, text, most sets, most deletions.
# Returns the new revision, or why nothing was changed.
CHANGE = (
    _HEAD
    + """
local schema, latest, name, expected, exists, text = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]
if redis.call('HGET', store, 'schema') ~= schema then return 'conflict' end
if now() > tonumber(latest) then return 'late' end
local current = redis.call('HGET', sets, name) or '0'
if current ~= expected then return 'conflict' end
if exists and current == '0' and redis.call('HLEN', sets) >= tonumber(ARGV[7]) then return 'full' end
local revision = math.max(now(), last() + 1)
put(name, revision, text, exists, tonumber(ARGV[8]))
return number(revision)
"""
)

# ARGV: schema, name, revision, whether it shall exist, text, most deletions.
PUT_BACK = (
    _HEAD
    + """
local schema, name, revision = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HGET', store, 'schema') ~= schema or revision_of(name) >= revision then return 0 end
put(name, revision, ARGV[5], ARGV[4] == '1', tonumber(ARGV[6]))
return 1
"""
)
