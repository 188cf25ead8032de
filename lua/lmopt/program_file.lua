--- Saved programs: JSON that a person can read and edit, and that no version of lmopt runs as code.
--
--   { "format": "lmopt.program", "version": 1,
--     "predictors": { "query": { "signature": "question -> query", "instructions": "...", "fields": { "query": { "desc": "..." } },
--       "demos": [ { "question": "...", "query": "..." } ], "options": { "temperature": 0.5 },
--       "adapter": "chat", "on_parse_error": "retry", "frozen": false } } }
--
-- Predictors are matched by path and fields by name. A key that a predictor's entry lacks leaves that part as it is; a key
-- that is unknown is kept, and written again. Models are not saved: keys and addresses belong to where a program runs.
-- Constraints of fields (min, pattern, ...) are saved for who reads the file without the program (`lmopt export`); where it is
-- loaded, those of the program hold.
local adapters = require "lmopt.adapters"
local errors = require "lmopt.error"
local json = require "lmopt.json"
local json_reader = require "lmopt.json_reader"
local program = require "lmopt.program"
local signature = require "lmopt.signature"
local types = require "lmopt.types"
local values = require "lmopt.values"
local whole_file = require "lmopt.whole_file"

local program_file = {}

local FORMAT, VERSION = "lmopt.program", 1
local NAMES_SHOWN = 10
local TOP_KEYS = { "format", "version", "predictors" }
local FIELD_KEYS = { "desc", "min", "max", "max_length", "pattern" }
local KEYS = { "signature", "instructions", "fields", "demos", "options", "adapter", "on_parse_error", "frozen" }

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end
local IS_TOP_KEY, IS_KEY = set_of(TOP_KEYS), set_of(KEYS)

local function sorted_keys(object)
  local keys = {}
  for key in next, object do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- --- dump ---

-- The first text that is not UTF-8, or nil. JSON is; other bytes would come back as something else.
local function wrong_text(value, path)
  if type(value) == "string" then return not utf8.len(value) and path or nil end
  if type(value) ~= "table" then return nil end
  for _, key in ipairs(sorted_keys(value)) do
    local wrong = wrong_text(key, "a key of " .. path) or wrong_text(value[key], path .. "." .. tostring(key))
    if wrong then return wrong end
  end
end

-- What the prompt says of a field besides its type; nil for nothing.
local function options_of(field)
  local made = {}
  for _, key in ipairs(FIELD_KEYS) do made[key] = field[key] end
  if made.pattern and not utf8.len(made.pattern) then made.pattern = nil end -- of bytes, which JSON can't say
  return next(made) ~= nil and made or nil
end

local function state_of(one)
  local made_for = one.signature
  local descriptions, demos = {}, json.array {}
  for name, field in pairs(made_for.fields) do descriptions[name] = options_of(field) end
  for i, demo in ipairs(one.demos) do
    local written = {}
    for name, value in next, demo do
      local field = made_for.fields[name]
      written[name] = field and values.marked(value, field.type) or value
    end
    demos[i] = written
  end
  local adapter = one.adapter
  local state = {
    signature = tostring(made_for), instructions = made_for.instructions, fields = descriptions, demos = demos,
    options = one.options, adapter = type(adapter) == "string" and adapter or adapter.name,
    on_parse_error = one.on_parse_error, frozen = one.frozen,
  }
  for key, value in next, one._extra or {} do state[key] = value end
  return state
end

