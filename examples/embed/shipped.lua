-- The Lua half of shipped.c: a tuned program without an optimizer. It needs no io, no os, no debug.
local lmopt, saved, model = ...

-- The task as the code knows it; instructions, demonstrations and descriptions come from the saved text.
local sort = lmopt.predict("ticket -> queue: literal[billing, login, bug, shipping, feature]", { lm = lmopt.lm(model) })
sort:restore(saved)

local TICKETS = {
  "My card was charged twice this month.",
  "I forgot my password and the reset code never comes.",
  "The app freezes when I open the basket.",
  "Where is my parcel? It was due on Friday.",
  "Please add a dark mode.",
}
local waiting = {} -- calls in flight: { ticket =, task = }
local asked, answered = 0, 0

-- What a game does in one frame, besides everything else: ask at most once, and take the answers that are there.
-- Returns a line to show or nil, and how many answers there were so far.
return function()
  local line
  for i = #waiting, 1, -1 do
    local call = waiting[i]
    local status = call.task:status()
    if status == "done" then
      line = ("%-8s  %s"):format(call.task:await().queue, call.ticket) -- finished: does not wait
    elseif status == "failed" then
      line = ("error     %s"):format(tostring((call.task:error())))
    end
    if line then
      table.remove(waiting, i)
      answered = answered + 1
      break
    end
  end
  local ticket = TICKETS[asked % #TICKETS + 1]
  asked = asked + 1
  waiting[#waiting + 1] = { ticket = ticket, task = lmopt.spawn(function() return sort { ticket = ticket } end) }
  return line, answered
end
