--- A model for the specs of opro, in this process: it follows instructions, and proposes them from a meta-prompt.
--
-- Its task has hidden rules, each a word. An example needs one of them, and is answered rightly where the instructions have
-- it. As a proposer it takes the last text that it is shown and adds a word to it, another one each time it is asked.
local lmopt = require "lmopt"

local M = { WORDS = { "apple", "birch", "cedar", "dahlia", "elder", "fern" } }

--- Six examples, one a word.
function M.examples()
  local list = {}
  for i, word in ipairs(M.WORDS) do
    list[i] = lmopt.example({ question = "which tree " .. i .. "?", answer = word }):with_inputs "question"
  end
  return list
end

local function text_of(message) return message.content end

local function answer(request)
  local system, question = text_of(request.messages[1]), text_of(request.messages[#request.messages])
  local word = M.WORDS[tonumber(question:match "which tree (%d)")]
  return ("[[ ## answer ## ]]\n%s\n\n[[ ## completed ## ]]"):format(system:lower():find(word, 1, true) and word or "none")
end

--- The texts that a meta-prompt shows, with their scores.
function M.shown(prompt)
  local list = {}
  for text, score in prompt:gmatch "\ntext:\n(.-)\nscore:\n([^\n]*)" do list[#list + 1] = { text = text, score = tonumber(score) } end
  return list
end

local WORST = { calls = 1, prompt_tokens = 100, completion_tokens = 10, usd = 0.0 }

-- Through the journal of the trial, as a model behind a network would be asked.
local function journaled(body, make)
  local journal = require("lmopt.core.task").context().journal
  if not journal then return make() end
  return (journal:call(body, "toy", body, WORST, function()
    return make(), { calls = 1, prompt_tokens = 1, completion_tokens = 1, usd = 0.0 }, 0
  end))
end

--- A model that does both.
---@param options? { sleep: (fun(): number)?, propose: (fun(prompt: string, nth: integer, request: table): string)?, sent: table<string, integer>? }
---@return lmopt.Model
---@return { prompts: { text: string, temperature: number? }[], answers: integer } log `sent` counts what is sent, by what it is
function M.model(options)
  options = options or {}
  local log, times = { prompts = {}, answers = 0 }, {}
  local function propose(prompt, nth)
    local shown = M.shown(prompt)
    return ("<INS>%s %s</INS>"):format(shown[#shown].text, M.WORDS[(nth + #prompt // 7) % #M.WORDS + 1])
  end
  local function exchange(request, nth)
    local text
    if nth > 0 then
      local prompt = text_of(request.messages[1])
      log.prompts[#log.prompts + 1] = { text = prompt, temperature = request.temperature }
      text = (options.propose or propose)(prompt, nth, request)
    else
      log.answers = log.answers + 1
      text = answer(request)
    end
    if options.sleep then lmopt.sleep(options.sleep()) end
    return text
  end
  return lmopt.lm(function(request)
    local prompt, nth = text_of(request.messages[1]), 0
    if #request.messages == 1 then -- a meta-prompt: its how-manieth reply, whether that comes from here or from the journal
      times[prompt] = (times[prompt] or 0) + 1
      nth = times[prompt]
    end
    if not options.sent then return exchange(request, nth) end
    local body = ("%d %s %s"):format(nth, prompt, text_of(request.messages[#request.messages]))
    return journaled(body, function()
      options.sent[body] = (options.sent[body] or 0) + 1
      return exchange(request, nth)
    end)
  end), log
end

function M.program() return lmopt.predict("question -> answer", { instructions = "Name the tree." }) end

function M.metric(one, prediction) return prediction.answer == one.answer and 1.0 or 0.0 end

return M
