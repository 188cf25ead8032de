--- Providers that speak OpenAI's language, each in its own way: `groq`, `openrouter`, `mistral`, `deepseek`, and the
-- servers `vllm` and `llamacpp` on this machine.
local openai = require "lmopt.providers.openai"
local support = require "lmopt.providers.support"

local compatible = {}

-- One name for the limit on an answer, where a server knows only one.
local function limit_as(name)
  return function(_, body)
    local limit = support.take_limit(body)
    if limit ~= nil then body[name] = limit end
  end
end

-- Messages without the names of who wrote them.
local function nameless(messages)
  local own = support.copy(messages)
  for i, message in ipairs(messages) do
    if message.name ~= nil then
      own[i] = support.copy(message)
      own[i].name = nil
    end
  end
  return own
end

-- https://console.groq.com/docs/openai: some fields make it answer 400, a message's name too.
compatible.groq = openai.variant {
  base_url = "https://api.groq.com/openai/v1",
  base_url_env = "GROQ_BASE_URL",
  read_base_url = function(text) -- which the vendor's own client writes without the path
    return text:match "^https?://[^/]+/*$" and text:gsub("/+$", "") .. "/openai/v1" or text
  end,
  api_key_env = "GROQ_API_KEY",
  json_output = "object", -- schemas: some models only
  embeddings = false,
  adapt = function(lm, body)
    support.refuse(lm, body, { "n", "logprobs", "top_logprobs", "logit_bias" })
    limit_as "max_completion_tokens"(lm, body)
    body.messages = nameless(body.messages)
  end,
}

-- https://openrouter.ai/docs/api/reference/overview: an answer tells what it cost.
compatible.openrouter = openai.variant {
  base_url = "https://openrouter.ai/api/v1",
  base_url_env = "OPENROUTER_BASE_URL",
  api_key_env = "OPENROUTER_API_KEY",
  embeddings = false,
  adapt = function(lm, body)
    limit_as "max_tokens"(lm, body)
    local effort = support.take(body, "reasoning_effort")
    if effort ~= nil then
      body.reasoning = support.copy(body.reasoning or {})
      body.reasoning.effort = effort
    end
    if body.stream then body.stream_options = nil end -- the usage always comes
  end,
  read_cost = function(usage)
    local cost = usage.cost
    return type(cost) == "number" and cost >= 0 and cost < math.huge and cost + 0.0 or nil
  end,
  -- 403 is a prompt that was flagged; 502 and 503 tell in metadata what the provider behind it said.
  error = function(lm, response)
    local value = require("lmopt.json").decode(response.body)
    local found = support.read_error(value)
    local metadata = support.object(support.object(value, "error"), "metadata")
    if found and type(metadata.raw) == "string" then found.message = (found.message or "") .. ": " .. metadata.raw end
    if found and response.status == 403 and metadata.reasons ~= nil then found.kind = "refused" end
    return support.error(lm, response, found)
  end,
}

-- https://docs.mistral.ai/api, and what the package mistralai 3.7.0 has: a seed has another name.
compatible.mistral = openai.variant {
  base_url = "https://api.mistral.ai/v1",
  base_url_env = "MISTRAL_BASE_URL",
  api_key_env = "MISTRAL_API_KEY",
  json_output = function(lm) return not lm.model:find "mamba" and "schema" or nil end,
  stream_usage = false,
  adapt = function(lm, body)
    support.refuse(lm, body, { "logit_bias" })
    limit_as "max_tokens"(lm, body)
    if body.seed ~= nil then body.random_seed, body.seed = body.seed, nil end
    if body.tool_choice == "required" then body.tool_choice = "any" end
  end,
}

-- https://api-docs.deepseek.com/api/create-chat-completion, .../guides/thinking_mode: it thinks unless it is told not to, and
-- ignores these while it does.
local IGNORED = { "temperature", "presence_penalty", "frequency_penalty" }
compatible.deepseek = openai.variant {
  base_url = "https://api.deepseek.com",
  base_url_env = "DEEPSEEK_BASE_URL",
  api_key_env = "DEEPSEEK_API_KEY",
  json_output = "object",
  embeddings = false,
  gives_back_reasoning = true,
  samples = function(_, effort) return effort == "none" end,
  adapt = function(lm, body)
    support.refuse(lm, body, { "n", "seed", "logit_bias" })
    limit_as "max_tokens"(lm, body)
    if body.reasoning_effort == "none" then
      body.reasoning_effort, body.thinking = nil, { type = "disabled" }
    end
    if type(body.thinking) == "table" and body.thinking.type == "disabled" then return end
    for _, name in ipairs(IGNORED) do
      if support.take(body, name) ~= nil then
        local hint = "a model that thinks takes no %s; it is left out (reasoning_effort = \"none\" turns thinking off)"
        support.say_once(lm, hint:format(name))
      end
    end
  end,
}

-- https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html; its own sampling parameters stand in the body.
compatible.vllm = openai.variant {
  base_url = "http://127.0.0.1:8000/v1",
  base_url_env = "VLLM_BASE_URL",
  api_key_env = "VLLM_API_KEY",
  json_output = "schema",
  api_key_optional = true,
  responses = true,
}

-- https://github.com/ggml-org/llama.cpp/tree/master/tools/server
compatible.llamacpp = openai.variant {
  base_url = "http://127.0.0.1:8080/v1",
  base_url_env = "LLAMA_BASE_URL",
  api_key_env = "LLAMA_API_KEY",
  json_output = "schema",
  api_key_optional = true,
  adapt = limit_as "max_tokens",
}

return compatible
