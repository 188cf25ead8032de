"""The package `anthropic`: messages, streams, refusals."""

import json

import anthropic

from .call import PIXEL, SCHEMA, WEATHER, Call, called, functions, plain, tool_call, usage, user
from .server import Answer

NAME = "anthropic %s" % anthropic.__version__
PROVIDER = "anthropic"
LMOPT_PATH = ""
ERRORS = (anthropic.AnthropicError,)

VERSION = {"header.anthropic-version": "anthropic-version", "header.authorization": "x-api-key", "header.x-api-key": "x-api-key"}
OLDER, NEWER = "claude-sonnet-4-5", "claude-opus-4-6"  # thinks within a budget; at a level
NEWEST = "claude-opus-5-5"  # takes no temperature


def client(address, key):
    return anthropic.Anthropic(api_key=key, base_url=address, max_retries=1)


KINDS = ((anthropic.AuthenticationError, "auth"), (anthropic.PermissionDeniedError, "auth"), (anthropic.RateLimitError, "rate_limit"),
         (anthropic.APIStatusError, "bad_response"))


def kind_of(problem):
    if problem.status_code == 413 or "prompt is too long" in str(problem):
        return "context_length"
    if problem.status_code == 402 or "credit balance" in str(problem):
        return "auth"
    return next(kind for one, kind in KINDS if isinstance(problem, one))


# --- what the package reads, in lmopt's words ---

REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "pause_turn": "pause_turn"}


def read(made):
    used = made.usage
    written = used.cache_creation_input_tokens or 0
    details = used.output_tokens_details
    blocks = {kind: [one for one in made.content if one.type == kind] for kind in ("text", "thinking", "tool_use")}
    return plain({
        "text": "".join(one.text for one in blocks["text"]), "model": made.model, "finish_reason": REASONS[made.stop_reason],
        "reasoning": "\n\n".join(one.thinking for one in blocks["thinking"]) or None,
        "tool_calls": [tool_call(one.name, one.input, one.id) for one in blocks["tool_use"]],
        "usage": usage(used.input_tokens + written + (used.cache_read_input_tokens or 0), used.output_tokens,
                       used.cache_read_input_tokens, written, details and details.thinking_tokens)})


# --- what the server answers, after https://platform.claude.com/docs/en/api/messages ---

USED = {"input_tokens": 200, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 1000, "output_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens_details": {"thinking_tokens": 12}, "server_tool_use": None, "service_tier": "standard"}
THINKING = {"type": "thinking", "thinking": "Oslo is cold.", "signature": "c2ln"}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}


def message(*content, reason="end_turn"):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "content": list(content),
            "stop_reason": reason, "stop_sequence": None, "usage": USED}


def text(said):
    return {"type": "text", "text": said}


HELLO = message(text("Hello there."))


def stream_of(start, *events):
    all_events = [{"type": "message_start", "message": start}, *events, {"type": "message_stop"}]
    return ["event: %s\ndata: %s\n\n" % (one["type"], json.dumps(one)) for one in all_events]


def block(index, start, *deltas):
    return [{"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index}]


STARTED = {**message(), "stop_reason": None, "usage": {**USED, "output_tokens": 1, "output_tokens_details": None}}


def ended(reason):
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 60, "output_tokens_details": {"thinking_tokens": 12}}}


TEXT_STREAM = stream_of(STARTED, *block(0, text(""), {"type": "text_delta", "text": "Grüße "}, {"type": "text_delta", "text": "日本"}),
                        {"type": "ping"}, ended("end_turn"))
TOOL_STREAM = stream_of(
    STARTED, *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "Oslo is "},
                    {"type": "thinking_delta", "thinking": "cold."}, {"type": "signature_delta", "signature": "c2ln"}),
    *block(1, text(""), {"type": "text_delta", "text": "Let me look."}),
    *block(2, {**TOOL_USE, "input": {}}, {"type": "input_json_delta", "partial_json": ""},
           {"type": "input_json_delta", "partial_json": '{"city": "O'}, {"type": "input_json_delta", "partial_json": 'slo"}'}),
    ended("tool_use"))


# --- the calls ---


def ask_for(model, given, extra=None):
    return lambda made: read(made.messages.create(model=model, extra_body=extra, **given))


