-- The parser of signatures and types: any text is a signature, which its own text makes again, or an error at the caller's
-- line that names the column.
--
-- Input: the text.
local support = require "fuzz_support"
local chat = require "lmopt.adapters.chat"
local signature = require "lmopt.signature"
local types = require "lmopt.types"

local check = support.check

-- A value of each kind, for the messages that a signature makes.
local EXAMPLES = { string = "a", number = 0.5, integer = 1, boolean = true, json = { 1 }, list = {}, record = {}, literal = "x" }

local function check_type(text)
  local made, problem = types.parse(text)
  if not made then
    check(math.type(problem.column) == "integer" and problem.column >= 1, "no column")
    check(problem.column <= #text + 1, "column %d of %d bytes", problem.column, #text)
    check(type(problem.what) == "string" and #problem.what < 600, "no words, or too many")
    check(type(types.around(text, problem.at)) == "string")
    return
  end
  local written = types.text(made)
  local again = check(types.parse(written), "%s can't be read again", written)
  check(types.text(again) == written, "%s is written as %s", written, types.text(again))
  check(support.same(made, again), "%s is another type", written)
  check(types.note(made) == nil or type(types.note(made)) == "string")
end

return function(text)
  check_type(text)
  local ok, made = pcall(signature.new, text)
  if not ok then
    check(type(made) == "string", "an error that is a %s", type(made))
    check(made:find("lmopt.signature", 1, true), "an error that does not say where: %s", made)
    check(made:find "column %d+ of " or made:find("reserved", 1, true) or made:find("input and", 1, true), "no place: %s", made)
    check(not made:find "^%[string " and not made:find "lmopt/%a+%.lua:%d", "an error of Lua's: %s", made)
    return
  end
  local written = tostring(made)
  local again = signature.new(written)
  check(again == made, "%s is another signature", written)
  check(tostring(again) == written, "%s is written as %s", written, tostring(again))
  local input = {}
  for _, field in ipairs(made.inputs) do input[field.name] = EXAMPLES[field.type.kind] end
  check(#chat.messages(made, {}, {}, input) == 2)
end
