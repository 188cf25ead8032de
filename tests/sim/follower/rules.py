"""Records, the rules by which they are to be written, and the sentences that state them. Data and model share this file."""
import re

MONTHS = "January February March April May June July August September October November December".split()
FIRST = "Ann Ben Cleo Dan Eva Finn Gita Hugo Ida Jan Kim Leo Mia Noah Olga Paul".split()
FAMILY = "Lee Kowalski Okafor Silva Novak Haddad Berg Moreau Tanaka Costa Weber Quinn".split()
PLACES = "Berlin Lagos Porto Oslo Lima Kyoto Zurich Quito Dublin Hanoi Riga Sofia".split()
COLOURS = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff", "white": "#ffffff", "black": "#000000"}


def date(rng):
    return f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(2019, 2026)}"


def clock(rng):
    return f"{rng.randint(1, 11)}:{rng.randint(10, 59)} {rng.choice(['am', 'pm'])}"


MAKE = {
    "amount": lambda rng: f"{rng.randint(2, 400)}.{rng.randint(1, 9)} euros",
    "code": lambda rng: f"{rng.choice('ABCDEF')}{rng.randint(10, 99)}",
    "colour": lambda rng: rng.choice(sorted(COLOURS)),
    "date": date,
    "name": lambda rng: f"{rng.choice(FIRST)} {rng.choice(FAMILY)}",
    "phone": lambda rng: f"0{rng.randint(30, 99)}{rng.randint(100000, 999999)}",
    "place": lambda rng: rng.choice(PLACES),
    "size": lambda rng: rng.choice(["small", "medium", "large"]),
    "time": clock,
    "weight": lambda rng: f"{rng.randint(1, 9)}.{rng.randint(1, 9)} kg",
}


def split_date(text):
    day, month, year = text.split()
    return int(day), MONTHS.index(month) + 1, int(year)


def to_24(text):
    hour, minute, half = re.split("[: ]", text)
    return f"{int(hour) + (12 if half == 'pm' else 0):02d}:{minute}"


# What each form makes of an item. The first of a kind is the one that is wanted; codes and sizes stay as they are.
FORMS = {
    "amount": {"code": lambda t: f"EUR {float(t.split()[0]):.2f}", "whole": lambda t: f"{float(t.split()[0]):.0f} euros"},
    "colour": {"hex": lambda t: COLOURS[t], "initial": lambda t: t[0].upper()},
    "date": {"iso": lambda t: "{2:04d}-{1:02d}-{0:02d}".format(*split_date(t)), "slashes": lambda t: "{0:02d}/{1:02d}/{2}".format(*split_date(t)),
             "year": lambda t: t.split()[2]},
    "name": {"family": lambda t: ", ".join(reversed(t.split())), "initials": lambda t: "".join(w[0] for w in t.split())},
    "phone": {"country": lambda t: "+49" + t[1:], "dashes": lambda t: "-".join(t[i:i + 3] for i in range(0, len(t), 3))},
    "place": {"capitals": str.upper, "lower": str.lower},
    "time": {"24": to_24, "hour": lambda t: t.split(":")[0] + t[-3:]},
    "weight": {"grams": lambda t: f"{float(t.split()[0]) * 1000:.0f} g", "pounds": lambda t: f"{float(t.split()[0]) * 2.2046:.1f} lb"},
}
WANTED = {kind: next(iter(forms)) for kind, forms in FORMS.items()}

