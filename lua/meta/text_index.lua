---@meta lmopt.core.text_index
-- src/lua/text_index.c

local text_index = {}

---@class lmopt.TextIndex
local Index = {}

---Makes an index of texts, or opens the file that has one.
---@param options { path: string?, tokenizer: "unicode61"|"porter"|"trigram"|nil, texts: string[]?, data: (string|false)[]? } no
---  path: in memory; no texts: those of the file; `data`: what is kept with each text
---@return boolean ok
---@return lmopt.TextIndex|lmopt.Error index
function text_index.open(options) end

---The texts that have words of the query, the best first; equal ones in the order of their places. Nothing in a query is
---syntax.
---@param query string
---@param limit integer
---@return boolean ok
---@return { number: integer, score: number, text: string, data: string? }[]|lmopt.Error hits
function Index:find(query, limit) end

---@return integer
function Index:count() end

function Index:close() end

return text_index
