--- The provider `offline`: a small, deterministic model for dry runs and tests. It runs inside the process, costs
-- nothing, and answers from nothing but the prompt it is given.
--
-- It reads three things out of the messages: demonstrations (earlier user and assistant pairs, and Input/Output blocks
-- inside a message), allowed answers ("one of: a, b, c", "[a, b, c]", a bulleted list of "name: description") and the
-- query. Every candidate answer is scored by the similarity of the query to its nearest demonstration, plus that to its
-- own name and description. Similarity is the cosine of word vectors, weighted as in K. Spärck Jones, "A statistical
-- interpretation of term specificity", Journal of Documentation 28, 1972, over the texts of this prompt. So better
-- demonstrations, more of them, a better order (later ones count a little more) and a better wording answer better, as
-- with a real model.
local offline_fields = require "lmopt.providers.offline_fields"

local offline = {}

-- Words that say nothing about a text's subject.
local FUNCTION_WORDS = {}
for word in ([[
  a about after again all also am an and any are as at be been but by can could did do does for from get got had has
  have how i if in into is it its just me my no not of on one or our out please so some than that the their them then
  there these they this to up us was we were what when where which who why will with would you your]]):gmatch "%a+" do
  FUNCTION_WORDS[word] = true
end

local INPUT_LABELS = { input = true, question = true, text = true, query = true, ticket = true, message = true }
local OUTPUT_LABELS = {
  output = true, answer = true, label = true, response = true, queue = true, category = true, class = true,
}

-- How much the wording of an allowed answer counts next to a demonstration of it, and the last demonstration next to
-- the first.
local WORDING_WEIGHT, RECENCY_BONUS = 0.9, 0.05

local function trim(text) return (text:match "^%s*(.-)%s*$") end

