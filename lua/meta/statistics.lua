---@meta lmopt.core.statistics
-- src/lua/statistics.c over src/math/bootstrap.c: for lua/lmopt/statistics.lua, which says what the numbers mean.

local statistics = {}

---How many differences `sign_flips_exact` takes.
---@type integer
statistics.exact_most = nil

---Appends to `means` those of so many resamples.
---@param values number[] finite, one at least
---@param seed integer
---@param first integer the number of the first resample, from 0
---@param resamples integer
---@param means number[]
function statistics.bootstrap_means(values, seed, first, resamples, means) end

---The bootstrap's interval for the mean (BCa); without means, what it tends to for many values.
---@param values number[]
---@param means number[]|nil
---@param confidence number between 0 and 1
---@return number low
---@return number high
function statistics.interval(values, means, confidence) end

---How many of so many random sign patterns give a sum at least as far from 0 as that of the differences.
---@param differences number[]
---@param seed integer
---@param first integer
---@param flips integer
---@return integer
function statistics.sign_flips(differences, seed, first, flips) end

---The two-sided p-value by all sign patterns.
---@param differences number[] at most `exact_most`
---@return number
function statistics.sign_flips_exact(differences) end

---What that tends to with many differences.
---@param differences number[] not all 0
---@return number
function statistics.sign_flips_limit(differences) end

---The exact two-sided sign test (McNemar's, for right and wrong).
---@param wins integer
---@param losses integer
---@return number
function statistics.sign_test(wins, losses) end

return statistics
