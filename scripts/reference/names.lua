-- docs/names.md: names of others beside ours. Ours must be there, or be marked *(later)*, which `make reference` does.
local check = require "check"

local names = {}

local MARK = " *(later)*"

-- What may be on the page before it is in the program: anything else that is not there is a slip.
local PLANNED = {
  ["lmopt.react"] = true, ["lmopt.best_of_n"] = true, ["lmopt.refine"] = true, ["lmopt.multi_chain_comparison"] = true,
  ["lmopt.majority"] = true, ["lmopt.parallel"] = true, ["lmopt.ensemble"] = true, ["lmopt.knn"] = true, ["lmopt.retrieve"] = true,
  ["lmopt.program_of_thought"] = true, ["lmopt.code_act"] = true, ["lmopt.rlm"] = true, ["lmopt.trace"] = true,
  ["lmopt.evaluate"] = true, ["lmopt.compare"] = true, ["lmopt.metrics"] = true, ["lmopt.dataset.load"] = true,
  samplers = "gp cmaes qmc",
  optimizers = "labeled_few_shot bootstrap_few_shot random_search bayesian_few_shot knn_few_shot copro mipro simba infer_rules gepa "
    .. "finetune joint",
}

-- What a variable on the page is an object of.
local OBJECTS = {
  study = "lmopt.Study", trial = "lmopt.Trial", signature = "lmopt.Signature", program = "lmopt.Program",
  predictor = "lmopt.Predictor", example = "lmopt.Example", reply = "lmopt.Reply",
}

local function is_planned(name)
  if PLANNED[name] then return true end
  local family, member = name:match "^lmopt%.([%w_]+)%.([%w_]+)$"
  local list = family and PLANNED[family]
  return type(list) == "string" and (" " .. list .. " "):find(" " .. member .. " ", 1, true) ~= nil
end

local function is_public(tree, lmopt, name)
  if tree.found.classes[name] then return true end
  local value = lmopt
  for part in name:match("^lmopt%.(.*)$"):gmatch "[%w_]+" do
    if type(value) ~= "table" then return false end
    local ok, found = pcall(function() return value[part] end) -- a near miss raises
    if not ok or found == nil then return false end
    value = found
  end
  return true
end

-- Is the name there? nil when it is none of ours.
local function find(tree, lmopt, span)
  local name = span:match "^p?r?i?n?t?%(?(lmopt%.[%a_][%w_.]*)"
  if name then return is_public(tree, lmopt, name), name end
  local object, mark, member = span:match "^(%l+)([.:])([%a_]+)"
  local class = object and OBJECTS[object] and tree.found.classes[OBJECTS[object]]
  if not class then return nil end
  return check.member(tree, class, member) ~= nil, object .. mark .. member
end

-- The last but one column is ours.
local function update_row(tree, lmopt, row, say)
  local before, ours, after = row:match "^(|.-[^\\]| )(.-)( |[^|]*|)$"
  if not before then return row end
  ours = ours:gsub(MARK:gsub("%p", "%%%0"), ""):gsub("`([^`]+)`", function(span)
    local there, name = find(tree, lmopt, span)
    if there == nil or there then return nil end
    if not is_planned(name) then say(name) end
    return "`" .. span .. "`" .. MARK
  end)
  return before .. ours .. after
end

---The page with its marks as they have to be.
---@param tree reference.Tree
---@param lmopt table
---@param path string
---@param text string of the page
---@return string
function names.update(tree, lmopt, path, text)
  local lines, number = {}, 0
  for line in text:gmatch "([^\n]*)\n" do
    number = number + 1
    lines[number] = not line:find "^| %-%-%-" and update_row(tree, lmopt, line, function(name)
      tree.problems[#tree.problems + 1] = ("%s:%d: there is no %s"):format(path, number, name)
    end) or line
  end
  return table.concat(lines, "\n") .. "\n"
end

return names