# How a sentence is recognised, and how the model itself would say it. `order` is about the whole line.
STATED = {
    ("amount", "code"): (
        r"\b(amount|price|money)s?\b.*(two decimals|EUR\b)",
        ["Write amounts as EUR and two decimals.",
         "Amounts become EUR with two decimals.",
         "Give every amount with EUR in front and two decimals."]),
    ("amount", "whole"): (
        r"\b(amount|price|money)s?\b.*(whole|round)",
        ["Round amounts to whole euros.", "Amounts are rounded to whole numbers."]),
    ("colour", "hex"): (
        r"\bcolou?rs?\b.*\bhex|\bhex\b.*\bcolou?rs?\b",
        ["Write colours as hex codes.", "Every colour becomes its hex code.", "Use #rrggbb hex codes for colours."]),
    ("colour", "initial"): (
        r"\bcolou?rs?\b.*initial|\bfirst letter of colou?rs",
        ["Write only the first letter of colours.", "Colours are given by their initial."]),
    ("date", "iso"): (
        r"\bdates?\b.*(ISO\b|YYYY-MM-DD)|YYYY-MM-DD\b.*\bdate",
        ["Write dates as YYYY-MM-DD.", "Dates must be in the ISO format.", "Use YYYY-MM-DD for each date."]),
    ("date", "slashes"): (
        r"\bdates?\b.*(DD/MM|slash)",
        ["Write dates as DD/MM/YYYY.", "Dates are written with slashes."]),
    ("date", "year"): (
        r"\bdates?\b.*(only the year|year alone)",
        ["Of dates keep only the year.", "A date becomes the year alone."]),
    ("name", "family"): (
        r"\bnames?\b.*(family|last|sur)\s?name (first|before)",
        ["Write names with the family name first.",
         "For names, put the family name before the first name, with a comma.",
         "Names have the last name first."]),
    ("name", "initials"): (
        r"\bnames?\b.*initials",
        ["Shorten names to initials.", "Names become initials."]),
    ("phone", "country"): (
        r"\b(phone|telephone)\b.*(\+49|country)",
        ["Write phone numbers with +49.",
         "Phone numbers get the country code in place of the 0.",
         "A phone number begins with +49."]),
    ("phone", "dashes"): (
        r"\b(phone|telephone)\b.*(dash|groups)",
        ["Write phone numbers in groups with dashes.", "Phone numbers have dashes."]),
    ("place", "capitals"): (
        r"\b(place|cit)(s|y|ies)?\b.*(upper case|capitals)",
        ["Write places in capitals.", "Places are in upper case.", "Put every place in capitals."]),
    ("place", "lower"): (
        r"\b(place|cit)(s|y|ies)?\b.*(lower case|small)",
        ["Write places in lower case.", "Places are in small letters."]),
    ("time", "24"): (
        r"\btimes?\b.*24|24-hour time",
        ["Write times in the 24-hour format.", "Times use the 24 hour clock.", "Use 24-hour times, and no am or pm."]),
    ("time", "hour"): (
        r"\btimes?\b.*(full hour|hour alone)",
        ["Of times keep the full hour.", "A time becomes the hour alone."]),
    ("weight", "grams"): (
        r"\bweights?\b.*grams",
        ["Write weights in grams.", "Weights are converted to grams.", "Give each weight in grams."]),
    ("weight", "pounds"): (
        r"\bweights?\b.*pounds",
        ["Write weights in pounds.", "Weights are converted to pounds."]),
    ("order", "alphabet"): (
        r"\balphabet",
        ["Sort the items alphabetically by kind.", "Put the items in alphabetical order of their kinds."]),
    ("order", "reverse"): (
        r"\brevers(e|ed) order|\brevers\w* the (order|items)",
        ["Put the items in reverse order.", "Reverse the order of the items."]),
    ("care", "care"): (
        r"\b(careful|exact|check|precise)",
        ["Be careful.", "Check the result before answering.", "Be exact."]),
}
PADDING = ["You are an expert.", "Think about it.", "This is important.", "Take a deep breath.", "The user will be grateful.", "Answer in one go.",
           "Consider all there is.", "Do your best."]
RULES = sorted(key for key in STATED if key[0] != "care")
RIGHT = sorted((kind, form) for kind, form in list(WANTED.items()) + [("order", "alphabet")])


def make_record(rng):
    kinds = rng.sample(sorted(MAKE), rng.choice([1, 1, 2, 2, 3]))
    return [(kind, MAKE[kind](rng)) for kind in kinds]


def as_given(record):
    return "; ".join(f"{kind}: {item}" for kind, item in record)


def as_wanted(record):
    return write(record, dict(WANTED, order="alphabet"))


def parse(text):
    """The record of a text as as_given writes it."""
    record = []
    for piece in text.split(";"):
        kind, _, item = piece.strip().partition(": ")
        if kind in MAKE and item:
            record.append((kind, item))
    return record


def form_of(kind, form, item):
    try:
        return FORMS[kind][form](item) if form else item
    except (ValueError, KeyError, IndexError):
        return item  # not such an item


def write(record, chosen):
    """The line: items by the forms chosen for their kinds, in the order chosen."""
    order = chosen.get("order")
    if order == "alphabet":
        record = sorted(record)
    elif order == "reverse":
        record = record[::-1]
    return " | ".join(form_of(kind, chosen.get(kind), item) for kind, item in record)


def sentences(text):
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+|\n+", text) if one.strip()]


def stated(sentence):
    """The rule that a sentence states, or None."""
    for key, (pattern, _) in STATED.items():
        if re.search(pattern, sentence, re.IGNORECASE):
            return key
    return None