-- "invoices" and "invoice", "charged" and "charge" are the same word here.
local function stem(word)
  if #word > 4 then
    word = word:gsub("ies$", "y")
    for _, ending in ipairs { "ing", "ed", "es", "s", "e" } do
      if #word - #ending >= 3 and word:sub(-#ending) == ending and word:sub(-2) ~= "ss" then
        return word:sub(1, -#ending - 1)
      end
    end
  end
  return word
end

-- The words of a text in order, normalised; bytes above 127 count as letters.
local function words_of(text)
  local words = {}
  for word in text:lower():gmatch "[%w\x80-\xff]+" do
    if not FUNCTION_WORDS[word] then words[#words + 1] = stem(word) end
  end
  return words
end

local function same_answer(left, right)
  local function plain(text) return (text:lower():gsub("[^%w\x80-\xff]+", " "):match "^%s*(.-)%s*$") end
  return plain(left) == plain(right)
end

-- Content is a text, or the list of parts that OpenAI's messages may have.
local function content_text(content)
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts, "\n")
end

-- Splits a message into Input/Output blocks. Returns the text before the first block, the demonstrations, and the input
-- that has no output yet.
local function read_blocks(text)
  local before, pairs_found = {}, {}
  local current, field
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    local label, rest = line:match "^%s*(%a+)%s*:%s*(.*)$"
    local kind = label and label:lower()
    if kind and INPUT_LABELS[kind] then
      current = { input = { rest }, output = {} }
      pairs_found[#pairs_found + 1] = current
      field = current.input
    elseif kind and OUTPUT_LABELS[kind] and current then
      field = current.output
      field[1] = rest
    elseif not current then
      before[#before + 1] = line
    elseif trim(line) == "" and field == current.output then
      field = {} -- a blank line ends an answer; what follows belongs to nobody
    else
      field[#field + 1] = line
    end
  end
  local demos, open = {}, nil
  for _, pair in ipairs(pairs_found) do
    local input, output = trim(table.concat(pair.input, "\n")), trim(table.concat(pair.output, "\n"))
    if output == "" then
      open = input
    else
      demos[#demos + 1] = { input = input, output = output }
    end
  end
  return table.concat(before, "\n"), demos, open
end

-- Takes the prompt apart: instructions, demonstrations in order, query.
local function read_prompt(messages)
  local instructions, demos, query, waiting = {}, {}, nil, nil
  for _, message in ipairs(messages) do
    local text = content_text(message.content)
    if message.role == "assistant" then
      if waiting then demos[#demos + 1] = { input = waiting, output = trim(text) } end
      query, waiting = waiting, nil
    else
      local before, inside, open = read_blocks(text)
      for _, demo in ipairs(inside) do demos[#demos + 1] = demo end
      if message.role == "user" then
        if #inside > 0 or open then
          instructions[#instructions + 1] = before
          waiting = open or trim(text)
        else
          waiting = trim(text)
        end
        query = waiting
      else
        instructions[#instructions + 1] = before
      end
    end
  end
  return table.concat(instructions, "\n"), demos, query or ""
end

-- Adds an allowed answer, or what is said about one that is there.
local function add_value(values, name, description)
  name = trim(name):gsub("^[\"'`*]+", ""):gsub("[\"'`*.]+$", "")
  if name == "" or #name > 60 then return end
  for _, value in ipairs(values) do
    if same_answer(value.name, name) then
      value.description = value.description .. " " .. (description or "")
      return
    end
  end
  values[#values + 1] = { name = name, description = description or "" }
end

-- "a, b (about b), or c" -> answers. One item alone is no list ("refund one of the payments").
local function add_list(values, list)
  local found = {}
  list = list:gsub("%s+or%s+", ", "):gsub("%s+and%s+(%w+)$", ", %1")
  local item, depth = {}, 0
  for character in (list .. ","):gmatch "." do
    if character == "(" then depth = depth + 1 end
    if character == ")" then depth = depth - 1 end
    if character == "," and depth <= 0 then
      local text = table.concat(item)
      local name, description = text:match "^(.-)%s*%((.*)%)%s*$"
      found[#found + 1] = { name = name or text, description = description }
      item = {}
    else
      item[#item + 1] = character
    end
  end
  for i = 1, #found > 1 and #found or 0 do add_value(values, found[i].name, found[i].description) end
end

-- The answers the instructions allow, in the order in which they are named, each with what is said about it.
local function read_values(instructions)
  local values = {}
  for line in (instructions .. "\n"):gmatch "(.-)\n" do
    local list = line:lower():find("one of", 1, true)
    if list then
      local rest = line:sub(list + 6):gsub("^[^,(]-:", "") -- "one of these queues: a, b"
      rest = trim(rest)
      add_list(values, rest:match "^%[(.-)%]" or rest:match "^(.-)[.;?]%s" or rest:match "^(.-)[.;:?]?$")
    elseif line:match "%[[^%[%]]+,[^%[%]]+%]" then
      add_list(values, line:match "%[([^%[%]]+,[^%[%]]+)%]")
    end
  end
  for line in (instructions .. "\n"):gmatch "(.-)\n" do
    local name, description = line:match "^%s*[-*]%s*([^:=]-)%s*[:=]%s*(.+)$"
    if name then add_value(values, name, description) end
  end
  return values
end

-- Words that few of the prompt's texts contain weigh more.
local function word_weights(texts)
  local containing = {}
  for _, words in ipairs(texts) do
    local seen = {}
    for _, word in ipairs(words) do
      if not seen[word] then
        seen[word] = true
        containing[word] = (containing[word] or 0) + 1
      end
    end
  end
  local weights = {}
  for word, count in pairs(containing) do weights[word] = math.log(1 + #texts / count) end
  return weights
end

-- Sums run in the order of the words, so that every machine rounds alike.
local function similarity(left, right, weights)
  local function vector(words)
    local counts, order = {}, {}
    for _, word in ipairs(words) do
      if not counts[word] then order[#order + 1] = word end
      counts[word] = (counts[word] or 0) + 1
    end
    local length = 0
    for _, word in ipairs(order) do
      counts[word] = math.sqrt(counts[word]) * weights[word]
      length = length + counts[word] ^ 2
    end
    return counts, order, math.sqrt(length)
  end
  local a, order, a_length = vector(left)
  local b, _, b_length = vector(right)
  local sum = 0
  for _, word in ipairs(order) do sum = sum + a[word] * (b[word] or 0) end
  return sum > 0 and sum / (a_length * b_length) or 0
end

-- The candidates are the allowed values, or where none are named, the demonstrated answers.
local function candidates_of(values, demos)
  if #values > 0 then return values end
  local found = {}
  for _, demo in ipairs(demos) do add_value(found, demo.output) end
  return found
end

-- The best of a list of { name =, description = }: near to the query itself, or the answer of a demonstration that is.
local function best_of(candidates, demos, query)
  local query_words = words_of(query)
  local texts = { query_words }
  for _, candidate in ipairs(candidates) do
    candidate.words = words_of(candidate.name .. " " .. candidate.description)
    texts[#texts + 1] = candidate.words
  end
  for _, demo in ipairs(demos) do
    demo.words = words_of(demo.input)
    texts[#texts + 1] = demo.words
  end
  local weights = word_weights(texts)
  local best, best_score = candidates[1], 0
  for _, candidate in ipairs(candidates) do
    local nearest = 0
    for i, demo in ipairs(demos) do
      if same_answer(demo.output, candidate.name) then
        local recency = 1 + RECENCY_BONUS * i / #demos
        nearest = math.max(nearest, recency * similarity(query_words, demo.words, weights))
      end
    end
    local score = nearest + WORDING_WEIGHT * similarity(query_words, candidate.words, weights)
    if score > best_score then best, best_score = candidate, score end
  end
  return best.name
end

local function choose(instructions, demos, query)
  local values = read_values(instructions)
  if #values == 0 and (query:lower():find("one of:", 1, true) or query:find "%[.+,.+%]") then
    values = read_values(query)
  end
  local candidates = candidates_of(values, demos)
  if #candidates == 0 then return #demos > 0 and demos[#demos].output or query end
  return best_of(candidates, demos, query)
end

local function count_words(text)
  local _, count = text:gsub("%S+", "")
  return count
end

--- Answers a request. `max_tokens` cuts the answer (a token is a word here).
---@param request table with `messages`
---@return table reply { text, finish_reason, usage }
function offline.answer(_, request)
  local text = offline_fields.answer(request.messages, content_text, read_values, best_of, same_answer)
    or choose(read_prompt(request.messages))
  local prompt_tokens = 0
  for _, message in ipairs(request.messages) do
    prompt_tokens = prompt_tokens + count_words(content_text(message.content))
  end
  local limit, finish_reason = math.tointeger(request.max_tokens), "stop"
  if limit and limit >= 0 and count_words(text) > limit then
    local stop = 0
    for _ = 1, limit do stop = text:match("^%s*%S+()", stop + 1) - 1 end
    text, finish_reason = text:sub(1, stop), "length"
  end
  local count, texts = math.tointeger(request.n), nil
  if count and count > 1 then -- it has one answer
    texts = {}
    for i = 1, count do texts[i] = text end
  end
  return {
    text = text,
    texts = texts,
    finish_reason = finish_reason,
    usage = { prompt_tokens = prompt_tokens, completion_tokens = count_words(text), seconds = 0.0 },
  }
end

return offline
