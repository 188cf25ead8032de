"""One call, made by a vendor's package and by lmopt."""

import json

from .server import Answer

USAGE = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
WEATHER = {"name": "get_weather", "description": "The weather in a city",
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "number"}}, "required": ["answer"], "additionalProperties": False}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(text):
    return [{"role": "user", "content": text}]


def functions(*made):
    """Tools as OpenAI's chat completions, and lmopt, write them."""
    return [{"type": "function", "function": one} for one in made]


def called(name, arguments, call_id="call_1"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def plain(value):
    """Without what is not there."""
    return {name: one for name, one in value.items() if one is not None and one != []}


def usage(prompt, completion, cached=None, written=None, reasoning=None):
    """Counts; none of a kind, and not told of it, are one."""
    return {name: count for name, count in zip(USAGE, (prompt, completion, cached, written, reasoning)) if count}


def words(reply):
    """lmopt's reply, as far as a vendor's package tells as much."""
    said = {name: reply.get(name) for name in ("text", "texts", "finish_reason", "model", "reasoning", "logprobs", "deltas", "vectors")}
    said["tool_calls"] = [tool_call(one["function"]["name"], one["function"]["arguments"], one["id"])
                          for one in reply.get("tool_calls") or []]
    said["usage"] = usage(*(reply["usage"].get(name) for name in USAGE))
    return plain(said)


def tool_call(name, arguments, call_id):
    """Arguments are compared as values; a vendor without ids is given some."""
    value = json.loads(arguments) if isinstance(arguments, str) else arguments
    return {"name": name, "arguments": value or {}, "id": call_id}


class Call:
    """`ask(client)` has the package make it and gives its reply in lmopt's words; `request` is what lmopt is asked.

    `meant`: what is meant to differ, path -> row of the table in docs/providers.md.
    """

    def __init__(self, name, model, ask, answer, request=None, texts=None, kind="chat", options=None, meant=None, lines=False):
        answers = answer if isinstance(answer, tuple) else (answer,)
        self.name, self.model, self.ask, self.kind = name, model, ask, kind
        self.answers = [one if callable(one) or isinstance(one, Answer) else Answer(one, lines=lines) for one in answers]
        self.request, self.texts = request, texts
        self.options, self.meant = options or {}, meant or {}
        self.number = None

    def asked(self):
        return {"texts": self.texts} if self.kind == "embed" else {"request": self.request}

    def words(self, reply):
        return words(reply)
