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

--- A model that does both.
---@param options? { sleep: (fun(): number)?, propose: (fun(prompt: string, nth: integer, request: table): string)? }
---@return lmopt.Model
---@return { prompts: { text: string, temperature: number? }[], answers: integer } log
function M.model(options)
  options = options or {}
  local log, times = { prompts = {}, answers = 0 }, {}
  local function propose(prompt)
    local shown = M.shown(prompt)
    return ("<INS>%s %s</INS>"):format(shown[#shown].text, M.WORDS[#log.prompts % #M.WORDS + 1])
  end
  return lmopt.lm(function(request)
    local prompt = text_of(request.messages[1])
    local reply
    if #request.messages == 1 then
      times[prompt] = (times[prompt] or 0) + 1
      log.prompts[#log.prompts + 1] = { text = prompt, temperature = request.temperature }
      reply = (options.propose or propose)(prompt, times[prompt], request)
    else
      log.answers = log.answers + 1
      reply = answer(request)
    end
    if options.sleep then lmopt.sleep(options.sleep()) end
    return reply
  end), log
end

function M.program() return lmopt.predict("question -> answer", { instructions = "Name the tree." }) end

function M.metric(one, prediction) return prediction.answer == one.answer and 1.0 or 0.0 end

return M
