"""A simulated in-context learner: its answer is a vote of the demonstrations in its prompt. README.md has the rule."""
import math

import prompts

CAPACITY, DILUTION = 12, 10.0   # so many demonstrations are read in full; beyond, attention falls by e for each 10 more
RECENCY, FADING = 0.6, 3.0      # the last demonstration counts 1.6 times, the one 3 before it 1 + 0.6 / e times
UNEXPLAINED = 0.6               # what a demonstration without its reasoning counts, where reasoning is asked for
MAJORITY, LAST = 0.20, 0.08     # the pull of the commonest answer among the demonstrations, and of the last one's
PRIOR = 0.12                    # what a word that it knows anyhow counts
SATURATION = 0.9                # evidence e counts 1 - exp(-e / 0.9)
ALIKE, CONFUSION = 0.75, 0.3    # two demonstrations as similar as this with different answers: both count so much
NOISE, CAREFUL = 0.09, 0.85     # the size of its slips, and what reasoning makes of them
HEAT = 0.5                      # slips are 1 + 0.5 times the temperature as large

# The little that it knows without demonstrations.
KNOWN = {
    "refund": "billing", "invoice": "billing", "parcel": "delivery", "courier": "delivery", "password": "account", "login": "account",
    "crash": "technical", "error": "technical", "blouse": "returns", "exchange": "returns",
}
STOP = set("a an the and or of to in on for with is was are be it this that my i you we our please hello thanks".split())


class Learner:
    name = "learner"

    def __init__(self, seed):
        self.seed = seed

    def reply(self, body, sample):
        """The answer, and 0: it proposes nothing."""
        prompt = prompts.read(body["messages"])
        if prompt is None or not prompt.outputs:
            return "I can only continue a pattern of fields.", 0
        target = prompt.outputs[-1]
        heat = body.get("temperature") or 0
        answer, clues = self.decide(prompt, target, sample, heat)
        text = f"The words that decide are: {', '.join(clues)}." if clues else "No word decides."
        values = {name: text for name in prompt.outputs}
        values[target] = answer
        return prompts.write(prompt.outputs, values), 0

    def decide(self, prompt, target, sample, heat):
        reasons = len(prompt.outputs) > 1
        query = bag(prompt.query)
        demos = [(bag(asked), answered[target], len(answered) == len(prompt.outputs)) for asked, answered in prompt.demos if target in answered]
        labels = prompt.choices.get(target) or sorted({label for _, label, _ in demos})
        if not labels:
            return "unknown", []
        weights = word_weights([(words, label) for words, label, _ in demos])
        attention = attend(demos, reasons, weights)
        evidence = {label: PRIOR * sum(1 for word in query if KNOWN.get(word) == label) for label in labels}
        clues = {}
        for share, (words, label, _) in zip(attention, demos):
            common = query & words
            evidence[label] = evidence.get(label, 0.0) + share * similarity(query, words, weights)
            for word in common:
                clues[word] = clues.get(word, 0.0) + share * weights.get(word, 1.0)
        scores = self.scores(prompt, demos, evidence, reasons, sample, heat)
        best = max(sorted(scores), key=scores.get)
        return best, sorted(clues, key=lambda word: (-clues[word], word))[:3]

    def scores(self, prompt, demos, evidence, reasons, sample, heat):
        content = (self.seed, sorted(prompt.query.items()), [(sorted(a.items()), sorted(b.items())) for a, b in prompt.demos], sample)
        noise = NOISE * (CAREFUL if reasons else 1.0) * (1 + HEAT * heat)
        scores = {}
        for label, amount in evidence.items():
            score = 1 - math.exp(-amount / SATURATION)
            if demos:
                score += MAJORITY * sum(1 for _, one, _ in demos if one == label) / len(demos)
                score += LAST if demos[-1][1] == label else 0.0
            luck = prompts.chance(content, label)
            scores[label] = score - noise * math.log(-math.log(max(luck, 1e-12)))
        return scores


def bag(fields):
    return {word for name in sorted(fields) for word in prompts.words(fields[name]) if word not in STOP}


def word_weights(demos):
    """A word that stands beside several answers tells little: 1 over their number."""
    beside = {}
    for words, label in demos:
        for word in words:
            beside.setdefault(word, set()).add(label)
    return {word: 1.0 / len(labels)**2 for word, labels in beside.items()}


def similarity(one, other, weights):
    """What they share, next to the geometric mean of their sizes: about the cosine."""
    if not one or not other:
        return 0.0
    return 2.0 * sum(weights.get(word, 1.0) for word in sorted(one & other)) / math.sqrt(len(one) * len(other))


def attend(demos, reasons, weights):
    """What each demonstration counts: by its place, how many there are, whether it is whole, whether another contradicts it."""
    count = len(demos)
    crowd = math.exp(-max(0, count - CAPACITY) / DILUTION)
    shares = []
    for place, (_, _, whole) in enumerate(demos):
        share = crowd * (1 + RECENCY * math.exp(-(count - 1 - place) / FADING))
        shares.append(share if whole or not reasons else share * UNEXPLAINED)
    for i, (words, label, _) in enumerate(demos):
        for j in range(i):
            if demos[j][1] != label and plain_similarity(words, demos[j][0]) >= ALIKE:
                shares[i], shares[j] = shares[i] * CONFUSION, shares[j] * CONFUSION
    return shares


def plain_similarity(one, other):
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0