---The state of a program as text.
---@param self table
---@return string
function program_file.dump(self)
  local order = table.move(KEYS, 1, #KEYS, #TOP_KEYS + 1, table.move(TOP_KEYS, 1, #TOP_KEYS, 1, {}))
  local known = set_of(order)
  local function add(name)
    if not known[name] then
      known[name] = true
      order[#order + 1] = name
    end
  end
  local state = { format = FORMAT, version = VERSION, predictors = {} }
  for key, value in next, program.extras[self] or {} do state[key] = value end
  local predictors = self:predictors()
  for _, entry in ipairs(predictors) do
    state.predictors[entry.name] = state_of(entry.predictor)
  end
  for _, entry in ipairs(predictors) do
    for _, side in ipairs { "inputs", "outputs" } do
      for _, field in ipairs(entry.predictor.signature[side]) do add(field.name) end
    end
  end
  for _, entry in ipairs(predictors) do add(entry.name) end
  local wrong = wrong_text(state, "the program")
  if wrong then errors.misuse(("dump: %s is not UTF-8"):format(wrong)) end
  return json.encode(state, { indent = 2, keys = order }) .. "\n"
end

-- --- restore: everything is read and checked, then everything is set ---

local function refuse(what, ...) errors.raise("program", what:format(...)) end

local function check_kind(value, kind, path)
  if type(value) ~= kind then
    refuse("%s must be %s, not %s", path, kind == "table" and "an object" or "a " .. kind, type(value))
  end
end

local SIDES = { inputs = "input", outputs = "output" }

-- The saved signature must name the fields that the program has, with their types; their order is the program's.
local function check_signature(text, ours, path)
  check_kind(text, "string", path .. ".signature")
  local ok, theirs = pcall(signature.new, text)
  if not ok then refuse("%s.signature can't be read: %s", path, errors.text(theirs)) end
  for side, word in pairs { inputs = "input", outputs = "output" } do
    for _, field in ipairs(ours[side]) do
      local other = theirs.fields[field.name]
      if not other then refuse("%s: the file has no %s '%s'", path, word, field.name) end
    end
  end
  for _, side in ipairs { "inputs", "outputs" } do
    local names = {}
    for i, field in ipairs(ours[side]) do names[i] = field.name end
    local is_ours = set_of(names)
    for _, field in ipairs(theirs[side]) do
      if not is_ours[field.name] then
        local elsewhere = ours.fields[field.name] and (", where it is on the other side" or "")
        refuse("%s: the file has the %s '%s', which the program lacks%s%s", path, SIDES[side], field.name,
          elsewhere or "", errors.hint(field.name, names))
      end
      local mine, saved = types.text(ours.fields[field.name].type), types.text(field.type)
      if mine ~= saved then
        refuse("%s: the %s '%s' is %s in the program and %s in the file", path, SIDES[side], field.name, mine, saved)
      end
    end
  end
end

-- Runs a check that raises a text for misuse, and raises what it says as a problem of the file.
local function checked(path, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if errors.is(result) then error(result, 0) end
  refuse("%s: %s", path, (errors.text(result):gsub("^[^\n]-:%d+: ", "", 1)))
end

-- The signature with the saved descriptions and instructions.
local function restored_signature(state, ours, path)
  local made = ours
  if state.fields ~= nil then
    check_kind(state.fields, "table", path .. ".fields")
    for _, name in ipairs(sorted_keys(state.fields)) do
      if not ours.fields[name] then refuse("%s.fields: the program has no field '%s'", path, tostring(name)) end
      check_kind(state.fields[name], "table", ("%s.fields.%s"):format(path, name))
      local desc = state.fields[name].desc
      if desc ~= nil then check_kind(desc, "string", ("%s.fields.%s.desc"):format(path, name)) end
    end
    made = made:with_descriptions(function(name) return state.fields[name] and state.fields[name].desc end)
  end
  if state.instructions ~= nil then
    check_kind(state.instructions, "string", path .. ".instructions")
    made = checked(path .. ".instructions", made.with_instructions, made, state.instructions)
  end
  return made
end

-- Works out a predictor's new state on a copy of it.
local function restored(one, state, path)
  check_kind(state, "table", path)
  if state.signature ~= nil then check_signature(state.signature, one.signature, path) end
  local kind = program.kind_of(one)
  local made = kind.clone(one)
  made._signature = restored_signature(state, one.signature, path)
  local parts = { "demos", "options", "on_parse_error", "frozen" }
  for _, name in ipairs(parts) do
    if state[name] ~= nil then checked(path .. "." .. name, kind.set, made, name, state[name], path) end
  end
  local adapter = state.adapter
  local current = type(one.adapter) == "string" and one.adapter or one.adapter.name
  if adapter ~= nil and adapter ~= current then
    if type(adapter) ~= "string" or not adapters.is_known(adapter) then
      refuse("%s.adapter: this program has no adapter '%s'; set it before loading", path, tostring(adapter))
    end
    kind.set(made, "adapter", adapter, path)
  end
  local extra
  for key, value in next, state do
    if not IS_KEY[key] then
      extra = extra or {}
      extra[key] = program.copy_data(value)
    end
  end
  made._extra = extra or false
  return made
end

-- Why a state can't be dumped (cycles, functions, keys of two kinds, infinite numbers), or nil.
local function unwritable(state)
  local ok, problem = pcall(json.encode, state)
  return not ok and errors.text(problem):gsub("^json%.encode: ", "") or nil
end

local function read_state(given)
  if type(given) == "string" then
    local ok, state, cut = json_reader.read((given:gsub("^\xEF\xBB\xBF", "")))
    if not ok then refuse("this is no saved program: %s%s", state, cut and " (the text is cut off)" or "") end
    given = state
  elseif type(given) ~= "table" then
    errors.misuse("restore expects the text of a saved program, or the table that it says, not a " .. type(given))
  else
    local problem = unwritable(given)
    if problem then errors.misuse("restore: the table is no saved program: " .. problem) end
  end
  if type(given) ~= "table" or given.format ~= FORMAT then
    refuse('this is no saved program: "format" is not "%s"', FORMAT)
  end
  if math.type(given.version) ~= "integer" or given.version < 1 then refuse '"version" must be an integer of at least 1' end
  if given.version > VERSION then
    refuse("the program was saved by a newer lmopt (version %d of the format; this one reads up to %d)", given.version, VERSION)
  end
  check_kind(given.predictors, "table", '"predictors"')
  local problem, wrong = unwritable(given), wrong_text(given, "the program")
  if problem then refuse("the program could not be saved again: %s", problem) end
  if wrong then refuse("%s is not UTF-8", wrong) end
  return given
end

local function listed(names)
  if #names == 0 then return "none" end
  local more = #names > NAMES_SHOWN and ", ..." or ""
  return table.concat(names, ", ", 1, math.min(#names, NAMES_SHOWN)) .. more
end

---Takes a saved state.
---@param self table
---@param given string|table
---@return table self
function program_file.restore(self, given)
  local state = read_state(given)
  local predictors, names, changes = self:predictors(), {}, {}
  for i, entry in ipairs(predictors) do
    names[i] = entry.name
    if state.predictors[entry.name] == nil then
      refuse("the file has no predictor '%s'; it has %s", entry.name, listed(sorted_keys(state.predictors)))
    end
  end
  local is_ours = set_of(names)
  for _, name in ipairs(sorted_keys(state.predictors)) do
    if not is_ours[name] then
      refuse("the file has the predictor '%s', which the program lacks%s", tostring(name), errors.hint(tostring(name), names))
    end
  end
  for i, entry in ipairs(predictors) do
    changes[i] = restored(entry.predictor, state.predictors[entry.name], ("predictor '%s'"):format(entry.name))
  end
  local extras
  for key, value in next, state do
    if not IS_TOP_KEY[key] then
      extras = extras or {}
      extras[key] = program.copy_data(value)
    end
  end
  for i, entry in ipairs(predictors) do
    for key, value in next, changes[i] do rawset(entry.predictor, key, value) end
  end
  program.extras[self] = extras
  return self
end

-- --- predictors without their program ---

local function field_options(fields, path)
  local made = {}
  check_kind(fields, "table", path)
  for _, name in ipairs(sorted_keys(fields)) do
    check_kind(fields[name], "table", ("%s.%s"):format(path, name))
    made[name] = {}
    for _, key in ipairs(FIELD_KEYS) do made[name][key] = fields[name][key] end
  end
  return made
end

local function made_from(state, path)
  check_kind(state, "table", path)
  if state.signature == nil then refuse("%s has no signature: alone it can't be made", path) end
  check_kind(state.signature, "string", path .. ".signature")
  local fields = state.fields ~= nil and field_options(state.fields, path .. ".fields") or nil
  local made = checked(path, require("lmopt.predict").new, state.signature,
    { instructions = state.instructions, fields = fields }, "the file")
  local kind = program.kind_of(made)
  if state.adapter ~= nil and not adapters.is_known(state.adapter) then
    refuse("%s.adapter: no adapter '%s' comes with lmopt", path, tostring(state.adapter))
  end
  for _, name in ipairs { "adapter", "demos", "options", "on_parse_error", "frozen" } do
    if state[name] ~= nil then checked(path .. "." .. name, kind.set, made, name, state[name], path) end
  end
  return made
end

---The predictors of a saved program, made from what it says alone, in the order of their paths' bytes.
---@param text string
---@return { name: string, predictor: lmopt.Predictor }[]
function program_file.predictors(text)
  local state, list = read_state(text), {}
  for i, name in ipairs(sorted_keys(state.predictors)) do
    list[i] = { name = name, predictor = made_from(state.predictors[name], ("predictor '%s'"):format(tostring(name))) }
  end
  return list
end

-- --- files ---

---Writes a program to a file, whole or not at all.
---@param self table
---@param path string
---@return table self
function program_file.save(self, path)
  errors.check_type(path, "path", "save", "string")
  whole_file.needs_io("save", "program:dump() gives the text")
  whole_file.write(path, program_file.dump(self))
  return self
end

---Takes the state in a file.
---@param self table
---@param path string
---@return table self
function program_file.load(self, path)
  errors.check_type(path, "path", "load", "string")
  whole_file.needs_io("load", "program:restore(text) takes it from a text")
  local file, problem, code = io.open(path, "rb")
  if not file then errors.raise(code == 2 and "not_found" or "storage", "the program can't be loaded: " .. problem) end
  local text, why = file:read "a"
  file:close()
  if not text then errors.raise("storage", ("the program can't be loaded: %s: %s"):format(path, why)) end
  local ok, result = pcall(program_file.restore, self, text)
  if ok then return result end
  if errors.is(result, "program") then result.message = path .. ": " .. result.message end
  error(result, 0)
end

return program_file
