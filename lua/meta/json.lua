---@meta lmopt.core.json
-- The C half of lmopt.json (src/lua/json.c); use lmopt.json instead.

---@class lmopt.core.json
---@field null lightuserdata JSON's null, equal to cjson.null
local json = {}

---@class lmopt.json.options
---@field indent integer? spaces a level, 0 to 16; 0 (the default) writes one line
---@field keys string[]? these keys first, in this order, in every object; the rest sorted
---@field sort true? said or not, keys are sorted
---@field nan "error"|"literal"|nil what to do with NaN and infinities; "literal" writes them as Python does
---@field utf8 "error"|"replace"|nil what to do with bytes that are not UTF-8; they become U+FFFD unless it is "error"

--- Writes a value as JSON. Raises, naming the place (`user.list[3]`), on what JSON cannot say: functions, cycles, lists
--- with holes, tables with both kinds of keys, more than 128 levels, NaN and infinities.
--- Bytes that are not UTF-8 become U+FFFD, or raise too with `utf8 = "error"`.
---@param value any nil excepted; write `lmopt.null`
---@param options? lmopt.json.options
---@return string text
function json.encode(value, options) end

--- A function that writes values as encode does, with options that are read once.
---@param options lmopt.json.options
---@return fun(value: any): string
function json.encoder(options) end

--- Reads plain JSON, to the same values as lmopt.json.decode.
---@param text string
---@return any value nil where only lua-cjson can tell what it is, or what is wrong with it
function json.read(text) end

--- Marks a list as a JSON array, so that an empty one is written `[]` and not `{}`.
---@param list? table a list without a metatable; a new one if nil
---@return table list the same table
function json.array(list) end

--- Gives an object without a metatable an order of its own: encode writes these keys first, others after them, sorted.
--- The order is no part of the contents: identities of requests do not see it.
---@param object table
---@param keys string[]
---@return table object
function json.ordered(object, keys) end

--- True when array() marked the value.
---@param value any
---@return boolean
function json.is_array(value) end

return json
