-- Puts known points into the study that worker.lua runs.
local lmopt = require "lmopt"
local path, count = ...
local study <close> = lmopt.create_study { name = "shared", storage = path, seed = 5, sampler = "random" }
for i = 1, tonumber(count) do study:enqueue_trial({ x = i / 100 }, { user_attrs = { queued = i } }) end
