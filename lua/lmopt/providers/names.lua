--- What is known of models, by their names.
local names = {}

--- The entry of a model in a table by provider and name, or nil. A dated name ("gpt-4o-2024-08-06") has that of the name
--- without the date, unless it has its own.
---@generic T
---@param models table<string, table<string, T>>
---@param provider string
---@param model string
---@return T|nil
function names.find(models, provider, model)
  local known = models[provider]
  if not known then return nil end
  model = model:gsub("^models/", "")
  local undated = provider == "openai" and model:match "^(.+)%-%d%d%d%d%-%d%d%-%d%d$"
    or provider == "anthropic" and model:match "^(.+)%-%d%d%d%d%d%d%d%d$"
  return known[model] or undated and known[undated] or nil
end

return names
