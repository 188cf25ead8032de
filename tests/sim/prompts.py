"""What the simulated models have in common: reading a prompt, chance that is a function of texts, words.

A prompt is read as lmopt's and DSPy's chat adapters write it: sections under lines of `[[ ## field ## ]]`, a user and an assistant
message for each demonstration, and what to write named at the end of the last message. Only what it says is kept, so that a prompt that
says the same in both forms is answered the same way.
"""
import hashlib
import random
import re
from dataclasses import dataclass, field

HEADER = re.compile(r"^[ \t]*\[\[ ## (\w+) ## \]\][ \t]*$", re.MULTILINE)
MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]")
REMINDER = re.compile(r"\n*(?:Now write|Respond with the corresponding output fields)[^\n]*\[\[ ## completed ## \]\][^\n]*\s*\Z")
TASK = re.compile(r"(?:\nYour task:|In adhering to this structure, your objective is:)[ \t]*\n(.*)\Z", re.DOTALL)
CHOICES = re.compile(r"^\[\[ ## (\w+) ## \]\]\n\{[^\n]*?one of: ([^\n}]*)\}?[ \t]*$", re.MULTILINE)
NOT_GIVEN = {"(not given in this example)", "Not supplied for this particular example."}
WORD = re.compile(r"[a-z]+|\d+")
DIMENSIONS = 96


@dataclass
class Prompt:
    instruction: str
    query: dict
    outputs: list
    choices: dict = field(default_factory=dict)
    demos: list = field(default_factory=list)  # pairs: the inputs, the outputs; what is not given is not there


def sections(text):
    """The fields of a text, in order, without those that are not given."""
    pieces = HEADER.split(text)
    found = {}
    for name, value in zip(pieces[1::2], pieces[2::2]):
        value = value.strip()
        if name != "completed" and value not in NOT_GIVEN:
            found[name] = value
    return found


def content_of(message):
    content = message.get("content")
    if isinstance(content, list):  # parts
        return "".join(one.get("text", "") for one in content if isinstance(one, dict))
    return content if isinstance(content, str) else ""


def plain(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


def read(messages):
    """The prompt, or None where the last message is none of an adapter's."""
    last = content_of(messages[-1])
    reminder = REMINDER.search(last)
    if not reminder:
        return None
    outputs = [name for name in MARKER.findall(reminder.group()) if name != "completed"]
    system = next((content_of(one) for one in messages if one.get("role") == "system"), "")
    task = TASK.search(system)
    prompt = Prompt(plain(task.group(1)) if task else "", sections(last[:reminder.start()]), outputs)
    for name, listed in CHOICES.findall(system):
        prompt.choices[name] = [one.strip() for one in re.split(r";|,", listed) if one.strip()]
    turns = [one for one in messages[:-1] if one.get("role") in ("user", "assistant")]
    for asked, answered in zip(turns[0::2], turns[1::2]):
        prompt.demos.append((sections(content_of(asked)), sections(content_of(answered))))
    return prompt


def write(outputs, values):
    return "".join(f"[[ ## {name} ## ]]\n{values.get(name, '')}\n\n" for name in outputs) + "[[ ## completed ## ]]"


def said(messages):
    """All that a request says, for models that read it as it stands."""
    return "\n\n".join(content_of(one) for one in messages)


# --- chance ---


def chance(*parts):
    """A number in [0, 1) that is a function of its arguments."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def dice(*parts):
    """A generator whose numbers are a function of its arguments."""
    return random.Random(int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big"))


# --- words ---


def words(text):
    return WORD.findall(text.lower())


def embed(text):
    """A unit vector: each word adds to the place that its digest says."""
    vector = [0.0] * DIMENSIONS
    for word in words(text):
        place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        vector[place % DIMENSIONS] += 1.0 if place & 0x80000000 else -1.0
    size = sum(one * one for one in vector)**0.5 or 1.0
    return [round(one / size, 6) for one in vector]
