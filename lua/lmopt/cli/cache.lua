--- `lmopt cache stats|clear|path`: the file in which the replies of models are kept.
local core = require "lmopt.core.cache"
local export = require "lmopt.export"
local options = require "lmopt.cli.options"
local output = require "lmopt.cli.output"
local settings = require "lmopt.cli.settings"
local system = require "lmopt.core.system"

local DONE, FAILED = 0, 1

local cache = { order = { "stats", "clear", "path" } }

local FILE = { name = "FILE" }
local WHERE = "Without FILE, the one that `lmopt run` uses: lmopt cache path."

local UNITS = { s = 1, m = 60, min = 60, h = 3600, d = 86400, w = 7 * 86400 }

-- The place of the file, or nil and why there is none.
local function place_of(values)
  local place = settings.cache_place(values.FILE, "cache", "FILE")
  if type(place) == "table" then return place end
  return nil, place == false and "the cache is off (LMOPT_CACHE)" or "the cache is in memory: there is no file"
end

-- Opens the file, or says that there is none to be had.
local function open(values)
  local place, reason = place_of(values)
  if place then return core.new(place), place.path end
  io.stderr:write("lmopt: ", reason, "\n")
  return nil
end

local function checked(ok, ...)
  if ok then return ... end
  error((...), 0)
end

-- "12.3 MiB"
local function size(bytes)
  local units = { "bytes", "KiB", "MiB", "GiB" }
  local unit = 1
  while bytes >= 1024 and unit < #units do
    bytes = bytes / 1024
    unit = unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, units[unit])
end

local function date(utc) return os.date("!%Y-%m-%d %H:%M", math.floor(utc)) .. " UTC" end

cache.stats = {
  command = {
    name = "cache stats",
    synopsis = "[FILE] [--json]",
    summary = "Prints what is kept, by model, and how often it was of use.",
    positionals = { FILE },
    options = { { name = "json", help = "as JSON" } },
    details = WHERE,
    examples = { "lmopt cache stats", "lmopt cache stats lm-cache.db --json" },
  },
}

function cache.stats.main(values, _, host)
  local file, path = open(values)
  if not file then return FAILED end
  local stats = checked(file:stats())
  file:close()
  if values.json then
    stats.path, stats.exists = path, nil
    for _, key in ipairs { "since", "oldest", "newest" } do
      if stats[key] == 0 then stats[key] = nil end
    end
    host.write(export.encode(stats) .. "\n")
    return DONE
  end
  if not stats.exists then
    host.write(("%s does not exist: nothing is kept yet\n"):format(path))
    return DONE
  end
  host.write(("%s\n%s, %s of at most %s\n"):format(path, output.count(stats.entries, "reply"):gsub("replys", "replies"),
    size(stats.bytes), size(stats.max_bytes)))
  if stats.entries > 0 then
    host.write(("the oldest made %s, the newest %s\n"):format(date(stats.oldest), date(stats.newest)))
  end
  host.write(("%s since %s, which saved %s\n"):format(output.count(stats.hits, "hit"), date(stats.since),
    output.dollars(stats.saved_usd)))
  local rows = { { "model", "replies", "size", "cost" } }
  for _, model in ipairs(stats.models) do
    rows[#rows + 1] = { model.name, tostring(model.entries), size(model.bytes), output.dollars(model.usd) }
  end
  if #rows > 1 then host.write("\n" .. output.table(rows, "lrrr")) end
  return DONE
end

cache.clear = {
  command = {
    name = "cache clear",
    synopsis = "[FILE] [--older-than T] [--model NAME]",
    summary = "Removes replies, and says how many. Without options: all of them.",
    positionals = { FILE },
    options = {
      { name = "older-than", value = "T", help = "only those made longer ago: 90s, 30m, 12h, 30d, 4w" },
      { name = "model", value = "NAME", help = "only those of a model, as `lmopt cache stats` names it" },
    },
    details = WHERE,
    examples = { "lmopt cache clear --older-than 30d", "lmopt cache clear --model openai/gpt-4o-mini" },
  },
}

-- Seconds of "30d".
local function read_age(text)
  local number, unit = text:match "^(%d+%.?%d*)%s*(%a+)$"
  if not number or not UNITS[unit] then
    options.misuse(cache.clear.command, "--older-than needs a time such as 90s, 30m, 12h, 30d or 4w, not '%s'", text)
  end
  return tonumber(number) * UNITS[unit]
end

function cache.clear.main(values, _, host)
  local age = values["older-than"] and read_age(values["older-than"])
  local file, path = open(values)
  if not file then return FAILED end
  if values.FILE and not checked(file:stats()).exists then -- a misspelt name is no empty cache
    file:close()
    io.stderr:write(("lmopt: there is no file %s\n"):format(path))
    return FAILED
  end
  local entries, bytes = checked(file:clear(age and math.max(system.utc() - age, 1e-9) or 0, values.model))
  file:close()
  host.write(("removed %s (%s) from %s\n"):format(output.count(entries, "reply"):gsub("replys", "replies"), size(bytes), path))
  return DONE
end

cache.path = {
  command = {
    name = "cache path",
    synopsis = "",
    summary = "Prints where `lmopt run` keeps the replies of models.",
    positionals = {},
    options = {},
    details = [[
LMOPT_CACHE=FILE names another file; LMOPT_CACHE=memory keeps replies as long as
the run, LMOPT_CACHE=off not at all. `lmopt run --cache` and the key `cache` of a
script (a path, "memory" or false) win over it.]],
    examples = { "lmopt cache path" },
  },
}

function cache.path.main(values, _, host)
  local place, reason = place_of(values)
  if place then
    host.write(place.path .. "\n")
    return DONE
  end
  io.stderr:write("lmopt: ", reason, "\n")
  return FAILED
end

return cache
