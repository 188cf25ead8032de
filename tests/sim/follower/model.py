"""A simulated follower of instructions, who also writes them. README.md has the rules by which it answers."""
import prompts
from follower import numbers, proposer, rules

CAPACITY, FORGETTING = 10, 0.06   # of more sentences than 10, each one makes each rule slip with 0.06 more
LONG, LONG_SLIP = 1200, 0.10      # characters of an instruction beyond which it slips more
SLIP, CAREFUL_SLIP = 0.06, 0.03   # how often it slips at all, and when told to take care
SHOWN = (0.0, 0.35, 0.55, 0.70)   # how surely it sees a rule that 1, 2, 3 or more demonstrations show
HEAT = 0.05                       # a slip more often for each degree of temperature


class Follower:
    name = "follower"

    def __init__(self, seed):
        self.seed = seed

    def reply(self, body, sample):
        messages, heat = body["messages"], body.get("temperature") or 0
        text = prompts.said(messages)
        dice = prompts.dice(self.seed, text, heat, sample)
        numeric = numbers.propose(prompts.content_of(messages[-1]), dice, heat)
        if numeric:
            return numeric, 1
        prompt = prompts.read(messages)
        proposed = proposer.propose(text, prompt, dice, heat)
        if proposed:
            return proposed, 1
        if prompt is None:
            return "I see no fields to fill in.", 0
        return prompts.write(prompt.outputs, self.values(prompt, sample, heat)), 0

    def values(self, prompt, sample, heat):
        target = prompt.outputs[-1]
        record = rules.parse(next((text for text in prompt.query.values() if rules.parse(text)), ""))
        chosen = self.chosen(prompt, record, target, sample, heat)
        used = [f"{kind} as {form}" for kind, form in sorted(chosen.items())]
        values = {name: "By the instruction: " + ", ".join(used) + "." if used else "Nothing is asked for." for name in prompt.outputs}
        values[target] = rules.write(record, chosen)
        return values

    def chosen(self, prompt, record, target, sample, heat):
        """The form for each kind of item that is there, and the order."""
        told, careful, count = read_instruction(prompt.instruction)
        slip = CAREFUL_SLIP if careful else SLIP
        slip += FORGETTING * max(0, count - CAPACITY) + (LONG_SLIP if len(prompt.instruction) > LONG else 0.0) + HEAT * heat
        shown = read_demos(prompt.demos, target)
        demos = [(sorted(asked.items()), answered.get(target)) for asked, answered in prompt.demos]
        query = sorted(prompt.query.items())
        chosen = {}
        for kind in [kind for kind, _ in record] + ["order"]:
            forms, seen = told.get(kind, []), shown.get(kind, {})
            luck = prompts.chance(self.seed, "slip", kind, query, prompt.instruction, demos, sample)
            if forms:  # of rules that contradict each other it follows one, now this and now that
                form = forms[int(prompts.chance(self.seed, "which", kind, query, sample) * len(forms))]
                if luck >= slip:
                    chosen[kind] = form
            elif seen:
                form = max(sorted(seen), key=seen.get)
                if luck < SHOWN[min(seen[form], len(SHOWN) - 1)]:
                    chosen[kind] = form
        return chosen


def read_instruction(text):
    """The forms that are stated for each kind, whether care is asked for, and how many sentences there are."""
    told, careful, count = {}, False, 0
    for sentence in rules.sentences(text):
        count += 1
        key = rules.stated(sentence)
        if key is None:
            continue
        kind, form = key
        if kind == "care":
            careful = True
        elif form not in told.setdefault(kind, []):
            told[kind].append(form)
    return told, careful, count


def read_demos(demos, target):
    """How many demonstrations show each form: those where it makes what is there, and leaving the item as it is does not."""
    shown = {}
    for asked, answered in demos:
        record = rules.parse(next((text for text in asked.values() if rules.parse(text)), ""))
        line = [one.strip() for one in answered.get(target, "").split("|")]
        for kind, item in record:
            for form in rules.FORMS.get(kind, ()):
                made = rules.form_of(kind, form, item)
                if made != item and made in line:
                    shown.setdefault(kind, {})[form] = shown.get(kind, {}).get(form, 0) + 1
        kinds = [kind for kind, _ in record]
        if len(record) > 1 and len(line) == len(record) and kinds != sorted(kinds):
            first = rules.as_wanted([min(record)])
            if line[0] in (first, min(record)[1]):
                shown.setdefault("order", {})["alphabet"] = shown.get("order", {}).get("alphabet", 0) + 1
    return shown
