"""The package `mistralai`: chat completions, embeddings, streams."""

import json
from importlib import metadata

from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from .call import SCHEMA, WEATHER, Call, called, functions, plain, tool_call, usage, user
from .server import Answer

NAME = "mistralai %s" % metadata.version("mistralai")
PROVIDER = "mistral"
LMOPT_PATH = "/v1"
ERRORS = (MistralError,)
MODEL = "mistral-small-latest"


def client(address, key):
    return Mistral(api_key=key, server_url=address)


def kind_of(problem):
    return {401: "auth", 403: "auth", 429: "rate_limit"}.get(problem.status_code, "bad_response")


# --- what the package reads, in lmopt's words ---


def read(made):
    choice, used = made.choices[0], made.usage
    texts = [one.message.content or "" for one in made.choices]
    calls = [tool_call(one.function.name, one.function.arguments, one.id) for one in choice.message.tool_calls or []]
    return plain({"text": texts[0], "texts": texts if len(texts) > 1 else None, "tool_calls": calls,
                  "logprobs": [one.model_dump(by_alias=True) for one in choice.logprobs.content] if choice.logprobs else None,
                  "finish_reason": choice.finish_reason, "model": made.model, "usage": usage(used.prompt_tokens, used.completion_tokens)})


# --- what the server answers, after https://docs.mistral.ai/api ---

USED = {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}


def answer(*messages, reason="stop", **more):
    return {"id": "cmpl-1", "object": "chat.completion", "created": 1795000000, "model": MODEL, "usage": USED, "choices": [
        {"index": index, "message": {"role": "assistant", "prefix": False, **message}, "finish_reason": reason, **more}
        for index, message in enumerate(messages)]}


HELLO = answer({"content": "Hello there."})


def event(delta, reason=None, **more):
    return "data: %s\n\n" % json.dumps({
        "id": "cmpl-1", "object": "chat.completion.chunk", "created": 1795000000, "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more})


# --- the calls ---

EVERY = {"body.stream": "defaults"}


def call(name, request, reply=HELLO, meant=None, **given):
    def ask(made):
        return read(made.chat.complete(model=MODEL, **given))

    return Call(name, MODEL, ask, reply, request, meant={**EVERY, **(meant or {})})


def chats():
    talk = [{"role": "system", "content": "Be brief."}, *user("Grüße \\ \u2028"), {"role": "assistant", "content": "日本"},
            *user("Again")]
    yield call("a plain chat", {"messages": user("Hello")}, messages=user("Hello"))
    yield call("a system message, several turns, sampling", {
        "messages": talk, "temperature": 0, "top_p": 0.9, "max_tokens": 64, "stop": ["\n", "END"], "seed": 7, "frequency_penalty": 0.5,
        "presence_penalty": -0.5}, meant={"body.messages[2].prefix": "defaults"}, messages=talk, temperature=0, top_p=0.9,
        max_tokens=64, stop=["\n", "END"], random_seed=7, frequency_penalty=0.5, presence_penalty=-0.5)
    yield call("n", {"messages": user("Hello"), "n": 2}, answer({"content": "Hi"}, {"content": "Hey"}), messages=user("Hello"), n=2)
    one = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "token_id": 7}
    yield call("log-probabilities", {"messages": user("Hello"), "logprobs": True, "top_logprobs": 1}, answer(
        {"content": "Hi"}, logprobs={"content": [{**one, "top_logprobs": [one]}]}), messages=user("Hello"), logprobs=True, top_logprobs=1)
    yield call("a schema", {"messages": user("6 x 7?"), "response_format": {
        "type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA, "strict": True}}},
        answer({"content": '{"answer": 42}'}),
        messages=user("6 x 7?"), response_format={"type": "json_schema", "json_schema": {
            "name": "result", "schema_definition": SCHEMA, "strict": True}})
    yield call("a JSON object", {"messages": user("JSON"), "response_format": {"type": "json_object"}}, answer({"content": "{}"}),
               messages=user("JSON"), response_format={"type": "json_object"})
    image = [{"role": "user", "content": [{"type": "text", "text": "What?"}, {
        "type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]}]
    yield call("an image", {"messages": image}, messages=image)
    yield call("an effort", {"messages": user("Hello"), "reasoning_effort": "high"}, messages=user("Hello"), reasoning_effort="high")


def tools():
    asked, given = user("Weather in Oslo?"), functions(WEATHER)
    use = answer({"content": "", "tool_calls": [{**called("get_weather", {"city": "Oslo"}), "index": 0}]}, reason="tool_calls")
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice, theirs in (("auto", "auto"), ("none", "none"), ("required", "any"), (named, named)):
        yield call("tool_choice %s" % (theirs if isinstance(theirs, str) else "of a name"), {
            "messages": asked, "tools": given, "tool_choice": choice, "parallel_tool_calls": False}, use, messages=asked, tools=given,
            tool_choice=theirs, parallel_tool_calls=False)
    turns = [*asked, {"role": "assistant", "content": "", "tool_calls": [called("get_weather", {"city": "Oslo"})]},
             {"role": "tool", "tool_call_id": "call_1", "content": "-3"}]
    yield call("the results of tools", {"messages": turns, "tools": given}, messages=turns, tools=given, meant={
        "body.messages[1].prefix": "defaults", "body.messages[1].tool_calls[0].index": "defaults"})


def streams():
    def ask(made):
        deltas, last = [], None
        for one in made.chat.stream(model=MODEL, messages=user("Hello")):
            delta = one.data.choices[0].delta.content
            deltas += [delta] if delta else []
            last = one.data
        return {"text": "".join(deltas), "deltas": deltas, "finish_reason": last.choices[0].finish_reason, "model": last.model,
                "usage": usage(last.usage.prompt_tokens, last.usage.completion_tokens)}

    events = [event({"role": "assistant", "content": ""}), event({"content": "Grüße "}), event({"content": "日本"}),
              event({"content": ""}, "stop", usage=USED), "data: [DONE]\n\n"]
    yield Call("a stream", MODEL, ask, events, {"messages": user("Hello")}, kind="stream", meant={"header.accept": "accept"})


def embeddings():
    texts = ["first", "日本"]

    def ask(made):
        found = made.embeddings.create(model="mistral-embed", inputs=texts, encoding_format="float")
        return {"vectors": [one.embedding for one in found.data], "usage": usage(found.usage.prompt_tokens, 0)}

    reply = {"id": "e1", "object": "list", "model": "mistral-embed",
             "usage": {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8},
             "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(([0.5, -0.25], [1, 2]))]}
    yield Call("embeddings", "mistral-embed", ask, reply, kind="embed", texts=texts)


def failures():
    for status, said in ((400, "wrong"), (401, "Unauthorized"), (422, "unprocessable"), (429, "Requests rate limit exceeded"),
                         (500, "internal")):
        def ask(made):
            return read(made.chat.complete(model=MODEL, messages=user("Hello")))

        yield Call("%d, %s" % (status, said), MODEL, ask, Answer({"object": "error", "message": said, "type": "some_error"}, status),
                   {"messages": user("Hello")}, options={"max_retries": 0}, meant=EVERY)


def calls():
    for some in (chats, tools, streams, embeddings, failures):
        yield from some()
