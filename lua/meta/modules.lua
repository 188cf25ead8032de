---@meta _
-- Options of modules, datasets and evaluations. The functions are in lua/lmopt/modules, dataset.lua, evaluate.lua, tracer.lua.

---@class lmopt.ReactOptions: lmopt.PredictOptions
---@field tools table<string, lmopt.ToolOptions> by name; none may be called `finish`
---@field max_steps? integer then the result is made of what was found; default: 20
---@field max_malformed? integer so many calls that can't be made end the work too; default: 3
---@field deadline? number seconds for one call of a tool; default: 60
---@field max_observation? integer bytes of a tool's result that the model sees; default: 16000
---@field native? boolean tool calls of the provider's own; default: where it has them

---@class lmopt.ToolOptions
---@field [1] function|lmopt.Program what is called
---@field signature? string "query -> results: list[string]"; a program has its own
---@field fields? table<string, lmopt.FieldOptions> by name
---@field desc? string what it is for, shown to the model
---@field deadline? number seconds for one call; default: that of all

---@class lmopt.KnnOptions: lmopt.PredictOptions
---@field trainset (table<string, any>|lmopt.Example)[] the examples to choose from
---@field k? integer how many are shown; default: 3
---@field tokenizer? string as for lmopt.retrieve
---@field embedder? lmopt.Embedder|fun(texts: string[]): number[][] nearest by its vectors; default: by words
---@field exclude_self? boolean leaves out examples with the same input as the call, for scoring on the training set; default: false
---@field weights? table<string, number> how much each input counts (0: not at all), each compared by itself; default: all as one text
---@field diversity? number from 0 (the nearest, the default) to 1: how much examples shall differ from those that are shown already
---@field max_bytes? integer the demonstrations of a prompt are no longer, a token being about four bytes of English; default: no limit
---@field bootstrapped? table<integer, table<string, table>> demonstrations to be shown in the place of examples, by place and path of the predictor ("self")
---@field vectors? table where the vectors of the examples are kept; given to several with the same examples and embedder, they are asked for once

---@class lmopt.RetrieveOptions
---@field k? integer how many are found, at most; default: 3
---@field path? string a file that keeps the index: made when it is not there or of other documents; default: in memory
---@field tokenizer? "unicode61"|"porter"|"trigram" words without case and accents; without the endings of English words too; any three characters, for languages that do not part words; default: "unicode61"

---@class lmopt.DatasetOptions
---@field inputs? string[]|string names of the inputs, or as in a signature: "question, notes: list[string]?"
---@field signature? string|lmopt.Signature inputs and labels of a program, instead
---@field types? table<string, string> types of other fields, by name: they are checked

---@class lmopt.LoadOptions: lmopt.DatasetOptions
---@field format? "jsonl"|"json"|"csv" default: by the file's ending
---@field rename? table<string, string> name in the file -> name
---@field separator? string of CSV; default: ",", of .tsv a tab
---@field columns? string[] the names, where a CSV file does not begin with them

---@class lmopt.EvaluateOptions
---@field concurrency? integer rows at a time; default: that of lmopt.configure, 32
---@field max_errors? integer rows that may fail; one more ends the evaluation with an error of kind "failed"; default: all
---@field failure_score? number the score of a row that failed; default: 0
---@field deadline? number seconds for each row; default: none
---@field budget? lmopt.BudgetLimits of all of it
---@field progress? boolean|fun(event: table) true: on standard error; a function gets { finished, total, score, failed, usd, seconds, remaining, row }
---@field resume? string a file of finished rows, which are not asked for again
---@field seed? integer of the interval; default: 0
---@field confidence? number of the interval; default: 0.95

---@class lmopt.CompareOptions
---@field confidence? number of the interval; default: 0.95
---@field seed? integer of what is drawn; default: 0

---@class lmopt.TracerOptions
---@field path? string a file to which a line of JSON is added for every span; default: spans are kept in memory
---@field endpoint? string where a collector takes OTLP over HTTP: "http://localhost:4318"; "otlp": what the environment says
---@field headers? table<string, string> sent to the endpoint, and shown nowhere
---@field content? boolean does the endpoint get prompts, replies, inputs and outputs too? default: false
---@field max_spans? integer how many are kept, or wait to be sent; the oldest go first; default: 10000
---@field max_bytes? integer of the texts in one value; default: 16384
