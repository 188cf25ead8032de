--- A call over the network, from a handle and a request to a reply.
--
-- It passes, in this order: the study's journal (a reply that an interrupted trial had is not paid again), the cache,
-- identical calls in flight, the budgets, the endpoint's queue, HTTP, and back to the queue when it failed and trying
-- again makes sense (src/io/retry.h says when). Each attempt that may have been billed is reserved before it is sent and
-- settled after. A reply is always a copy of what is kept.
local budget = require "lmopt.budget"
local errors = require "lmopt.error"
local http = require "lmopt.core.http"
local policy = require "lmopt.core.policy"
local providers = require "lmopt.providers"
local redact = require "lmopt.redact"
local replies = require "lmopt.reply"
local stream = require "lmopt.stream"
local system = require "lmopt.core.system"
local task = require "lmopt.core.task"

local client = {}

-- What a reply is assumed to need when nobody says max_tokens.
local UNKNOWN_COMPLETION_TOKENS = 4096
local LONGEST_ATTEMPT = 600 -- seconds, as in src/io/transport.h
local LONGEST_PAUSE = 601 -- seconds: the patience of src/io/retry.h and its jitter
-- Failures before anything was sent, by the reason that the transport gives.
local NOTHING_SENT = { refused = true, resolve = true, connect = true, tls = true, certificate = true }
-- Nobody was ever there: more likely a wrong address than a server that is just being started.
local WRONG_ADDRESS = { refused = true, resolve = true, tls = true }
-- Refusals: the server did no work.
local REFUSED = { [429] = true, [503] = true, [529] = true }
-- A gateway that gave up waiting: what is behind it may have done the work.
local UNCERTAIN = { [408] = true, [504] = true }
local ONE_CALL = { calls = 1, prompt_tokens = 0, completion_tokens = 0, usd = 0.0 }

local cache -- lmopt.cache, when it is needed
local cache_place = "memory" -- what lmopt.configure sets
local tape -- the lmopt.Recording that is written, or the lmopt.Replay that answers; or nil
local calls_that_failed = 0

--- Sets where replies are kept: false, "memory", or { path =, max_bytes =, ours = }. Nothing is opened before a call.
function client.set_cache(place)
  cache_place = place
  if cache then cache.close() end
end

--- Where replies are kept.
function client.get_cache() return cache_place end

--- May a call be given what was answered before?
function client.may_repeat(handle, sample) return cache_place and handle.cache ~= false and sample.cache ~= false end

--- Sets the recording that is written (lmopt.recording) or answers (lmopt.replay); nil: none.
function client.set_tape(new)
  if tape then tape:close() end
  tape = new
end

--- The recording that is written or answers, or nil.
function client.get_tape() return tape end

--- The cache for a call, or nil.
---@param handle table
---@param sample table what the call says of it
---@return lmopt.CacheFile|nil
function client.open_cache(handle, sample)
  if not client.may_repeat(handle, sample) or tape and tape.replays then return nil end
  cache = cache or require "lmopt.cache"
  return cache.open(cache_place)
end

-- --- what a call may cost ---

