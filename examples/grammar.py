"""A small grammar that makes up sentences about animals, and knows which sentences are right."""

from __future__ import annotations

import math
import random
import re
from collections import Counter

# What may stand for a name in angle brackets, each option with equal probability. What an animal
# does agrees with how many there are, also after words in between: "one fox that feeds two mice
# hunts", but "two foxes that feed one mouse hunt".
RULES = {
    "sentence": [
        "<when><one><that_does> <does> <object><where>.",
        "<when><many><that_do> <do> <object><where>.",
    ],
    "when": ["", "", "at night ", "in may "],
    "one": ["the <how><animal>", "one <how><animal>"],
    "many": ["the <how><animals>", "two <how><animals>"],
    "object": ["<one>", "<many>"],
    "that_does": ["", "", " that <does> <object>"],
    "that_do": ["", "", " that <do> <object>"],
    "how": ["", "", "old ", "big ", "shy ", "red "],
    "animal": ["fox", "hen", "pig", "cat", "goose", "mouse"],
    "animals": ["foxes", "hens", "pigs", "cats", "geese", "mice"],
    "does": ["sees", "likes", "feeds", "hunts"],
    "do": ["see", "like", "feed", "hunt"],
    "where": ["", "", " by the sea", " on a hill"],
}
NAME = re.compile("<(.*?)>")


def made_up(rng: random.Random, name: str = "sentence") -> str:
    """Something that the rules allow for a name."""
    return NAME.sub(lambda found: made_up(rng, found[1]), rng.choice(RULES[name]))


def pattern(name: str = "sentence") -> str:
    """A regular expression for all that the rules allow for a name."""
    options = [NAME.sub(lambda found: pattern(found[1]), re.escape(rule)) for rule in RULES[name]]
    return f"(?:{'|'.join(options)})"


def information(name: str = "sentence") -> tuple[float, float]:
    """How many bits it takes to say what stands for a name, and in how many characters: on average.

    It is the entropy of the choice between the options, and what the parts of them take.
    """
    options = RULES[name]
    shares = [count / len(options) for count in Counter(options).values()]
    bits, characters = -sum(share * math.log2(share) for share in shares), 0.0
    for rule in options:
        parts = [information(part) for part in NAME.findall(rule)]
        bits += sum(part[0] for part in parts) / len(options)
        characters += (len(NAME.sub("", rule)) + sum(part[1] for part in parts)) / len(options)
    return bits, characters
