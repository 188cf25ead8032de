-- Questions that need two facts: what the first look-up finds says what to look up next.
--
--   lmopt run examples/multi_hop.lua                           offline, with an in-process model
--   lmopt run examples/multi_hop.lua --lm openai/gpt-4o-mini   on a server
--
-- Without --lm the in-process model plays along: it looks up all that it was given, and answers with the notes.
local lmopt = require "lmopt"

if not lmopt.configured().lm then lmopt.configure { lm = "offline" } end

local function load_facts()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
  local facts = {}
  for line in io.lines(folder .. "data/facts.jsonl") do facts[#facts + 1] = assert(lmopt.json.decode(line)) end
  return facts
end

local QUESTIONS = {
  { "In which country does the river rise that flows through Budapest?", "Germany" },
  { "On which sea does the river end that flows through Cairo?", "Mediterranean" },
  { "What is the capital of the country in which Kilimanjaro stands?", "Dodoma" },
  { "In which country does the highest mountain of South America stand?", "Argentina" },
  { "What does one pay with in the country whose capital is Reykjavik?", "krona" },
  { "What do most people speak in the country of Angel Falls?", "Spanish" },
  { "Where was the composer of The Barber of Seville born?", "Pesaro" },
  { "When was the ship launched on which Charles Darwin sailed?", "1820" },
  { "Which elements did Maria Sklodowska discover?", "polonium" },
  { "Where does the author of Don Quixote lie buried?", "Madrid" },
}

local NEW = 2 -- facts that one look-up may add

local program = lmopt.module {
  inputs = "question, hops: int",
  corpus = lmopt.retrieve(load_facts(), { tokenizer = "porter" }),
  query = lmopt.chain_of_thought("question, notes: list[string] -> query", {
    instructions = "Write a search query for the fact that is missing to answer the question.",
  }),
  answer = lmopt.chain_of_thought("question, notes: list[string] -> answer", {
    instructions = "Answer the question with what the notes say, in a few words.",
  }),
  forward = function(self, input)
    local notes, taken = {}, {}
    for _ = 1, input.hops do
      local query = self.query { question = input.question, notes = notes }.query
      local known = #notes
      for _, fact in ipairs(self.corpus { query = query, k = known + NEW }.passages) do
        if not taken[fact] and #notes < known + NEW then notes[#notes + 1] = fact end
        taken[fact] = true
      end
    end
    return self.answer { question = input.question, notes = notes }
  end,
}

-- How many answers have the right words in them. The questions are asked side by side.
local function right_answers(hops)
  local answers = lmopt.map(QUESTIONS, function(item) return program({ question = item[1], hops = hops }).answer end)
  local right = 0
  for i, item in ipairs(QUESTIONS) do
    if answers[i]:lower():find(item[2]:lower(), 1, true) then right = right + 1 end
  end
  return right
end

for hops = 0, 2 do print(("%d hops: %2d of %d answers right"):format(hops, right_answers(hops), #QUESTIONS)) end
