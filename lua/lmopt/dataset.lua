--- Datasets: lists of examples that are never changed; what is made of one is another.
--
--   local data = lmopt.dataset.load("tickets.jsonl", { inputs = { "ticket" } })
--   local parts = data:stratify("queue"):split { train = 0.5, val = 0.25, seed = 1 }
--   lmopt.evaluate(program, parts.val, metric)
--
-- A dataset is a plain list with methods: #data, data[i], ipairs(data). Whatever is drawn is a pure function of the seed,
-- the number of examples and, where it is stratified, their strata.
local errors = require "lmopt.error"
local example = require "lmopt.example"
local fields = require "lmopt.dataset_fields"
local json = require "lmopt.json"
local sorted = require "lmopt.sorted"

-- Callable: lmopt.dataset{...} is lmopt.dataset.new{...}.
---@class lmopt.dataset
---@overload fun(list: table[], options?: table): lmopt.Dataset
local dataset = {}
setmetatable(dataset, { __call = function(_, list, options) return dataset.new(list, options) end })

---A list of examples that is never changed: what is made of it is another. `#dataset` and `dataset[1]` as of a list.
---@class lmopt.Dataset
---@field [integer] lmopt.Example the examples
local methods = {}
local strata_of = setmetatable({}, { __mode = "k" }) -- dataset -> what gives an example's stratum

local PART_NAMES = { "train", "val", "test", "seed" }
local RARE = 5 -- strata with fewer examples stand at random places
local SLACK = 1e-9 -- 0.1 + 0.2 + 0.7 is one

local Dataset = { __name = "lmopt.dataset" }
function Dataset.__index(_, key)
  if methods[key] then return methods[key] end
  errors.check_field(key, "a dataset", methods)
end
function Dataset.__newindex(_, key)
  errors.misuse(("a dataset is never changed: '%s' can't be set; its methods make another"):format(tostring(key)))
