---@meta _
-- Tables that users of programs write and read. The functions are in lua/lmopt/signature.lua, predict.lua, program.lua.

---@class lmopt.SignatureOptions
---@field instructions? string what to do; default: a sentence made of the fields
---@field fields? table<string, lmopt.FieldOptions> by name

---@class lmopt.FieldOptions
---@field desc? string shown to the model
---@field min? number smallest value of a number or integer
---@field max? number largest value
---@field max_length? integer characters of a text, items of a list
---@field pattern? string a Lua pattern that a text must match

---@class lmopt.PredictOptions: lmopt.SignatureOptions
---@field demos? (table<string, any>|lmopt.Example)[] demonstrations, fields by name; some may be missing
---@field lm? lmopt.Model|string|function default: that of `lmopt.with`, else that of `lmopt.configure`
---@field adapter? string|lmopt.Adapter "chat", "json", "xml", or a table of your own; default: "chat"
---@field on_parse_error? "retry"|"json"|"fail" what to do with a reply that can't be read; default: "retry", one more call that says what is wrong; "json": one more, in JSON
---@field frozen? boolean instructions and demonstrations are not to be tuned; default: false
---@field temperature? number of sampling
---@field max_tokens? integer of one reply
---@field [string] any goes into every request as it is

---@class lmopt.CallOptions
---@field instructions? string for this call
---@field demos? (table<string, any>|lmopt.Example)[] for this call
---@field lm? lmopt.Model|string|function for this call
---@field adapter? string|lmopt.Adapter for this call
---@field on_parse_error? "retry"|"json"|"fail" for this call
---@field history? table<string, any>[] earlier turns: inputs and outputs by name
---@field stream? fun(text: string, delta: lmopt.Delta) gets the reply as the model writes it, field markers and all
---@field temperature? number of sampling
---@field max_tokens? integer of the reply
---@field [string] any goes into the request as it is

---What a predictor gives: a table of its outputs, plain data. `lmopt.details` knows the rest.
---@class lmopt.Prediction
---@field [string] any the outputs, by name

---What is known of a prediction besides its outputs.
---@class lmopt.Details
---@field usage lmopt.Usage calls that were repeated, because a reply could not be read, included
---@field retries integer how many those were
---@field repairs string[] what was mended in the reply
---@field text string the reply as the model wrote it
---@field signature? lmopt.Signature what it was read by
---@field [string] any what a module knows besides: the trajectory of react, ...

---How a signature becomes messages, and a reply becomes values: "chat", or a table of your own. All its functions are pure.
---@class lmopt.Adapter
---@field name string what saved programs call it
---@field messages fun(signature: lmopt.Signature, demos: table[], history: table[], input: table<string, any>): lmopt.Message[] what is sent
---@field parse fun(signature: lmopt.Signature, text: string, reply: lmopt.Reply): table<string, any>?, any the outputs and a list of what was mended, or nil and the problem: `{ kind = "parse" or "truncated", message =, missing = }`
---@field retry? fun(signature: lmopt.Signature, messages: lmopt.Message[], text: string, problem: table): lmopt.Message[] what is sent after a reply that can't be read
