"""The simulated models, without a network: test_models.py"""
import os
import statistics
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import data  # noqa: E402
import prompts  # noqa: E402
from follower import numbers, proposer, rules  # noqa: E402
from follower.model import Follower  # noqa: E402
from judge.model import Judge  # noqa: E402
from learner.model import Learner  # noqa: E402

CHOICES = {"learner": ("label", sorted(data.TOPICS)), "judge": ("verdict", ["right", "wrong"]), "follower": ("line", None)}
# The two forms a prompt comes in: how a field with choices, the task, the end and a missing value are written.
FORMS = {
    "lmopt": ("{{{0}: exactly one of: {1}}}", ", ", "\nYour task:\n", "Now write {0}, and end with [[ ## completed ## ]].",
              "(not given in this example)"),
    "dspy": ("{{{0}}}        # note: the value you produce must exactly match (no extra characters) one of: {1}", "; ",
             "In adhering to this structure, your objective is: \n        ",
             "Respond with the corresponding output fields, starting with the field {0}, and then ending with the marker for "
             "`[[ ## completed ## ]]`.",
             "Not supplied for this particular example. "),
}


def block(values):
    return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values)


def messages(model, form, instruction, demos, row, reasons=False):
    choice, between, task, end, missing = FORMS[form]
    inputs, (output, labels) = data.FIELDS[model][0], CHOICES[model]
    outputs = (["reasoning"] if reasons else []) + [output]
    place = choice.format(output, between.join(labels)) if labels else "{" + output + "}"
    layout = block([(name, "{" + name + "}") for name in inputs + outputs[:-1]] + [(output, place)])
    made = [{"role": "system", "content": f"Fields:\n{layout}\n\n[[ ## completed ## ]]\n{task}{instruction}"}]
    for demo in demos:
        answered = [(name, demo.get(name, missing)) for name in outputs]
        made.append({"role": "user", "content": block([(name, demo[name]) for name in inputs])})
        made.append({"role": "assistant", "content": block(answered) + "\n\n[[ ## completed ## ]]"})
    asked = ", ".join(f"[[ ## {name} ## ]]" for name in outputs)
    made.append({"role": "user", "content": block([(name, row[name]) for name in inputs]) + "\n\n" + end.format(asked)})
    return made


def ask(model, row, instruction="Do it.", demos=(), form="lmopt", reasons=False, sample=None, **options):
    body = dict(options, messages=messages(model.name, form, instruction, demos, row, reasons))
    return prompts.sections(model.reply(body, sample)[0])


def score(model, rows, instruction="Do it.", demos=(), **options):
    choose = demos if callable(demos) else lambda row: demos
    output = CHOICES[model.name][0]
    return statistics.mean(ask(model, row, instruction, choose(row), **options)[output] == row[output] for row in rows)


def nearest(train, row, count):
    asked = set(prompts.words(row["text"]))
    return sorted(train, key=lambda one: len(asked & set(prompts.words(one["text"]))))[-count:]


class Any(unittest.TestCase):
    def test_reads_both_forms_alike(self):
        for model in (Learner(0), Judge(0), Follower(0)):
            rows = data.make(model.name, "train", 0, 30)
            for reasons in (False, True):
                for row in rows[:10]:
                    self.assertEqual(*(ask(model, row, "Do it.", rows[10:], form, reasons) for form in ("lmopt", "dspy")))

    def test_data_are_a_function_of_the_seed_and_parts_are_disjoint(self):
        for model in data.MAKERS:
            parts = [data.make(model, part, 3, 50) for part in ("train", "val", "test")]
            self.assertEqual(parts[0], data.make(model, "train", 3, 50))
            self.assertNotEqual(parts[0], data.make(model, "train", 4, 50))
            asked = [tuple(row[name] for name in data.FIELDS[model][0]) for rows in parts for row in rows]
            self.assertEqual(len(asked), len(set(asked)))

    def test_answers_without_fields_are_text(self):
        for model in (Learner(0), Judge(0), Follower(0)):
            self.assertTrue(model.reply({"messages": [{"role": "user", "content": "hello"}]}, None)[0])


