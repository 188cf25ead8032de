-- A script without a study: `--budget` limits what it calls, BUDGET_HANDLE one of its models.
local lmopt = require "lmopt"

local text = os.getenv "BUDGET_HANDLE"
local own = text and assert(load("return " .. text, "=limits", "t", {}))() or nil
local model = lmopt.lm("openai/small", { base_url = os.getenv "BUDGET_SERVER", api_key = "none", max_tokens = 24, max_retries = 3,
  price = { input = 100, output = 400 }, budget = own })

local list = {}
for i = 1, 150 do list[i] = ("call %d, %s"):format(i, ("word "):rep(i % 13)) end
local records = lmopt.map(list, function(prompt) return model(prompt).text end,
  { concurrency = tonumber(os.getenv "BUDGET_JOBS"), errors = "collect" })
local refused = 0
for _, record in ipairs(records) do
  if record.error and record.error.kind == "budget" then refused = refused + 1 end
end
io.write(refused, " refused\n")
