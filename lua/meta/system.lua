---@meta lmopt.core.system
-- src/lua/system.c

local system = {}

---"0.1.0"
---@type string
system.version = nil

---@param fd integer 0, 1 or 2
---@return boolean
function system.is_terminal(fd) end

---@param fd? integer 2
---@return integer columns 80 when unknown
function system.terminal_width(fd) end

---Writes to standard error; for the command line only, the library prints nothing.
---@param text string
function system.write_error(text) end

---@return number seconds on a clock that never goes back
function system.monotonic() end

---@return number seconds since 1970-01-01 00:00:00 UTC
function system.utc() end

---@return integer
function system.process_id() end

---Random, and another one at every call in every process. It draws from no seed.
---@return string 32 hexadecimal digits
function system.unique() end

---@param text string
---@return boolean
function system.is_utf8(text) end

---How many bytes a text has, or all texts in a table together; its keys do not count.
---@param value any
---@param depth integer how many levels of tables are looked into; at most 16
---@return integer
function system.text_size(value, depth) end

---@param text string
---@return string hexadecimal
function system.sha256(text) end

---@param path string
---@return string? hexadecimal
---@return string? message
function system.sha256_file(path) end

---Leaves the first bytes of a file.
---@param path string
---@param size integer
---@return boolean? cut
---@return string? message
function system.cut_file(path, size) end

---Where a file that replaces another has to be put: what a symbolic link points to; nil for what is no file.
---@param path string
---@return string? place
---@return string? message
function system.write_place(path) end

---Makes a folder and those it is in; those that are there are fine.
---@param path string
---@return boolean? made
---@return string? message
function system.make_folders(path) end

---Where lmopt may keep what it can make again; nil when the user has no home.
---@return string?
function system.user_cache_folder() end

return system
