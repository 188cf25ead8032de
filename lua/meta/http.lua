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
---@field headers table<string, string> names in lower case; repeated ones joined by ", ". Made when it is first read: `pairs` and
---  `next` of a reply do not see it before
---@field header_lines string the headers as received
---@field body string decompressed
---@field seconds number from submission to the last byte

---One HTTP call. Redirects are not followed; a status of 500 is a reply, not an error.
---@async
---@param request lmopt.HttpRequest
---@return boolean ok
---@return lmopt.HttpReply|lmopt.Error reply or an error of kind "timeout", "network", "cancelled", "limit" (too long), "misuse" (URL, header), ...;
---  `reason` says more where there is more to say: nothing was sent with "refused", "resolve" (no such host), "tls" (none is spoken there), "connect" (no
---  connection, or not in time) and "certificate" (it does not verify); "first_byte" and "idle": the server was silent
function http.request(request) end

---A reply that comes in pieces. Closed (its server sees that) by `close`, by going out of scope as a to-be-closed variable,
---when it is collected, and when the task that waits for it is cancelled.
---@class lmopt.HttpStream
local stream = {}

---Waits for the next bytes of the body, of which it gives 8 KiB at most: after each piece other tasks have their turn. When
---they are not read the server is made to wait after 64 KiB; over HTTP/2 they are kept, up to `response_limit`.
---A reply with a status other than 2xx comes whole, at the end.
---@async
---@return boolean ok
---@return string|lmopt.Error|nil bytes nil at the end; when not ok, an error as that of `request`
---@return lmopt.HttpReply|nil reply at the end; `body` is "" when it came in pieces
function stream:read() end

---What has come of the reply's beginning; nil before the first bytes of its body.
---@return {status: integer, headers: table<string, string>}|nil
function stream:head() end

function stream:close() end

---Begins an HTTP call whose body is read piece by piece. Nothing is sent before the first `read`.
---@param request lmopt.HttpRequest
---@return boolean ok
---@return lmopt.HttpStream|lmopt.Error stream
function http.open(request) end

return http
