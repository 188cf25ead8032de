---@meta lmopt.core.plans
-- src/lua/plans.c over src/math/plans.c: which examples a prompt shows and which it is scored on. Pure functions of a
-- seed and numbers. Examples are counted from 1; sets and batches, like trials, from 0.

local plans = {}

---The numbers 1 .. count in random order.
---@param seed integer
---@param number integer of the trial, or whatever is numbered
---@param purpose string names the draw: another purpose, another order
---@param count integer
---@return integer[]
function plans.order(seed, number, purpose, count) end

---So many of the numbers 1 .. count, none twice, in random order; all, when there are not more.
---@param seed integer
---@param number integer
---@param purpose string
---@param count integer
---@param size integer
---@return integer[]
function plans.sample(seed, number, purpose, count, size) end

---A copy of the list without one example: what a teacher that is asked that very example may be shown.
---@param list integer[]
---@param example integer
---@return integer[]
function plans.without(list, example) end

---@class lmopt.PlanLimits
---@field seed integer
---@field examples integer how many there are
---@field max_bootstrapped integer? most demonstrations of a teacher in a list (4); 0: there is no teacher
---@field max_labeled integer? labelled examples fill a list up to so many, the teacher's counted (16)
---@field first_labeled boolean? the first examples fill it, not a sample of them

---@class lmopt.PlanSet
---@field kind "zero_shot"|"labeled"|"bootstrap"|"shuffled"
---@field bootstrapped integer how many demonstrations of the teacher are wanted
---@field labeled integer up to how many labelled examples fill the list
---@field order integer[] in which the teacher tries the examples

---Candidate set number 0 is zero-shot; then come labelled examples alone, and the teacher's in the order of the examples
---(those of the two that the limits allow); all that follow are shuffled and of random size.
---@param limits lmopt.PlanLimits
---@param set integer
---@return lmopt.PlanSet
function plans.candidate(limits, set) end

---What one predictor is shown in that set. Every predictor draws its own labelled examples.
---@param limits lmopt.PlanLimits
---@param set integer
---@param predictor string its path
---@param succeeded (boolean|number)[]|nil for each example, whether the teacher did: true, or a score that reaches `threshold`
---@param threshold number? (1)
---@return integer[] bootstrapped examples whose demonstration is the teacher's
---@return integer[] labeled examples that are shown as they are, after those
function plans.demonstrations(limits, set, predictor, succeeded, threshold) end

---Minibatch number `batch`: examples, none twice. One batch after the other goes through all examples in epochs, each in
---another order, so that no example is ever used more than once more than another.
---@param seed integer
---@param batch integer
---@param examples integer
---@param size integer all examples, when there are not more
---@param groups (string|integer)[]|nil the group of each example: a batch has of each about its share
---@return integer[]
function plans.minibatch(seed, batch, examples, size, groups) end

---For each text the place of the first one that is equal to it.
---@param texts string[]
---@return integer[]
function plans.same(texts) end

---For each text the place of the first one that is like it: the words they share are at least this share of the words of
---both; the case of ASCII letters does not count.
---@param texts string[]
---@param overlap number above 0, at most 1
---@return integer[]
function plans.near(texts, overlap) end

return plans