--- The most a call can cost: a token has at least one byte, and each answer at most max_tokens.
---@param handle table
---@param request table
---@param message table what the provider made of it
---@return { calls: integer, prompt_tokens: integer, completion_tokens: integer, usd: number|nil }
function client.worst_cost(handle, request, message)
  local each = message.max_tokens or tonumber(request.max_completion_tokens) or tonumber(request.max_tokens)
  local body, completion = message.body, math.ceil((each or UNKNOWN_COMPLETION_TOKENS) * math.max(1, tonumber(request.n) or 1))
  local price, usd = replies.price(handle), nil
  if price then
    local prices = require "lmopt.providers.prices"
    usd = prices.bound(price, #body, completion, prices.asks_to_write(body))
  end
  return { calls = 1, prompt_tokens = #body, completion_tokens = completion, usd = usd }
end

-- What a call is settled with. What the server does not say counts as the worst case: a budget is not cheated by silence.
local function settled_cost(handle, reply, worst)
  local used = reply.usage or {}
  local cost = {
    calls = 1,
    prompt_tokens = used.prompt_tokens or worst.prompt_tokens,
    completion_tokens = used.completion_tokens or worst.completion_tokens,
    cached_tokens = used.cached_tokens,
    reasoning_tokens = used.reasoning_tokens,
    cache_write_tokens = used.cache_write_tokens,
    cache_write_1h_tokens = used.cache_write_1h_tokens,
    usd = used.usd,
  }
  cost.usd = replies.cost(handle, cost) or 0.0
  return cost
end

-- What an attempt certainly cost that ended without a reply, or nil when nobody knows.
local function failed_cost(response, problem)
  if not response then
    return (NOTHING_SENT[problem.reason] or problem.kind == "misuse" or problem.kind == "would_block") and budget.NOTHING or nil
  end
  local status = response.status
  if status >= 200 and status <= 299 or UNCERTAIN[status] then return nil end -- an answer that can't be read is paid for
  return REFUSED[status] and budget.NOTHING or ONE_CALL
end

-- A budget is a hard stop only when no reply can be longer than what was reserved for it.
local function limit_reply(handle, provider, request, ledgers, journal)
  if provider.limits_reply or request.max_tokens or request.max_completion_tokens then return end
  if not (journal and journal:limits_tokens(handle.name)) and not budget.limits_tokens(ledgers, handle.name) then return end
  request.max_tokens = UNKNOWN_COMPLETION_TOKENS
  if handle.told_limit then return end
  handle.told_limit = true
  task.log("info", ("%s: no max_tokens is given; under a budget it is %d"):format(handle.name, UNKNOWN_COMPLETION_TOKENS))
end

-- --- one attempt ---

-- Raises what ends the call for good.
local function give_up(call, problem, why, advised)
  if task.now() >= call.run_deadline then budget.stop "the budget is spent: its time is over" end
  local more = {}
  if problem.lost then more[#more + 1] = ("%d bytes of an answer had come, and are lost"):format(problem.lost) end
  if why == "patience" then
    more[#more + 1] = advised and ("the server asks to wait %.0f s"):format(advised) or "it went on for too long"
  elseif why == "deadline" then
    more[#more + 1] = "there is no time for another attempt"
  end
  if call.attempts > 1 then
    problem.attempts = call.attempts
    more[#more + 1] = ("after %d attempts"):format(call.attempts)
  end
  if #more > 0 then problem.message = ("%s (%s)"):format(redact.line(problem.message, call.key), table.concat(more, ", ")) end
  error(problem, 0)
end

local function too_late(call)
  if call.run_deadline <= call.deadline then budget.stop "the budget is spent: its time is over" end
  local text = "%s: its turn would come too late for the deadline of %g s"
  give_up(call, errors.new("timeout", text:format(call.handle.name, call.deadline - call.started)), nil)
end

-- The number that the limiter and the retries go by, of how an attempt ended.
local function outcome_of(response, problem)
  if response then return policy.outcome(response.status) end
  if problem.reason == "certificate" then return "fault" end
  if problem.reason == "connect" or problem.reason == "tls" then return "transient" end -- it has not been paid for
  return policy.outcome(problem.kind)
end

-- Whether and when to try again, after a failure: seconds or nil, why not, and what the server asked for.
local function judge(call, outcome, response, problem, now)
  local advised, again
  if response then advised, again = policy.advice(response.headers, system.utc()) end
  if problem.again ~= nil then again = problem.again end -- the provider has read it in the body
  advised = advised or problem.wait
  if outcome == "rate_limit" and response.body:find("insufficient_quota", 1, true) then again = false end
  if call.handle.max_retries == 0 or call.sink and call.sink.begun then again = false end -- what was given can't be taken back
  local state = call.gate.limiter:state()
  if not state.answered and WRONG_ADDRESS[problem.reason] then again = false end
  if not call.retry then
    calls_that_failed = calls_that_failed + 1
    local most = call.handle.max_retries
    call.retry = policy.retry { attempts = most and most + 1, seed = system.process_id(), number = calls_that_failed }
  end
  local wait, why = call.retry:failed(outcome, now,
    { wait = advised, again = again, deadline = call.deadline, needs = state.fastest })
  if again == false then advised = nil end
  return wait, why, advised
end

-- Says what to do, where it is likely that the handle was not made as it was meant.
local function explain(call, problem)
  local handle, hint = call.handle, nil
  if problem.reason == "refused" then
    hint = (": no server listens at base_url '%s'; start it, or set base_url to where it is"):format(handle.base_url)
  elseif problem.reason == "tls" and problem.message:find("wrong version number", 1, true) then
    hint = ": no TLS is spoken there; does its address begin with http://?"
  elseif problem.status == 401 and not call.key then
    hint = handle.default_url and "; no key was sent"
      or "; no key was sent: with base_url in the options of lmopt.lm, api_key belongs there too"
  elseif problem.status == 404 and not handle.default_url then
    hint = ("; asked was %s: is base_url right?"):format(redact.login(call.message.url))
  end
  if hint then problem.message = redact.line(problem.message, call.key) .. hint end
end

-- Ends an attempt without a reply: returns the seconds to wait before the next, or raises.
local function fail_attempt(call, place, response, problem)
  local now, handle = task.now(), call.handle
  if not errors.is(problem) then error(problem, 0) end -- misuse, or a mistake in the provider
  if problem.kind == "limit" then problem.kind = "bad_response" end -- a reply too long can't be read; limits are a budget's
  if call.sink and call.sink.begun then problem.lost = call.sink.given end
  if not response and problem.kind ~= "network" and problem.kind ~= "timeout" then error(problem, 0) end
  explain(call, problem)
  local outcome = outcome_of(response, problem)
  local wait, why, advised = judge(call, outcome, response, problem, now)
  local refused = outcome == "rate_limit"
  local pause = (refused and (wait or advised)) or (outcome == "overload" and advised) or 0
  if pause > LONGEST_PAUSE then pause = 0 end -- not accepted: nobody else waits for it either, they ask themselves
  local nothing_used = response and REFUSED[response.status] or NOTHING_SENT[problem.reason]
  place:finish(outcome, now, nothing_used and 0 or nil, nil, pause)
  if not wait then give_up(call, problem, why, advised) end
  if not refused then return wait end
  call.gate:tell_pause(handle.name, pause)
  return 0 -- the pause of the queue does the waiting
end

local function seconds_left(call, now)
  local seconds, left = call.handle.timeout or LONGEST_ATTEMPT, call.deadline - now
  if left < seconds then seconds = left end
  return seconds > 0.001 and seconds or 0.001
end

-- A mistake in a provider that somebody has written.
local function slip(handle, name, wanted, found)
  errors.misuse(("the provider '%s': its function '%s' must return %s, not %s"):format(handle.provider, name, wanted,
    type(found) == "table" and "a table without them" or "a " .. type(found)))
end

-- What a response says: the provider's reply. Raises when there is none.
local function read_response(call, response)
  if response.status >= 200 and response.status <= 299 then
    local reply = call.provider.reply(call.handle, response, call.request)
    if type(reply) ~= "table" then slip(call.handle, "reply", "a table with text and usage", reply) end
    return reply
  end
  error((call.provider.error or require("lmopt.providers.support").error)(call.handle, response), 0)
end

-- What the attempts of a call have cost together, or may have: for the recording.
local function add_paid(call, cost)
  local paid = call.paid
  for name, amount in pairs(paid) do paid[name] = amount + (cost[name] or 0) end
end

-- What is sent: the request, or the same for an answer in pieces, which is known by the other.
local function outgoing(call)
  if not call.sink then return call.message end
  if not call.streamed then
    local request = { stream = true }
    for name, value in pairs(call.request) do request[name] = value end
    call.streamed = call.provider.request(call.handle, request, call.key)
  end
  return call.streamed
end

-- Sends once, and reads the answer. Returns the response (nil: there is none), and the reply or what went wrong.
local function send_once(call)
  local handle, message = call.handle, outgoing(call)
  local request = {
    url = message.url,
    method = message.method or "POST",
    headers = message.headers,
    body = message.body,
    timeout = seconds_left(call, task.now()),
    connect_timeout = handle.connect_timeout,
    first_byte_timeout = handle.first_byte_timeout,
    idle_timeout = handle.idle_timeout,
  }
  if call.sink then
    local response, read, reply = stream.exchange(request, call)
    if read ~= nil then return response, read, reply end
    return response, pcall(read_response, call, response)
  end
  local ok, response = http.request(request)
  if not ok then return nil, false, response end
  return response, pcall(read_response, call, response)
end

-- Sends once. Returns the reply's text (or, where nobody keeps it, the reply itself), its cost and its seconds; or nil and
-- how long to wait before the next attempt.
local function try(call, billing, again)
  local handle = call.handle
  local worst = call.worst
  local reserve <close> = budget.reserve(call.ledgers, worst, handle.name)
  local place <close> = call.gate:enter(worst.prompt_tokens + worst.completion_tokens, again, call.deadline)
  if not place:wait() then too_late(call) end
  billing.cost = nil -- from here on nobody knows, until there is an answer
  if reserve then reserve.cost = nil end
  local response, read, reply = send_once(call)
  local cost
  if not read then
    cost = errors.is(reply) and failed_cost(response, reply) or nil
  elseif reserve or not call.alone then -- else nobody asks
    cost = settled_cost(handle, reply, worst)
  end
  billing.cost = cost
  if call.taped then add_paid(call, cost or worst) end
  if reserve then reserve.cost = cost end
  if not read then
    if call.sink then response = stream.blame(response, reply) end
    return nil, fail_attempt(call, place, response, reply)
  end
  local used = reply.usage or {}
  place:finish("good", task.now(), used.prompt_tokens and used.completion_tokens and used.prompt_tokens + used.completion_tokens,
    response.seconds)
  if call.alone then return replies.own(call, reply, response, task.now() - call.started), cost, response.seconds end
  call.made, call.response = reply, response
  return replies.write(handle, reply, response.seconds, call.key), cost, response.seconds
end

-- Sends until there is an answer, or no sense in going on. `billing` is the journal's: `cost`, what an attempt has to be
-- settled with (nil: the worst case), and `renew`, to be called between two attempts when there is something to settle.
local function exchange(call, billing)
  local again = false
  billing.cost = budget.NOTHING
  call.attempts, call.lost_usd = 0, 0.0
  if call.taped then
    call.paid = { calls = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0, reasoning_tokens = 0, usd = 0.0 }
  end
  while true do
    call.attempts = call.attempts + 1
    local text, cost_or_wait, seconds = try(call, billing, again)
    if text then return text, cost_or_wait, seconds end
    if billing.cost == nil then call.lost_usd = call.lost_usd + (call.worst.usd or 0) end
    if billing.cost ~= budget.NOTHING then
      if billing.renew then billing.renew() end
      billing.cost = budget.NOTHING
    end
    if cost_or_wait > 0 then
      local ok, problem = task.sleep(cost_or_wait)
      if not ok then error(problem, 0) end
    end
    again = true
  end
end

-- --- one call ---

local function require_key(handle, provider, key)
  if key or not handle.default_url or not provider.api_key_env or provider.api_key_optional then return end
  local text = "no API key for %s: set %s in the environment, or api_key in the options of lmopt.lm "
    .. "(a local server needs base_url instead)"
  errors.raise("auth", text:format(handle.name, table.concat(providers.key_names(provider), " or ")))
end

-- What the request is known by, and where it goes: neither has a login or a key in it, as the address may.
local function id_of(handle, provider, message, rollout, key)
  cache = cache or require "lmopt.cache"
  local endpoint = redact.login(message.url)
  if key then endpoint = redact.key(endpoint, key) end
  return cache.key(handle.provider, endpoint, provider.api_version or "", message.body, rollout), endpoint
end

-- `alone`: nobody but the caller gets to know of it.
local function make_message(handle, provider, request, key)
  local message = redact.call(key, provider.request, handle, request, key)
  if type(message) ~= "table" or type(message.url) ~= "string" or type(message.body) ~= "string" then
    slip(handle, "request", "a table with url and body (texts)", message)
  end
  return message
end

local function new_call(handle, provider, request, message, sample, secret, own, sink, alone)
  local worst = client.worst_cost(handle, request, message)
  local now = task.now()
  local seconds = sample.deadline or handle.deadline
  local run_deadline = budget.deadline(own)
  return {
    handle = handle, provider = provider, request = request, message = message, key = secret.key, gate = secret.gate,
    ledgers = own, worst = worst, started = now, run_deadline = run_deadline,
    deadline = seconds and math.min(run_deadline, now + seconds) or run_deadline,
    attempts = 1, lost_usd = 0.0, sink = sink, alone = alone, taped = tape and true,
  }
end

-- The reply that stands in a text; one that can't be read is not kept.
local function read_kept(store, id, text)
  local ok, reply = pcall(replies.read, text)
  if ok then return reply end
  if store then store:forget(id) end
  error(reply, 0)
end

local function drop_nothing() end

-- Sends where nobody keeps the reply.
local function ask_alone(call)
  return (redact.call(call.key, exchange, call, { cost = nil }))
end

-- Gets the reply to a call: from the journal, the cache, a call in flight, or by sending. `looked`: it is not in the cache.
local function ask(call, id, store, journal, looked)
  local handle, provider, key, sink = call.handle, call.provider, call.key, call.sink
  local was_sent, joined = false, false
  local function send(billing)
    if not store then was_sent = true end
    return redact.call(key, exchange, call, billing or { cost = nil })
  end
  local through
  if store then
    function through(pay)
      local text
      text, was_sent, joined = cache.ask(store, id, handle.name, key or "", function(launch)
        require_key(handle, provider, key)
        return pay(launch)
      end, sink, looked)
      return text, was_sent
    end
  end
  local text
  if journal then
    text = journal:call(id, handle.name, call.message.body, call.worst, send, through)
  elseif through then
    text = through(function(launch)
      return launch(function()
        local reply, cost = send()
        return reply, cost.usd
      end, drop_nothing)
    end)
  else
    text = send()
  end
  local waited = task.now() - call.started
  -- What was made of the answer to this very call need not be read from its text.
  if was_sent and call.made then return replies.own(call, call.made, call.response, waited), text end
  local reply = read_kept(store, id, text)
  if was_sent then return replies.mark_sent(reply, call.attempts, call.lost_usd, waited), text end
  return replies.mark_cached(reply, joined and waited or 0.0), text
end

--- Asks a model over the network, or where its replies were recorded.
---@async
---@param handle table
---@param provider table
---@param request table
---@param sample table what the call says of itself: `cache`, `rollout`, `deadline`
---@param secret { key: string|nil, gate: lmopt.Gate, ledger: lmopt.Ledger|nil }
---@param sink lmopt.Sink|nil gets the deltas, if the answer comes for this call and the provider can stream
---@return table reply
---@return string|nil id what the cache knows it by
---@return string|nil text where somebody keeps it
---@return integer|nil sent how many bytes the request has, where it was made
function client.call(handle, provider, request, sample, secret, sink)
  local key = secret.key
  if not (provider.stream and provider.stream_end) then sink = nil end
  local store, journal = client.open_cache(handle, sample), task.context().journal
  if not store and not (tape and tape.replays) then require_key(handle, provider, key) end
  local own = budget.ledgers(secret.ledger)
  limit_reply(handle, provider, request, own, journal)
  local message = make_message(handle, provider, request, key)
  local rollout = sample.rollout or handle.rollout
  local alone = not store and not journal and not tape
  local id, endpoint
  if not alone then id, endpoint = id_of(handle, provider, message, rollout, key) end
  local looks = store and not journal and not tape
  if looks then
    local text = cache.find(store, id, key or "")
    if text then return replies.mark_cached(read_kept(store, id, text), 0.0), id, text end
  end
  local call = new_call(handle, provider, request, message, sample, secret, own, sink, alone)
  if alone then return ask_alone(call), nil, nil, #message.body end
  if not tape then
    local reply, text = ask(call, id, store, journal, looks)
    return reply, store and id, text, #message.body
  end
  local written = tape -- another one may be set meanwhile
  local place = written:enter(call, id, endpoint, rollout)
  if written.replays then return written:answer(call, id, place, client.may_repeat(handle, sample)) end
  local ok, reply, text = pcall(ask, call, id, store, journal)
  written:note(place, call.paid, ok, reply, text)
  if not ok then error(reply, 0) end
  return reply, nil, text
end

return client
