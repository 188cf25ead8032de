--- How much models read and write at most, in tokens, and whether they can reason before they answer, as known on the date
-- below. A model that is not here has no known window; nothing is guessed from a similar name.
--
-- Source: max_input_tokens, max_output_tokens and supports_reasoning of model_prices_and_context_window.json of LiteLLM
-- 1.109.1 (github.com/BerriAI/litellm), for every line.
local names = require "lmopt.providers.names"

local windows = {}

windows.date = "2026-11-21"

-- { most of a prompt, most of a reply, can it reason, the models }
local GROUPS = {
  openai = {
    { 922000, 128000, true, {
      "gpt-6-astra", "gpt-6-sol", "gpt-6-luna", "gpt-6.1-sol", "gpt-6.1-terra", "gpt-5.6", "gpt-5.6-sol",
      "gpt-5.6-terra", "gpt-5.6-luna",
    } },
    { 1050000, 128000, true, {
      "gpt-5.5", "gpt-5.5-pro", "gpt-5.4", "gpt-5.4-pro",
    } },
    { 272000, 128000, true, {
      "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.3-codex", "gpt-5.2", "gpt-5.2-pro", "gpt-5.1", "gpt-5",
      "gpt-5-mini", "gpt-5-nano",
    } },
    { 400000, 272000, true, {
      "gpt-5-pro",
    } },
    { 1047576, 32768, false, {
      "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano",
    } },
    { 128000, 16384, false, {
      "gpt-4o", "gpt-4o-mini",
    } },
    { 128000, 4096, false, {
      "gpt-4o-2024-05-13",
    } },
    { 200000, 100000, true, {
      "o1", "o3", "o3-mini", "o3-pro", "o4-mini",
    } },
  },
  anthropic = {
    { 1000000, 128000, true, {
      "claude-fable-5-1", "claude-fable-5", "claude-mythos-5-1", "claude-mythos-5", "claude-opus-5-5",
      "claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-sonnet-5-5",
      "claude-sonnet-5", "claude-sonnet-4-6", "claude-haiku-5-5",
    } },
    { 200000, 64000, true, {
      "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5",
    } },
  },
  gemini = {
    { 1048576, 1048576, true, {
      "gemini-4-argon",
    } },
    { 1048576, 65536, true, {
      "gemini-3.8-flash", "gemini-3.7-flash", "gemini-3.5-flash", "gemini-3.5-flash-lite",
      "gemini-3.1-pro-preview", "gemini-3.1-flash-lite", "gemini-3-flash-preview", "gemini-2.5-pro",
      "gemini-2.5-flash", "gemini-2.5-flash-lite",
    } },
  },
  deepseek = {
    { 1000000, 393216, true, {
      "deepseek-flash", "deepseek-v4-flash", "deepseek-v4-pro",
    } },
  },
  mistral = {
    { 1048576, 1048576, true, {
      "mistral-large-4",
    } },
    { 262144, 262144, false, {
      "mistral-large-2512",
    } },
    { 262144, 262144, true, {
      "mistral-medium-2604", "mistral-medium-latest", "mistral-small-2603", "mistral-small-latest",
    } },
    { 128000, 128000, false, {
      "codestral-2508",
    } },
  },
  groq = {
    { 131072, 65536, true, {
      "openai/gpt-oss-120b", "openai/gpt-oss-20b",
    } },
  },
}

local MODELS = {}
for provider, groups in pairs(GROUPS) do
  MODELS[provider] = {}
  for _, group in ipairs(groups) do
    for _, model in ipairs(group[4]) do MODELS[provider][model] = { prompt = group[1], reply = group[2], reasons = group[3] } end
  end
end

--- The window of a model, or nil. A dated name ("gpt-4o-2024-08-06") has the window of the name without the date, unless it
--- has its own.
---@param provider string
---@param model string
---@return { prompt: integer, reply: integer, reasons: boolean }|nil
function windows.find(provider, model)
  return names.find(MODELS, provider, model)
end

return windows
