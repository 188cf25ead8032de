---@meta lmopt.core.http
-- src/lua/http.c

local http = {}

---@class lmopt.HttpRequest
---@field url string http or https
---@field method? string "GET", or "POST" when there is a body
---@field headers? string[] "Name: value" lines
---@field body? string
---@field timeout? number seconds for the whole call (600)
---@field connect_timeout? number seconds (10)
---@field first_byte_timeout? number seconds from submission to the first byte of the reply (no limit of its own)
---@field idle_timeout? number seconds between two pieces of the reply (no limit of its own)
---@field response_limit? integer bytes (64 MiB)

---@class lmopt.HttpReply
---@field status integer
---@field headers table<string, string> names in lower case; repeated ones joined by ", "
---@field body string decompressed
---@field seconds number from submission to the last byte

---One HTTP call. Redirects are not followed; a status of 500 is a reply, not an error.
---@async
---@param request lmopt.HttpRequest
---@return boolean ok
---@return lmopt.HttpReply|lmopt.Error reply or an error of kind "timeout", "network", "cancelled", "limit" (too long), "misuse" (URL, header), ...;
---  `reason` says more where there is more to say: nothing was sent with "refused", "resolve" (no such host), "connect" (no
---  connection, or not in time) and "certificate" (it does not verify); "first_byte" and "idle": the server was silent
function http.request(request) end

return http
