"""What is doubtful in glossary entries, though it contradicts nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rewriter.glossary.fold import fold
from rewriter.glossary.reading import Entry
from rewriter.glossary.terms import LintMessage
from rewriter.glossary.words import chinese_cost, latin_cost

# An alias that is a word this frequent or more (nats; 8 is one word in 3,000, such as 学校 or `between`) occurs in
# nearly every passage: its term is shown to the model all the time, and will be put where nobody said it.
EVERYWHERE = 8.0
# An alias that is a word at all (one in 160,000 or more), and replaced without asking. The list of words ends at 13,
# and names begin to stand among the words there; without `certain` such an alias is what a glossary is for: 志愿, 限量.
ORDINARY = 12.0


# Names are shorter than this, in characters. A sentence takes the room of all other terms in the prompt.
LONGEST = 100
# Zero-width spaces and joiners, marks of direction and the byte order mark, which come along when names are copied from
# web pages. Not U+200C and U+200D, which Persian and the scripts of India are spelt with.
_HIDDEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
# Quotes around a name belong to the file it was copied from; within one, as in Sotheby's, they are spelling.
_QUOTED = re.compile("[\"'`“‘「『《](.+)[\"'`”’」』》]")
# Several aliases in one text: `aliases: 云西, 云昔` is a single alias to YAML. Digits with commas are numbers.
_LISTED = re.compile(r"[，、]|,(?!\d)")


def doubts(entries: Sequence[Entry]) -> Iterator[LintMessage]:
    """Warnings, entry by entry."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        for message in (*_of_entry(entry), *_folded_alike(entry, first)):
            yield LintMessage(level="warning", file=entry.file, line=entry.line, message=message)


def _of_entry(entry: Entry) -> Iterable[str]:
    name, aliases = str(entry.fields.get("canonical", "")), entry.fields.get("aliases", ())
    if len(name) > LONGEST:
        yield f"the term {name[:20]!r}... is {len(name)} characters long: that is no name."
    for form in (name, *aliases):
        if hidden := _HIDDEN.search(form):
            code = f"U+{ord(hidden[0]):04X}"
            yield f"{form!r} holds an invisible character, {code}: it is found only where that stands too."
        if quoted := _QUOTED.fullmatch(form):
            yield f"{form!r} has quotes as part of the name; without them it is {quoted[1]!r}."
    if len(name) == 1:
        yield f"the term {name!r} is one character long: it will be found in many places where it is not meant."
    for alias in aliases:
        yield from _of_alias(alias, name, certain=bool(entry.fields.get("certain")))
    if entry.fields.get("certain") and not aliases:
        yield f"{name!r} is certain, but has no alias to replace."
    if len({fold(alias) for alias in aliases}) < len(aliases):
        yield f"aliases of {name!r} differ in letter case, width or script only; one is enough unless `case` is true."


def _of_alias(alias: str, name: str, *, certain: bool) -> Iterable[str]:
    word = fold(alias)
    cost = min(chinese_cost(word), latin_cost(word))
    if len(alias) == 1:
        yield f"the alias {alias!r} of {name!r} is one character long: it will be found where it is not meant."
    elif alias == name:
        yield f"{alias!r} is listed as an alias of itself."
    elif _LISTED.search(alias) and not _LISTED.search(name):
        yield f"the alias {alias!r} of {name!r} has a comma in it; if it is several aliases, list them one by one."
    elif certain and cost <= ORDINARY:
        yield f"the alias {alias!r} of {name!r} is an ordinary word, and would be replaced without asking everywhere."
    elif cost <= EVERYWHERE:
        yield f"the alias {alias!r} of {name!r} is an ordinary word: it will be found where it is not meant."


def _folded_alike(entry: Entry, first: dict[tuple[str, str], Entry]) -> Iterable[str]:
    """A term that another of the same file equals but for case, width or script: probably one term, written twice."""
    name = str(entry.fields.get("canonical", ""))
    other = first.setdefault((entry.file, fold(name)), entry)
    if (spelt := other.fields.get("canonical", "")) != name:
        yield f"{name!r} and {spelt!r} (line {other.line}) differ in letter case, width or script only."
