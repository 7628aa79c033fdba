"""How usual the words of a stretch of text are, so that what reads as ordinary text is not taken for a misheard name.

Costs are nats: minus the natural logarithm of a probability. `common_words.json` says where the counts come from.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

# A Chinese character that stands in no list (rarer than one in three million).
UNKNOWN_CHARACTER = 15.0
# A word of Latin letters that stands in no list (rarer than one in 440,000), names for the most part.
UNKNOWN_WORD = 14.0
# The longest Chinese words in the list, in characters.
_LONGEST = 4


@lru_cache(maxsize=1)
def _costs() -> tuple[dict[str, float], dict[str, float]]:
    data = json.loads(resources.files("rewriter.glossary").joinpath("common_words.json").read_text(encoding="utf-8"))
    chinese, latin = ({w: float(c) for c, ws in data[lang].items() for w in ws.split()} for lang in ("zh", "en"))
    return chinese, latin


def latin_cost(word: str) -> float:
    """The cost of a word in lower case."""
    return _costs()[1].get(word, UNKNOWN_WORD)


def chinese_cost(word: str) -> float:
    """The cost of a Chinese word as one word; infinite where it is not in the list."""
    return _costs()[0].get(word, UNKNOWN_CHARACTER if len(word) == 1 else float("inf"))


@lru_cache(maxsize=65536)
def alone(run: str) -> float:
    """What a run of Chinese characters costs by itself: never less than it costs within a longer run."""
    return _forward(run)[-1]


class Reading:
    """The cheapest ways to read a run of Chinese characters as words, from its beginning and from its end.

    A unigram model read by dynamic programming (Viterbi 1967), both ways, so that the cost of any stretch in its place
    is a subtraction.
    """

    def __init__(self, run: str) -> None:
        self._ahead = _forward(run)
        self._back = _backward(run)

    def cost(self, start: int, end: int) -> float:
        """What the run costs more than it would without run[start:end]: words that straddle the ends count in full."""
        return self._ahead[-1] - self._ahead[start] - self._back[end]

    def breaks(self) -> list[int]:
        """Where a cheapest way to read the run has the end of a word, the run's own ends included."""
        return [at for at in range(len(self._ahead)) if self.is_break(at)]

    def is_break(self, at: int) -> bool:
        """Whether a word ends before run[at]."""
        return self._ahead[at] + self._back[at] <= self._ahead[-1] + 1e-9


def _forward(run: str) -> list[float]:
    """Cost of run[:i], for each i."""
    words = _costs()[0]
    best = [0.0]
    for end in range(1, len(run) + 1):
        cost = best[end - 1] + words.get(run[end - 1], UNKNOWN_CHARACTER)
        for start in range(max(0, end - _LONGEST), end - 1):
            if (word := words.get(run[start:end])) is not None and best[start] + word < cost:
                cost = best[start] + word
        best.append(cost)
    return best


def _backward(run: str) -> list[float]:
    """Cost of run[i:], for each i."""
    words = _costs()[0]
    size = len(run)
    best = [0.0] * (size + 1)
    for start in range(size - 1, -1, -1):
        cost = best[start + 1] + words.get(run[start], UNKNOWN_CHARACTER)
        for end in range(start + 2, min(size, start + _LONGEST) + 1):
            if (word := words.get(run[start:end])) is not None and best[end] + word < cost:
                cost = best[end] + word
        best[start] = cost
    return best
