--- Kinds of errors that say nothing of what was asked: the model could not be reached. When everything that was asked at once
--- ended so, after all the client's retries, a run ends with the best so far instead of trying each candidate in turn.

---@type table<string, boolean>
return { timeout = true, network = true, rate_limit = true, bad_response = true }
