-- Saved programs: any text is taken whole, and then saved as a text that is taken again and saved as the same; or it is refused
-- by an error of kind "program", and the program stays as it was.
--
-- Input: the text.
local support = require "fuzz_support"
local errors = require "lmopt.error"
local lmopt = require "lmopt"

local check = support.check

local function make()
  return lmopt.module {
    inputs = "question, notes: list[string]",
    query = lmopt.chain_of_thought "question, notes: list[string] -> query",
    answer = lmopt.predict("question, notes: list[string] -> answer: number", { instructions = "Be brief." }),
    forward = function(self, input) return self.answer(input) end,
  }
end

local program = make()
local fresh = program:dump()
check(make():restore(fresh):dump() == fresh, "a program that was saved is saved as another text")

return function(text)
  program:restore(fresh)
  local ok, problem = pcall(program.restore, program, text)
  if not ok then
    check(errors.is(problem, "program"), "no error of kind program: %s", errors.text(problem))
    check(problem.message:find "%S", "an error without words")
    check(program:dump() == fresh, "a refused text has changed the program")
    return
  end
  local saved = program:dump()
  local other = make():restore(saved)
  check(other:dump() == saved, "saved again it is another text: %s", saved)
end
