"""The package `openai`: chat completions, responses, embeddings, streams, refusals."""

import base64
import json
import struct

import openai

from .call import PIXEL, SCHEMA, WEATHER, Call, called, functions, plain, tool_call, usage, user
from .server import Answer

NAME = "openai %s" % openai.__version__
PROVIDER = "openai"
LMOPT_PATH = "/v1"
ERRORS = (openai.OpenAIError,)


def client(address, key):
    return openai.OpenAI(api_key=key, base_url=address + "/v1", max_retries=1)


KINDS = ((openai.AuthenticationError, "auth"), (openai.PermissionDeniedError, "auth"), (openai.RateLimitError, "rate_limit"),
         (openai.APIStatusError, "bad_response"))


def kind_of(problem):
    known = {"context_length_exceeded": "context_length", "insufficient_quota": "auth"}
    if getattr(problem, "code", None) in known:
        return known[problem.code]
    return next(kind for one, kind in KINDS if isinstance(problem, one))


# --- what the package reads, in lmopt's words ---


def chat_usage(used):
    prompt, completion = used.prompt_tokens_details, used.completion_tokens_details
    return usage(used.prompt_tokens, used.completion_tokens, prompt and prompt.cached_tokens, prompt and prompt.cache_write_tokens,
                 completion and completion.reasoning_tokens)


def read_chat(made):
    choice = made.choices[0]
    texts = [one.message.content or "" for one in made.choices]
    calls = [tool_call(one.function.name, one.function.arguments, one.id) for one in choice.message.tool_calls or []]
    return plain({
        "text": texts[0], "texts": texts if len(texts) > 1 else None, "tool_calls": calls, "finish_reason": choice.finish_reason,
        "model": made.model, "logprobs": choice.logprobs and [one.to_dict() for one in choice.logprobs.content],
        "usage": chat_usage(made.usage)})


def read_response(made):
    calls = [tool_call(one.name, one.arguments, one.call_id) for one in made.output if one.type == "function_call"]
    thoughts = [part.text for one in made.output if one.type == "reasoning" for part in one.summary]
    cut = {"max_output_tokens": "length"}.get(made.incomplete_details.reason) if made.incomplete_details else None
    used = made.usage
    return plain({
        "text": made.output_text, "tool_calls": calls, "finish_reason": cut or ("tool_calls" if calls else "stop"),
        "model": made.model, "reasoning": "\n\n".join(thoughts) or None,
        "usage": usage(used.input_tokens, used.output_tokens, used.input_tokens_details.cached_tokens,
                       used.input_tokens_details.cache_write_tokens, used.output_tokens_details.reasoning_tokens)})


# --- what the server answers, after https://platform.openai.com/docs/api-reference ---


