--- Files that are written whole or not at all, and read whole.
local errors = require "lmopt.error"
local system = require "lmopt.core.system"

local whole_file = {}

-- io's reasons begin with a file's name, which may not be the one the user knows.
local function reason_of(problem) return (tostring(problem):gsub("^.*: ", "")) end

---Raises where the host has not opened Lua's io and os.
---@param what string "save"
---@param instead string what to do without files
function whole_file.needs_io(what, instead)
  if io and os then return end
  errors.misuse(("%s needs Lua's io and os, which this host has not opened; %s"):format(what, instead))
end

---Raises "storage" where no file could be written. It leaves no file.
---@param path string
function whole_file.check(path)
  local place, wrong = system.write_place(path)
  local beside = place and ("%s.%d.new"):format(place, system.process_id())
  local file, problem
  if beside then file, problem = io.open(beside, "wb") end
  if not file then errors.raise("storage", ("%s can't be written: %s"):format(path, reason_of(wrong or problem))) end
  file:close()
  os.remove(beside)
end

---Writes a file beside the one that is meant, then puts it in its place. What goes wrong is an error of kind "storage".
---@param path string
---@param text string
function whole_file.write(path, text)
  local place, wrong = system.write_place(path)
  if not place then errors.raise("storage", ("%s can't be written: %s"):format(path, reason_of(wrong))) end
  local beside = ("%s.%d.new"):format(place, system.process_id())
  local file, problem = io.open(beside, "wb")
  if not file then errors.raise("storage", ("%s can't be written: %s"):format(path, reason_of(problem))) end
  local written, why = file:write(text)
  local closed, why_not_closed = file:close()
  local moved, why_not_moved
  if written and closed then moved, why_not_moved = os.rename(beside, place) end
  if not moved then
    os.remove(beside)
    errors.raise("storage", ("%s can't be written: %s"):format(path, reason_of(why or why_not_closed or why_not_moved)))
  end
end

---All of a file. What goes wrong is an error of kind "not_found" or "storage".
---@param path string
---@return string
function whole_file.read(path)
  local file, problem, code = io.open(path, "rb")
  if not file then
    errors.raise(code == 2 and "not_found" or "storage", ("%s can't be read: %s"):format(path, reason_of(problem)))
  end
  local text, why = file:read "a"
  file:close()
  if not text then errors.raise("storage", ("%s can't be read: %s"):format(path, reason_of(why))) end
  return text
end

return whole_file
