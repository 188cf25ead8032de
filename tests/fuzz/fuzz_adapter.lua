-- What holds of every adapter: whatever a model writes, there comes a table of values of the declared types, or a problem in
-- words; what was read, written as a demonstration and read again, is the same.
local support = require "fuzz_support"
local signature = require "lmopt.signature"
local values = require "lmopt.values"

local check = support.check

local SIGNATURES = {
  signature.new "question -> answer",
  signature.new "question -> reasoning, answer: number",
  signature.new "text -> label: literal[billing, bug, \"other, really\"], sure: boolean, count: integer?",
  signature.new "text -> people: list[{name: string, age: integer?, tags: list[string]}]",
  signature.new "text -> result: json",
  signature.new "text -> summary: string?, score: number?, items: list[number]",
  signature.new "text -> record: {a: string, b: {c: boolean, d: literal[x, y]?}, e: json}",
  signature.new("text -> grade: integer, code: string, words: list[string]", { fields = {
    grade = { min = 1, max = 5 }, code = { pattern = "^%u%u%d+$" }, words = { max_length = 3 } } }),
  signature.new "a -> b: json?, c: list[json], d: list[list[integer?]]?",
}
local REASONS = { false, "stop", "length" }

local function check_problem(problem)
  check(type(problem) == "table" and (problem.kind == "parse" or problem.kind == "truncated"), "no problem: %s", tostring(problem))
  check(type(problem.message) == "string" and problem.message:find "%S", "a problem without words")
  check(type(problem.missing) == "table", "a problem without a list of what is missing")
end

local function check_values(of, found)
  for _, field in ipairs(of.outputs) do
    local value, path = found[field.name], field.name
    local wrong = values.check(value, field.type, path) or values.violates(value, field, path)
    check(not wrong, "%s", wrong)
  end
  for name in pairs(found) do check(of.fields[name], "a field '%s' that is not declared", name) end
end

-- Null inside records, lists and JSON is absent or lmopt.null: as a demonstration has it, so it is read.
local function check_written(adapter, of, found)
  local demo = { [of.inputs[1].name] = "?" }
  for name, value in pairs(found) do demo[name] = value end
  local messages = adapter.messages(of, { demo }, {}, { [of.inputs[1].name] = "?" })
  local text = messages[#messages - 1].content
  local again, problem = adapter.parse(of, text, {})
  check(again, "what was read can't be read again: %s\n%s", problem and problem.message, text)
  for _, field in ipairs(of.outputs) do -- text loses the white space at its ends
    if type(found[field.name]) == "string" then found[field.name] = values.trim(found[field.name]) end
    if type(again[field.name]) == "string" then again[field.name] = values.trim(again[field.name]) end
  end
  if not utf8.len(text) or text:find "\u{FFFD}" then return end -- JSON can't say bytes that are not UTF-8
  check(support.same(found, again), "it is read as something else:\n%s", text)
end

--- Has an adapter read what the input holds: signature, finish_reason, reply.
---@param adapter table
---@param input table as fuzz_support makes it
return function(adapter, input)
  local of, reason = input:choose(SIGNATURES), input:choose(REASONS)
  local text = input:rest()
  local reply = { finish_reason = reason or nil }
  local found, problem = adapter.parse(of, text, reply)
  if not found then
    check_problem(problem)
    local messages = adapter.messages(of, {}, {}, { [of.inputs[1].name] = text })
    for _, message in ipairs(adapter.retry(of, messages, text, problem)) do
      check(type(message.role) == "string" and type(message.content) == "string", "a message that is none")
    end
    return
  end
  check(type(problem) == "table", "no list of repairs")
  check_values(of, found)
  check_written(adapter, of, found)
end
