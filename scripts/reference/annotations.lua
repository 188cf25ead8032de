-- Reads LuaCATS annotations (https://luals.github.io/wiki/annotations) out of Lua files.
--
--   annotations.read(path)   -> file: its blocks of comments, and the code below each
--   annotations.gather(files) -> classes and aliases of all of them, by name
--
-- A block is a run of comment lines that begins with three dashes. Lines after a tag belong to the tag.
local types = require "types"

local annotations = {}

---@class reference.Tag
---@field name string "param", "return", "field", "class", ...
---@field text string what follows it, continuation lines included
---@field line integer

---@class reference.Block
---@field path string
---@field first integer its first line
---@field code string the line below it, "" when that is blank
---@field code_line integer
---@field text string what stands before the tags; lines joined, paragraphs kept
---@field tags reference.Tag[]

---@class reference.Field
---@field name string
---@field optional boolean
---@field type string
---@field text string
---@field path string
---@field line integer

---@class reference.Class
---@field name string
---@field parents string[]
---@field text string
---@field fields reference.Field[]
---@field calls reference.Field[] the types of its overloads: how it is called
---@field methods { name: string, block: reference.Block, colon: boolean }[]
---@field path string
---@field line integer

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

local function add_text(block, line)
  local text = line:match "^%s*%-%-%-?%s?(.-)%s*$"
  local last = block.tags[#block.tags]
  if last then
    local more = text:match "^%s*(.*)$"
    last.text = last.text .. (more:sub(1, 1) == "|" and more or " " .. more)
  elseif text:match "^%s*$" then
    block.text = block.text .. "\n\n"
  else
    local separator = (block.text == "" or block.text:sub(-1) == "\n") and "" or text:match "^%s" and "\n" or " "
    block.text = block.text .. separator .. text
  end
end

---Reads one file.
---@param path string
---@return { path: string, lines: string[], blocks: reference.Block[], by_line: table<integer, reference.Block> }
function annotations.read(path)
  local file = { path = path, lines = lines_of(path), blocks = {}, by_line = {} }
  local lines, i = file.lines, 1
  while i <= #lines do
    if lines[i]:match "^%s*%-%-%-" and not lines[i]:match "^%s*%-%-%-%-" then
      local block = { path = path, first = i, text = "", tags = {} }
      while lines[i] and lines[i]:match "^%s*%-%-" do
        local tag, rest = lines[i]:match "^%s*%-%-%-%s*@(%a+)%s*(.-)%s*$"
        if tag then
          block.tags[#block.tags + 1] = { name = tag, text = rest, line = i }
        else
          add_text(block, lines[i])
        end
        i = i + 1
      end
      block.text = block.text:gsub("^%s+", ""):gsub("%s+$", "")
      block.code, block.code_line = lines[i] or "", i
      file.blocks[#file.blocks + 1] = block
      file.by_line[i] = block
    else
      i = i + 1
    end
  end
  return file
end

---The tags of a block with that name.
---@param block reference.Block
---@param name string
---@return reference.Tag[]
function annotations.tags(block, name)
  local found = {}
  for _, tag in ipairs(block.tags) do
    if tag.name == name then found[#found + 1] = tag end
  end
  return found
end

---A name, whether it is optional, its type and its text, of a tag such as @param or @field.
---@param tag reference.Tag
---@param path string
---@return reference.Field
function annotations.named(tag, path)
  local text = tag.text:gsub("^private%s+", ""):gsub("^public%s+", "")
  local name, optional, rest = text:match "^(%.%.%.)(%??)%s*(.*)$"
  if not name then name, optional, rest = text:match "^([%w_]+)(%??)%s*(.*)$" end
  if not name then name, optional, rest = text:match "^(%b[])(%??)%s*(.*)$" end
  if not name then return { name = "", optional = false, type = "", text = text, path = path, line = tag.line } end
  local kind, description = types.split(rest)
  return { name = name, optional = optional == "?", type = kind, text = description, path = path, line = tag.line }
end

---The parameters that a block describes, in order.
---@param block reference.Block
---@return reference.Field[]
function annotations.params(block)
  local list = {}
  for i, tag in ipairs(annotations.tags(block, "param")) do list[i] = annotations.named(tag, block.path) end
  return list
end

---The results that a block describes, in order; a name may be "".
---@param block reference.Block
---@return reference.Field[]
function annotations.returns(block)
  local list = {}
  for i, tag in ipairs(annotations.tags(block, "return")) do
    local kind, rest = types.split(tag.text)
    local name, text = rest:match "^(%.%.%.)%s*(.*)$"
    if not name then name, text = rest:match "^([%a_][%w_]*)%s*(.*)$" end
    if not name then name, text = "", rest:match "^#?%s*(.*)$" end
    list[i] = { name = name, optional = false, type = kind, text = text, path = block.path, line = tag.line }
  end
  return list
end

local function add_field(class, tag, path)
  local field = annotations.named(tag, path)
  field.private = tag.text:match "^private%s" ~= nil or field.name:byte() == 95
  for _, known in ipairs(class.fields) do
    if known.name == field.name then return end
  end
  class.fields[#class.fields + 1] = field
end

local function class_of(found, tag, block)
  local name, parents, text = tag.text:match "^([%w_.]+)%s*:%s*([%w_.]+[%s,%w_.]-)%s%s*(.*)$"
  if not name then name, parents = tag.text:match "^([%w_.]+)%s*:%s*([%w_.]+)$" end
  if not name then name, text = tag.text:match "^([%w_.]+)%s*(.*)$" end
  if not name then return { fields = {}, calls = {} } end -- the check of types says it
  local class = found.classes[name]
  if not class then
    class = { name = name, parents = {}, text = "", fields = {}, calls = {}, methods = {}, path = block.path, line = tag.line }
    found.classes[name] = class
  end
  for parent in (parents or ""):gmatch "[%w_.]+" do class.parents[#class.parents + 1] = parent end
  local words = block.text ~= "" and block.tags[1] == tag and block.text or text or ""
  if class.text == "" then class.text = words end
  return class
end

-- The local that a class is bound to: its methods are those of the table.
local function bind(found, file)
  local bound = {}
  for _, block in ipairs(file.blocks) do
    local last
    for _, tag in ipairs(block.tags) do
      if tag.name == "class" then
        last = class_of(found, tag, block)
      elseif tag.name == "field" and last then
        add_field(last, tag, file.path)
      elseif tag.name == "overload" and last then
        last.calls[#last.calls + 1] = { type = (types.split(tag.text)), text = "", path = file.path, line = tag.line }
      elseif tag.name == "alias" then
        local name, rest = tag.text:match "^([%w_.]+)%s*(.*)$"
        if name then found.aliases[name] = { name = name, text = block.text, type = rest, path = file.path, line = tag.line } end
      end
    end
    local name = block.code:match "^%s*local%s+([%w_]+)"
    if last and name then bound[name] = last end
  end
  return bound
end

local function add_methods(found, file, bound)
  for _, block in ipairs(file.blocks) do
    local owner, mark, name = block.code:match "^%s*function%s+([%w_]+)([.:])([%w_]+)%s*%("
    if not owner then owner, name = block.code:match "^%s*([%w_]+)%.([%w_]+)%s*=[^=]" end
    local class = bound[owner]
    if class and annotations.tags(block, "class")[1] == nil then
      local known = found.methods[class.name .. ":" .. name]
      if not known then
        local method = { name = name, block = block, colon = mark == ":" }
        found.methods[class.name .. ":" .. name] = method
        class.methods[#class.methods + 1] = method
      end
    end
  end
end

---Classes, with their methods, and aliases of all files.
---@param files { path: string, blocks: reference.Block[] }[] in an order that never changes
---@return { classes: table<string, reference.Class>, aliases: table<string, table>, methods: table<string, table> }
function annotations.gather(files)
  local found = { classes = {}, aliases = {}, methods = {} }
  local bound = {}
  for i, file in ipairs(files) do bound[i] = bind(found, file) end
  for i, file in ipairs(files) do add_methods(found, file, bound[i]) end
  return found
end

return annotations