class InContext(unittest.TestCase):
    def setUp(self):
        self.model, self.train, self.test = Learner(0), data.make("learner", "train", 0, 100), data.make("learner", "test", 0, 60)

    def test_which(self):
        similar = score(self.model, self.test, demos=lambda row: nearest(self.train, row, 10))
        others = score(self.model, self.test, demos=lambda row: nearest(self.train, row, 100)[:10])
        self.assertGreater(similar, others + 0.3)
        self.assertGreater(similar, score(self.model, self.test) + 0.2)

    def test_how_many(self):
        several, many = (statistics.mean(score(self.model, self.test, demos=self.train[i:i + count]) for i in range(0, 50, 10))
                         for count in (20, 50))
        self.assertGreater(several, many)
        self.assertGreater(several, score(self.model, self.test) + 0.05)

    def test_in_what_order(self):
        demos = sorted(self.train[:16], key=lambda one: one["label"])
        answers = [[ask(self.model, row, demos=order)["label"] for row in self.test] for order in (demos, demos[::-1])]
        self.assertNotEqual(*answers)
        last = [answers[side].count(order[-1]["label"]) for side, order in enumerate((demos, demos[::-1]))]
        first = [answers[1 - side].count(order[-1]["label"]) for side, order in enumerate((demos, demos[::-1]))]
        self.assertGreater(sum(last), sum(first))

    def test_contradictions_hurt(self):
        row = self.test[0]
        other = next(label for label in sorted(data.TOPICS) if label != row["label"])
        same = dict(row)
        self.assertEqual(row["label"], ask(self.model, row, demos=[same] * 3)["label"])
        right = score(self.model, self.test, demos=lambda one: nearest(self.train, one, 4) + [one])
        torn = score(self.model, self.test, demos=lambda one: nearest(self.train, one, 4) + [one, dict(one, label=other)])
        self.assertGreater(right, torn)

    def test_demonstrations_with_reasons_teach_more(self):
        whole = lambda row: [dict(one, reasoning="The words decide.") for one in nearest(self.train, row, 5)]  # noqa: E731
        bare = lambda row: nearest(self.train, row, 5)  # noqa: E731
        self.assertGreater(score(self.model, self.test, demos=whole, reasons=True), score(self.model, self.test, demos=bare, reasons=True))


class Rules(unittest.TestCase):
    def setUp(self):
        self.model, self.test = Follower(0), data.make("follower", "test", 0, 60)

    def test_each_rule_wins_examples(self):
        said = [rules.STATED[key][1][0] for key in rules.RIGHT]
        scores = [score(self.model, self.test, " ".join(said[:count])) for count in range(0, len(said) + 1, 3)]
        self.assertEqual(scores, sorted(scores))
        self.assertLess(scores[0], 0.2)
        self.assertGreater(scores[-1], 0.85)

    def test_every_sentence_states_its_rule(self):
        for key, (_, sentences) in rules.STATED.items():
            for sentence in sentences:
                self.assertEqual(key, rules.stated(sentence), sentence)
        for sentence in rules.PADDING:
            self.assertIsNone(rules.stated(sentence), sentence)

    def test_contradictions_and_length_hurt(self):
        said = " ".join(rules.STATED[key][1][0] for key in rules.RIGHT)
        best = score(self.model, self.test, said)
        wrong = " ".join(rules.STATED[key][1][0] for key in rules.RULES if key not in rules.RIGHT)
        self.assertLess(score(self.model, self.test, said + " " + wrong), best - 0.3)
        self.assertLess(score(self.model, self.test, said + " " + " ".join(rules.PADDING * 2)), best - 0.2)

    def test_demonstrations_show_rules(self):
        train = data.make("follower", "train", 0, 24)
        self.assertGreater(score(self.model, self.test, demos=train), score(self.model, self.test) + 0.2)


def meta_prompt(scored, before="text:\n", between="\nscore:\n"):
    shown = "\n\n".join(before + text + between + str(value) for text, value in sorted(scored.items(), key=lambda pair: pair[1]))
    return ("I have some texts along with their scores.\n\n" + shown + "\n\nThe following exercise shows how to apply your text: <INS>\n"
            "input:\nrecord: date: 3 May 2024\noutput:\n2024-05-03\n\nWrite your new text that is different from the old ones and has a score "
            "as high as possible. Write the text in square brackets.")


