"""Which stretches of a text may be a term that was misheard: sound against how usual the text is as it stands.

A noisy channel (Shannon 1948; Kernighan, Church and Gale 1990, for spelling): a stretch is offered as a term where the
odds that the term was said and written down so are better than those that the stretch was said. All in nats:

    odds = usual - prior - distance

`usual` is what the stretch costs as ordinary text (words.py), `prior` what it costs that just this term comes up,
`distance` how far the sounds are apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from rewriter.glossary.hanzi import Candidate, Hanzi, Runs
from rewriter.glossary.latin import Latin
from rewriter.glossary.terms import Term

# The share of words in a text that are misheard terms of its glossary, all terms together.
MISHEARD = 0.03
# A glossary of fewer terms is taken to have this many, or its few would be found everywhere.
FEWEST_TERMS = 20
# Text is given credit for being unusual up to this much per syllable: any name that no list knows is unusual.
MOST_USUAL = 7.0
# Odds from which a stretch is offered. On names taken from the corrected side of recognisers' and typists' errors, 100
# names a glossary, a bar of 2 halved the false offers against a bar of 0, and cost 2 in 100 of the Chinese names found
# and 18 in 100 of the Latin ones; a bar of 4 halves them again, and costs 4 and 20 more.
ENOUGH = 2.0
# The same for terms whose aliases are listed: what they are often misheard as is found by its letters then.
ENOUGH_BESIDE_ALIASES = 4.0
# Distance allowed per syllable of a term, however unusual the stretch.
PER_SYLLABLE = 2.6


class Offer(NamedTuple):
    """text[start:end] may be a term; `score` is 1 for equal sounds (in other letters) and lower the further apart."""

    start: int
    end: int
    term: int
    score: float
    odds: float


class Sound:
    """Terms by sound."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._names = [(number, term.canonical) for number, term in enumerate(terms)]
        self._enough = [ENOUGH_BESIDE_ALIASES if term.aliases else ENOUGH for term in terms]

    @cached_property
    def _indexes(self) -> tuple[Hanzi, Latin]:
        return Hanzi(self._names), Latin(self._names)

    @property
    def prior(self) -> float:
        """What it costs, in nats, that just one of these terms comes up."""
        hanzi, latin = self._indexes
        return math.log(max(FEWEST_TERMS, len(hanzi) + len(latin)) / MISHEARD)

    def offers(self, text: str, taken: Sequence[tuple[int, int]]) -> list[Offer]:
        """The best offers, in order and apart from each other and from the spans `taken` (in order)."""
        hanzi, latin = self._indexes
        worth = self.prior + ENOUGH
        runs = Runs(text)
        found = [*hanzi.candidates(text, runs, PER_SYLLABLE), *latin.candidates(text, runs, PER_SYLLABLE, worth)]
        offers = [offer for c in found if (offer := self._offer(c)).odds >= self._enough[c.term]]
        return sorted(_best(offers, taken))

    def _offer(self, found: Candidate) -> Offer:
        odds = min(found.usual, MOST_USUAL * found.size) - self.prior - found.distance
        score = 0.99 * (1 - found.distance / (2 * PER_SYLLABLE * found.size))
        return Offer(found.start, found.end, found.term, round(max(0.01, score), 3), odds)


def _best(offers: Iterable[Offer], taken: Sequence[tuple[int, int]]) -> list[Offer]:
    """Best odds first, each where nothing stands yet."""
    filled = {at for start, end in taken for at in range(start, end)}
    chosen: list[Offer] = []
    for offer in sorted(offers, key=lambda o: (-o.odds, o.start, o.end, o.term)):
        span = range(offer.start, offer.end)
        if filled.isdisjoint(span):
            filled.update(span)
            chosen.append(offer)
    return chosen
