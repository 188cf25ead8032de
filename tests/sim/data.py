"""Data sets for the simulated models: data.py MODEL [--seed N] [--train N] [--val N] [--test N] [--folder F | --print]

Writes MODEL-train.jsonl, MODEL-val.jsonl and MODEL-test.jsonl, or prints one after the other with an empty line between them; MODEL is
learner, follower or judge. The same arguments give the same
files. Only training sets have wrong answers in them (the learner's and the judge's), as sets that nobody checked do.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import prompts  # noqa: E402
from follower import rules  # noqa: E402

TOPICS = {
    "account": "password login username profile locked reset signin email verify settings avatar session device token member signup",
    "billing": "refund invoice charge card payment price discount coupon tax receipt billed fee paid subscription overcharged balance",
    "delivery": "parcel courier late address tracking shipped driver doorstep customs arrived package van depot postcode delay missing",
    "returns": "blouse exchange size wrong colour return label torn fits sleeve swap zip unworn faulty seam store",
    "technical": "crash error app update screen freeze button install version browser loading bug wifi camera battery sound",
}
NEUTRAL = ("yesterday again morning order number since week still called twice friend today team help need asked nothing tried waiting "
           "account customer answer question time first last thing days month write shop site service told").split()
WRONG = 0.12


def learner(rng, wrong):
    """Messages to a shop and where they belong: two or three words of the topic, sometimes one of another, words of no topic."""
    label = rng.choice(sorted(TOPICS))
    own, others = TOPICS[label].split(), [one for one in sorted(TOPICS) if one != label]
    # Some words are much commoner than others.
    words = [own[min(int(rng.expovariate(0.22)), len(own) - 1)] for _ in range(rng.choice([2, 3, 3]))]
    if rng.random() < 0.4:
        words.append(rng.choice(TOPICS[rng.choice(others)].split()))
    words += rng.sample(NEUTRAL, 4)
    rng.shuffle(words)
    if rng.random() < wrong:
        label = rng.choice(others)
    return {"text": " ".join(words), "label": label}


def follower(rng, _):
    record = rules.make_record(rng)
    return {"record": rules.as_given(record), "line": rules.as_wanted(record)}


def judge(rng, wrong):
    """Sums, and whether what is said of them is right."""
    digits = rng.choice([1, 2, 2, 3])
    one, other = (rng.randrange(10**(digits - 1), 10**digits) for _ in range(2))
    right = rng.random() < 0.5
    said = one + other if right else one + other + rng.choice([-10, -2, -1, 1, 2, 10])
    if rng.random() < wrong:
        right = not right
    return {"question": f"What is {one} + {other}?", "answer": str(said), "verdict": "right" if right else "wrong"}


MAKERS = {"learner": learner, "follower": follower, "judge": judge}
FIELDS = {"learner": (["text"], ["label"]), "follower": (["record"], ["line"]), "judge": (["question", "answer"], ["verdict"])}


def make(model, part, seed, count):
    """So many different examples of one part. No input of a part stands in another."""
    maker, rows, seen = MAKERS[model], [], set()
    parts = ["test", "val", "train"]
    place = parts.index(part)
    rng = prompts.dice("data", model, part, seed)
    while len(rows) < count:
        row = maker(rng, WRONG if part == "train" else 0.0)
        asked = tuple(row[name] for name in FIELDS[model][0])
        if asked not in seen and int(prompts.chance("part", asked) * len(parts)) == place:
            seen.add(asked)
            rows.append(row)
    return rows


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MAKERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--print", action="store_true")
    for part, count in (("train", 100), ("val", 60), ("test", 200)):
        parser.add_argument("--" + part, type=int, default=count, metavar="N")
    options = parser.parse_args(arguments)
    for part in ("train", "val", "test"):
        text = "".join(json.dumps(row) + "\n" for row in make(options.model, part, options.seed, getattr(options, part)))
        if options.print:
            print(text)
            continue
        with open(os.path.join(options.folder, f"{options.model}-{part}.jsonl"), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