class Proposals(unittest.TestCase):
    def propose(self, text, sample, temperature=1.0):
        return Follower(0).reply({"messages": [{"role": "user", "content": text}], "temperature": temperature}, sample)

    def test_the_scored_texts_are_read(self):
        self.assertEqual([("B.", 70.0), ("A.", 10.0)], proposer.scored(meta_prompt({"A.": 10, "B.": 70})))
        numbered = "Instruction #1: A.\nPrefix #1: P\nResulting Score #1: 10\nInstruction #2: B.\nPrefix #2: P\nResulting Score #2: 20.5\n"
        self.assertEqual([("B.", 20.5), ("A.", 10.0)], proposer.scored(numbered))

    def test_tags_and_brackets(self):
        text, proposed = self.propose(meta_prompt({"Write weights in grams.": 50}), 0)
        self.assertEqual(1, proposed)
        self.assertRegex(text, r"\A\[[^\[\]]+\]\Z")
        tagged = meta_prompt({"Write weights in grams.": 50}).replace("Write the text in square brackets.", "Write it between <INS> and </INS>.")
        self.assertRegex(self.propose(tagged, 0)[0], r"\A<INS>[^<>]+</INS>\Z")

    def test_several_texts_at_once(self):
        text = ("text:\n<INS1>Write weights in grams.</INS1>\n<INS2>Write places in capitals.</INS2>\nscore:\n40\n\n"
                "Write each between its marks: <INS1>...</INS1> <INS2>...</INS2>.")
        first = [self.propose(text, sample, 0.1)[0] for sample in range(10)]
        for reply in first:
            self.assertRegex(reply, r"\A<INS1>[^<>]+</INS1>\n<INS2>[^<>]+</INS2>\Z")
        self.assertTrue(any("<INS1>Write weights in grams.</INS1>" in reply for reply in first))
        self.assertTrue(any("<INS2>Write places in capitals.</INS2>" in reply for reply in first))

    def test_it_climbs(self):
        model, rows = Follower(0), data.make("follower", "val", 0, 40)
        scored = {"Write the line.": round(100 * score(model, rows, "Write the line."))}
        for sample in range(120):
            text = self.propose(meta_prompt(dict(sorted(scored.items(), key=lambda pair: -pair[1])[:20])), sample)[0].strip("[]")
            scored[text] = round(100 * score(model, rows, text))
            if max(scored.values()) > 30:
                break
        self.assertGreater(max(scored.values()), 30)

    def test_it_is_a_function_of_text_sample_and_temperature(self):
        text = meta_prompt({"Write weights in grams.": 50, "Sort the items alphabetically by kind.": 40})
        self.assertEqual(self.propose(text, 1), self.propose(text, 1))
        self.assertGreater(len({self.propose(text, sample)[0] for sample in range(20)}), 5)
        few, many = (len({self.propose(text, sample, heat)[0] for sample in range(60)}) for heat in (0.1, 1.5))
        self.assertLess(few, many)

    def test_a_field_for_an_instruction(self):
        request = ("[[ ## basic_instruction ## ]]\nWrite weights in grams.\n\nRespond with the corresponding output fields, starting with the field "
                   "`[[ ## proposed_instruction ## ]]`, then `[[ ## proposed_prefix_for_output_field ## ]]`, and then ending with the marker for "
                   "`[[ ## completed ## ]]`.")
        self.assertTrue(prompts.sections(self.propose(request, 0)[0])["proposed_instruction"])

    def test_regression(self):
        pairs = {(w, b): 0 for w, b in ((10, 20), (14, 11), (18, 2), (12, 13), (20, 20))}
        loss = lambda w, b: sum((w * x + b - (15 * x + 14))**2 for x in range(-5, 6))  # noqa: E731
        for sample in range(200):
            shown = sorted(pairs, key=lambda one: -loss(*one))[-20:]
            text = "\n\n".join(f"input:\nw={w}, b={b}\nvalue:\n{loss(w, b)}" for w, b in shown)
            reply = numbers.propose(text, prompts.dice(sample), 1.0)
            pairs[tuple(map(int, reply[reply.rindex("[") + 1:-1].split(",")))] = 0
        self.assertIn((15, 14), pairs)

    def test_salesman(self):
        dice = prompts.dice("points")
        points = {i: (dice.randint(-100, 100), dice.randint(-100, 100)) for i in range(8)}
        shown = "".join(f"({i}): ({x}, {y})\n" for i, (x, y) in points.items())
        tours = [[0] + dice.sample(range(1, 8), 7) for _ in range(5)]
        start = min(numbers.length_of(one, points) for one in tours)
        for sample in range(60):
            best = sorted(tours, key=lambda one: -numbers.length_of(one, points))[-10:]
            text = shown + "\n".join(f"<trace> {','.join(map(str, one))} </trace>\nlength:\n{numbers.length_of(one, points):.0f}" for one in best)
            made = [int(n) for n in numbers.propose(text, prompts.dice(sample), 1.0)[7:-8].split(",")]
            self.assertEqual(list(range(8)), sorted(made))
            self.assertEqual(0, made[0])
            tours.append(made)
        self.assertLess(min(numbers.length_of(one, points) for one in tours), start)


class Noise(unittest.TestCase):
    def setUp(self):
        self.model, self.rows = Judge(0), data.make("judge", "test", 0, 150)

    def test_verdicts_vary_by_sample_alone(self):
        row = self.rows[0]
        self.assertEqual(2, len({ask(self.model, row, sample=i, temperature=1.0)["verdict"] for i in range(30)}))
        self.assertEqual(1, len({ask(self.model, row, temperature=0)["verdict"] for _ in range(5)}))

    def test_luck_is_as_large_as_what_there_is_to_gain(self):
        said = ["Judge this. Version %d." % i for i in range(30)]
        few = [score(self.model, self.rows[:20], one) for one in said]
        self.assertGreater(max(few) - min(few), 0.25)  # the same quality, and luck
        good = "Add it up digit by digit, and compare."
        self.assertGreater(score(self.model, self.rows, good), statistics.mean(score(self.model, self.rows, one) for one in said[:5]) + 0.08)

    def test_wrong_demonstrations_hurt(self):
        train = [one for one in data.make("judge", "val", 0, 12)]
        wrong = [dict(one, verdict="wrong" if one["verdict"] == "right" else "right") for one in train]
        self.assertGreater(score(self.model, self.rows, demos=train[:5]), score(self.model, self.rows, demos=wrong[:5]) + 0.1)


if __name__ == "__main__":
    unittest.main()