def call(name, model, request, answer=HELLO, extra=None, meant=None, **given):
    """`extra`: what the package has no parameter for any more."""
    return Call(name, model, ask_for(model, given, extra), answer, request, meant={**VERSION, **(meant or {})})


def chats():
    hello = user("Hello")
    yield call("a plain chat", OLDER, {"messages": hello, "max_tokens": 64}, messages=hello, max_tokens=64)
    yield call("a plain chat without a limit", OLDER, {"messages": hello}, messages=hello, max_tokens=4096)
    yield call("a system message, temperature 0", OLDER, {
        "messages": [{"role": "system", "content": "Be brief."}, *hello], "max_tokens": 64, "temperature": 0, "top_p": 0.9, "top_k": 40},
        extra={"temperature": 0, "top_p": 0.9, "top_k": 40}, system="Be brief.", messages=hello, max_tokens=64)
    talk = [*hello, {"role": "assistant", "content": "こんにちは 😀"}, *user("Grüße \\ \u2028")]
    yield call("several turns, stop sequences, a user", OLDER, {
        "messages": talk, "max_tokens": 64, "stop": ["\n", "END"], "user": "anna"},
        messages=talk, max_tokens=64, stop_sequences=["\n", "END"], metadata={"user_id": "anna"})
    yield call("one stop sequence", OLDER, {"messages": hello, "max_tokens": 64, "stop": "END"},
               message(text("Hi"), reason="stop_sequence"),
               messages=hello, max_tokens=64, stop_sequences=["END"])
    yield call("a newer model's temperature", NEWEST, {"messages": hello, "max_tokens": 64, "temperature": 0}, extra={"temperature": 0},
               meant={"body.temperature": "temperature of a model that takes none"}, messages=hello, max_tokens=64)
    marked = [{"role": "user", "content": [{**text("A long text."), "cache_control": {"type": "ephemeral", "ttl": "1h"}}, text("What?")]}]
    yield call("a mark for the cache, betas, a service tier", OLDER, {
        "messages": marked, "max_tokens": 64, "betas": ["one-2026-01-01", "two-2026-02-02"], "service_tier": "standard_only"},
        messages=marked, max_tokens=64, service_tier="standard_only", extra_headers={"anthropic-beta": "one-2026-01-01,two-2026-02-02"})
    yield call("a system message in blocks", OLDER, {
        "messages": [{"role": "system", "content": [{**text("Be brief."), "cache_control": {"type": "ephemeral"}}]}, *hello],
        "max_tokens": 64},
        messages=hello, max_tokens=64, system=[{**text("Be brief."), "cache_control": {"type": "ephemeral"}}])
    yield call("an answer that was cut short", OLDER, {"messages": hello, "max_tokens": 1}, message(text("He"), reason="max_tokens"),
               messages=hello, max_tokens=1)
    yield call("a schema", OLDER, {
        "messages": hello, "max_tokens": 64,
        "response_format": {"type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA}}}, message(text('{"answer": 42}')),
        messages=hello, max_tokens=64, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    yield call("images", OLDER, {
        "messages": [{"role": "user", "content": [
            text("What?"), {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}], "max_tokens": 64},
        messages=[{"role": "user", "content": [
            text("What?"), {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]}], max_tokens=64)


def tools():
    asked = user("Weather in Oslo?")
    given = functions(WEATHER)
    own = [{"name": "get_weather", "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}]
    use = message(THINKING, text("Let me look."), TOOL_USE, reason="tool_use")
    base = {"messages": asked, "max_tokens": 64, "tools": given}
    for choice, theirs in (("auto", {"type": "auto"}), ("none", {"type": "none"}), ("required", {"type": "any"}),
                           ({"type": "function", "function": {"name": "get_weather"}}, {"type": "tool", "name": "get_weather"})):
        yield call("tool_choice %s" % theirs["type"], OLDER, {**base, "tool_choice": choice}, use, messages=asked, max_tokens=64,
                   tools=own, tool_choice=theirs)
    yield call("one tool at a time", OLDER, {**base, "parallel_tool_calls": False}, use, messages=asked, max_tokens=64, tools=own,
               tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    turns = [*asked, {"role": "assistant", "content": "Let me look.", "tool_calls": [
        called("get_weather", {"city": "Oslo"}), called("get_weather", {"city": "Bergen"}, "call_2")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "-3"}, {"role": "tool", "tool_call_id": "call_2", "content": "4"},
        *user("And?")]
    own_turns = [*asked, {"role": "assistant", "content": [
        text("Let me look."), {**TOOL_USE, "id": "call_1"}, {**TOOL_USE, "id": "call_2", "input": {"city": "Bergen"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "-3"},
                                     {"type": "tool_result", "tool_use_id": "call_2", "content": "4"}, text("And?")]}]
    yield call("the results of tools", OLDER, {**base, "messages": turns}, messages=own_turns, max_tokens=64, tools=own)
    thought = [*asked, {"role": "assistant", "content": "Let me look.", "native": [THINKING, text("Let me look."), TOOL_USE]},
               {"role": "tool", "tool_call_id": "toolu_1", "content": "-3"}]
    own_thought = [*asked, {"role": "assistant", "content": [THINKING, text("Let me look."), TOOL_USE]},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "-3"}]}]
    yield call("thoughts given back with the results", OLDER, {**base, "messages": thought, "max_tokens": 4000, "reasoning_effort": "low"},
               messages=own_thought, max_tokens=4000, tools=own, thinking={"type": "enabled", "budget_tokens": 1024})


def efforts():
    asked = user("Hello")
    thought = message(THINKING, text("Hello there."))
    yield call("an effort, as a budget", OLDER, {"messages": asked, "max_tokens": 20000, "reasoning_effort": "medium"}, thought,
               messages=asked, max_tokens=20000, thinking={"type": "enabled", "budget_tokens": 8192}, timeout=60)
    yield call("an effort, as a level", NEWER, {"messages": asked, "max_tokens": 2000, "reasoning_effort": "medium"}, thought,
               messages=asked, max_tokens=2000, thinking={"type": "adaptive"}, output_config={"effort": "medium"})
    yield call("a level and a schema", NEWEST, {
        "messages": asked, "max_tokens": 2000, "reasoning_effort": "max",
        "response_format": {"type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA}}}, thought,
        messages=asked, max_tokens=2000, thinking={"type": "adaptive"},
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": SCHEMA}})
    yield call("no effort", NEWER, {"messages": asked, "max_tokens": 2000, "reasoning_effort": "none"}, messages=asked, max_tokens=2000,
               thinking={"type": "disabled"})


def streams():
    def stream(name, answer, request, **given):
        def ask(made):
            deltas = []
            with made.messages.stream(model=OLDER, **given) as events:
                for piece in events.text_stream:
                    deltas.append(piece)
                return {**read(events.get_final_message()), "deltas": deltas}

        return Call(name, OLDER, ask, answer, request, kind="stream", meant=VERSION)

    asked = user("Weather in Oslo?")
    yield stream("a stream", TEXT_STREAM, {"messages": asked, "max_tokens": 64}, messages=asked, max_tokens=64)
    yield stream("a stream of thoughts and tool calls", TOOL_STREAM, {"messages": asked, "max_tokens": 64, "tools": functions(WEATHER)},
                 messages=asked, max_tokens=64,
                 tools=[{"name": "get_weather", "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}])


def failures():
    soon = {"retry-after-ms": "1"}
    cases = [
        (400, soon, "invalid_request_error", "wrong"),
        (400, soon, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, soon, "invalid_request_error", "Your credit balance is too low to access the Claude API."),
        (401, soon, "authentication_error", "invalid x-api-key"), (402, soon, "billing_error", "billing"),
        (403, soon, "permission_error", "no permission"), (404, soon, "not_found_error", "model: claude-9"),
        (413, soon, "request_too_large", "Request exceeds the maximum size"), (429, soon, "rate_limit_error", "too many requests"),
        (500, soon, "api_error", "internal"),
        (504, soon, "timeout_error", "too slow"), (529, soon, "overloaded_error", "Overloaded"),
        (529, {"x-should-retry": "false"}, "overloaded_error", "Overloaded for long"),
        (400, {"x-should-retry": "true", **soon}, "invalid_request_error", "passes"),
    ]
    for status, headers, kind, said in cases:
        body = {"type": "error", "error": {"type": kind, "message": said}, "request_id": "req_1"}
        asked = {"messages": user("Hello"), "max_tokens": 8}
        yield Call("%d %s, %s" % (status, kind, said), OLDER, ask_for(OLDER, asked), (Answer(body, status, headers), Answer(HELLO)),
                   asked, meant=VERSION)


def calls():
    for some in (chats, tools, efforts, streams, failures):
        yield from some()