end
function Dataset:__tostring() return ("dataset of %d example%s"):format(#self, #self == 1 and "" or "s") end

---Whether a value is a dataset.
---@param value any
---@return boolean
function dataset.is(value) return getmetatable(value) == Dataset end

---Makes a dataset of a list of examples that is nobody else's.
---@param examples lmopt.Example[]
---@return lmopt.Dataset
function dataset.of(examples) return setmetatable(examples, Dataset) end

local function check_list(list, what)
  if type(list) == "string" then
    errors.misuse(("'list' of %s must be a list of tables, not a string; lmopt.dataset.load(path) reads a file"):format(what))
  end
  errors.check_type(list, "list", what, "table")
  local count = #list
  for key in next, list do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      errors.misuse(("%s expects a list of tables; found [%s]"):format(what, tostring(key)))
    end
  end
  return count
end

---Makes a dataset of a list.
---@param list table[] examples, or tables of fields
---@param options? lmopt.DatasetOptions an example that has declared inputs keeps them when none are given
---@return lmopt.Dataset
function dataset.new(list, options)
  local what = "lmopt.dataset"
  errors.check_dot(list, what)
  local known = fields.read(errors.check_options(options, { "inputs", "signature", "types" }, what), what)
  local made = {}
  for i = 1, check_list(list, what) do
    if type(list[i]) ~= "table" then errors.misuse(("item %d of %s must be a table, not a %s"):format(i, what, type(list[i]))) end
    local one = example.is(list[i]) and list[i] or example.new(list[i])
    local problem = fields.settle(known, one, false)
    if problem then errors.misuse(("item %d of %s: %s"):format(i, what, problem)) end
    made[i] = known.inputs and example.declared(one, known.inputs, known.may_lack) or one
  end
  return dataset.of(made)
end

---Reads a file: JSON lines (.jsonl, .ndjson), a JSON list (.json), CSV (.csv) or the same with tabs (.tsv). What is wrong
---with a row is an error of kind "data" that names the file and the line.
---@param path string
---@param options? lmopt.LoadOptions without a type, a cell of a CSV file is text
---@return lmopt.Dataset
function dataset.load(path, options) return require("lmopt.dataset_file").load(path, options) end

---Reads a text in the place of a file, where there are no files.
---@param text string
---@param options lmopt.LoadOptions with the format
---@return lmopt.Dataset
function dataset.parse(text, options) return require("lmopt.dataset_file").parse(text, options) end

---Writes a file: JSON lines, a JSON list, or CSV, by its ending; whole or not at all.
---@param path string
---@return lmopt.Dataset itself
function methods:save(path) return require("lmopt.dataset_file").save(self, path) end

---The text that `save` would write.
---@param format "jsonl"|"json"|"csv"
---@return string
function methods:dump(format) return require("lmopt.dataset_file").dump(self, format) end

---The same examples with these inputs declared.
---@param ... string
---@return lmopt.Dataset
function methods:with_inputs(...)
  local made = {}
  for i = 1, #self do made[i] = example.with_inputs(self[i], ...) end
  return dataset.of(made)
end

-- --- order ---

local function check_seed(seed, what)
  if seed == nil then return 0 end
  local whole = type(seed) == "number" and math.tointeger(seed)
  if not whole then errors.misuse(("'seed' of %s must be an integer, not %s"):format(what, tostring(seed))) end
  return whole
end

-- R. Durstenfeld, "Algorithm 235: Random permutation", CACM 7(7), 1964.
local function shuffle(list, stream)
  for i = #list, 2, -1 do
    local j = stream:integer(1, i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local function key_of(value)
  if value == nil or value == json.null then return "null" end
  if type(value) == "string" then return "s" .. value end
  if math.type(value) == "float" and math.tointeger(value) then value = math.tointeger(value) end
  local ok, text = pcall(json.encode, value, { nan = "literal" })
  if not ok then errors.misuse("a stratum must be plain data: " .. errors.text(text)) end
  return text
end

-- The indexes of the examples by stratum, strata in the order in which they appear: a list of { key =, indexes... }.
local function groups_of(self, stratum)
  local groups, by_text = {}, {}
  for i = 1, #self do
    local text, key = stratum(self[i])
    local group = by_text[text]
    if not group then
      group = { key = key }
      by_text[text] = group
      groups[#groups + 1] = group
    end
    group[#group + 1] = i
  end
  return groups
end

-- An order in which every stretch has of each stratum what is its share: member r of m stands at (r - 1/2) / m, which is
-- how seats go to parties (A. Sainte-Lague, 1910), ties at random. So small a stratum that this would always put it in the
-- same places stands at a random offset.
local function stratified_order(self, stratum, stream)
  local order, place, tie = {}, {}, {}
  for _, group in ipairs(groups_of(self, stratum)) do
    local count = #group
    local offset = count < RARE and stream:uniform() or 0.5
    for rank, index in ipairs(shuffle(table.move(group, 1, count, 1, {}), stream)) do
      order[#order + 1], place[index] = index, (rank - 1 + offset) / count
    end
  end
  for i = 1, #self do tie[i] = stream:uniform() end
  table.sort(order, function(a, b)
    if place[a] ~= place[b] then return place[a] < place[b] end
    if tie[a] ~= tie[b] then return tie[a] < tie[b] end
    return a < b
  end)
  return order
end

local function order_of(self, seed, purpose)
  local stream = require("lmopt.core.study").random(seed, 0, purpose)
  local stratum = strata_of[self]
  if stratum then return stratified_order(self, stratum, stream) end
  local order = {}
  for i = 1, #self do order[i] = i end
  return shuffle(order, stream)
end

local function pick(self, order, first, last)
  local made = {}
  for i = first, last do made[#made + 1] = self[order[i]] end
  return dataset.of(made)
end

-- What gives the stratum of an example: its text, to compare by, and its value.
local function stratum_by(self, what, ...)
  local names = { ... }
  if type(names[1]) == "function" and #names == 1 then
    return function(one)
      local key = names[1](one)
      return key_of(key), key
    end
  end
  if #names == 0 then errors.misuse(what .. " needs the name of one field at least, or a function of an example") end
  for _, name in ipairs(names) do
    errors.check_type(name, "field", what, "string", "function")
    local found, known = false, {}
    for i = 1, #self do
      if rawget(self[i], name) ~= nil then found = true break end
      for key in next, self[i] do known[key] = true end
    end
    if not found and #self > 0 then
      errors.misuse(("%s: no example has a field '%s'%s"):format(what, name, errors.hint(name, sorted.keys(known))))
    end
  end
  return function(one)
    local texts, keys = {}, {}
    for i, name in ipairs(names) do
      keys[i] = rawget(one, name)
      local text = key_of(keys[i])
      texts[i] = #text .. ":" .. text
    end
    if #names == 1 then return texts[1], keys[1] end
    return table.concat(texts), keys
  end
end

-- --- methods that draw ---

---The examples in a random order.
---@param seed integer? 0
---@return lmopt.Dataset
function methods:shuffle(seed)
  local order = order_of(self, check_seed(seed, "shuffle"), "dataset.shuffle")
  return pick(self, order, 1, #order)
end

---So many of the examples, drawn without replacement. With the same seed, a smaller sample is the beginning of a larger one.
---@param n integer
---@param seed integer? 0
---@return lmopt.Dataset
function methods:sample(n, seed)
  local count = type(n) == "number" and math.tointeger(n)
  if not count or count < 1 or count > #self then
    errors.misuse(("'n' of sample must be an integer from 1 to the number of examples, %d, not %s"):format(#self, tostring(n)))
  end
  return pick(self, order_of(self, check_seed(seed, "sample"), "dataset.sample"), 1, count)
end

---The same examples, of which shuffle, sample and split then draw from each stratum its share.
---@param ... string|fun(one: lmopt.Example): any names of fields, or one function
---@return lmopt.Dataset
function methods:stratify(...)
  local stratum = stratum_by(self, "stratify", ...)
  local made = dataset.of(table.move(self, 1, #self, 1, {}))
  strata_of[made] = stratum
  return made
end

---The examples by the values of fields, in the order in which those appear.
---@param ... string|fun(one: lmopt.Example): any names of fields, or one function
---@return { key: any, dataset: lmopt.Dataset }[] groups `key`: the value, or the list of values of several fields
function methods:groups(...)
  local groups = groups_of(self, stratum_by(self, "groups", ...))
  for i, group in ipairs(groups) do
    groups[i] = { key = group.key, dataset = pick(self, group, 1, #group) }
  end
  return groups
end

-- The names of the parts in the order in which they are dealt: train, val, test, then the others by their bytes.
local function part_names(parts)
  local names, ordered = {}, {}
  for _, name in ipairs(sorted.keys(parts)) do
    if type(name) ~= "string" then errors.misuse(("the parts of split have names; found [%s]"):format(tostring(name))) end
    if name == "rest" then errors.misuse "split: 'rest' is what is left" end
    names[name] = name ~= "seed" or nil
  end
  for _, name in ipairs(PART_NAMES) do
    if names[name] then ordered[#ordered + 1], names[name] = name, nil end
  end
  for _, name in ipairs(sorted.keys(names)) do
    local near = errors.nearest(name, PART_NAMES)
    if near then errors.misuse(("unknown part '%s' of split (did you mean '%s'?)"):format(name, near)) end
    ordered[#ordered + 1] = name
  end
  if #ordered == 0 then errors.misuse "split needs one part at least, as in data:split{ train = 0.5, val = 0.25, seed = 0 }" end
  return ordered
end

-- Where each part ends. Shares are rounded together, so that parts that make one leave nothing.
local function part_ends(names, parts, count)
  local ends, taken, share = {}, 0, 0.0 -- whole numbers so far, shares so far
  for i, name in ipairs(names) do
    local size = parts[name]
    if math.type(size) == "integer" and size >= 1 then
      taken = taken + size
    elseif type(size) == "number" and size > 0 and size <= 1 then
      share = share + size
    else
      errors.misuse(("'%s' of split must be a share (0.25) or a number of examples (100), not %s"):format(name, tostring(size)))
    end
    ends[i] = taken + math.floor(share * count + 0.5 + SLACK)
    if share > 1 + SLACK or ends[i] > count then
      errors.misuse(("the parts of split are more than there is: %d example%s"):format(count, count == 1 and "" or "s"))
    end
    if ends[i] == (ends[i - 1] or 0) then
      errors.misuse(("split: '%s' would be empty: %s of %d example%s"):format(name, tostring(size), count, count == 1 and "" or "s"))
    end
  end
  return ends
end

---Deals the examples, in a random order, to parts that have no example in common.
---@param parts table<string, number> a share (0.25) or a number of examples (100) by the part's name, as `train`, `val`,
---  `test`; `seed`: 0
---@return table<string, lmopt.Dataset> parts by name; what is left is `rest`
function methods:split(parts)
  if not dataset.is(self) then errors.misuse "call it with a colon: dataset:split(...)" end
  if type(parts) ~= "table" then
    local found = parts == nil and "nil" or "a " .. type(parts)
    errors.misuse("'parts' of split must be a table, as { train = 0.8, val = 0.2 }, not " .. found)
  end
  local seed, names = check_seed(parts.seed, "split"), part_names(parts)
  local ends = part_ends(names, parts, #self)
  local order = order_of(self, seed, "dataset.split")
  local made = {}
  for i, name in ipairs(names) do made[name] = pick(self, order, (ends[i - 1] or 0) + 1, ends[i]) end
  made.rest = pick(self, order, ends[#names] + 1, #order)
  return made
end

-- --- methods that choose ---

---The examples for which a function gives true.
---@param fn fun(one: lmopt.Example, index: integer): any
---@return lmopt.Dataset
function methods:filter(fn)
  errors.check_type(fn, "fn", "filter", "function")
  local made = {}
  for i = 1, #self do
    if fn(self[i], i) then made[#made + 1] = self[i] end
  end
  return dataset.of(made)
end

---What a function makes of each example. Where it gives a plain table, the declared inputs are those of the example.
---@param fn fun(one: lmopt.Example, index: integer): table
---@return lmopt.Dataset
function methods:map(fn)
  errors.check_type(fn, "fn", "map", "function")
  local made = {}
  for i = 1, #self do
    local one = fn(self[i], i)
    if type(one) ~= "table" then errors.misuse(("the function of map must give a table, not a %s"):format(type(one))) end
    if not example.is(one) then
      one = example.new(one)
      local names, lacked = example.input_names(self[i]), {}
      for _, name in ipairs(names or {}) do lacked[name] = rawget(self[i], name) == nil end
      if names then one = example.declared(one, names, lacked) end
    end
    made[i] = one
  end
  return dataset.of(made)
end

---The examples from one place to another, as string.sub counts.
---@param first integer
---@param last integer? -1
---@return lmopt.Dataset
function methods:slice(first, last)
  last = last == nil and -1 or last
  for _, place in ipairs { first or false, last } do
    if math.type(place) ~= "integer" then errors.misuse(("the places of slice must be integers, not %s"):format(tostring(place))) end
  end
  local count = #self
  if first < 0 then first = math.max(count + first + 1, 1) elseif first == 0 then first = 1 end
  if last < 0 then last = count + last + 1 else last = math.min(last, count) end
  return dataset.of(table.move(self, first, last, 1, {}))
end

return dataset
