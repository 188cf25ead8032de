--- Declared command lines: parsing, and the help that follows from the same declaration.
local errors = require "lmopt.error"

local options = {}

---@class lmopt.cli.Option
---@field name string without the dashes: "trials"
---@field value? string what the help calls the value: "N"; nil: a switch
---@field short? string one letter
---@field type? "string"|"integer"|"number"|"list"|"storage" of the value; default "string"
---@field minimum? number
---@field maximum? number
---@field choices? string[]
---@field help string

---@class lmopt.cli.Command
---@field name string as typed after `lmopt`: "study show"
---@field synopsis string
---@field summary string
---@field positionals { name: string, required: boolean?, type: string? }[]
---@field options lmopt.cli.Option[]
---@field elsewhere? table<string, string> what options that others have are called here
---@field rest? boolean may arguments follow `--`?
---@field details? string
---@field examples string[]

local help_option = { name = "help", short = "h", help = "show this" }

--- An error that ends the command with status 2; `command` says whose help to name.
function options.misuse(command, format, ...)
  errors.raise("usage", format:format(...), { command = command and command.name })
end

local function names_of(command)
  local names = { "help" }
  for _, option in ipairs(command.options) do names[#names + 1] = option.name end
  return names
end

local function find(command, name)
  if name == "help" then return help_option end
  for _, option in ipairs(command.options) do
    if option.name == name then return option end
  end
  local hint = command.elsewhere and command.elsewhere[name:gsub("_", "-")]
  local near = not hint and errors.nearest(name, names_of(command))
  if near then hint = ("did you mean --%s?"):format(near) end
  options.misuse(command, "unknown option --%s%s", name, hint and (" (%s)"):format(hint) or "")
end

local function find_short(command, letter)
  if letter == "h" then return help_option end
  for _, option in ipairs(command.options) do
    if option.short == letter then return option end
  end
  options.misuse(command, "unknown option -%s", letter)
end

-- Is the word an option rather than the value of the one before it? A file --x is written --output=--x, or ./--x.
local function is_option(command, word)
  if word:sub(1, 2) == "--" then return true end
  local letter = word:match "^%-(%a)$"
  if letter == "h" then return true end
  for _, option in ipairs(command.options) do
    if letter and option.short == letter then return true end
  end
  return false
end

-- Decimal only: no hexadecimal, no "inf", no blanks.
local function to_number(text)
  if not text:match "^[+-]?%.?%d" or text:find "[xX%s]" then return nil end
  return tonumber(text)
end

--- What is wrong with the address of a storage, or nil. Whether the file can be opened is seen when it is. The rest of
--- another database's address is not shown: it may have a password in it.
---@param text string
---@return string?
function options.storage_problem(text)
  local scheme = text:match "^(%a[%w+.-]*)://"
  if not scheme or text:match "^sqlite:///." then return nil end
  if scheme == "sqlite" then return ("'%s': write three slashes and the path: sqlite:///study.db"):format(text) end
  return ("'%s://...': this version keeps studies in SQLite files only: study.db or sqlite:///study.db"):format(scheme)
end

-- "csv, json or jsonl"
local function one_of(choices)
  return table.concat(choices, ", ", 1, #choices - 1) .. " or " .. choices[#choices]
end

local function convert(command, label, declared, text)
  local kind = declared.type or "string"
  local value = text
  if kind == "integer" then
    local number = to_number(text)
    value = number and math.tointeger(number)
    if not value then options.misuse(command, "%s needs an integer, not '%s'", label, text) end
  elseif kind == "number" then
    value = to_number(text)
    if not value then options.misuse(command, "%s needs a number, not '%s'", label, text) end
  elseif kind == "list" then
    value = {}
    for item in (text .. ","):gmatch "([^,]*)," do value[#value + 1] = item end
  end
  if text == "" then options.misuse(command, "%s needs a value", label) end
  if declared.minimum and value < declared.minimum then
    options.misuse(command, "%s must be at least %s, not %s", label, declared.minimum, text)
  end
  if declared.maximum and value > declared.maximum then
    options.misuse(command, "%s must be at most %s, not %s", label, declared.maximum, text)
  end
  local problem = kind == "storage" and options.storage_problem(text)
  if problem then options.misuse(command, "%s %s", label, problem) end
  if declared.choices then
    for _, item in ipairs(kind == "list" and value or { value }) do
      local known = false
      for _, choice in ipairs(declared.choices) do known = known or choice == item end
      if not known then
        options.misuse(command, "%s must be %s, not '%s'%s", label, one_of(declared.choices), item,
          errors.hint(item, declared.choices))
      end
    end
  end
  return value
end

--- Parses `arguments[first..]` by `command`.
---@param command lmopt.cli.Command
---@param arguments string[]
---@param first integer
---@return table values by option name (dashes as in the name) and positional name
---@return string[] rest what followed `--`
function options.parse(command, arguments, first)
  local values, rest, positionals = {}, {}, {}
  local i = first
  local function take(label, option, inline)
    if not option.value then
      if inline then options.misuse(command, "%s takes no value", label) end
      return true
    end
    if inline then return convert(command, label, option, inline) end
    i = i + 1
    local text = arguments[i]
    if text == nil or is_option(command, text) then options.misuse(command, "%s needs a value: %s %s", label, label, option.value) end
    return convert(command, label, option, text)
  end
  while i <= #arguments do
    local argument = arguments[i]
    if argument == "--" then
      for k = i + 1, #arguments do rest[#rest + 1] = arguments[k] end
      if not command.rest and #rest > 0 then
        table.move(rest, 1, #rest, #positionals + 1, positionals)
        rest = {}
      end
      break
    elseif argument:sub(1, 2) == "--" then
      local name, inline = argument:match "^%-%-([^=]*)=(.*)$"
      name = name or argument:sub(3)
      local option = find(command, name)
      if values[name] ~= nil and option.value then options.misuse(command, "--%s is given twice", name) end
      values[name] = take("--" .. name, option, inline)
    elseif argument:sub(1, 1) == "-" and #argument > 1 and not to_number(argument) then
      local option = find_short(command, argument:sub(2, 2))
      local inline = #argument > 2 and argument:sub(3) or nil
      values[option.name] = take(argument:sub(1, 2), option, inline)
    else
      positionals[#positionals + 1] = argument
    end
    i = i + 1
  end
  if values.help then return values, rest end
  for index, declared in ipairs(command.positionals) do
    local text = positionals[index]
    if text == nil and declared.required then options.misuse(command, "%s is missing", declared.name) end
    if text ~= nil then values[declared.name] = convert(command, declared.name, declared, text) end
  end
  local extra = positionals[#command.positionals + 1]
  if extra then
    options.misuse(command, "one argument too many: '%s'%s", extra,
      command.rest and " (arguments for the script go after --)" or "")
  end
  return values, rest
end

--- The text of `lmopt COMMAND --help`.
---@param command lmopt.cli.Command
---@return string
function options.help(command)
  local usage = ("usage: lmopt %s %s"):format(command.name, command.synopsis):gsub(" $", "")
  local lines = { usage, "", command.summary }
  local rows, width = {}, 0
  for _, option in ipairs(command.options) do
    local label = (option.short and "-" .. option.short .. ", " or "") .. "--" .. option.name
    if option.value then label = label .. " " .. option.value end
    rows[#rows + 1] = { label, option.help }
    width = math.max(width, #label)
  end
  if #rows > 0 then lines[#lines + 1] = "" end
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("  %-" .. width .. "s  %s"):format(row[1], (row[2]:gsub("\n", "\n" .. (" "):rep(width + 4))))
  end
  if command.details then
    lines[#lines + 1] = ""
    lines[#lines + 1] = command.details
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "examples:"
  for _, example in ipairs(command.examples) do lines[#lines + 1] = "  " .. example end
  return table.concat(lines, "\n") .. "\n"
end

return options
