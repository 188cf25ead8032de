--- What a model that was asked for an instruction said, made into one: or why it is none.
--
-- Models put a text between the marks they were asked for, or into square brackets, or in quotes of any language, or behind
-- "Here is a better instruction:", or they just say it. What is read is a text and nothing else: it is not run, and no
-- pattern here takes more than linear time, as a reply may have any length.
local trim = require("lmopt.values").trim

local M = {}

local OPENING, CLOSING = "<ins>", "</ins>"
local LONGEST = 65536 -- bytes of a reply that are looked at; an instruction has some hundred

-- Quotes that belong together: those of English, German, French, Swedish, Polish, Japanese, Chinese, and of Markdown.
local QUOTES = {
  { '"', '"' }, { "'", "'" }, { "`", "`" }, { "“", "”" }, { "„", "“" }, { "„", "”" }, { "”", "”" }, { "‘", "’" }, { "‚", "‘" },
  { "‚", "’" }, { "«", "»" }, { "»", "«" }, { "‹", "›" }, { "「", "」" }, { "『", "』" }, { "《", "》" }, { "＂", "＂" },
}

-- Between the marks: what follows the last opening one before the first closing one; with no closing one, to the end.
local function tagged(text, lower, opening, closing)
  local stop, empty = 1, false
  local found, ended = lower:find(opening, 1, true)
  while found do
    local last, after = lower:find(closing, stop, true)
    local first
    while found and not (last and found > last) do
      first = ended + 1
      found, ended = lower:find(opening, first, true)
    end
    if first then
      local inside = trim(text:sub(first, (last or #text + 1) - 1))
      if inside ~= "" then return inside end
      empty = true
    end
    if not last then break end
    stop = after + 1
  end
  return empty and "" or nil
end

-- In brackets that are a line of their own, or stand behind a colon at the end of one: others are part of a sentence.
local function bracketed(text)
  for line in text:gmatch "[^\n]+" do
    local inside = line:match "^%s*%[([^%[%]]*)%]%s*$" or line:match ":%s*%[([^%[%]]*)%]%s*$"
    if inside and inside:find "%S" then return trim(inside) end
  end
  return text:match "^%s*%[([^%[%]]*)%]%s*$" -- over several lines
end

-- Without the line that announces it, and the fence around it.
local function bare(text)
  local fenced = text:match "```[%w]*\n(.*)\n%s*```"
  if fenced and fenced:find "%S" then return trim(fenced) end
  local rest = text:match "^[^\n]*:[ \t*_]*\n(.*)$"
  if rest and rest:find "%S" then text = trim(rest) end
  local label, same_line = text:match "^%**(%a[%a ]*)%**:%**[ \t]*(.*)$"
  label = label and label:lower()
  if label and #label <= 40 and (label:find "instruction" or label:find "text$" or label:find "prompt$") and same_line ~= "" then
    text = trim(same_line)
  end
  return text
end

local function unquote(text)
  for _, pair in ipairs(QUOTES) do
    local open, close = pair[1], pair[2]
    if #text > #open + #close and text:sub(1, #open) == open and text:sub(-#close) == close then
      local inside = text:sub(#open + 1, -#close - 1)
      -- "a" and "b" are two quotes, not one around all
      if not inside:find(open, 1, true) and not inside:find(close, 1, true) then return trim(inside) end
    end
  end
  return text
end

---A text as an instruction: trimmed, without the quotes, the bold print and the marks around it, and with a capital letter.
---@param text string
---@return string
function M.polish(text)
  text = trim((text:gsub("%*%*", "")))
  local before
  repeat
    before = text
    text = unquote(text)
  until text == before
  return (text:gsub("^%l", string.upper))
end

local function lowered(text) return (text:gsub("%u", string.lower)) end

---The instruction in a reply, as it stands there; an empty text where there is none.
---@param reply string
---@param opening? string the mark before it; default: <INS>
---@param closing? string
---@return string
function M.extract(reply, opening, closing)
  local text = trim(reply:sub(1, LONGEST))
  local found = tagged(text, lowered(text), (opening or OPENING):lower(), (closing or CLOSING):lower())
  if found then return found end
  if opening then return "" end -- one of several: what has no mark is nobody's
  return trim(bracketed(text) or bare(text))
end

---Why a text is no instruction to try, or nil.
---@param text string polished
---@param limits { length: integer, reject: (fun(text: string): string|boolean|nil)? }
---@return string? reason one of few words, to be counted
function M.fault(text, limits)
  if text == "" then return "empty" end
  local length = utf8.len(text)
  if not length then return "unreadable" end
  if length > limits.length then return "long" end
  if text:find "%f[%w]INS%f[%W]" then return "mark" end
  if not text:find "%w" and not text:find "[\x80-\xff]" then return "empty" end
  local refused = limits.reject and limits.reject(text)
  if refused then return "rejected" end
end

return M
