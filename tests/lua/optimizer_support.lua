--- What the specs about optimizers share: a model that answers from nothing but what it is sent, through the journal as if
-- it were behind a network, and the examples that it knows something about.
local lmopt = require "lmopt"
local study_support = require "study_support"
local task = require "lmopt.core.task"

local M = {}

--- Examples whose inputs are x1, x2, ... and whose answers are y1, y2, ...
function M.examples(count, first)
  local list = {}
  for i = 1, count do
    local number = (first or 1) + i - 1
    list[i] = lmopt.example { question = "x" .. number, answer = "y" .. number }:with_inputs "question"
  end
  return list
end

--- A number from 0 to 1 made of a text.
function M.chance(text)
  local hash = 5381
  for i = 1, #text do hash = (hash * 33 + text:byte(i)) % 4294967296 end
  return (hash * 2654435761 % 4294967296) / 4294967296
end

--- Answers as a model would: "skill N" in what it is told is how many of ten questions it answers rightly. What is no
--- question of the examples gets a word made of it.
function M.answer(text)
  local skill = tonumber(text:match "skill (%d+)") or 3
  local number = text:match ".*x(%d+)"
  if not number then return ("word%d"):format(M.chance(text) * 1000 // 1) end
  return M.chance("q" .. number) * 10 < skill and "y" .. number or "no idea"
end

local WORST = { calls = 1, prompt_tokens = 100, completion_tokens = 10, usd = 0.0 }

--- A model behind a make-believe network: `sent` counts what reaches it, by what was sent; `pause` is how long a reply takes
--- at most.
---@return table network { model =, sent = { [body] = count }, count =, pause = }
function M.network(pause)
  local network = { sent = {}, count = 0, pause = pause or 0 }
  local delays = require("lmopt.core.study").random(1, 0, "delays")
  local function exchange(body, text)
    network.sent[body], network.count = (network.sent[body] or 0) + 1, network.count + 1
    if network.fail and network.fail(network.count) then error(network.fail(network.count), 0) end
    if network.pause > 0 then lmopt.sleep(delays:uniform(0, network.pause)) end
    return ("[[ ## answer ## ]]\n%s\n"):format(M.answer(text)), { calls = 1, prompt_tokens = #text // 4, completion_tokens = 2, usd = 0.0 },
      network.pause
  end
  network.model = lmopt.lm(function(request)
    local texts = {}
    for i, message in ipairs(request.messages) do texts[i] = message.content end
    local text = table.concat(texts, "\n")
    local body = ("%s %s"):format(tostring(request.rollout or 0), text)
    local journal = task.context().journal
    if not journal then return (exchange(body, text)) end
    return (journal:call(body, "toy", body, WORST, function() return exchange(body, text) end))
  end)
  return network
end

--- A study as text: everything but dates, and which of several trials that wanted the same paid for it.
function M.dump(study) return (study_support.dump(study):gsub(',?"lmopt:usage":%b{}', "")) end

function M.right(example, prediction) return example.answer == prediction.answer end

return M
