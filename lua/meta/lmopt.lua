---@meta
-- The names that `require "lmopt"` loads when they are first used, for language servers. Made by `make reference`.

---@class lmopt
local lmopt = {}

lmopt.chain_of_thought = require("lmopt.modules.chain_of_thought").new
lmopt.details = require("lmopt.predict").details
lmopt.embedder = require("lmopt.embedder").new
lmopt.example = require("lmopt.example").new
lmopt.module = require("lmopt.module").new
lmopt.predict = require("lmopt.predict").new
lmopt.signature = require("lmopt.signature").new
lmopt.with = require("lmopt.predict").with

return lmopt
