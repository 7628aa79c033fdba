"""How usual the words of a stretch of text are, so that what reads as ordinary text is not taken for a misheard name.

Costs are nats: minus the natural logarithm of a probability. `common_words.json` says where the counts come from, and
`known_names.json` holds names that those lack.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

# A Chinese character that stands in no list (rarer than one in three million).
UNKNOWN_CHARACTER = 15.0
# A word of Latin letters that stands in no list (rarer than one in 440,000), names for the most part.
UNKNOWN_WORD = 14.0
# What a word costs more than the word it is an ending of, where only that is listed: outbreaks, enlarging.
_INFLECTED = 1.0
# Shorter words, and what is left of longer ones, are no words with an ending: bus, king, red.
_SHORTEST, _SHORTEST_STEM = 5, 4
# The usual English endings.
ENDINGS = re.compile(r"(?:['’]?s|e?d|ing|er|ers|ly)$")
# The longest Chinese words in the list, in characters.
_LONGEST = 4


class _Lists(NamedTuple):
    """Word to cost; `begun` are the first two characters of the Chinese words of three and more."""

    chinese: dict[str, float]
    latin: dict[str, float]
    begun: frozenset[str]


def _data(name: str) -> Any:
    return json.loads(resources.files("rewriter.glossary").joinpath(name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _lists() -> _Lists:
    data = _data("common_words.json")
    chinese, latin = ({w: float(c) for c, ws in data[lang].items() for w in ws.split()} for lang in ("zh", "en"))
    return _Lists(chinese, latin, frozenset(word[:2] for word in chinese if len(word) > 2))


def latin_cost(word: str) -> float:
    """The cost of a word in lower case."""
    return _lists().latin.get(word, UNKNOWN_WORD)


@lru_cache(maxsize=1)
def known_names() -> tuple[frozenset[str], float]:
    """Well-known names in lower case, and what each is taken to cost at most."""
    data = _data("known_names.json")
    return frozenset(name for line in data["names"] for name in line.split()), float(data["cost"])


@lru_cache(maxsize=65536)
def heard_cost(word: str) -> float:
    """The cost of a word in lower case as one that a recogniser wrote: it knows many names, and endings."""
    known, as_known = known_names()
    cost = min(latin_cost(word), as_known) if word in known else latin_cost(word)
    stem = ENDINGS.sub("", word)
    if cost < UNKNOWN_WORD or len(word) < _SHORTEST or len(stem) < _SHORTEST_STEM:
        return cost
    return min(cost, _INFLECTED + min(latin_cost(stem), latin_cost(f"{stem}e")))


def chinese_cost(word: str) -> float:
    """The cost of a Chinese word as one word; infinite where it is not in the list."""
    return _lists().chinese.get(word, UNKNOWN_CHARACTER if len(word) == 1 else float("inf"))


@lru_cache(maxsize=65536)
def alone(run: str) -> float:
    """The cheapest way to read a run of a few Chinese characters as words by itself; where it stands it costs no more,
    for there words may reach over its ends."""
    words, _, begun = _lists()
    costs = [0.0]
    for end, char in enumerate(run, 1):
        best = costs[-1] + words.get(char, UNKNOWN_CHARACTER)
        if end > 1 and (word := words.get(run[end - 2 : end])) is not None:
            best = min(best, costs[-2] + word)
        for start in range(max(0, end - _LONGEST), end - 2):
            if run[start : start + 2] in begun and (word := words.get(run[start:end])) is not None:
                best = min(best, costs[start] + word)
        costs.append(best)
    return costs[-1]


def crossed(text: str, at: int) -> bool:
    """Whether a word of the list begins before text[at] and ends behind it."""
    words, _, begun = _lists()
    pair, before, earlier = text[at - 1 : at + 1], text[at - 2 : at], text[at - 3 : at - 1]
    return (
        (len(pair) == 2 and pair in words)
        or (pair in begun and (text[at - 1 : at + 2] in words or text[at - 1 : at + 3] in words))
        or (before in begun and (text[at - 2 : at + 1] in words or text[at - 2 : at + 2] in words))
        or (earlier in begun and text[at - 3 : at + 1] in words)
    )


class Reading:
    """The cheapest ways to read a run of Chinese characters as words, from its beginning and from its end.

    A unigram model read by dynamic programming (Viterbi 1967), both ways, so that the cost of any stretch in its place
    is a subtraction: `until[end] - ahead[start]`.
    """

    def __init__(self, run: str) -> None:
        self.ahead, back = _both_ways(run)
        whole = self.ahead[-1]
        self.until = [whole - cost for cost in back]

    def cost(self, start: int, end: int) -> float:
        """What the run costs more than it would without run[start:end]: words that straddle the ends count in full."""
        return self.until[end] - self.ahead[start]

    def breaks(self) -> list[int]:
        """Where a cheapest way to read the run has the end of a word, the run's own ends included."""
        return [
            at for at, (here, there) in enumerate(zip(self.ahead, self.until, strict=True)) if is_break(here, there)
        ]


def is_break(ahead: float, until: float) -> bool:
    """Whether a word ends at a place of a reading."""
    return ahead <= until + 1e-9


def _both_ways(run: str) -> tuple[list[float], list[float]]:
    """Cost of run[:i], and of run[i:], for each i."""
    words, _, begun = _lists()
    size = len(run)
    ahead = [0.0] + [float("inf")] * size
    back: list[float] = []  # for now what each character costs by itself
    several: list[tuple[int, int, float]] = []  # words of more characters: start, end, cost
    for at, char in enumerate(run):
        here, cost, pair = ahead[at], words.get(char, UNKNOWN_CHARACTER), run[at : at + 2]
        back.append(cost)
        if here + cost < ahead[at + 1]:  # noqa: PLR1730 (min() takes three times as long, and this is the innermost loop)
            ahead[at + 1] = here + cost
        if (word := words.get(pair)) is not None and at + 1 < size:
            several.append((at, at + 2, word))
            if here + word < ahead[at + 2]:  # noqa: PLR1730 (as above)
                ahead[at + 2] = here + word
        if pair in begun:
            for end in range(at + 3, min(size, at + _LONGEST) + 1):
                if (word := words.get(run[at:end])) is not None:
                    several.append((at, end, word))
                    ahead[end] = min(ahead[end], here + word)
    _turn(back, several)
    return ahead, back


def _turn(back: list[float], several: list[tuple[int, int, float]]) -> None:
    """From the end to the beginning: costs of characters become those of all that follows."""
    back.append(0.0)
    for at in range(len(back) - 2, -1, -1):
        cost = back[at] + back[at + 1]
        while several and several[-1][0] == at:
            _, end, word = several.pop()
            if word + back[end] < cost:  # noqa: PLR1730 (as above)
                cost = word + back[end]
        back[at] = cost
