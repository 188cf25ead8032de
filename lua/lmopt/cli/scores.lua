--- What `lmopt run --rescore` shows: old and new values side by side.
local json = require "lmopt.json"
local output = require "lmopt.cli.output"
local sorted = require "lmopt.sorted"

local scores = {}

local MOST_ROWS = 40 -- of the table
local WIDEST = 30 -- of a parameter's value

-- "x=0.5 kind=fast"
local function params_text(params)
  local parts = {}
  for i, name in ipairs(sorted.keys(params)) do
    parts[i] = name .. "=" .. output.shorten(output.value(params[name]), WIDEST)
  end
  return table.concat(parts, " ")
end

-- "0.5", "pruned 0.25", "failed"
local function ended_text(state, values)
  local text = values and output.values { values = values }
  if state == "complete" then return text end
  if state == "waiting" then return "runs again" end
  return text and state .. " " .. text or state
end

--- The table of a rescored study.
---@param rescored lmopt.cli.Rescored
---@return string
function scores.text(rescored)
  local rows = { { "  trial", "old", "new", "parameters" } }
  for i, one in ipairs(rescored.list) do
    if i > MOST_ROWS then
      rows[#rows + 1] = { ("  (%d more)"):format(#rescored.list - MOST_ROWS), "", "", "" }
      break
    end
    rows[#rows + 1] = { "  " .. one.number, ended_text(one.was, one.old), ended_text(one.state, one.new),
      params_text(one.params) }
  end
  return ("%s of study '%s' scored anew, %s\n"):format(output.count(rescored.scored, "trial"), rescored.from,
    output.count(rescored.predictions, "prediction")) .. output.table(rows, " rr", 70)
end

-- A number where there is one direction, a list where there are several.
local function plain(values)
  if not values then return nil end
  return #values == 1 and values[1] or json.array(values)
end

--- The same for --json.
---@param rescored lmopt.cli.Rescored
---@return table
function scores.object(rescored)
  local list = json.array {}
  for i, one in ipairs(rescored.list) do
    list[i] = { number = one.number, was = one.was, state = one.state, old = plain(one.old), new = plain(one.new),
      params = one.params }
  end
  return { from = rescored.from, predictions = rescored.predictions, again = rescored.again, list = list }
end

return scores
