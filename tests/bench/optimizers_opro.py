"""OPRO as its authors' script runs it, on simulated models: optimizers_opro.py BASE_URL PROPOSER_URL MODEL SEED LIMIT

C. Yang et al., "Large Language Models as Optimizers", ICLR 2024: each step a meta-prompt of the 20 best instructions in ascending order
of their scores (whole numbers of a hundredth) and 3 examples drawn by the step's number, 8 proposals at temperature 1.0; those that are
new, not too long and without the mark are scored on all examples. Prints a line of JSON.
"""
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sim"))
import data  # noqa: E402
import prompts  # noqa: E402

SIZES = {"train": 80, "val": 40, "test": 200}
STEPS, PROPOSALS, PAIRS, EXEMPLARS, LONGEST = 20, 8, 20, 3, 500
START = "Let's solve the problem."
kept = threading.local()


def ask(base, body):
    """One call, over a connection that each thread keeps."""
    known = kept.__dict__.setdefault("connections", {})
    if base not in known:
        known[base] = http.client.HTTPConnection(urllib.parse.urlparse(base).netloc, timeout=60)
    known[base].request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    with known[base].getresponse() as reply:
        return json.loads(reply.read())["choices"][0]["message"]["content"]


def count(base):
    with urllib.request.urlopen(base + "/count") as reply:
        return json.loads(reply.read())["requests"]


def block(row, names):
    return "\n\n".join(f"[[ ## {name} ## ]]\n{row[name]}" for name in names)


def scorer_messages(model, instruction, row):
    inputs, output = data.FIELDS[model][0], data.FIELDS[model][1][0]
    note = "        # note: the value you produce must exactly match (no extra characters) one of: right; wrong" if model == "judge" else ""
    layout = block({name: "{" + name + "}" for name in inputs}, inputs) + f"\n\n[[ ## {output} ## ]]\n{{{output}}}{note}"
    system = f"{layout}\n\n[[ ## completed ## ]]\nIn adhering to this structure, your objective is: \n        {instruction}"
    end = f"Respond with the corresponding output fields, starting with the field `[[ ## {output} ## ]]`, and then ending with the marker for "
    return [{"role": "system", "content": system},
            {"role": "user", "content": f"{block(row, inputs)}\n\n{end}`[[ ## completed ## ]]`."}]


def meta_prompt(model, scored, train, step):
    inputs, output = data.FIELDS[model][0], data.FIELDS[model][1][0]
    shown = sorted(scored.items(), key=lambda pair: pair[1])[-PAIRS:]
    parts = ["Your task is to generate the instruction <INS>. Below are some previous instructions with their scores. The score ranges from 0 "
             "to 100."]
    parts += [f"text:\n{text}\nscore:\n{round(100 * score)}" for text, score in shown]
    parts.append("Below are some problems.")
    for row in random.Random(step).sample(train, EXEMPLARS):
        asked = "\n".join(f"{name}: {row[name]}" for name in inputs)
        parts.append(f"input:\n<INS>\n{asked}\noutput:\n{output}: {row[output]}")
    parts.append("Generate an instruction that is different from all the instructions <INS> above, and has a higher score than all the "
                 "instructions <INS> above. The instruction should begin with <INS> and end with </INS>. The instruction should be concise, "
                 "effective, and generally applicable to all problems above.")
    return "\n\n".join(parts)


def polish(text):
    found = re.search(r"<INS>(.*?)</INS>", text, re.DOTALL) or re.search(r"\[(.*?)\]", text, re.DOTALL)
    text = (found.group(1) if found else text).replace("**", "").strip()
    return text[:1].upper() + text[1:]


def run(base, proposer, model, seed, limit):
    sets = {part: data.make(model, part, seed, number) for part, number in SIZES.items()}
    output = data.FIELDS[model][1][0]
    with concurrent.futures.ThreadPoolExecutor(limit) as pool:

        def score(instruction, rows):
            def one(row):
                reply = ask(base, {"model": model, "temperature": 0, "messages": scorer_messages(model, instruction, row)})
                return prompts.sections(reply).get(output) == row[output]
            return sum(pool.map(one, rows)) / len(rows)

        started, scored, seen = time.perf_counter(), {}, set()
        scored[START] = score(START, sets["val"])
        for step in range(STEPS):
            body = {"model": "follower", "temperature": 1.0, "messages": [{"role": "user", "content": meta_prompt(model, scored, sets["train"], step)}]}
            for text in list(pool.map(lambda _, body=body: polish(ask(proposer, body)), range(PROPOSALS))):
                digest = hashlib.md5(text.encode()).hexdigest()
                if text and digest not in seen and len(text) <= LONGEST and "INS" not in text and text not in scored:
                    seen.add(digest)
                    scored[text] = score(text, sets["val"])
        seconds, calls = time.perf_counter() - started, count(base) + count(proposer)
        best = max(scored, key=scored.get)
        started = time.perf_counter()
        held_out = score(best, sets["test"])
    return {"optimizer": "opro", "score": held_out, "val_score": scored[best], "calls": calls, "test_calls": len(sets["test"]),
            "seconds": round(seconds, 3), "test_seconds": round(time.perf_counter() - started, 3), "text": best}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
