--- A user's script: loading it, and finding the place of what is wrong in it.
local errors = require "lmopt.error"

local script = {}

local function exists(path)
  local file = io.open(path, "rb")
  if not file then return false end
  local readable = file:read(0) ~= nil or file:seek "end" == 0 -- a folder opens, and reads nothing
  file:close()
  return readable
end

--- Raises a usage error when there is no such file.
---@param path string
function script.check(path)
  if exists(path) then return end
  local hint = ""
  if exists(path .. ".lua") then hint = (" (did you mean '%s.lua'?)"):format(path) end
  local file, reason = io.open(path, "rb")
  if file then
    file:close()
    reason = path .. ": is a folder"
  end
  errors.raise("usage", ("no script: %s%s"):format(reason, hint), { command = "run" })
end

--- Runs the script as `lua` would, with its own folder first on package.path.
---@param path string
---@param arguments string[]
---@return any ... what it returns
function script.load(path, arguments)
  local folder = path:match "^(.*)/[^/]*$" or "."
  if folder == "" then folder = "/" end
  package.path = ("%s/?.lua;%s/?/init.lua;%s"):format(folder, folder, package.path)
  local list = table.move(arguments, 1, #arguments, 1, { [0] = path })
  _G.arg = list
  local chunk, message = loadfile(path, "t")
  if not chunk then errors.raise("script", message) end
  return chunk(table.unpack(arguments))
end

--- "objective.lua:4" where `key =` stands in the script, or else "objective.lua".
---@param path string
---@param key string
---@return string
function script.locate(path, key)
  local file = io.open(path, "r")
  if not file or not key:match "^[%a_][%w_]*$" then
    if file then file:close() end
    return path
  end
  local number, found = 0, nil
  for line in file:lines() do
    number = number + 1
    local code = line:gsub("%-%-.*$", "")
    if code:find("%f[%w_]" .. key .. "%s*=[^=]") or code:find("%f[%w_]" .. key .. "%s*=$") then
      found = number -- the table that is returned stands last as a rule
    end
  end
  file:close()
  return found and ("%s:%d"):format(path, found) or path
end

--- Gives a message about a key of the script's table the place of that key.
function script.complain(path, key, format, ...)
  errors.raise("script", script.locate(path, key) .. ": " .. format:format(...))
end

--- A message without the place it begins with.
---@param message string
---@return string
function script.without_place(message)
  return (message:gsub("^[^\n]-%.lua:%d+: ", ""))
end

--- Rewrites an error that lmopt raised on the script's behalf: our own place goes, the script's comes.
---@param path string
---@param err any
---@param keys string[] keys of the script's table, one of which the message may quote
---@return any
function script.blame(path, err, keys)
  if type(err) ~= "string" then return err end
  local message = err:match "^lmopt/[%w_/]+%.lua:%d+: (.*)$"
  if not message and err:match "^[^\n]-:%d+: " then return err end -- it names a place already
  message = message or err
  for _, key in ipairs(keys) do
    if message:find("'" .. key .. "'", 1, true) then return script.locate(path, key) .. ": " .. message end
  end
  for _, key in ipairs(keys) do
    if message:find("%f[%w_]" .. key .. "%f[^%w_]") then return script.locate(path, key) .. ": " .. message end
  end
  return err -- nothing of the script's: a mistake of lmopt's own, told with its place
end

return script
