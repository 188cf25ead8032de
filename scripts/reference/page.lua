-- Writes docs/reference.md, and the stub of the names that lmopt loads when they are first used.
local annotations = require "annotations"
local check = require "check"
local sections = require "sections"
local types = require "types"

local page = {}

local HEAD = [[
# Reference

Every public function, with its parameters, results, types and units. `make reference` makes this page from the annotations \
in `lua/lmopt` and `lua/meta`: change it there. The same in one screen: [api.md](api.md). Names of Optuna, DSPy and \
LiteLLM, and ours: [names.md](names.md).

`T?` is a `T` or nil, `T[]` a list, `table<K, V>` a table from `K` to `V`, `fun(a: T): R` a function. Misuse raises a text \
with the file and line of the caller; what the world does raises an [`lmopt.Error`](#lmopterror) of the kinds that are \
named. What waits is marked: inside a task other tasks go on meanwhile, outside it blocks.
]]
HEAD = HEAD:gsub("\\\n", "")

local function anchor(heading) return (heading:lower():gsub("[^%w%- _]", ""):gsub(" ", "-")) end

-- A type as code; the name of a class is a link to it.
local function code(kind, listed)
  local name, rest = kind:match "^(lmopt%.[%w_.]+)(.*)$"
  if name and listed[name] and (rest == "" or rest == "?" or rest == "[]" or rest == "[]?") then
    return ("[`%s`](#%s)"):format(kind, anchor(name))
  end
  return "`" .. kind .. "`"
end

-- What a block says, after what stands before it; backticks as they are.
local function sentence(text) return text ~= "" and ": " .. text or "" end

local function is_options(name) return name:find "Options$" ~= nil or name:find "%.options$" ~= nil end

-- The class of options that a type is, or nil.
local function options_of(tree, kind)
  local name = kind:match "^(lmopt%.[%w_.]+)%??$"
  return name and is_options(name) and tree.found.classes[name] or nil
end

-- The fields of a class of options and of its parents. A parent that has been shown already goes into `shown`.
local function all_fields(tree, listed, class, list, seen, shown)
  for _, field in ipairs(class.fields) do
    if not seen[field.name] and not field.private then
      seen[field.name] = true
      list[#list + 1] = field
    end
  end
  for _, name in ipairs(class.parents) do
    local parent = tree.found.classes[name]
    if parent and is_options(name) then
      if listed.options[parent] then
        shown[#shown + 1] = listed.options[parent]
      else
        all_fields(tree, listed, parent, list, seen, shown)
      end
    end
  end
  return list
end

local function add_fields(out, tree, listed, class, indent)
  local fields, rest, shown = {}, {}, {}
  for _, field in ipairs(all_fields(tree, listed, class, {}, {}, shown)) do
    local list = field.name:byte() == 91 and rest or fields -- [string]: whatever else
    list[#list + 1] = field
  end
  for _, field in ipairs(table.move(rest, 1, #rest, #fields + 1, fields)) do
    out[#out + 1] = ("%s- `%s%s` %s%s"):format(indent, field.name, field.optional and "?" or "", code(field.type, listed),
      sentence(field.text))
  end
  for _, title in ipairs(shown) do out[#out + 1] = ("%s- and the options of [%s](#%s)"):format(indent, title, anchor(title)) end
end

-- What only lmopt's own files give.
local function is_internal(param) return param.text:find("^%(internal%)") ~= nil end

local function is_optional(field) return field.optional or field.type:sub(-1) == "?" or field.type:find "|nil$" ~= nil end

-- One parameter. Options are shown where they come first; later there is a link.
local function add_param(out, tree, listed, param, title)
  local options = options_of(tree, param.type)
  local name = param.name .. (is_optional(param) and "?" or "")
  if not options then
    out[#out + 1] = ("- `%s` %s%s"):format(name, code(param.type, listed), sentence(param.text))
    return
  end
  local before = listed.options[options]
  if before and before ~= title then
    local text = param.text ~= "" and "; " .. param.text or ""
    out[#out + 1] = ("- `%s` a table: the options of [%s](#%s)%s"):format(name, before, anchor(before), text)
    return
  end
  out[#out + 1] = ("- `%s` a table%s"):format(name, sentence(param.text))
  add_fields(out, tree, listed, options, "  ")
  listed.options[options] = title
end

local function add_signature(out, tree, listed, block, title, dot)
  for _, param in ipairs(annotations.params(block)) do
    if (param.name ~= "self" or dot) and not is_internal(param) then add_param(out, tree, listed, param, title) end
  end
  for _, result in ipairs(annotations.returns(block)) do
    local name = result.name ~= "" and (" `%s`"):format(result.name) or ""
    out[#out + 1] = ("- returns %s%s%s"):format(code(result.type, listed), name, sentence(result.text))
  end
end

-- `dot`: a function of a module, whose `self` is given.
local function parameter_list(block, signature, dot)
  local optional, internal = {}, { ["..."] = true } -- what takes more to refuse it does not say so
  for _, param in ipairs(annotations.params(block)) do
    internal[param.name] = is_internal(param)
    optional[param.name] = is_optional(param)
  end
  local shown = {}
  for _, name in ipairs(signature and signature.params or {}) do
    local hidden = name == "self" and not dot or name:byte() == 95 or internal[name]
    if not hidden then shown[#shown + 1] = name .. (optional[name] and "?" or "") end
  end
  return table.concat(shown, ", ")
end

local function add_function(out, tree, listed, level, title, block, dot)
  out[#out + 1] = ("%s %s"):format(level, title)
  out[#out + 1] = ""
  local waits = #annotations.tags(block, "async") > 0 and " *Waits.*" or ""
  out[#out + 1] = block.text .. waits
  out[#out + 1] = ""
  local before = #out
  add_signature(out, tree, listed, block, title, dot)
  if #out > before then out[#out + 1] = "" end
end

local function add_alias(out, alias)
  out[#out + 1] = ("### %s\n"):format(alias.name)
  if alias.text ~= "" then out[#out + 1] = alias.text .. "\n" end
  local kind, rest = types.split(alias.type)
  out[#out + 1] = ("`%s`%s\n"):format(kind, sentence(rest))
end

local function add_class(out, tree, listed, name)
  if tree.found.aliases[name] then return add_alias(out, tree.found.aliases[name]) end
  local class = tree.found.classes[name]
  out[#out + 1] = "### " .. name
  out[#out + 1] = ""
  if class.text ~= "" then
    out[#out + 1] = class.text
    out[#out + 1] = ""
  end
  for _, parent in ipairs(class.parents) do
    if listed[parent] then
      out[#out + 1] = ("Has all that [`%s`](#%s) has."):format(parent, anchor(parent))
      out[#out + 1] = ""
    end
  end
  local before = #out
  for _, call in ipairs(tree.found.methods[name .. ":__call"] and {} or class.calls) do
    local _, _, inside = call.type:find "^fun(.*)$"
    out[#out + 1] = ("- called: `%s%s`"):format(name:match "[^.]+$":lower(), (inside:gsub("%(self[^,)]*,?%s*", "(")))
  end
  add_fields(out, tree, listed, class, "")
  if #out > before then out[#out + 1] = "" end
  local variable = name:match "[^.]+$":lower()
  for _, method in ipairs(class.methods) do
    local public_name = not method.name:find "^_" or method.name == "__call"
    if public_name then
      local signature = check.signature_of(tree, method.block)
      local title = method.name == "__call" and ("`%s(%s)`"):format(variable, parameter_list(method.block, signature))
        or ("`%s:%s(%s)`"):format(variable, method.name, parameter_list(method.block, signature))
      add_function(out, tree, listed, "####", title, method.block)
    end
  end
end

-- Every class that a listed one or a public function names, so that no type on the page is unexplained.
local function mention(tree, kind, mentioned)
  for _, name in ipairs(types.names(kind) or {}) do
    local class, alias = tree.found.classes[name], tree.found.aliases[name]
    if alias and not mentioned[name] then
      mentioned[name] = true
      mentioned[#mentioned + 1] = name
      mention(tree, types.split(alias.type), mentioned)
    elseif class and not mentioned[name] then
      mentioned[name] = true
      mentioned[#mentioned + 1] = name
      for _, field in ipairs(class.fields) do mention(tree, field.type, mentioned) end
      for _, method in ipairs(class.methods) do
        if not method.name:find "^_" then page.mention_block(tree, method.block, mentioned) end
      end
      for _, parent in ipairs(class.parents) do mention(tree, parent, mentioned) end
    end
  end
end

function page.mention_block(tree, block, mentioned)
  for _, param in ipairs(annotations.params(block)) do mention(tree, param.type, mentioned) end
  for _, result in ipairs(annotations.returns(block)) do mention(tree, result.type, mentioned) end
end

local function belongs(name, prefix) return name == prefix or name:sub(1, #prefix + 1) == prefix .. "." end

-- The sections with the names that are there, and a last one with what none of them names.
local function divide(entries, classes)
  local taken, list = {}, {}
  for _, section in ipairs(sections) do
    local made = { title = section.title, text = section.text, entries = {}, classes = {} }
    for _, prefix in ipairs(section.names) do
      for _, entry in ipairs(entries) do
        if not taken[entry] and belongs(entry.name, prefix) then
          taken[entry] = true
          made.entries[#made.entries + 1] = entry
        end
      end
    end
    for _, name in ipairs(section.classes) do
      if classes[name] then
        classes[name] = "taken"
        made.classes[#made.classes + 1] = name
      end
    end
    list[#list + 1] = made
  end
  local more = { title = "More", entries = {}, classes = {} }
  for _, entry in ipairs(entries) do
    if not taken[entry] then more.entries[#more.entries + 1] = entry end
  end
  local others = { title = "Other types", entries = {}, classes = {} }
  for _, name in ipairs(classes) do
    if classes[name] ~= "taken" and not is_options(name) then others.classes[#others.classes + 1] = name end
  end
  table.sort(others.classes)
  list[#list + 1], list[#list + 2] = more, others
  return list
end

-- Options that are part of something else, and so stand nowhere yet.
local function add_other_options(section, mentioned, tree, listed)
  for _, name in ipairs(mentioned) do
    if is_options(name) and not listed.options[tree.found.classes[name]] then section.classes[#section.classes + 1] = name end
  end
  table.sort(section.classes)
end

---The text of docs/reference.md.
---@param tree reference.Tree
---@param entries { name: string, module: boolean, block: reference.Block, signature: table? }[]
---@return string
function page.write(tree, entries)
  local mentioned = {}
  for _, section in ipairs(sections) do
    for _, name in ipairs(section.classes) do
      if tree.found.classes[name] or tree.found.aliases[name] then mention(tree, name, mentioned) end
    end
  end
  for _, entry in ipairs(entries) do page.mention_block(tree, entry.block, mentioned) end
  local listed = { options = {} }
  for _, name in ipairs(mentioned) do listed[name] = not is_options(name) end
  local list = divide(entries, mentioned)
  local out, contents = {}, {}
  for i, section in ipairs(list) do
    if i == #list then add_other_options(section, mentioned, tree, listed) end
    if #section.entries + #section.classes > 0 then
      contents[#contents + 1] = ("[%s](#%s)"):format(section.title, anchor(section.title))
      out[#out + 1] = "## " .. section.title
      out[#out + 1] = ""
      if section.text then
        out[#out + 1] = section.text
        out[#out + 1] = ""
      end
      for _, entry in ipairs(section.entries) do
        local title = entry.signature and ("`%s(%s)`"):format(entry.name, parameter_list(entry.block, entry.signature, true))
          or ("`%s`"):format(entry.name)
        add_function(out, tree, listed, "###", title, entry.block, true)
      end
      for _, name in ipairs(section.classes) do add_class(out, tree, listed, name) end
    end
  end
  return HEAD .. "\n" .. "Contents: " .. table.concat(contents, " · ") .. "\n\n" .. table.concat(out, "\n"):gsub("\n+$", "") .. "\n"
end

local STUB = [[
---@meta
-- The names that `require "lmopt"` loads when they are first used, for language servers. Made by `make reference`.

---@class lmopt
local lmopt = {}

]]

---The text of lua/meta/lmopt.lua.
---@param places { name: string, access: string }[] see public.lazy_places
---@return string
function page.stub(places)
  local lines = {}
  for i, place in ipairs(places) do lines[i] = ("%s = %s\n"):format(place.name, place.access) end
  return STUB .. table.concat(lines) .. "\nreturn lmopt\n"
end

return page
