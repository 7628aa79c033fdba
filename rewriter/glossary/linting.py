"""What is doubtful in glossary entries, though it contradicts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rewriter.glossary.fold import fold
from rewriter.glossary.reading import Entry
from rewriter.glossary.terms import LintMessage


def doubts(entries: Sequence[Entry]) -> Iterator[LintMessage]:
    """Warnings, entry by entry."""
    for entry in entries:
        for message in _of_entry(entry):
            yield LintMessage(level="warning", file=entry.file, line=entry.line, message=message)


def _of_entry(entry: Entry) -> Iterable[str]:
    name, aliases = str(entry.fields.get("canonical", "")), entry.fields.get("aliases", ())
    if len(name) == 1:
        yield f"the term {name!r} is one character long: it will be found in many places where it is not meant."
    for alias in aliases:
        if len(alias) == 1:
            yield f"the alias {alias!r} of {name!r} is one character long: it will be found where it is not meant."
        if alias == name:
            yield f"{alias!r} is listed as an alias of itself."
    if entry.fields.get("protect") and entry.fields.get("certain") and not aliases:
        yield f"{name!r} is certain, but has no alias to replace."
    if len({fold(alias) for alias in aliases}) < len(aliases):
        yield f"aliases of {name!r} differ in letter case or width only; one is enough unless `case` is true."
