---@meta lmopt.core.cache
-- src/lua/cache.c

local cache = {}

---@class lmopt.CacheFile
local Cache = {}

---A cache; nothing is opened before it is needed.
---@param options { path: string?, ours: boolean?, max_bytes: integer?, memory_bytes: integer? } no path: in memory; `ours`: the
---  place is lmopt's own, so folders are made, and what is there and is no database is set aside
---@return lmopt.CacheFile
function cache.new(options) end

---What stands for a request: SHA-256 over the texts and their lengths.
---@param ... string at most 8
---@return string key in hexadecimal
function cache.key(...) end

---What a value of plain data is, within this process: SHA-256 over its types, sizes and contents. Two values have the same one
---exactly when their contents are the same.
---@param value any
---@return string? identity 32 bytes; nil: no plain data (functions, tables with metatables other than lmopt.array's, ...)
function cache.identity(value) end

---The entry of a value, by its identity, where the cache has the reply that it is about.
---@param store lmopt.CacheFile
---@param entries table<string, table> by identity: { key, stamp, ... }
---@param value any
---@return table? entry nil: not known, or the cache has no reply
---@return string? identity nil: no plain data
---@return string? text of the reply, where it may be another one than that of the entry's stamp
---@return integer? stamp of the text
function cache.recall(store, entries, value) end

---Makes a task that is nobody's child, so that it outlives who made it.
---@param context table
---@param fn function
---@param ... any its arguments
---@return lmopt.Task
function cache.launch(context, fn, ...) end

---May the caller wait while other tasks run? Not in a comparator of table.sort, say.
---@return boolean
function cache.can_wait() end

---Opens the file, if there is one. Fails when it can't be used, now and at every later call.
---@return boolean ok
---@return lmopt.Error? error
function Cache:open() end

---@param key string
---@return string? text
function Cache:get(key) end

---Keeps a reply. It is written with the others of this step, before anybody who sleeps for 0 seconds goes on.
---@param key string
---@param model string for people
---@param usd number what it cost
---@param text string JSON
---@return boolean waits is it going to be written?
function Cache:put(key, model, usd, text) end

---@param key string
function Cache:forget(key) end

---Writes what waits now.
function Cache:commit() end

---@return boolean ok
---@return table stats { entries, bytes, max_bytes, hits, saved_usd, since, oldest, newest (UTC seconds), exists, models = { {
---  name, entries, bytes, usd }, ... } }, or an error
function Cache:stats() end

---@param before number? what was made before (UTC seconds); 0: all
---@param model string?
---@return boolean ok
---@return integer entries, or an error
---@return integer bytes
function Cache:clear(before, model) end

function Cache:close() end

return cache