def completion(*messages, reason="stop", logprobs=None):
    choices = [{"index": index, "message": {"role": "assistant", "refusal": None, "annotations": [], **message},
                "logprobs": logprobs, "finish_reason": reason} for index, message in enumerate(messages)]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000, "model": "gpt-4o-mini-2024-07-18",
            "choices": choices, "service_tier": "default", "system_fingerprint": "fp_1",
            "usage": {"prompt_tokens": 1117, "completion_tokens": 46, "total_tokens": 1163,
                      "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0, "cache_write_tokens": 64},
                      "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                                    "rejected_prediction_tokens": 0}}}


HELLO = completion({"content": "Hello there."})
USED = {"input_tokens": 75, "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 8}, "output_tokens": 140,
        "output_tokens_details": {"reasoning_tokens": 128}, "total_tokens": 215}


def response(*output, status="completed", reason=None):
    return {"id": "resp_1", "object": "response", "created_at": 1795000000, "status": status, "error": None,
            "incomplete_details": reason and {"reason": reason}, "instructions": None, "metadata": {}, "model": "gpt-5-2025-08-07",
            "output": list(output), "parallel_tool_calls": True, "temperature": 1, "tool_choice": "auto", "tools": [], "top_p": 1,
            "usage": USED}


def said(text):
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Cold there."}]}
TOOL_USE = {"type": "function_call", "id": "fc_1", "call_id": "call_9", "name": "get_weather", "arguments": '{"city": "Oslo"}',
            "status": "completed"}


def vectors(body):
    """Numbers that a float of four bytes holds exactly: as text, or packed when that was asked for."""
    data = []
    for index, text in enumerate(body["input"]):
        vector = [0.5 * len(text), -0.25, 1.0 + index]
        packed = base64.b64encode(struct.pack("<3f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed if body.get("encoding_format") == "base64" else vector})
    return Answer({"object": "list", "data": data[::-1], "model": "text-embedding-3-small",
                   "usage": {"prompt_tokens": 8, "total_tokens": 8}})


def events(*chunks):
    """Not in ASCII: U+2028 ends no line of a stream."""
    return ["data: %s\n\n" % json.dumps(chunk, ensure_ascii=False) for chunk in chunks] + ["data: [DONE]\n\n"]


def chunk(delta, reason=None, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795000000, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}], "usage": None, **more}


LAST_CHUNK = chunk({}, choices=[], usage=HELLO["usage"])
TEXT_STREAM = events(chunk({"role": "assistant", "content": "", "refusal": None}), chunk({"content": "Grüße "}),
                     chunk({"content": "日\u2028本"}), chunk({}, "stop"), LAST_CHUNK)
ODD_STREAM = [":\r\n\r\n"] + [  # as the standard of event streams allows: comments, CR LF, no blank, data in two lines
    one.replace("data: {", "id: 7\nretry: 10\n: a comment\ndata:{", 1).replace(', "object"', ',\ndata: "object"', 1).replace("\n", "\r\n")
    for one in TEXT_STREAM]
TOOL_STREAM = events(
    chunk({"role": "assistant", "content": None, "tool_calls": [
        {"index": 0, "id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"ci'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ty": "Oslo"}'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "call_10", "type": "function", "function": {"name": "now", "arguments": "{}"}}]}),
    chunk({}, "tool_calls"), LAST_CHUNK)
RESPONSE_STREAM = ["event: %s\ndata: %s\n\n" % (one["type"], json.dumps({**one, "sequence_number": number})) for number, one in enumerate((
    {"type": "response.created", "response": response(status="in_progress")},
    {"type": "response.output_item.added", "output_index": 0, "item": {**said(""), "content": []}},
    {"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
     "part": {"type": "output_text", "text": "", "annotations": []}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello ", "logprobs": []},
    {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "there.", "logprobs": []},
    {"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0, "text": "Hello there.",
     "logprobs": []},
    {"type": "response.output_item.done", "output_index": 0, "item": said("Hello there.")},
    {"type": "response.completed", "response": response(said("Hello there."))}))]


def refusal(message, code=None):
    return {"error": {"message": message, "type": "some_error", "param": None, "code": code}}


# --- the calls ---


def chat(name, model, answer=HELLO, package=None, meant=None, **request):
    """The package is given what lmopt is, unless `package` says otherwise: None there takes a key out."""
    given = plain({**request, **(package or {})})

    def ask(made):
        return read_chat(made.chat.completions.create(model=model, **given))

    return Call(name, model, ask, answer, request, meant=meant)


def chats():
    talk = [{"role": "system", "content": "Be brief."}, *user("Weather in Oslo?")]
    asked = [*talk, {"role": "assistant", "content": "Let me look.", "tool_calls": [called("get_weather", {"city": "Oslo"})]},
             {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": -3}'}]
    tools = functions(WEATHER, {"name": "now", "strict": True, "parameters": {"type": "object", "additionalProperties": False}})
    image = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    use = completion({"content": None, "tool_calls": [called("get_weather", {"city": "Oslo"}), called("now", {}, "call_2")]},
                     reason="tool_calls")
    one = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [{"token": "Hi", "logprob": -0.25, "bytes": [72, 105]}]}
    with_logprobs = completion({"content": "Hi"}, {"content": "Hey"}, logprobs={"content": [one], "refusal": None})
    named = {"type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA, "strict": True}}
    yield chat("a plain chat", "gpt-4o-mini", messages=user("Hello"))
    yield chat("a system message, temperature 0, max_tokens", "gpt-4o-mini", messages=talk, temperature=0, max_tokens=64)
    yield chat("several turns, not in ASCII", "gpt-4o", temperature=0.7, top_p=0.9, messages=[
        {"role": "developer", "content": "Answer in 日本語."}, *user("Grüße\n\"quoted\" \\ \u2028"),
        {"role": "assistant", "content": "こんにちは 😀"}, {"role": "user", "content": "Again", "name": "anna"}])
    yield chat("tools, and their use", "gpt-4o", use, messages=talk, tools=tools, tool_choice="required", parallel_tool_calls=False)
    for choice in ("auto", "none", {"type": "function", "function": {"name": "get_weather"}}):
        yield chat("tool_choice %s" % (choice if isinstance(choice, str) else "of a name"), "gpt-4o", messages=talk, tools=tools,
                   tool_choice=choice)
    yield chat("the results of tools", "gpt-4o", messages=asked, tools=tools)
    yield chat("a JSON schema", "gpt-4o", completion({"content": '{"answer": 42}'}), messages=user("6 x 7?"), response_format=named)
    yield chat("a JSON object", "gpt-4o", completion({"content": "{}"}), messages=user("JSON"), response_format={"type": "json_object"})
    yield chat("an image by its address, and one in the message", "gpt-4o",
               messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, image, inline]}])
    yield chat("a reasoning effort", "gpt-5-mini", messages=user("Hello"), reasoning_effort="low", max_completion_tokens=500,
               verbosity="low")
    yield chat("a reasoning model's limit", "o4-mini", messages=user("Hello"), reasoning_effort="high", max_tokens=500,
               package={"max_tokens": None, "max_completion_tokens": 500})
    yield chat("a reasoning model's temperature", "gpt-5", messages=user("Hello"), temperature=0,
               meant={"body.temperature": "temperature of a model that takes none"})
    yield chat("stop, seed, n, log-probabilities", "gpt-4o", with_logprobs, messages=user("Hello"), stop=["\n", "END"], seed=7, n=2,
               logprobs=True, top_logprobs=1)
    yield chat("penalties and the like", "gpt-4o", messages=user("Hello"), stop="END", frequency_penalty=0.5, presence_penalty=-0.5,
               logit_bias={"50256": -100}, user="anna", metadata={"run": "7"}, store=False, service_tier="default",
               prompt_cache_key="k")
    yield chat("what neither of them knows", "my-model", messages=user("Hello"), min_p=0.1,
               package={"min_p": None, "extra_body": {"min_p": 0.1}})
    yield chat("an answer that was cut short", "gpt-4o", completion({"content": "Hel"}, reason="length"), messages=user("Hello"),
               max_tokens=1)


def streams():
    def stream(name, answer, meant=None, **more):
        request = {"messages": user("Hello"), "temperature": 0, **more}

        def ask(made):
            state, deltas = {"text": "", "calls": {}}, []
            for piece in made.chat.completions.create(model="gpt-4o", stream=True, **request):
                state["usage"], state["model"] = piece.usage or state.get("usage"), piece.model
                for choice in piece.choices:
                    state["reason"] = choice.finish_reason or state.get("reason")
                    if choice.delta.content:
                        deltas.append(choice.delta.content)
                    for one in choice.delta.tool_calls or []:
                        call = state["calls"].setdefault(one.index, {"arguments": ""})
                        call["id"], call["name"] = one.id or call.get("id"), one.function.name or call.get("name")
                        call["arguments"] += one.function.arguments
            calls = [tool_call(one["name"], one["arguments"], one["id"]) for _, one in sorted(state["calls"].items())]
            return plain({"text": "".join(deltas), "deltas": deltas, "tool_calls": calls, "finish_reason": state["reason"],
                          "model": state["model"], "usage": chat_usage(state["usage"])})

        return Call(name, "gpt-4o", ask, answer, dict(request), kind="stream", meant=meant)

    yield stream("a stream", TEXT_STREAM, stream_options={"include_usage": True})
    yield stream("a stream whose usage nobody asked for", TEXT_STREAM, meant={"body.stream_options": "the usage of a stream"})
    yield stream("a stream written otherwise", ODD_STREAM, stream_options={"include_usage": True})
    yield stream("a stream of tool calls", TOOL_STREAM, tools=functions(WEATHER), stream_options={"include_usage": True})


def responses():
    tool = {"type": "function", "name": "get_weather", "description": WEATHER["description"], "parameters": WEATHER["parameters"],
            "strict": False}
    talk = [{"role": "system", "content": "Be brief."}, *user("Weather in Oslo?")]

    def ask_for(given):
        return lambda made: read_response(made.responses.create(model="gpt-5", **given))

    def call(name, answer, request, **given):
        return Call("responses: " + name, "gpt-5", ask_for(given), answer, {"api": "responses", **request})

    yield call("a plain question", response(said("Hello there.")), {"messages": user("Hello")}, input=user("Hello"))
    yield call("tools, effort, limit, schema", response(THOUGHT, TOOL_USE), {
        "messages": talk, "tools": functions(WEATHER), "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "reasoning_effort": "low", "max_tokens": 900, "verbosity": "low", "store": False, "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA, "strict": True}},
    }, input=talk, tools=[tool], tool_choice={"type": "function", "name": "get_weather"}, reasoning={"effort": "low"},
        max_output_tokens=900, store=False, parallel_tool_calls=False,
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "result", "schema": SCHEMA, "strict": True}})
    yield call("the results of tools, and thoughts given back", response(THOUGHT, said("-3 degrees.")), {
        "messages": [*talk, {"role": "assistant", "content": "", "native": [THOUGHT, TOOL_USE]},
                     {"role": "tool", "tool_call_id": "call_9", "content": "-3"}]},
        input=[*talk, THOUGHT, TOOL_USE, {"type": "function_call_output", "call_id": "call_9", "output": "-3"}])
    yield call("an image, log-probabilities", response(said("A cat.")), {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, {
            "type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}]}],
        "logprobs": True, "top_logprobs": 2},
        input=[{"role": "user", "content": [{"type": "input_text", "text": "What?"}, {
            "type": "input_image", "image_url": "https://example.org/cat.png", "detail": "low"}]}],
        include=["message.output_text.logprobs"], top_logprobs=2)
    yield call("cut short", response(said("Hel"), status="incomplete", reason="max_output_tokens"),
               {"messages": user("Hello"), "max_tokens": 16}, input=user("Hello"), max_output_tokens=16)

    def ask_stream(made):
        deltas, last = [], None
        for event in made.responses.create(model="gpt-5", input=user("Hello"), stream=True):
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
            last = event
        return {**read_response(last.response), "deltas": deltas}

    yield Call("responses: a stream", "gpt-5", ask_stream, RESPONSE_STREAM, {"api": "responses", "messages": user("Hello")}, kind="stream")


def embeddings():
    texts = ["first", "日本"]

    def call(name, options, meant=None):
        def ask(made):
            answer = made.embeddings.create(model="text-embedding-3-small", input=texts, **options)
            ordered = sorted(answer.data, key=lambda one: one.index)
            return {"vectors": [one.embedding for one in ordered], "usage": usage(answer.usage.prompt_tokens, 0)}

        return Call("embeddings: " + name, "text-embedding-3-small", ask, vectors, kind="embed", texts=texts, options=options, meant=meant)

    yield call("as they come", {}, {"body.encoding_format": "encoding_format"})
    yield call("as numbers, shortened", {"encoding_format": "float", "dimensions": 3})


def failures():
    """Once wrong, then right: who asks again, and who is told what."""
    soon = {"retry-after-ms": "1"}
    def ask(made):
        return read_chat(made.chat.completions.create(model="gpt-4o", messages=user("Hello")))

    yield Call("429, an empty account", "gpt-4o", ask, Answer(refusal("no credit", "insufficient_quota"), 429, soon),
               {"messages": user("Hello")}, meant={"requests": "an empty account"})
    cases = [
        (400, soon, "a request that is wrong", None), (401, soon, "a key that is wrong", "invalid_api_key"),
        (400, soon, "a prompt that is too long", "context_length_exceeded"),
        (403, soon, "no permission", None), (404, soon, "no such model", "model_not_found"), (408, soon, "a time-out", None),
        (409, soon, "a conflict", None), (422, soon, "unprocessable", None), (429, soon, "too many requests", "rate_limit_exceeded"),
        (500, soon, "an error of the server's", None), (502, soon, "a bad gateway", None), (503, soon, "overload", None),
        (429, {"retry-after": "0.001"}, "too many requests, in seconds", None),
        (503, {"retry-after": "Fri, 20 Nov 2026 10:00:00 GMT"}, "overload until a date", None),
        (429, {"retry-after": "3600"}, "too many requests for an hour", None),
        (500, {"x-should-retry": "false"}, "an error that stays", None),
        (400, {"x-should-retry": "true", **soon}, "an error that passes", None),
    ]
    for status, headers, name, code in cases:
        answers = (Answer(refusal(name, code), status, headers), Answer(HELLO))
        yield Call("%d, %s" % (status, name), "gpt-4o", ask, answers, {"messages": user("Hello")})


def calls():
    for some in (chats, streams, responses, embeddings, failures):
        yield from some()
