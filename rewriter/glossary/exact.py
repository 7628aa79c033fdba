"""Where the letters of a term or of an alias stand in a text: one pass of an automaton over all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from rewriter.glossary.fold import cuts_word, fold, narrow
from rewriter.glossary.terms import Term


class Form(NamedTuple):
    """A way a term is written: `term` is its index; `own` says that it is the canonical form."""

    term: int
    text: str
    own: bool


class Place(NamedTuple):
    """text[start:end] is `form` of a term."""

    start: int
    end: int
    form: Form


class Exact:
    """All forms of all terms; letter case and width count only for terms that say so.

    The automaton is that of Aho and Corasick (1975). ahocorasick-rs was chosen over pyahocorasick: with 100,000 random
    forms it read text at 14 million characters a second against 5, for twice the time to build (0.6 s against 0.3 s)
    and memory (44 MB against 19 MB).
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms

    def places(self, text: str) -> list[Place]:
        """Leftmost longest places in order, apart; those of protected terms come before all others."""
        if not self._terms:
            return []
        automaton, forms = self._index
        found: list[Place] = []
        for number, start, end in automaton.find_matches_as_indexes(fold(text), overlapping=True):
            if not cuts_word(text, start, end) and (form := self._meant(forms[number], text[start:end])):
                found.append(Place(start, end, form))
        return self._apart(found)

    @cached_property
    def _index(self) -> tuple[Any, list[list[Form]]]:
        from ahocorasick_rs import AhoCorasick

        forms: dict[str, list[Form]] = {}
        for number, term in enumerate(self._terms):
            forms.setdefault(fold(term.canonical), []).append(Form(number, term.canonical, True))
            for alias in term.aliases:
                forms.setdefault(fold(alias), []).append(Form(number, alias, False))
        return AhoCorasick(list(forms), store_patterns=False), list(forms.values())

    def _meant(self, forms: Sequence[Form], seen: str) -> Form | None:
        """Which of the forms that fold alike stands there: the one spelt so, else a canonical one, else an alias.

        A term's own name in other letters is an alias where that spelling, in any case, is listed as one: `lora` of
        LoRA. Otherwise it is the canonical form, for words begin sentences with a capital.
        """
        if len(forms) == 1 and not self._terms[forms[0].term].case:
            return forms[0]
        seen = narrow(seen)
        if same := [form for form in forms if narrow(form.text) == seen]:
            return max(same, key=lambda form: form.own)
        free = [form for form in forms if not self._terms[form.term].case]
        own = [form for form in free if form.own]
        listed = [form for form in free if not form.own and any(form.term == o.term for o in own)]
        return next(iter((*listed, *own, *free)), None)

    def _apart(self, found: Iterable[Place]) -> list[Place]:
        chosen: list[Place] = []
        protected = {place for place in found if place.form.own and self._terms[place.form.term].protect}
        for place in leftmost_longest(protected):
            chosen.append(place)
        rest = [p for p in found if p not in protected and not _touches(p, chosen)] if chosen else found
        chosen += leftmost_longest(rest)
        return sorted(chosen)


def leftmost_longest(places: Iterable[Place]) -> list[Place]:
    """Those places that a reader from left to right meets, taking the longest at each."""
    chosen: list[Place] = []
    for place in sorted(places, key=lambda p: (p.start, -p.end, p.form.term)):
        if not chosen or place.start >= chosen[-1].end:
            chosen.append(place)
    return chosen


def _touches(place: Place, others: Sequence[Place]) -> bool:
    return any(place.start < other.end and other.start < place.end for other in others)
