"""Where the letters of a term or of an alias stand in a text: one pass of an automaton over all of them at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from rewriter.glossary.automaton import Automaton
from rewriter.glossary.fold import cuts_word, fold, narrow
from rewriter.glossary.table import Table


class Place(NamedTuple):
    """text[start:end] is spelling number `spelling` of a term; `own` says that it is the canonical form."""

    start: int
    end: int
    term: int
    spelling: int
    own: bool


class Exact:
    """All spellings of all terms; letter case and width count only for terms that say so.

    Spellings that fold alike are one word of the automaton: word w means the spellings members[starts[w]:starts[w+1]].
    """

    def __init__(self, table: Table, automaton: Automaton, starts: Sequence[int], members: Sequence[int]) -> None:
        self._table, self._automaton, self._starts, self._members = table, automaton, starts, members
        self._owners = table.owners

    @classmethod
    def build(cls, table: Table) -> Exact:
        """The index of a table."""
        words: dict[str, list[int]] = {}
        for number, spelling in enumerate(table.spellings):
            words.setdefault(fold(spelling), []).append(number)
        starts, members = array("I", [0]), array("I")
        for numbers in words.values():
            members.extend(numbers)
            starts.append(len(members))
        return cls(table, Automaton(list(words)), starts, members)

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads."""
        return [self._automaton.to_bytes(), bytes(array("I", self._starts)), bytes(array("I", self._members))]

    @classmethod
    def from_parts(cls, table: Table, automaton: bytes, starts: bytes, members: bytes) -> Exact:
        """The index again. Raises ValueError where the bytes are not such."""
        return cls(table, Automaton.from_bytes(automaton), array("I", starts), array("I", members))

    def places(self, text: str) -> list[Place]:
        """Leftmost longest places in order, apart; those of protected terms come before all others."""
        found: list[Place] = []
        for start, end, word in self._automaton.find(fold(text)):
            if not cuts_word(text, start, end):
                meant = self._meant(self._members[self._starts[word] : self._starts[word + 1]], text[start:end])
                if meant is not None:
                    owner = self._owners[meant]
                    found.append(Place(start, end, owner, meant, meant == self._table.first[owner]))
        return self._apart(found)

    def _meant(self, numbers: Sequence[int], seen: str) -> int | None:
        """Which of the spellings that fold alike stands there: the one spelt so, else a canonical one, else an alias.

        A term's own name in other letters is an alias where that spelling, in any case, is listed as one: `lora` of
        LoRA. Otherwise it is the canonical form, for words begin sentences with a capital.
        """
        table = self._table
        owners = {number: self._owners[number] for number in numbers}
        if len(owners) == 1 and owners[numbers[0]] not in table.case:
            return numbers[0]
        seen = narrow(seen)
        own = {number for number in numbers if number == table.first[owners[number]]}
        if same := [number for number in numbers if narrow(table.spellings[number]) == seen]:
            return max(same, key=lambda number: number in own)
        free = [number for number in numbers if owners[number] not in table.case]
        names = [number for number in free if number in own]
        listed = [n for n in free if n not in own and any(owners[n] == owners[other] for other in names)]
        return next(iter((*listed, *names, *free)), None)

    def _apart(self, found: list[Place]) -> list[Place]:
        protected = sorted(place for place in found if place.own and place.term in self._table.protect)
        if not protected:
            return leftmost_longest(found)
        # A longer name that is spelt right there changes nothing of the protected one: 北京大学 in 北京大学医院.
        chosen = leftmost_longest(place for place in found if place.own and _holds(place, protected))
        filled = {at for place in chosen for at in range(place.start, place.end)}
        rest = (place for place in found if filled.isdisjoint(range(place.start, place.end)))
        return sorted((*chosen, *leftmost_longest(rest)))


def _holds(place: Place, protected: Sequence[Place]) -> bool:
    """Whether one of the protected places, in order, is this place or a part of it."""
    first = bisect_left(protected, place.start, key=lambda other: other.start)
    inside = takewhile(lambda other: other.start < place.end, islice(protected, first, None))
    return any(other.end <= place.end for other in inside)


def leftmost_longest(places: Iterable[Place]) -> list[Place]:
    """Those places that a reader from left to right meets, taking the longest at each."""
    chosen: list[Place] = []
    for place in sorted(places, key=lambda p: (p.start, -p.end, p.term)):
        if not chosen or place.start >= chosen[-1].end:
            chosen.append(place)
    return chosen
