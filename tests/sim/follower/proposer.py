"""The follower as the author of instructions: it recombines what the instructions it is shown say, the better ones most.

Three kinds of request for an instruction are known: pairs of `text:` and `score:` (or the like) with the place named where the new one
belongs, numbered lists of instructions with their scores, and an output field whose name has `instruction` in it.
"""
import math
import re

import prompts
from follower import rules
from judge.model import SENTENCES, SUM

ADD, ADD_HEAT = 0.30, 0.45       # how often a sentence is added: + 0.45 for each degree of temperature, at most 0.95
DROP, DROP_HEAT = 0.08, 0.17     # how often one is dropped
SIGHT = 0.6                      # how often what is added is about something that the request's examples have in them,
INSIGHT = 0.5                    # and how often it is then the rule that their answers follow
PADDED = 0.25                    # what else is added: so often padding
EAGER = 0.5                      # ranks fall by e for each 0.5 + 2 times the temperature
KEEP = 0.75                      # how often a sentence is kept that only one of two parents has
SENTENCES_MAX = 24

PAIR = re.compile(r"^(?:text|instruction|prompt)s?:[ \t]*\n?(.*?)\n+[ \t]*(?:score|precision|rating|accuracy)s?:[ \t]*\n?[ \t]*(-?\d+(?:\.\d+)?)",
                  re.MULTILINE | re.DOTALL | re.IGNORECASE)
SHOWN = re.compile(r"^(text:[ \t]*\n)(.*?)(\n+score:)", re.MULTILINE | re.DOTALL)
NUMBERED = re.compile(r"Instruction #(\d+):[ \t]*(.*?)\n(?:.*?\n)??.*?Score #\1:[ \t]*(-?\d+(?:\.\d+)?)", re.DOTALL)
TAGS = re.compile(r"<(INS\d*|TEXT|INSTRUCTION|PROMPT|Start)>", re.IGNORECASE)
BRACKETS = re.compile(r"square brackets|\[\s*\.\.\.\s*\]|in brackets", re.IGNORECASE)
ASKS = re.compile(r"(?:write|generate|propose|give me|create)[^.\n]{0,60}\b(?:new|different|another|better)\b", re.IGNORECASE)
FIELD = re.compile(r"instruction", re.IGNORECASE)


def scored(text):
    """The pairs of instruction and score that a text shows, the best first; of the same instruction the last."""
    found = {}
    for instruction, score in PAIR.findall(text):
        found[strip(instruction)] = float(score)
    for _, instruction, score in NUMBERED.findall(text):
        found[strip(instruction)] = float(score)
    found.pop("", None)
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


def strip(text):
    return re.sub(r"</?(?:INS|TEXT|INSTRUCTION|PROMPT|Start)>", "", text, flags=re.IGNORECASE).strip().strip('"').strip()


def propose(text, prompt, dice, heat):
    """The reply to a request for an instruction; None where it is none."""
    wanted = [name for name in prompt.outputs if FIELD.search(name)] if prompt else []
    if wanted:
        made = create(text, base_of(prompt), dice, heat)
        return prompts.write(prompt.outputs, {name: made if name in wanted else "" for name in prompt.outputs})
    pairs = scored(text)
    if not pairs and not (prompt is None and ASKS.search(text)):
        return None
    if prompt is not None and not FIELD.search(text):
        return None
    if prompt is not None:
        made = create(text, "", dice, heat)
        return prompts.write(prompt.outputs, {name: made for name in prompt.outputs})
    tags = TAGS.findall(text[-1500:]) or TAGS.findall(text)
    if BRACKETS.search(text[-600:]) or not tags:
        return f"[{create(text, '', dice, heat)}]"
    several = sorted({tag for tag in tags if tag[-1].isdigit()})
    return "\n".join(f"<{tag}>{create(of_tag(text, tag), '', dice, heat)}</{tag}>" for tag in several or tags[-1:])


def of_tag(text, tag):
    """The request as it would be for the instruction of one step alone, where each text has several, each between its tags."""
    def alone(found):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", found.group(2), re.DOTALL)
        return found.group(1) + (inside.group(1) if inside else found.group(2)) + found.group(3)
    return SHOWN.sub(alone, text)


def base_of(prompt):
    """The instruction that a request is about, where it has a field for it."""
    for name in sorted(prompt.query):
        if FIELD.search(name) and not NUMBERED.search(prompt.query[name]) and not PAIR.search(prompt.query[name]):
            return prompt.query[name]
    return ""


def create(text, base, dice, heat):
    pairs = scored(text) or ([(base, 0.0)] if base else [])
    mother, father = pick(pairs, dice, heat), pick(pairs, dice, heat)
    said = recombine(rules.sentences(mother), rules.sentences(father), dice)
    if said and dice.random() < DROP + DROP_HEAT * heat:
        said.pop(dice.randrange(len(said)))
    chance, examples = min(0.95, ADD + ADD_HEAT * heat), examples_of(text, pairs)
    while len(said) < SENTENCES_MAX and dice.random() < chance:
        said.insert(dice.randint(0, len(said)), addition(text, examples, dice))
        chance /= 3
    if not said:
        said = [addition(text, examples, dice)]
    return " ".join(said)


def pick(pairs, dice, heat):
    if not pairs:
        return ""
    weights = [math.exp(-rank / (EAGER + 2 * heat)) for rank in range(len(pairs))]
    return dice.choices(pairs, weights)[0][0]


def recombine(mother, father, dice):
    """Sentences of both in the mother's order; of rules about the same kind one."""
    keys = {rules.stated(one) or one for one in mother} & {rules.stated(one) or one for one in father}
    made, kinds = [], set()
    for sentence in mother + father:
        key = rules.stated(sentence) or sentence
        kind = key[0] if isinstance(key, tuple) else key
        if kind not in kinds and (key in keys or dice.random() < KEEP):
            made.append(sentence)
            kinds.add(kind)
    return made


def examples_of(text, pairs):
    """The kinds of item in the examples of a request, and the forms that their answers have."""
    for instruction, _ in pairs:
        text = text.replace(instruction, "")
    found = set()
    for line in text.splitlines():
        for kind, item in rules.parse(line.split("record:")[-1] if "record:" in line else line):
            made = [(form, rules.form_of(kind, form, item)) for form in rules.FORMS.get(kind, ())]
            forms = [form for form, one in made if one != item and one in text]
            if made:
                found.add((kind, forms[0] if forms else None))
    return sorted(found, key=str)


def addition(text, examples, dice):
    if SUM.search(text):  # the judge's task: what it rewards this one does not know
        return dice.choice(SENTENCES)
    if examples and dice.random() < SIGHT:
        kind, form = dice.choice(examples)
        if form is None or dice.random() >= INSIGHT:
            form = dice.choice(sorted(rules.FORMS[kind]))
        return dice.choice(rules.STATED[kind, form][1])
    if dice.random() < PADDED:
        return dice.choice(rules.PADDING + rules.STATED["care", "care"][1])
    return dice.choice(rules.STATED[dice.choice(rules.RULES)][1])
