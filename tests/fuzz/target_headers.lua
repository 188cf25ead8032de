-- The headers of a response, from the bytes of the wire to the table that Lua sees (src/lua/http.c), and the advice in it.
--
-- Input: the header lines.
local support = require "fuzz_support"
local core = require "fuzz_core"
local policy = require "lmopt.core.policy"

local check = support.check

-- The same once more, the slow way.
local function expected_of(text)
  local headers = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local name, value = line:gsub("\r$", ""):match "^([^:]*):(.*)$"
    if name then
      name = name:gsub("%u", string.lower)
      value = value:match "^[ \t]*(.*)$"
      value = value:match "^(.*[^ \t])" or ""
      headers[name] = headers[name] and headers[name] .. ", " .. value or value
    end
  end
  return headers
end

return function(text)
  local reply = core.reply(429, text, text)
  check(reply.status == 429 and reply.body == text and reply.seconds == 0)
  local expected = expected_of(text)
  check(support.same(expected, reply.headers), "other headers")
  local wait, again = policy.advice(reply.headers, 1762173000)
  check(wait == nil or wait >= 0 and wait < math.huge, "a wait of %s", tostring(wait))
  check(again == nil or reply.headers["x-should-retry"], "nobody said %s", tostring(again))
  local seconds, why = policy.retry { seed = 1 }:failed("rate_limit", 0, { wait = wait, again = again })
  check(seconds and seconds >= (wait or 0) and seconds <= 601 or type(why) == "string", "it waits %s", tostring(seconds))
end
