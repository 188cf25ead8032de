"""The package `ollama`: /api/chat, /api/embed, streams."""

import json
from importlib import metadata

import ollama

from .call import PIXEL, SCHEMA, WEATHER, Call, called, functions, plain, tool_call, usage, user
from .server import Answer

NAME = "ollama %s" % metadata.version("ollama")
PROVIDER = "ollama"
LMOPT_PATH = ""
ERRORS = (ollama.ResponseError,)


def client(address, key):
    return ollama.Client(host=address, headers={"Authorization": "Bearer " + key})


def kind_of(problem):
    return "auth" if problem.status_code == 401 else "bad_response"


# --- what the package reads, in lmopt's words ---


def read(made):
    message = made.message
    calls = [tool_call(one.function.name, dict(one.function.arguments), "call_%d" % number)
             for number, one in enumerate(message.tool_calls or [], 1)]
    return plain({
        "text": message.content or "", "tool_calls": calls, "model": made.model, "reasoning": message.thinking or None,
        "finish_reason": "tool_calls" if calls else made.done_reason,
        "logprobs": made.logprobs and [one.model_dump(exclude_none=True) for one in made.logprobs],
        "usage": usage(made.prompt_eval_count, made.eval_count)})


# --- what the server answers, after https://docs.ollama.com/api/chat ---


def answer(message, reason="stop", **more):
    return {"model": "llama3.2", "created_at": "2026-11-21T10:00:00.000Z", "message": {"role": "assistant", **message}, "done": True,
            "done_reason": reason, "total_duration": 5, "load_duration": 1, "prompt_eval_count": 26, "prompt_eval_duration": 1,
            "eval_count": 298, "eval_duration": 3, **more}


HELLO = answer({"content": "Hello there."})
TOOL_USE = {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}


def line(message, **more):
    return json.dumps({"model": "llama3.2", "created_at": "2026-11-21T10:00:00.000Z", "message": {"role": "assistant", **message},
                       "done": False, **more}) + "\n"


# --- the calls ---

EVERY = {"body.tools": "defaults"}


def call(name, request, reply=HELLO, model="llama3.2", meant=EVERY, **given):
    def ask(made):
        return read(made.chat(model=model, **given))

    return Call(name, model, ask, reply, request, meant=meant)


def chats():
    talk = [{"role": "system", "content": "Be brief."}, *user("Grüße \\ \u2028"), {"role": "assistant", "content": "日本"},
            *user("Again")]
    yield call("a plain chat", {"messages": user("Hello")}, messages=user("Hello"))
    yield call("a system message, several turns, sampling", {
        "messages": talk, "temperature": 0, "top_p": 0.9, "top_k": 40, "max_tokens": 64, "stop": ["\n", "END"], "seed": 7,
        "frequency_penalty": 0.5, "presence_penalty": -0.5, "num_ctx": 8192},
        messages=talk, options={"temperature": 0, "top_p": 0.9, "top_k": 40, "num_predict": 64, "stop": ["\n", "END"], "seed": 7,
                                "frequency_penalty": 0.5, "presence_penalty": -0.5, "num_ctx": 8192})
    yield call("a schema", {"messages": user("6 x 7?"), "response_format": {
        "type": "json_schema", "json_schema": {"name": "result", "schema": SCHEMA}}}, answer({"content": '{"answer": 42}'}),
        messages=user("6 x 7?"), format=SCHEMA)
    yield call("a JSON object", {"messages": user("JSON"), "response_format": {"type": "json_object"}}, answer({"content": "{}"}),
               messages=user("JSON"), format="json")
    yield call("an image", {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}]},
        messages=[{"role": "user", "content": "What?", "images": [PIXEL]}])
    yield call("thinking", {"messages": user("Hello"), "reasoning_effort": "high"}, answer({"content": "Hi", "thinking": "Greet."}),
               model="qwen3", messages=user("Hello"), think=True)
    yield call("no thinking", {"messages": user("Hello"), "reasoning_effort": "none"}, model="qwen3", messages=user("Hello"), think=False)
    yield call("thinking at a level", {"messages": user("Hello"), "reasoning_effort": "low"}, model="gpt-oss:20b", messages=user("Hello"),
               think="low")
    yield call("log-probabilities", {"messages": user("Hello"), "logprobs": True, "top_logprobs": 1}, answer(
        {"content": "Hi"}, logprobs=[{"token": "Hi", "logprob": -0.25, "top_logprobs": [{"token": "Hi", "logprob": -0.25}]}]),
        messages=user("Hello"), logprobs=True, top_logprobs=1)
    yield call("an answer that was cut short", {"messages": user("Hello"), "max_tokens": 1}, answer({"content": "He"}, reason="length"),
               messages=user("Hello"), options={"num_predict": 1})


def tools():
    asked, given = user("Weather in Oslo?"), functions(WEATHER)
    yield call("tools", {"messages": asked, "tools": given, "tool_choice": "auto"}, answer({"content": "", "tool_calls": [TOOL_USE]}),
               meant={}, messages=asked, tools=given)
    yield call("the results of tools", {
        "messages": [*asked, {"role": "assistant", "content": "", "tool_calls": [called("get_weather", {"city": "Oslo"})]},
                     {"role": "tool", "tool_call_id": "call_1", "content": "-3"}], "tools": given},
        meant={"body.messages[1].content": "defaults"},
        messages=[*asked, {"role": "assistant", "content": "", "tool_calls": [TOOL_USE]},
                  {"role": "tool", "tool_name": "get_weather", "content": "-3"}], tools=given)


def streams():
    def ask(made):
        deltas, thoughts, calls, last = [], [], [], None
        for one in made.chat(model="llama3.2", messages=user("Hello"), stream=True):
            deltas += [one.message.content] if one.message.content else []
            thoughts += [one.message.thinking] if one.message.thinking else []
            calls += one.message.tool_calls or []
            last = one
        last.message.content, last.message.thinking, last.message.tool_calls = "".join(deltas), "".join(thoughts), calls
        return {**read(last), "deltas": deltas}

    lines = [line({"content": "", "thinking": "Greet."}), line({"content": "Grüße "}), line({"content": "日本"}),
             line({"content": "", "tool_calls": [TOOL_USE]}), json.dumps(answer({"content": ""})) + "\n"]
    yield Call("a stream", "llama3.2", ask, lines, {"messages": user("Hello")}, kind="stream", lines=True, meant=EVERY)


def embeddings():
    texts = ["first", "日本"]

    def ask(made):
        found = made.embed(model="nomic-embed-text", input=texts, dimensions=3)
        return {"vectors": [list(one) for one in found.embeddings], "usage": usage(found.prompt_eval_count, 0)}

    reply = {"model": "nomic-embed-text", "embeddings": [[0.5, -0.25, 1], [1.5, 2, 3]], "total_duration": 5, "load_duration": 1,
             "prompt_eval_count": 8}
    yield Call("embeddings", "nomic-embed-text", ask, reply, kind="embed", texts=texts, options={"dimensions": 3})


def failures():
    for status, said in ((400, "invalid options"), (401, "unauthorized"), (404, "model 'llama9' not found"), (500, "internal")):
        def ask(made):
            return read(made.chat(model="llama3.2", messages=user("Hello")))

        yield Call("%d, %s" % (status, said), "llama3.2", ask, Answer({"error": said}, status), {"messages": user("Hello")},
                   options={"max_retries": 0}, meant=EVERY)


def calls():
    for some in (chats, tools, streams, embeddings, failures):
        yield from some()
