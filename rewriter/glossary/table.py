"""All terms of a glossary by column: a hundred thousand of them are read back from disk in a few milliseconds."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, pairwise, repeat
from typing import Any

from rewriter.glossary.terms import Term

_FLAGS = ("certain", "protect", "case")
_RARE = ("language", "note", "tags")


class Table:
    """`spellings` holds each term's canonical form and behind it its aliases; `first[n]` is where term n begins.

    Flags are sets of term numbers; language, note and tags are kept for the terms that have them.
    """

    def __init__(
        self,
        spellings: list[str],
        first: Sequence[int],
        flags: dict[str, frozenset[int]],
        rare: Mapping[str, Mapping[int, object]],
    ) -> None:
        self.spellings, self.first = spellings, first
        self.certain, self.protect, self.case = (flags[name] for name in _FLAGS)
        self._flags, self._rare = flags, rare

    @classmethod
    def of(cls, terms: Iterable[Term]) -> Table:
        """The table of some terms."""
        listed = list(terms)
        spellings: list[str] = []
        first = array("I")
        for term in listed:
            first.append(len(spellings))
            spellings += (term.canonical, *term.aliases)
        flags = {name: frozenset(n for n, t in enumerate(listed) if getattr(t, name)) for name in _FLAGS}
        rare = {name: {n: value for n, t in enumerate(listed) if (value := getattr(t, name))} for name in _RARE}
        return cls(spellings, first, flags, rare)

    def __len__(self) -> int:
        return len(self.first)

    def canonical(self, number: int) -> str:
        """How term `number` is written."""
        return self.spellings[self.first[number]]

    def note(self, number: int) -> str:
        """Its note."""
        return str(self._rare["note"].get(number, ""))

    def end(self, number: int) -> int:
        """Where the spellings of term `number` end."""
        return self.first[number + 1] if number + 1 < len(self.first) else len(self.spellings)

    def has_aliases(self, number: int) -> bool:
        """Whether it has any."""
        return self.end(number) - self.first[number] > 1

    @cached_property
    def owners(self) -> Sequence[int]:
        """The term of each spelling."""
        if len(self.first) == len(self.spellings):
            return range(len(self.first))
        sizes = (b - a for a, b in pairwise((*self.first, len(self.spellings))))
        return array("I", chain.from_iterable(repeat(number, size) for number, size in enumerate(sizes)))

    @cached_property
    def canonicals(self) -> list[str]:
        """Every canonical form, in order."""
        return [self.spellings[begin] for begin in self.first]

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms as records."""
        return tuple(map(self._term, range(len(self))))

    def _term(self, number: int) -> Term:
        fields: dict[str, Any] = {name: number in self._flags[name] for name in _FLAGS}
        fields |= {name: self._rare[name].get(number, () if name == "tags" else "") for name in _RARE}
        begin = self.first[number]
        aliases = tuple(self.spellings[begin + 1 : self.end(number)])
        return Term.model_construct(canonical=self.spellings[begin], aliases=aliases, **fields)

    # --- on disk -----------------------------------------------------------------------------------------------------

    def to_parts(self) -> list[bytes]:
        """What `from_parts` reads. Spellings hold no line breaks, for white space in them is single spaces."""
        rest = {
            "flags": {name: sorted(numbers) for name, numbers in self._flags.items()},
            "rare": {name: list(values.items()) for name, values in self._rare.items()},
        }
        return ["\n".join(self.spellings).encode(), bytes(array("I", self.first)), json.dumps(rest).encode()]

    @classmethod
    def from_parts(cls, spellings: bytes, first: bytes, rest: bytes) -> Table:
        """The table again."""
        data = json.loads(rest)
        rare = {
            name: {int(n): tuple(value) if name == "tags" else value for n, value in values}
            for name, values in data["rare"].items()
        }
        flags = {name: frozenset(numbers) for name, numbers in data["flags"].items()}
        return cls(spellings.decode().split("\n") if first else [], array("I", first), flags, rare)
