--- How far a study or an evaluation is: a bar on a terminal, now and then a plain line elsewhere.
--
-- One bar stands on the terminal at a time. Who prints while it does calls `progress.pause` before and `progress.resume`
-- after; the command line does so for what scripts print.
--
-- `progress.new` makes a function that takes events:
--   { finished = trials finished so far, total = of how many (nil: unknown), best = value or nil, front = trials on the
--     Pareto front or nil, score = the running mean of an evaluation or nil, usd = what it costs so far or nil, noun = of what
--     there are so many ("trials"), failed = how many failed, budget = a function that says what is left of one, or nil, final = true for the last one }
local system = require "lmopt.core.system"

local progress = {}

local BAR = 24
local REDRAW = 0.1 -- seconds between two states of the bar
local LINES = 10 -- seconds between two plain lines

local standing -- how the bar that is on the terminal was written: { write, text }; nil when there is none
local held = false -- has something been printed that does not end a line? The bar would wipe it out

--- Takes the bar off the terminal, so that something else can be printed.
---@return table|nil bar what to give to `resume`
function progress.pause()
  local bar = standing
  if bar then
    standing = nil
    bar.write "\r\27[K"
  end
  return bar
end

--- Puts the bar back.
---@param bar table|nil from `pause`
---@param line_ended boolean|nil does what was printed end a line? If not, the bar stays away until something does; nil:
---  nothing was printed
function progress.resume(bar, line_ended)
  if line_ended ~= nil then held = not line_ended end
  if bar and not held then
    bar.write(bar.text)
    standing = bar
  end
end

local function number(value)
  return ("%.6g"):format(value)
end

local function left(seconds)
  if seconds < 60 then return ("%d s"):format(math.ceil(seconds)) end
  if seconds < 3600 then return ("%d:%02d min"):format(seconds // 60, seconds % 60 // 1) end
  return ("%d:%02d h"):format(seconds // 3600, seconds % 3600 // 60)
end

-- "37/60 trials", "best 0.3979", "12 s left"
local function parts(event, remaining)
  local list = {}
  local within = event.total and event.finished <= event.total -- neighbours may add more than we were asked for
  local noun = event.noun or "trials"
  list[1] = within and ("%d/%d %s"):format(event.finished, event.total, noun) or ("%d %s"):format(event.finished, noun)
  if event.failed and event.failed > 0 then list[#list + 1] = ("%d failed"):format(event.failed) end
  if event.best then list[#list + 1] = "best " .. number(event.best) end
  if event.score then list[#list + 1] = "score " .. number(event.score) end
  if event.usd and event.usd > 0 then list[#list + 1] = ("$%.4f"):format(event.usd) end
  if event.front then list[#list + 1] = ("%d on the front"):format(event.front) end
  if remaining then list[#list + 1] = left(remaining) .. " left" end
  if event.budget then list[#list + 1] = event.budget() end
  return list
end

local function bar(event)
  local share = event.total and event.total > 0 and math.min(1, event.finished / event.total) or 0
  local filled = math.floor(share * BAR + 1e-9)
  return ("█"):rep(filled) .. ("░"):rep(BAR - filled)
end

---@class lmopt.progress.Options
---@field write? fun(text: string) default: standard error
---@field terminal? boolean does `write` reach a terminal? default: asks the system
---@field width? integer columns of the terminal; default: asks the system
---@field clock? fun(): number seconds
---@field timeout? number seconds after which the run ends

---@param options? lmopt.progress.Options
---@return fun(event: table) show
function progress.new(options)
  options = options or {}
  local write = options.write or system.write_error
  local clock = options.clock or system.monotonic
  local terminal, width = options.terminal, options.width
  if terminal == nil then terminal = system.is_terminal(2) end
  width = width or system.terminal_width(2)
  local started, base = clock(), nil
  local shown_at, shown = -math.huge, nil

  local function show(event)
    local now = clock()
    base = base or event.finished
    if event.final then
      progress.pause()
      return
    end
    if terminal and held then return end
    local every = terminal and REDRAW or LINES
    if now - shown_at < every and not (terminal and event.finished == event.total) then return end
    local remaining
    local done = event.finished - base
    if done > 0 and event.total and event.total > event.finished then
      remaining = (now - started) / done * (event.total - event.finished)
      if options.timeout then remaining = math.max(0, math.min(remaining, started + options.timeout - now)) end
    end
    local list = parts(event, remaining)
    if terminal then
      local text = table.concat(list, " · ")
      local full = bar(event) .. " " .. text
      if (utf8.len(full) or #full) < width then text = full end
      while (utf8.len(text) or #text) >= width and #list > 1 do
        list[#list] = nil
        text = table.concat(list, " · ")
      end
      write("\r\27[K" .. text)
      standing = { write = write, text = text }
    else
      local text = table.concat(list, ", ")
      -- The first plain line comes when there is something to say: after LINES seconds, not at once.
      if shown_at == -math.huge and done == 0 then
        shown_at = now
        return
      end
      if text ~= shown then write(text .. "\n") end
      shown = text
    end
    shown_at = now
  end
  return show
end

return progress
