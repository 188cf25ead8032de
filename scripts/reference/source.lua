-- What is known of a function from its text: its parameters, and whether it returns anything.
local source = {}

local function skip_long(text, at) -- [==[ ... ]==]
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at, true)
  return (stop or #text) + 1
end

local function skip_quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 2
    elseif c == quote then
      return i + 1
    else
      i = i + 1
    end
  end
  return i
end

---The tokens of a Lua text: names, keywords and marks, each with its line; comments and texts are left out.
---@param text string
---@return { text: string, line: integer }[]
function source.tokens(text)
  local list, at, line = {}, 1, 1
  local function move(to)
    for _ in text:sub(at, to - 1):gmatch "\n" do line = line + 1 end
    at = to
  end
  while at <= #text do
    local c = text:sub(at, at)
    local word = text:match("^[%a_][%w_]*", at)
    if text:match("^%-%-", at) then
      move(skip_long(text, at + 2) or text:find("\n", at, true) or #text + 1)
    elseif c:match "%s" then
      move(text:match("^%s+()", at))
    elseif c == '"' or c == "'" then
      list[#list + 1] = { text = '""', line = line }
      move(skip_quoted(text, at))
    elseif skip_long(text, at) then
      list[#list + 1] = { text = '""', line = line }
      move(skip_long(text, at))
    elseif word then
      list[#list + 1] = { text = word, line = line }
      move(at + #word)
    elseif text:match("^%.%.%.", at) then
      list[#list + 1] = { text = "...", line = line }
      move(at + 3)
    else
      local number = text:match("^%d[%w.]*", at) or c
      list[#list + 1] = { text = number, line = line }
      move(at + #number)
    end
  end
  return list
end

local RAISES = { error = true, misuse = true, raise = true, fail = true }
local NOTHING_AFTER = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, [";"] = true }

-- `return errors.misuse(...)` returns nothing.
local function is_raise(tokens, i)
  while tokens[i] and tokens[i + 1] and tokens[i + 1].text == "." do i = i + 2 end
  local called = tokens[i + 1] ~= nil and (tokens[i + 1].text == "(" or tokens[i + 1].text == '""')
  return called and RAISES[tokens[i].text] == true
end

local function find_returns(tokens, i)
  local open, values = { "function" }, false
  while i <= #tokens and #open > 0 do
    local text = tokens[i].text
    if text == "function" or text == "if" or text == "do" or text == "repeat" then
      open[#open + 1] = text
    elseif text == "end" or text == "until" then
      open[#open] = nil
    elseif text == "return" then
      local inner = false
      for k = 2, #open do inner = inner or open[k] == "function" end
      local after = tokens[i + 1]
      if not inner and after and not NOTHING_AFTER[after.text] and not is_raise(tokens, i + 1) then values = true end
    end
    i = i + 1
  end
  return values
end

---The first function whose `function` stands in that line.
---@param tokens { text: string, line: integer }[]
---@param line integer
---@return { name: string, params: string[], returns: boolean }? found `params` without self, `...` included
function source.function_at(tokens, line)
  for i, token in ipairs(tokens) do
    if token.line > line then return nil end
    if token.line == line and token.text == "function" then
      local name, params = {}, {}
      local k = i + 1
      while tokens[k] and tokens[k].text ~= "(" do
        name[#name + 1] = tokens[k].text
        k = k + 1
      end
      k = k + 1
      while tokens[k] and tokens[k].text ~= ")" do
        if tokens[k].text ~= "," then params[#params + 1] = tokens[k].text end
        k = k + 1
      end
      return { name = table.concat(name), params = params, returns = find_returns(tokens, k + 1) }
    end
  end
end

return source
