---@meta lmopt.core.policy
-- src/lua/policy.c. Nothing here waits or looks at a clock: times are seconds on one clock that never goes back
-- (task.now), but for `advice`, which reads dates and wants system.utc.

local policy = {}

---@alias lmopt.Outcome
---| "good"
---| "fault"      trying again would not mend it: 400, 401, 403, 404, a reply too long, ...
---| "transient"  408, 409, 5xx, a broken connection
---| "timeout"    of one attempt
---| "overload"   503, 529
---| "rate_limit" 429

---What the end of a call means.
---@param what integer|string the HTTP status, or the kind of the error when there was no reply
---@return lmopt.Outcome
function policy.outcome(what) end

---What the headers of a refusal say about trying again: retry-after (seconds or a date), retry-after-ms,
---x-ratelimit-reset-*, anthropic-ratelimit-*-reset, x-should-retry.
---@param headers table<string, string> names in lower case
---@param utc number seconds since 1970
---@return number? wait seconds; nil: not said
---@return boolean? again whether to try at all; nil: not said
function policy.advice(headers, utc) end

---@class lmopt.RetryOptions
---@field attempts? integer the first included; refusals (429) are none (8)
---@field base? number seconds of the first backoff, at most (0.5)
---@field cap? number seconds of any backoff, at most (60)
---@field patience? number seconds: the longest wait a server may ask for, and the longest row of refusals (600)
---@field timeouts? boolean whether an attempt that timed out is tried again (false)
---@field seed? integer of the stream of jitters (0)
---@field number? integer which call of the seed's it is (0)

---@class lmopt.Retry
local Retry = {} -- luacheck: ignore

---The retries of one call; made when it first fails.
---@param options? lmopt.RetryOptions
---@return lmopt.Retry
function policy.retry(options) end

---@class lmopt.RetryFailure
---@field wait? number seconds that the server asked for
---@field again? boolean whether it wants to be asked again; false too when the body of a 429 says that a quota is spent
---@field deadline? number of the call or of the run, whichever is first
---@field needs? number seconds that an attempt takes at least (`fastest` of a limiter's state)

---An attempt failed. Times are numbers; a wait is a lower bound for the next attempt to join the queue, or, after
---"rate_limit", the pause of the queue.
---@param outcome lmopt.Outcome
---@param now number
---@param failure? lmopt.RetryFailure
---@return number? wait seconds until the next attempt; nil: there is none
---@return "final"|"attempts"|"patience"|"deadline"|nil why
function Retry:failed(outcome, now, failure) end

---@class lmopt.LimiterOptions
---@field concurrency? integer the ceiling on calls in flight (32)
---@field rpm? number requests a minute; 0 (default): no limit
---@field tpm? number tokens a minute; 0 (default): no limit
---@field burst? number how much may go at once after a rest, in seconds of the limit (1); one request at least

---@class lmopt.Limiter
local Limiter = {} -- luacheck: ignore

---Who may call one endpoint, and when. One for each endpoint, shared by all that call it.
---@param options? lmopt.LimiterOptions
---@return lmopt.Limiter
function policy.limiter(options) end

---@class lmopt.Ticket
local Ticket = {} -- luacheck: ignore

---Puts a call in the queue. The ticket gives up its place when it is closed or collected.
---@param owner any what `next` gives back: the task
---@param tokens? number what it will use at most, prompt and completion (0)
---@param again? boolean it has been tried before: it goes before new ones
---@param deadline? number when it must have ended
---@return lmopt.Ticket
function Limiter:join(owner, tokens, again, deadline) end

---The next that starts now; ask until there is none. To be asked after every join, finish and leave, and at `when`.
---@param now number
---@return lmopt.Ticket? ticket nil: nobody before `when`
---@return any owner_or_when its owner; or a time, math.huge when only the end of a call can change it
---@return boolean? late true: it does not start, it could not end before its deadline; it is out of the queue
---@return number? when nobody else waits, so that asking again would say this
function Limiter:next(now) end

---Nobody starts for so many seconds from `now`; an earlier pause that ends later stands.
---@param now number
---@param seconds number
function Limiter:pause(now, seconds) end

---@param ceiling integer
function Limiter:set_concurrency(ceiling) end

---What was taken before is still missing.
---@param rpm number requests a minute; 0: no limit
---@param tpm number tokens a minute; 0: no limit
function Limiter:set_rates(rpm, tpm) end

---@class lmopt.LimiterState
---@field waiting integer
---@field in_flight integer
---@field concurrency integer how many may be in flight now
---@field ceiling integer how many at best
---@field paused_until number
---@field fastest number seconds of the quickest good reply; 0: none yet
---@field accuracy number real over estimated tokens
---@field answered boolean whether there was a good reply

---@return lmopt.LimiterState
function Limiter:state() end

---A call that was in flight has ended.
---@param outcome lmopt.Outcome
---@param now number
---@param tokens? number what it used; nil: unknown, the reserve stands; 0 after a refusal
---@param seconds? number how long it took
---@param pause? number seconds for which nobody starts
---@return boolean was_in_flight
function Ticket:finish(outcome, now, tokens, seconds, pause) end

---Gives up the place, waiting or in flight. False: it had none.
---@return boolean
function Ticket:leave() end

---@class lmopt.Event
---@field name string "message" unless the stream says otherwise
---@field data string
---@field id string the last one seen; "" before
---@field retry? integer milliseconds

---@class lmopt.EventStream
local EventStream = {} -- luacheck: ignore

---A parser of server-sent events.
---@param options? { limit: integer } bytes of one line, and of one event's data (16 MiB)
---@return lmopt.EventStream
function policy.event_stream(options) end

---@param bytes string any piece of the stream
---@return lmopt.Event[] events those that end in it
---@return lmopt.Error? error of kind "limit": a line or an event is too long; what follows is lost
function EventStream:feed(bytes) end

---Whether an event has begun that has not ended: a stream that stops here was cut off.
---@return boolean
function EventStream:unfinished() end

return policy
