"""A simulated judge whose verdicts are noisy: each is right with a probability that its prompt raises a little. README.md has the rule."""
import re

import prompts

BASE = 0.66                     # how often a verdict is right with neither demonstrations nor a helpful instruction
GOOD, GOOD_MAX = 0.03, 5        # what a right demonstration adds, and how many count
BAD = 0.04                      # what a wrong one takes away
CROWD, CROWD_LOSS = 8, 0.01     # of more demonstrations than 8, what each takes away
REASONED = 0.04                 # what reasoning adds
HARDER = 0.04                   # what each digit beyond the first takes away
LOWEST, HIGHEST = 0.5, 0.97
HEAT = 0.05                     # what a degree of temperature takes away
ADVICE = [(r"digit|carry", 0.08), (r"add (it |them )?up|compute|recalculate", 0.06), (r"compare", 0.05), (r"step by step", 0.03),
          (r"quick|guess|short", -0.06), (r"doubt|suspicious|strict", -0.03)]
# Sentences about it, for whoever writes instructions; some help, some hurt, some do nothing.
SENTENCES = [
    "Go digit by digit.", "Mind the carry.", "Add both numbers up.", "Compute the sum first.", "Compare it with the answer.", "Think step by step.",
    "Give a quick verdict.", "Guess when unsure.", "Be short.", "Be strict.", "Doubt every answer.", "Read the question twice.", "Say right or wrong.",
    "You are a judge.", "This is important.", "Take a deep breath.", "Answer honestly.", "Many people rely on you.",
]
SUM = re.compile(r"(\d+)\s*\+\s*(\d+)")


class Judge:
    name = "judge"

    def __init__(self, seed):
        self.seed = seed

    def reply(self, body, sample):
        prompt, heat = prompts.read(body["messages"]), body.get("temperature") or 0
        if prompt is None or not prompt.outputs:
            return "I judge answers only.", 0
        target = prompt.outputs[-1]
        right = truth(prompt.query)
        names = (prompt.choices.get(target) or ["right", "wrong"])[:2]
        content = (prompt.instruction, sorted(prompt.query.items()), [(sorted(a.items()), sorted(b.items())) for a, b in prompt.demos])
        if right is None:
            verdict = names[prompts.chance(self.seed, content, sample) < 0.5]
        else:
            sees = prompts.chance(self.seed, content, sample) < quality(prompt, target) - HEAT * heat
            verdict = "right" if right == sees else "wrong"
        values = {name: "I added both numbers and compared." for name in prompt.outputs}
        values[target] = verdict
        return prompts.write(prompt.outputs, values), 0


def truth(fields):
    """Whether what is said of the sum is right; None where there is no sum."""
    found = SUM.search(" ".join(fields[name] for name in sorted(fields)))
    said = re.search(r"-?\d+", fields.get("answer", ""))
    if not found or not said:
        return None
    return int(found.group(1)) + int(found.group(2)) == int(said.group())


def quality(prompt, target):
    """How often a verdict on this question is right with this prompt: what luck hides."""
    instruction = prompt.instruction.lower()
    value = BASE + sum(gain for pattern, gain in ADVICE if re.search(pattern, instruction))
    good = bad = 0
    for asked, answered in prompt.demos:
        right = truth(asked)
        if right is not None and target in answered:
            if right == (answered[target] == "right"):
                good += 1
            else:
                bad += 1
    value += GOOD * min(good, GOOD_MAX) - BAD * bad - CROWD_LOSS * max(0, len(prompt.demos) - CROWD)
    value += REASONED if len(prompt.outputs) > 1 else 0.0
    found = SUM.search(" ".join(prompt.query[name] for name in sorted(prompt.query)))
    if found:
        value -= HARDER * (len(found.group(1)) - 1)
    return min(HIGHEST, max(LOWEST, value))
