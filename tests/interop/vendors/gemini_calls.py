"""The package `google-genai`: generateContent, embeddings, streams, refusals."""

import base64
import json
import re

from google import genai
from google.genai import errors, types

from .call import PIXEL, SCHEMA, WEATHER, Call, called, functions, plain, tool_call, usage, user
from .server import Answer

NAME = "google-genai %s" % genai.__version__
PROVIDER = "gemini"
LMOPT_PATH = ""
ERRORS = (errors.APIError,)
EVERY = {"header.accept": "accept", "path": "v1beta"}
OLDER, NEWER = "gemini-2.5-flash", "gemini-3-flash-preview"  # thinks within a budget; at a level


def client(address, key):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=address))


def kind_of(problem):
    if problem.code in (401, 403) or "API key not valid" in str(problem):
        return "auth"
    if problem.code == 429:
        return "rate_limit"
    return "context_length" if "input token count" in str(problem) else "bad_response"


AS_GIVEN = ("parametersJsonSchema", "responseJsonSchema", "args", "response")  # what is below is the caller's


def normal(body):
    """A name is the same with its words joined by capitals or by lines, as everywhere in Google's JSON; so is either base64."""
    if isinstance(body, list):
        return [normal(one) for one in body]
    if not isinstance(body, dict):
        return body
    made = {}
    for name, value in body.items():
        name = re.sub("_(.)", lambda found: found[1].upper(), name)
        made[name] = value if name in AS_GIVEN else normal(value)
    if isinstance(made.get("data"), str):
        made["data"] = made["data"].replace("-", "+").replace("_", "/")
    return made


# --- what the package reads, in lmopt's words ---

REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}


def read(made):
    candidate, used = made.candidates[0], made.usage_metadata
    parts = candidate.content.parts or []
    calls = [tool_call(one.function_call.name, one.function_call.args, one.function_call.id) for one in parts if one.function_call]
    texts = ["".join(part.text for part in one.content.parts if part.text and not part.thought) for one in made.candidates]
    reason = REASONS[candidate.finish_reason.value]
    return plain({
        "text": texts[0], "texts": texts if len(texts) > 1 else None, "tool_calls": calls, "model": made.model_version,
        "finish_reason": "tool_calls" if calls and reason == "stop" else reason,
        "reasoning": "".join(one.text for one in parts if one.thought) or None,
        "usage": usage(used.prompt_token_count + (used.tool_use_prompt_token_count or 0),
                       (used.candidates_token_count or 0) + (used.thoughts_token_count or 0), used.cached_content_token_count, None,
                       used.thoughts_token_count)})


# --- what the server answers, after https://ai.google.dev/api/generate-content ---

USED = {"promptTokenCount": 90, "candidatesTokenCount": 12, "thoughtsTokenCount": 30, "cachedContentTokenCount": 64,
        "totalTokenCount": 132, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}]}
THOUGHT = {"text": "Oslo is cold.", "thought": True}
TOOL_USE = {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}, "id": "fc-1"}, "thoughtSignature": "c2ln"}


def answer(*candidates, reason="STOP"):
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": index}
                           for index, parts in enumerate(candidates)],
            "modelVersion": "gemini-2.5-flash-001", "responseId": "r1", "usageMetadata": USED}


HELLO = answer([{"text": "Hello there."}])


def piece(*parts, reason=None):
    made = answer(list(parts), reason=reason)
    if reason is None:
        del made["candidates"][0]["finishReason"]
    return "data: %s\r\n\r\n" % json.dumps(made)


# --- the calls ---


def ask_for(model, contents, config=None):
    """In the package's own types: what it is given as a plain dictionary it sends under the names that stand there."""
    return lambda made: read(made.models.generate_content(model=model, contents=contents, config=config))


def contents_of(*turns):
    return [types.Content(role=role, parts=[types.Part(**part) for part in parts]) for role, parts in turns]


def call(name, request, contents, reply=HELLO, model=OLDER, meant=None, **config):
    given = types.GenerateContentConfig(**config) if config else None
    return Call(name, model, ask_for(model, contents, given), reply, request, meant={**EVERY, **(meant or {})})


HI = contents_of(("user", [{"text": "Hello"}]))


def chats():
    yield call("a plain chat", {"messages": user("Hello")}, HI)
    yield call("a system message, several turns, sampling", {
        "messages": [{"role": "system", "content": "Be brief."}, *user("Grüße"), {"role": "assistant", "content": "日本"},
                     *user("Again")],
        "temperature": 0, "top_p": 0.9, "top_k": 40, "max_tokens": 64, "stop": ["\n", "END"], "seed": 7, "frequency_penalty": 0.5,
        "presence_penalty": -0.5},
        contents_of(("user", [{"text": "Grüße"}]), ("model", [{"text": "日本"}]), ("user", [{"text": "Again"}])),
        system_instruction={"parts": [{"text": "Be brief."}]}, temperature=0, top_p=0.9, top_k=40, max_output_tokens=64,
        stop_sequences=["\n", "END"], seed=7, frequency_penalty=0.5, presence_penalty=-0.5)
    yield call("n, log-probabilities", {"messages": user("Hello"), "n": 2, "logprobs": True, "top_logprobs": 3}, HI,
               answer([{"text": "Hi"}], [{"text": "Hey"}]), candidate_count=2, response_logprobs=True, logprobs=3)
    yield call("a schema", {"messages": user("Hello"), "response_format": {
        "type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA, "strict": True}}},
        HI, answer([{"text": '{"answer": 42}'}]),
        response_mime_type="application/json", response_json_schema=SCHEMA)
    yield call("a JSON object", {"messages": user("Hello"), "response_format": {"type": "json_object"}}, HI, answer([{"text": "{}"}]),
               response_mime_type="application/json")
    yield call("images", {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}]},
        contents_of(("user", [{"text": "What?"}, {"file_data": {"file_uri": "https://example.org/cat.png", "mime_type": "image/png"}},
                              {"inline_data": {"mime_type": "image/png", "data": base64.b64decode(PIXEL)}}])))
    yield call("an effort, as a budget", {"messages": user("Hello"), "reasoning_effort": "medium"}, HI, answer([THOUGHT, {"text": "Hi"}]),
               thinking_config={"thinking_budget": 8192})
    yield call("an effort, as a level", {"messages": user("Hello"), "reasoning_effort": "low"}, HI, answer([THOUGHT, {"text": "Hi"}]),
               model=NEWER, thinking_config={"thinking_level": "LOW"})
    harm = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    yield call("its own settings", {"messages": user("Hello"), "safetySettings": [harm], "cachedContent": "cachedContents/1"}, HI,
               safety_settings=[types.SafetySetting(**harm)], cached_content="cachedContents/1",
               meant={"body.generationConfig": "defaults"})
    yield call("an answer that was cut short", {"messages": user("Hello"), "max_tokens": 1}, HI,
               answer([{"text": "He"}], reason="MAX_TOKENS"),
               max_output_tokens=1)


