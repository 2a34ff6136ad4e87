-- The request of a browser's fetch: 18 header fields, one of a list of cookies in turn.
-- Environment: COOKIES, a file with a Cookie value a line.

local cookies = {}
for line in io.lines(os.getenv("COOKIES")) do
  cookies[#cookies + 1] = line
end

local head, tail
local turn = 0

function init(args)
  local fields = wrk.headers
  fields["Host"] = wrk.headers["Host"] or (wrk.host .. ":" .. wrk.port)
  for line in io.lines(os.getenv("FIELDS")) do
    local name, value = line:match("^(.-): (.*)$")
    fields[name] = value
  end
  fields["Cookie"] = "\1"
  head, tail = wrk.format("GET"):match("^(.-)\1(.*)$")
end

function request()
  turn = turn % #cookies + 1
  return head .. cookies[turn] .. tail
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status, summary.bytes))
end
