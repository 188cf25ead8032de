--- Takes out of texts what nobody may see: keys, and logins in addresses.
local errors = require "lmopt.error"

local redact = {}

local MESSAGE_LENGTH = 300

--- Bytes. A shorter key ("none", "local", "ollama") is no secret, and may stand in any address and in any word.
redact.SHORTEST_KEY = 8

--- Takes "user:password@" out of addresses.
---@param text string
---@return string
function redact.login(text)
  if not text:find("@", 1, true) then return text end
  return (text:gsub("//[^/@%s]*@", "//"))
end

--- Replaces every occurrence of a key that is long enough to be one.
---@param text string
---@param key string
---@return string
function redact.key(text, key)
  if #key < redact.SHORTEST_KEY or not text:find(key, 1, true) then return text end
  return (text:gsub(key:gsub("%p", "%%%0"), "[key]"))
end

--- One short line without keys and logins, of a text that may be a server's echo.
---@param text string
---@param key string|nil
---@return string
function redact.line(text, key)
  if key then text = redact.key(text, key) end
  text = redact.login(text):gsub("[%s%c]+", " "):match "^ ?(.-) ?$"
  if #text <= MESSAGE_LENGTH then return text end
  local stop = MESSAGE_LENGTH
  while stop > 0 and text:byte(stop + 1) >= 0x80 and text:byte(stop + 1) < 0xC0 do stop = stop - 1 end
  return text:sub(1, stop) .. "..."
end

local function finish(key, ok, ...)
  if ok then return ... end
  local problem = ...
  if errors.is(problem) then
    problem.message = redact.line(tostring(problem.message), key)
  elseif type(problem) == "string" and key then
    problem = redact.key(problem, key)
  end
  error(problem, 0)
end

--- Calls a function; an error leaves with a clean message.
---@param key string|nil
---@param fn function
---@return any ... what it returns
function redact.call(key, fn, ...) return finish(key, pcall(fn, ...)) end

return redact