def tools():
    asked, use = user("Weather in Oslo?"), answer([{"text": "Let me look."}, TOOL_USE])
    own = [{"function_declarations": [{"name": "get_weather", "description": WEATHER["description"],
                                       "parameters_json_schema": WEATHER["parameters"]}]}]
    start = contents_of(("user", [{"text": "Weather in Oslo?"}]))
    no_calls = {"automatic_function_calling": {"disable": True}, "meant": {"body.generationConfig": "defaults"}}
    for choice, theirs in (("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), ("required", {"mode": "ANY"}),
                           ({"type": "function", "function": {"name": "get_weather"}},
                            {"mode": "ANY", "allowed_function_names": ["get_weather"]})):
        yield call("tool_choice %s" % theirs["mode"] + (" of a name" if len(theirs) > 1 else ""), {
            "messages": asked, "tools": functions(WEATHER), "tool_choice": choice}, start, use, tools=own,
            tool_config={"function_calling_config": theirs}, **no_calls)
    turns = [*asked, {"role": "assistant", "content": "Let me look.", "tool_calls": [called("get_weather", {"city": "Oslo"}, "fc-1")]},
             {"role": "tool", "tool_call_id": "fc-1", "content": '{"celsius": -3}'}]
    result = {"function_response": {"id": "fc-1", "name": "get_weather", "response": {"celsius": -3}}}
    yield call("the results of tools", {"messages": turns, "tools": functions(WEATHER)}, [
        *start, *contents_of(("model", [{"text": "Let me look."}, {
            "function_call": {"id": "fc-1", "name": "get_weather", "args": {"city": "Oslo"}}}]), ("user", [result]))],
        tools=own, **no_calls)
    signed = [*asked, {"role": "assistant", "content": "Let me look.", "tool_calls": [called("get_weather", {"city": "Oslo"}, "fc-1")],
                       "native": [TOOL_USE]}, {"role": "tool", "tool_call_id": "fc-1", "content": "-3"}]
    yield call("signatures given back with the results", {"messages": signed, "tools": functions(WEATHER)}, [
        *start, *contents_of(("model", [{"function_call": TOOL_USE["functionCall"], "thought_signature": b"sig"}]),
                             ("user", [{"function_response": {**result["function_response"], "response": {"result": "-3"}}}]))],
        tools=own, **no_calls)


def streams():
    def ask(made):
        deltas, last, parts = [], None, []
        for one in made.models.generate_content_stream(model=OLDER, contents=HI):
            new = one.candidates[0].content.parts
            parts += new
            said = "".join(part.text for part in new if part.text and not part.thought)
            deltas += [said] if said else []
            last = one
        last.candidates[0].content.parts = parts
        return {**read(last), "deltas": deltas}

    pieces = [piece(THOUGHT), piece({"text": "Grüße "}), piece({"text": "日本"}), piece(TOOL_USE, reason="STOP")]
    yield Call("a stream", OLDER, ask, pieces, {"messages": user("Hello")}, kind="stream", meant=EVERY)


def embeddings():
    texts = ["first", "日本"]

    def ask(made):
        found = made.models.embed_content(model="gemini-embedding-001", contents=texts, config={"output_dimensionality": 3})
        return {"vectors": [one.values for one in found.embeddings], "usage": {}}

    yield Call("embeddings", "gemini-embedding-001", ask, {"embeddings": [{"values": [0.5, -0.25, 1]}, {"values": [1.5, 2, 3]}]},
               kind="embed", texts=texts, options={"dimensions": 3}, meant={
                   **EVERY, **{"body.requests[%d].content.role" % index: "defaults" for index in range(2)}})


def failures():
    """The package asks once, unless it is told otherwise; so does lmopt here."""
    cases = [(400, "INVALID_ARGUMENT", "wrong"), (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
             (400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
             (403, "PERMISSION_DENIED", "no permission"), (404, "NOT_FOUND", "models/gemini-9 is not found"),
             (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"), (500, "INTERNAL", "internal"),
             (503, "UNAVAILABLE", "The model is overloaded.")]
    for status, code, said in cases:
        body = {"error": {"code": status, "message": said, "status": code}}
        if "API key" in said:
            body["error"]["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                                         "domain": "googleapis.com"}]
        yield Call("%d %s, %s" % (status, code, said), OLDER, ask_for(OLDER, HI), Answer(body, status), {"messages": user("Hello")},
                   options={"max_retries": 0}, meant=EVERY)


def calls():
    for some in (chats, tools, streams, embeddings, failures):
        yield from some()
