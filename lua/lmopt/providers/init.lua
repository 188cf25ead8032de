--- The providers of language models, by name. A provider is a table that knows one kind of server:
--
--   request(lm, request, key) -> { url =, headers = {"Name: value", ...}, body = }
--                   what to send; `key` is nil when there is none
--   reply(lm, response, request) -> reply
--                   what came back: response = { status =, headers =, body =, seconds = }
--   base_url      where requests go unless the handle says otherwise; base_url_env: the variable that can change it
--   api_key_env   the environment variable with the key for that address
--   options       the names of options known to go into the request's body, for spotting misspelt ones
--
-- A reply is { text =, finish_reason =, model =, usage = { prompt_tokens =, completion_tokens = } }; `reply` raises an
-- error table (lmopt.error) when there is none. A provider that runs inside this process has
-- `answer(lm, request) -> reply` instead of request and reply.
local errors = require "lmopt.error"

local providers = {}

local registered, names = {}, {}

--- Registers a provider, so that `lmopt.lm("name/model")` finds it. A name that is taken is replaced.
---@param name string letters, digits, "_" and "-"
---@param provider table as described at the top of this file
function providers.register(name, provider)
  errors.check_type(name, "name", "providers.register", "string")
  errors.check_type(provider, "provider", "providers.register", "table")
  if not name:match "^[%w_-]+$" then
    errors.misuse("a provider's name has letters, digits, '_' and '-' only, not '" .. name .. "'")
  end
  errors.check_type(provider.options, "options", "provider " .. name, "table", "nil")
  if provider.answer ~= nil then
    errors.check_type(provider.answer, "answer", "provider " .. name, "function")
  else
    errors.check_type(provider.request, "request", "provider " .. name, "function")
    errors.check_type(provider.reply, "reply", "provider " .. name, "function")
    errors.check_type(provider.base_url, "base_url", "provider " .. name, "string", "nil")
  end
  if not registered[name] then
    names[#names + 1] = name
    table.sort(names)
  end
  registered[name] = provider
end

--- The provider of that name, or nil.
---@param name string
---@return table|nil
function providers.get(name) return registered[name] end

--- The names of all providers, sorted.
---@return string[]
function providers.names() return table.move(names, 1, #names, 1, {}) end

providers.register("openai", require "lmopt.providers.openai")
providers.register("offline", require "lmopt.providers.offline")

return providers
