"""Which stretches of a text may be a term that was misheard: sound against how usual the text is as it stands.

A noisy channel (Shannon 1948; Kernighan, Church and Gale 1990, for spelling): a stretch is offered as a term where the
odds that the term was said and written down so are better than those that the stretch was said. All in nats:

    odds = usual - prior - distance

`usual` is what the stretch costs as ordinary text (words.py), `prior` what it costs that just this term comes up,
`distance` how far the sounds are apart.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rewriter.glossary.fold import simplified
from rewriter.glossary.hanzi import Bar, Candidate, Hanzi, Runs, is_chinese
from rewriter.glossary.latin import Bars, Latin, sounds_like_letters
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.table import Table

# The share of words in a text that are misheard terms of its glossary, all terms together.
MISHEARD = 0.03
# A glossary of fewer terms is taken to have this many, or its few would be found everywhere.
FEWEST_TERMS = 20
# Text is given credit for being unusual up to this much per syllable: any name that no list knows is unusual.
MOST_USUAL = 7.0
# Odds from which a stretch with Chinese characters is offered. On names taken from the corrected side of recognisers'
# and typists' errors, 100 names a glossary, a bar of 2 halved the false offers against a bar of 0, and cost 2 in 100 of
# the names found; a bar of 4 halves them again, and costs 4 more.
ENOUGH = 2.0
# The same for stretches of Latin letters alone. Of 147 misheard names of English talks, 83 names a glossary, a bar of 2
# found 52 with 0.2 false offers per 1,000 characters, a bar of 0 found 74 with 1.0, and one of -1 no more with 1.6;
# since well-known names count as words, and long splits cost more, it is 74 with 0.85 at 0.
ENOUGH_IN_LETTERS = 0.0
# Odds from which a stretch is hardly anything else. Of what was offered in a Chinese conference, in recognisers' and
# typists' errors beside their corrections, and in English talks, 580 of 608 offers were right from 6 on, 152 of 182
# between 4 and 6, and 141 of 346 below.
LIKELY = 6.0
# More is asked for terms whose aliases are listed: what they are often misheard as is found by its letters then.
BESIDE_ALIASES = 2.0
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

    def __init__(self, table: Table, hanzi: Hanzi, latin: Latin) -> None:
        self._table, self._hanzi, self._latin = table, hanzi, latin
        self._prior = _prior(len(hanzi) + len(latin))

    @classmethod
    def build(cls, table: Table) -> Sound:
        """The index of a table."""
        numbered = list(enumerate(table.canonicals))
        chinese = [number for number, name in numbered if is_chinese(name)]
        letters = [number for number, name in numbered if sounds_like_letters(name)]
        bars, spell = _bars(len(chinese) + len(letters)), _spell(table)
        return cls(table, Hanzi.build(chinese, spell, bars.chinese), Latin.build(letters, spell, bars))

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [*self._latin.to_parts(), *self._hanzi.to_parts()]

    @classmethod
    def from_parts(cls, table: Table, parts: Sequence[bytes]) -> Sound:
        """The index again. Raises ValueError where the bytes are not such."""
        spell, latin, hanzi = _spell(table), parts[:4], parts[4:]
        bars = _bars((len(latin[0]) + len(hanzi[0])) // array("I").itemsize)
        return cls(table, Hanzi.from_parts(spell, bars.chinese, hanzi), Latin.from_parts(spell, bars, latin))

    def offers(self, text: str, taken: Sequence[tuple[int, int]]) -> list[Offer]:
        """The best offers, in order and apart from each other and from the spans `taken` (in order)."""
        text = simplified(text)
        runs = Runs(text)
        found = (*self._hanzi.candidates(text, runs), *self._latin.candidates(text, runs))
        offers = (self._offer(candidate) for candidate in found)
        return sorted(_best((offer for offer in offers if offer.odds >= self._enough(offer, text)), taken))

    def _enough(self, offer: Offer, text: str) -> float:
        enough = ENOUGH if CHINESE.search(text, offer.start, offer.end) else ENOUGH_IN_LETTERS
        return enough + BESIDE_ALIASES * self._table.has_aliases(offer.term)

    def _offer(self, found: Candidate) -> Offer:
        odds = min(found.usual, MOST_USUAL * found.size) - self._prior - found.distance
        score = 0.99 * (1 - found.distance / (2 * PER_SYLLABLE * found.size))
        return Offer(found.start, found.end, found.term, round(max(0.01, score), 3), odds)


def _spell(table: Table) -> Callable[[int], str]:
    """The canonical form of a term, in simplified characters as the text is when it is looked through."""
    spelt = table.canonicals
    joined = "\n".join(spelt)
    return table.canonical if (simple := simplified(joined)) == joined else simple.split("\n").__getitem__


def _prior(terms: int) -> float:
    """What it costs, in nats, that just one of so many terms comes up.

    The number is taken in steps of twice as many: one term more must not move the odds of all others, or passages in
    which it does not occur would be asked again.
    """
    steps = round(math.log2(max(1.0, terms / FEWEST_TERMS)))
    return math.log(FEWEST_TERMS * 2**steps / MISHEARD)


def _bars(terms: int) -> Bars:
    prior = _prior(terms)
    return Bars(letters=_bar(prior + ENOUGH_IN_LETTERS), chinese=_bar(prior + ENOUGH))


def _bar(worth: float) -> Bar:
    return Bar(worth, lambda size: min(PER_SYLLABLE * size, MOST_USUAL * size - worth))


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
