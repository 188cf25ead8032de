---@meta lmopt.core.study
-- The C half of lmopt's studies (src/lua/study*.c); use lmopt.create_study and its methods instead.
--
-- A function that fails returns nil, a message and the kind of the failure: "misuse", "exists", "not_found", "storage",
-- "busy", "exhausted", "limit", "memory" or "error". It raises only when its own caller is wrong.
--
-- A distribution stands as several arguments: "float", low, high, step?, log? or "int", low, high, step?, log? or
-- "categorical", choices, json? (the choices' text, where a file has it); the sixth may be what the parameter is of a
-- structured variable: { structure=, variable=, item= (JSON), min=, max= }. An internal value is a number; of a choice its
-- 1-based place.

---@class lmopt.core.study
local core = {}

---@class lmopt.core.Study
local study = {}

---A stream of random numbers, the same for the same seed, trial and purpose on every machine.
---@class lmopt.Random
local random = {}

---@alias lmopt.core.State "running"|"complete"|"pruned"|"failed"|"waiting"

---@class lmopt.core.Info
---@field name string
---@field seed integer
---@field lag integer 0: not fixed yet
---@field arrival boolean
---@field open boolean
---@field path string? of the file
---@field maximize boolean[]

---@class lmopt.core.Row
---@field number integer
---@field state lmopt.core.State
---@field values number[]?
---@field params { [1]: string, [2]: number, [3]: table, [4]: integer }[] name, internal value, distribution, which one it was
---@field reports { [1]: integer, [2]: number|number[] }[] step, value (or one for each direction); ascending
---@field user table<string, string> attributes as JSON
---@field system table<string, string>
---@field start number? seconds since 1970, UTC
---@field complete number?

---@class lmopt.core.Cost
---@field calls integer
---@field prompt_tokens integer
---@field completion_tokens integer
---@field usd number negative in a limit: none

-- --- studies and files ---

--- Opens a study; trials of dead owners go back to waiting.
---@param options { name: string, storage: string?, maximize: boolean[]?, seed: integer?, lag: integer?, order: integer?, create: boolean?, load: boolean?, read_only: boolean? } order: 1 by number, 2 by arrival
---@return lmopt.core.Study?
---@return string? message
---@return string? kind
function core.open(options) end

--- An __index that looks into `methods`, `aliases` (key -> the name of the field) and the field _fields, then asks `otherwise`.
---@param methods table<string, function>
---@param otherwise fun(self: table, key: any): any
---@param aliases? table<string, string>
---@return function
function core.index(methods, otherwise, aliases) end

--- The method suggest_float or suggest_int of trials; what is not usual it leaves to `slow`.
---@param slow function the method in Lua
---@param failed fun(what: string, name: string, message: string, kind: string) raises why there is no value
---@param what string its name
---@param integer boolean
---@param trials table the metatable of trials
---@return function
function core.suggest(slow, failed, what, integer, trials) end

--- The method tell of studies; what is not usual it leaves to `slow`.
---@param slow function the method in Lua
---@param failed fun(message: string, kind: string) raises why the trial can't be told
---@param studies table the metatable of studies
---@param trials table the metatable of trials
---@return function
function core.tell(slow, failed, studies, trials) end

--- The studies of a file, in the order of their making.
---@param storage string
---@return { name: string, id: integer, directions: string[], trials: table<lmopt.core.State, integer>, started: string? }[]?
---@return string? message
---@return string? kind
function core.list(storage) end

--- Removes a study and its trials.
---@param storage string
---@param name string
---@return true?
---@return string? message
---@return string? kind
function core.delete(storage, name) end

--- Checks a distribution.
---@param kind string
---@param ... any
---@return number? high the greatest value that the steps reach, or nil
---@return string? message
---@return string? kind
function core.check_distribution(kind, ...) end

--- Is the internal value the distribution's?
---@param value number
---@param kind string
---@param ... any
---@return boolean?
---@return string? message
---@return string? kind
function core.contains(value, kind, ...) end

--- A fresh seed, below 2^53.
---@return integer
function core.draw_seed() end

--- The stream of random numbers of that name: the same for the same arguments, on every machine.
---@param seed integer
---@param number integer
---@param purpose string
---@return lmopt.Random
function core.random(seed, number, purpose) end

--- A float from low to high, uniformly.
---@param low? number default: 0
---@param high? number default: 1
---@return number
function random:uniform(low, high) end

--- An integer from low to high, both inclusive.
---@param low integer
---@param high integer
---@return integer
function random:integer(low, high) end

--- A float from a normal distribution.
---@param mean? number default: 0
---@param deviation? number default: 1
---@return number
function random:normal(mean, deviation) end

--- Closes the study; trials that run here go back to waiting.
function study:close() end

---@return lmopt.core.Info
function study:info() end

--- Fixes the lag of a study that has none.
---@param lag integer
---@return true?
---@return string? message
---@return string? kind
function study:fix_lag(lag) end

--- Reads what others have written.
---@return true?
---@return string? message
---@return string? kind
function study:sync() end

-- --- trials that run ---

--- Begins a trial: the waiting one with the lowest number, else a new one.
---@param total? integer kind "limit" when so many are finished or running; negative: no limit
---@return integer? number
---@return table|string? room an empty table with room for the trial's parameters; without a number the message
---@return number|string? now the time, as lmopt.core.task.now gives it; without a number the kind
function study:ask(total) end

--- The number the next ask is going to give.
---@return integer? number
---@return string? message
---@return string? kind
function study:peek() end

--- The value of a parameter: what the trial has, what was enqueued or drawn jointly, else the sampler's.
---@param number integer
---@param name string
---@param kind string
---@param ... any
---@return number? internal
---@return string? message
---@return string? failure
function study:suggest(number, name, kind, ...) end

--- The same; false when somebody must sample it.
---@param number integer
---@param name string
---@param kind string
---@param ... any
---@return number|false|nil internal
---@return string? message
---@return string? failure
function study:lookup(number, name, kind, ...) end

--- A subset or an order of items, stored as a parameter per item: the places of those chosen, or of all in their order.
---@param number integer
---@param name string
---@param structure "subset"|"permutation"
---@param items any[]
---@param least? integer
---@param most? integer
---@param drawn? integer[] such places, used where nothing is planned; nil: the sampler decides
---@return integer[]?
---@return string? message
---@return string? failure
function study:suggest_structure(number, name, structure, items, least, most, drawn) end

--- Enters a parameter that was sampled in Lua.
---@param number integer
---@param name string
---@param value number internal
---@param kind string
---@param ... any
---@return true?
---@return string? message
---@return string? failure
function study:set_parameter(number, name, value, kind, ...) end

--- Enters a joint parameter that was drawn in Lua for a trial that was just asked.
---@param number integer
---@param name string
---@param value number internal
---@param kind string
---@param ... any
---@return true?
---@return string? message
---@return string? failure
function study:set_relative(number, name, value, kind, ...) end

--- The first report of a step stands.
---@param number integer
---@param step integer
---@param value number|number[] one for each direction
---@return true?
---@return string? message
---@return string? kind
function study:report(number, step, value) end

---@param number integer
---@return boolean?
---@return string? message
---@return string? kind
function study:should_prune(number) end

---@param number integer
---@param name string
---@param value number
---@return true?
---@return string? message
---@return string? kind
function study:set_constraint(number, name, value) end

--- Of a running trial, or with nil of the study.
---@param number integer?
---@param user boolean a user attribute, else a system attribute
---@param key string
---@param json string
---@return true?
---@return string? message
---@return string? kind
function study:set_attribute(number, user, key, json) end

--- Writes what a running trial has gathered.
---@param number integer
---@return true?
---@return string? message
---@return string? kind
function study:flush(number) end

--- Ends a trial.
---@param number integer
---@param state "complete"|"pruned"|"failed"
---@param values number[]?
---@return true?
---@return string? message
---@return string? kind
function study:tell(number, state, values) end

--- Puts a running trial back to waiting.
---@param number integer
---@return true?
---@return string? message
---@return string? kind
function study:release(number) end

-- --- sampler and pruner ---

--- Nil: Lua samples (lookup, set_parameter).
---@param name string?
---@param options? table
---@param copies? integer how many scopes of trials are followed side by side, such as the brackets of hyperband; default: 1
function study:set_sampler(name, options, copies) end

---@param name string one of lmopt.pruners
---@param options? table
function study:set_pruner(name, options) end

--- How much better than the best of the trials up to this one the optimum can be; infinite while nothing is known.
---@param number integer
---@return number? bound
---@return string? message
---@return string? kind
function study:regret_bound(number) end

-- --- reading ---

--- One trial; nil when trial `seen_by` may not know of it.
---@param number integer
---@param distributions table in which equal distributions are shared between rows
---@param seen_by? integer
---@return lmopt.core.Row?
function study:row(number, distributions, seen_by) end

--- Attributes as JSON: of the study, read again, or of a trial.
---@param user boolean
---@param number? integer
---@return table<string, string>?
---@return string? message
---@return string? kind
function study:attributes(user, number) end

---@return { running: integer, complete: integer, pruned: integer, failed: integer, waiting: integer, all: integer }
function study:counts() end

---@param number integer
---@param seen_by? integer as that trial may know it: nil for later ones, "running" for what it may not know yet
---@return lmopt.core.State?
function study:state(number, seen_by) end

--- The best feasible complete trial.
---@return integer? number
function study:best() end

--- The best feasible complete trial in spite of noise: of all, of what trial `number` may know, or of those up to it. Without
--- `mean` it is the one of the best value. False, message, kind: it failed.
---@param number? integer
---@param up_to? boolean
---@return integer|false|nil number
---@return number|string|nil mean
---@return number|string|nil deviation
---@return number? noise
function study:robust(number, up_to) end

--- The names of the parameters that complete trials have, in no order.
---@return string[]
function study:parameters() end

--- One number per name; `targets` by trial number, instead of the values.
---@param evaluator string "ped_anova" or "fanova"
---@param options table
---@param names string[]
---@param targets? table<integer, number>
---@return number[]? importances
---@return string? message
---@return string? kind
function study:importances(evaluator, options, names, targets) end

--- The volume that the feasible complete trials dominate below a point in the objectives' own units.
---@param reference number[]
---@return number? volume
---@return string? message
---@return string? kind
function study:hypervolume(reference) end

--- The Pareto front of the feasible complete trials.
---@return integer[]? numbers ascending
---@return string? message
---@return string? kind
function study:front() end

--- How many they are, of several directions.
---@return integer? count
---@return string? message
---@return string? kind
function study:front_count() end

-- --- trials from outside; pairs are lists of {key, JSON} ---

---@param params { [1]: string, [2]: string }[]
---@param user { [1]: string, [2]: string }[]
---@return integer? number
---@return string? message
---@return string? kind
function study:enqueue(params, user) end

---@param state lmopt.core.State
---@param values number[]?
---@param params table[] lists {name, internal value, distribution...}
---@param reports { [1]: integer, [2]: number|number[] }[]
---@param user { [1]: string, [2]: string }[]
---@param system { [1]: string, [2]: string }[]
---@param start number?
---@param complete number?
---@return integer? number
---@return string? message
---@return string? kind
function study:add(state, values, params, reports, user, system, start, complete) end

-- --- beside the trials ---

--- A value in lmopt's own table; nil without a storage.
---@param key string
---@return string? json
---@return string? message
---@return string? kind
function study:property(key) end

---@param key string
---@param json string
---@return boolean? stored false without a storage
---@return string? message
---@return string? kind
function study:set_property(key, json) end

--- Tells neighbours that this process is alive.
function study:heartbeat() end

--- Puts trials of dead owners back to waiting.
---@return integer? released
---@return string? message
---@return string? kind
function study:release_dead() end

--- Reserves the worst case of a model call; kind "limit" when the budget can't pay it.
---@param number integer
---@param key string
---@param model string
---@param request string
---@param worst lmopt.core.Cost
---@return integer? call
---@return string? message
---@return string? kind
function study:reserve_call(number, key, model, request, worst) end

---@param call integer
---@param reply string? nil: it failed
---@param cost lmopt.core.Cost
---@param seconds number
---@return true?
---@return string? message
---@return string? kind
function study:settle_call(call, reply, cost, seconds) end

--- The stored reply to the nth call of that key in a trial.
---@param number integer
---@param key string
---@param nth integer from 0
---@return string? reply
---@return string? message
---@return string? kind
function study:replay_call(number, key, nth) end

---@param number integer
---@return { model: string, request: string, reply: string?, usage: table }[]?
---@return string? message
---@return string? kind
function study:calls(number) end

--- Keeps what a program answered in a trial that runs here; it is written with the trial's result. Without a storage it is
--- forgotten.
---@param number integer
---@param about string JSON: what was evaluated
---@param rows string|nil JSON: what was answered; nil: it is not kept
---@return true?
---@return string? message
---@return string? kind
function study:add_prediction(number, about, rows) end

--- What programs answered in a trial, one entry for each evaluation in their order.
---@param number integer
---@return { about: string, rows: string? }[]?
---@return string? message
---@return string? kind
function study:predictions(number) end

--- Gives a trial the predictions of one of another study in the same file.
---@param number integer
---@param from lmopt.core.Study
---@param from_number integer
---@return true?
---@return string? message
---@return string? kind
function study:copy_predictions(number, from, from_number) end

--- Keeps a cell of a score sheet: what one example's answer was worth. It is in the file when this returns; without a
--- storage it lives as long as the study. A cell that is there stays as it is.
---@param key string digest of all that decided it: candidate, example, rollout, metric
---@param record string JSON
---@return true?
---@return string? message
---@return string? kind
function study:add_cell(key, record) end

--- What add_cell has kept under a key, by this process or another.
---@param key string
---@return string? record
---@return string? message
---@return string? kind
function study:cell(key) end

--- Adds all cells of another study; both are in files.
---@param from lmopt.core.Study
---@return true?
---@return string? message
---@return string? kind
function study:copy_cells(from) end

---@class lmopt.core.Account
---@field model string "": all of the study
---@field limit { calls: integer?, tokens: integer?, prompt_tokens: integer?, completion_tokens: integer?, usd: number?, seconds: number? }
---@field spent lmopt.core.Cost and `seconds`

--- What may be spent and is: of the study, its models after it, or (without limits) of one trial; nil without a storage.
---@param number? integer
---@return lmopt.core.Account[]? accounts
---@return string? message
---@return string? kind
function study:accounts(number) end

--- Replaces all limits; each item has `model` and limits.
---@param limits table[]
---@return boolean? stored false without a storage
---@return string? message
---@return string? kind
function study:set_budget(limits) end

--- Spends seconds of a run: as many as the limit leaves. A negative number gives back. nil without a storage.
---@param wanted number
---@return number? taken
---@return string? message
---@return string? kind
function study:take_seconds(wanted) end

-- --- declared spaces ---

--- Calls `draw` for each trial that is asked of a sampler of the core, and `judge` for what such a sampler considers; nil
--- takes the space away. What was declared is forgotten.
---@param draw? fun(number: integer): boolean true when content; false where one of the methods below has failed
---@param judge? fun(values: table<string, number>): boolean? of internal values; nil: it depends on others
function study:set_space(draw, judge) end

--- Says from which distribution a parameter of the space comes.
---@param name string
---@param kind string
---@param ... any
---@return true?
---@return string? message
---@return string? kind
function study:declare(name, kind, ...) end

--- Inside `draw`: begins an attempt at a point.
---@param attempt integer from 0
---@param own boolean true: the sampler is not asked, values come from the priors
---@return true?
---@return string? message
---@return string? kind
function study:draft_begin(attempt, own) end

--- Inside `draw`: a parameter of the point, enqueued, proposed by the sampler, or drawn.
---@param name string
---@param prior table? {"normal", mean, deviation}, {"lognormal", median, factor} or {"weights", ...}
---@param kind string
---@param ... any
---@return number? internal value
---@return string? message
---@return string? kind
function study:draft_value(name, prior, kind, ...) end

--- Inside `draw`: the trial gets no joint parameters.
function study:draft_clear() end

--- Writes the joint parameters that `set_relative` has entered.
---@param number integer
---@return true?
---@return string? message
---@return string? kind
function study:store_relative(number) end

--- A value as a random sampler would draw it.
---@param seed integer
---@param number integer
---@param name string
---@param prior table?
---@param kind string
---@param ... any
---@return number? internal value
---@return string? message
---@return string? kind
function core.draw(seed, number, name, prior, kind, ...) end

--- Calls a function as `pcall` does; inside, nothing may yield or wait.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
function core.sealed(fn, ...) end

return core
