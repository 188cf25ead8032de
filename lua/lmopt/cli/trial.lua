--- `lmopt trial show|replay`: everything about one trial, and the trial once more.
local export = require "lmopt.export"
local json = require "lmopt.json"
local output = require "lmopt.cli.output"
local sorted = require "lmopt.sorted"
local study = require "lmopt.cli.study"

local DONE = 0

local trial = { order = { "show", "replay" }, replay = require "lmopt.cli.trial_replay" }

trial.show = {
  command = {
    name = "trial show",
    synopsis = "STORAGE [NAME] NUMBER [--json]",
    summary = [[
Shows one trial: parameters, values, attributes, constraints, reports, the
error it ended with, and its model calls with the exact messages and replies.
NAME may be left out when the storage holds one study.]],
    positionals = {
      { name = "STORAGE", required = true, type = "storage" },
      { name = "NAME", required = true },
      { name = "NUMBER", type = "integer", minimum = 0 },
    },
    options = { { name = "json", help = "as JSON" } },
    examples = { "lmopt trial show study.db 17", "lmopt trial show study.db qa 17" },
  },
}

local function section(page, title, text)
  if text ~= nil and text ~= "" then page[#page + 1] = "\n" .. title .. "\n" .. text end
end

local function indent(text, by)
  return (" "):rep(by) .. text:gsub("\n$", ""):gsub("\n", "\n" .. (" "):rep(by)) .. "\n"
end

local function range(distribution)
  if type(distribution) ~= "table" then return "" end
  local choices = distribution.choices or distribution.items
  if choices then
    local texts = {}
    for i, choice in ipairs(choices) do texts[i] = output.value(choice) end
    return "of " .. table.concat(texts, ", ")
  end
  local low, high = distribution.low, distribution.high
  if low == nil then return "" end
  local text = ("%s to %s"):format(output.value(low), output.value(high))
  if distribution.log then text = text .. ", log" end
  if distribution.step and distribution.step ~= 1 then text = text .. ", step " .. output.value(distribution.step) end
  return text
end

local function parameters(found)
  local rows = {}
  for _, name in ipairs(sorted.keys(found.params)) do
    rows[#rows + 1] = { "  " .. name, output.value(found.params[name]), range((found.distributions or {})[name]) }
  end
  return #rows > 0 and output.table(rows, nil, 100) or ""
end

local function decode(text)
  if type(text) ~= "string" then return text end
  local value = json.decode(text)
  return value == nil and text or value
end

local function reply_text(reply)
  reply = decode(reply)
  if type(reply) == "table" and type(reply.text) == "string" then return reply.text end
  return type(reply) == "string" and reply or output.value(reply)
end

local function call_text(index, call)
  local lines = {}
  local usage = call.usage or {}
  local cost = {}
  if usage.prompt_tokens then cost[#cost + 1] = output.count(usage.prompt_tokens, "prompt token") end
  if usage.completion_tokens then cost[#cost + 1] = output.count(usage.completion_tokens, "completion token") end
  if usage.usd then cost[#cost + 1] = output.dollars(usage.usd) end
  if usage.seconds then cost[#cost + 1] = output.duration(usage.seconds) end
  lines[1] = ("  call %d: %s%s\n"):format(index, call.model or "a model", #cost > 0 and ", " .. table.concat(cost, ", ") or "")
  local request = decode(call.request)
  if type(request) == "table" and type(request.messages) == "table" then
    for _, message in ipairs(request.messages) do
      local content = type(message.content) == "string" and message.content or output.value(message.content)
      lines[#lines + 1] = ("    %s:\n%s"):format(tostring(message.role), indent(content, 6))
    end
  elseif request ~= nil then
    lines[#lines + 1] = indent(type(request) == "string" and request or output.value(request), 6)
  end
  if call.reply == nil or call.reply == json.null then
    lines[#lines + 1] = "    no reply arrived\n"
  else
    lines[#lines + 1] = "    reply:\n" .. indent(reply_text(call.reply), 6)
  end
  return table.concat(lines)
end

local function page_of(opened, found, calls)
  local page = { ("trial %d of study '%s': %s\n"):format(found.number, opened.name, found.state) }
  if found.values or found.value ~= nil then
    page[#page + 1] = ("value%s %s\n"):format(#(found.values or {}) > 1 and "s" or "", output.values(found))
  end
  if found.datetime_start then
    page[#page + 1] = ("started %s UTC%s\n"):format(export.date(found.datetime_start),
      found.datetime_complete and ", ended " .. export.date(found.datetime_complete) .. " UTC" or "")
  end
  section(page, "parameters", parameters(found))
  section(page, "constraints (feasible at 0 and below)", output.map(found.constraints or {}))
  section(page, "user attributes", output.map(found.user_attrs or {}))
  local rows = {}
  for _, step in ipairs(sorted.keys(found.intermediate_values or {})) do
    rows[#rows + 1] = { "  step " .. tostring(step), output.report(found.intermediate_values[step]) }
  end
  section(page, "reports", #rows > 0 and output.table(rows) or "")
  section(page, "error", found.error and indent(found.error, 2) or "")
  local traceback = (found.system_attrs or {})["lmopt:traceback"]
  if type(traceback) == "string" and traceback ~= found.error then
    -- It begins with the message, which has been shown.
    local message = tostring(found.error)
    if traceback:sub(1, #message + 1) == message .. "\n" then traceback = traceback:sub(#message + 2) end
    traceback = traceback:gsub("^stack traceback:\n", ""):gsub("\t", "")
    traceback = traceback:gsub("\n%[C%]: in function 'xpcall'\nlmopt/optimize%.lua:.*$", "") -- who called the objective
    section(page, "traceback", indent(traceback, 2))
  end
  local texts = {}
  for i, call in ipairs(calls) do texts[i] = call_text(i, call) end
  section(page, output.count(#calls, "model call"), table.concat(texts, "\n"))
  return table.concat(page)
end

function trial.show.main(values, _, host)
  study.read_number(trial.show.command, values)
  local opened = study.open(trial.show.command, values)
  local found = study.trial(opened, values.NUMBER)
  local calls = opened:calls(values.NUMBER) or {}
  if values.json then
    local object = export.trial(found, #opened.directions > 1)
    object.calls = json.array {}
    for i, call in ipairs(calls) do
      object.calls[i] = { model = call.model, request = decode(call.request), reply = decode(call.reply), usage = call.usage }
    end
    host.write(export.encode(object, 2) .. "\n")
    return DONE
  end
  host.write(page_of(opened, found, calls))
  return DONE
end

return trial
