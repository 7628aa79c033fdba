"""Entries of several files to one set of terms: later files win, and what contradicts itself is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rewriter.glossary.fold import fold
from rewriter.glossary.reading import Entry, Problems
from rewriter.glossary.terms import LintMessage, Term

# White space was made single spaces when the file was read. What else is not printed can bring a terminal out of order.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def merge(entries: Iterable[Entry], problems: Problems) -> list[Term]:
    """The terms, in order of first mention.

    A later file's entry of the same term adds its aliases and replaces the fields it states, and an alias that a later
    file gives to another term moves there. Within one file both are contradictions, and go to `problems`.
    """
    merged: dict[str, dict[str, Any]] = {}
    homes: dict[str, Entry] = {}
    owners: dict[str, tuple[str, Entry]] = {}
    for entry in entries:
        name = str(entry.fields.get("canonical", ""))
        if not name:
            _error(problems, entry, "a term without a canonical form.")
        elif control := _CONTROL.search(" ".join(_texts(entry))):
            _error(
                problems, entry, f"a control character, U+{ord(control[0]):04X}; nobody says it, and it may do harm."
            )
        elif name in homes and homes[name].file == entry.file:
            _error(problems, entry, f"{name!r} is given twice; first in line {homes[name].line}.")
        else:
            homes[name] = entry
            _add(merged.setdefault(name, {"aliases": ()}), entry)
            _own(name, entry, merged, owners, problems)
    terms = [Term.model_construct(**_filled(fields)) for fields in merged.values()]
    _certain_canonicals(terms, homes, owners, problems)
    return terms


def _texts(entry: Entry) -> Iterator[str]:
    for value in entry.fields.values():
        yield from (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()


_DEFAULTS: dict[str, Any] = {name: field.default for name, field in Term.model_fields.items()}


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return _DEFAULTS | fields


def _add(fields: dict[str, Any], entry: Entry) -> None:
    aliases = tuple(dict.fromkeys((*fields["aliases"], *entry.fields.get("aliases", ()))))
    fields.update(entry.fields, aliases=aliases)


def _own(
    name: str,
    entry: Entry,
    merged: dict[str, dict[str, Any]],
    owners: dict[str, tuple[str, Entry]],
    problems: Problems,
) -> None:
    """Record whose aliases these are; settle or report where they had another owner."""
    for alias in entry.fields.get("aliases", ()):
        if not alias:
            _error(problems, entry, f"an empty alias of {name!r}.")
            continue
        key = alias if merged[name].get("case") else fold(alias)
        other, there = owners.get(key, (name, entry))
        if other != name and there.file == entry.file:
            message = f"{alias!r} is an alias of {name!r} and of {other!r} (line {there.line}); it can be only one's."
            _error(problems, entry, message)
        elif other != name:
            merged[other]["aliases"] = tuple(a for a in merged[other]["aliases"] if fold(a) != fold(alias))
            message = f"{alias!r} becomes an alias of {name!r}; {there.file}:{there.line} has it for {other!r}."
            problems.append(LintMessage(level="warning", file=entry.file, line=entry.line, message=message))
        owners[key] = (name, entry)


def _certain_canonicals(
    terms: list[Term], homes: dict[str, Entry], owners: dict[str, tuple[str, Entry]], problems: Problems
) -> None:
    """A canonical form that would be replaced without asking, as a certain alias of another term."""
    certain = {term.canonical for term in terms if term.certain}
    for term in terms:
        owner, entry = owners.get(fold(term.canonical), (term.canonical, None))
        if entry is None or owner == term.canonical or fold(owner) == fold(term.canonical):
            continue
        home = homes[term.canonical]
        place = f"line {home.line}" if home.file == entry.file else f"{home.file}:{home.line}"
        if owner in certain:
            message = (
                f"{term.canonical!r} would be replaced by {owner!r} without asking, but is a term itself ({place})."
            )
            _error(problems, entry, message)
        else:
            message = (
                f"{term.canonical!r} is an alias of {owner!r} and a term itself ({place}); the term is what counts."
            )
            problems.append(LintMessage(level="warning", file=entry.file, line=entry.line, message=message))


def _error(problems: Problems, entry: Entry, message: str) -> None:
    problems.append(LintMessage(level="error", file=entry.file, line=entry.line, message=message))
