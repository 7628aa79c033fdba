"""A run's totals, and a finished file's entry in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rewriter.money import Chosen, cost_of, prices
from rewriter.records import STATUSES, Outcome, TermCount, Usage
from rewriter.work import Work

Spent = dict[str, Usage]


class Price:
    """Dollars for usage by model, as the model in use is paid for."""

    def __init__(self, choice: Chosen) -> None:
        prices()  # a table that cannot be used is told before the first call
        self._free = choice.embedded

    def __call__(self, spent: Spent) -> float | None:
        """None where the price of a model is not known."""
        return 0.0 if self._free else cost_of(spent)


def file_entry(work: Work, outcomes: Sequence[Outcome], account: Mapping[str, int], price: Price) -> dict[str, Any]:
    """What became of one file's passages, what it took and what the cache saved."""
    counts = Counter(o.status for o in outcomes)
    names = Counter(name for f in work.fixed.fixes for name in f.name.split("+"))
    spent, saved = added(o.spent for o in outcomes), added(o.saved for o in outcomes)
    return {
        "passages": {status: counts[status] for status in STATUSES},
        "unanswered": sum(o.unanswered for o in outcomes),
        "fixes": dict(sorted(names.items())),
        "terms": terms(o.terms for o in outcomes),
        "loops": [f.note for f in work.fixed.fixes if f.count],
        "characters": dict(account),
        "usage": total(spent).model_dump(),
        "spent": dump(spent),
        "saved": dump(saved),
        "cost": price(spent),
        "cost_saved": price(saved),
        "notes": list(work.transcript.notes),
    }


def totals(entries: Sequence[Mapping[str, Any]], spent: Spent, price: Price) -> dict[str, Any]:
    """The sums over finished files, and what was spent in all: unfinished files are not among the entries."""
    saved = added(undump(e.get("saved", {})) for e in entries)
    characters = sum((Counter(e["characters"]) for e in entries), Counter[str]())
    return {
        "files": len(entries),
        "passages": {status: sum(e["passages"][status] for e in entries) for status in STATUSES},
        "characters": dict(sorted(characters.items())),
        "terms": terms({n: TermCount(**c) for n, c in e.get("terms", {}).items()} for e in entries),
        "usage": total(spent).model_dump(),
        "spent": dump(spent),
        "saved": dump(saved),
        "cost": price(spent),
        "cost_saved": price(saved),
    }


def added(many: Iterable[Mapping[str, Usage]]) -> Spent:
    """Usage by model, added up."""
    found: Spent = {}
    for spent in many:
        for model, usage in spent.items():
            found[model] = found.get(model, Usage()) + usage
    return found


def total(spent: Mapping[str, Usage]) -> Usage:
    """Usage of all models."""
    return sum(spent.values(), Usage())


def dump(spent: Mapping[str, Usage]) -> dict[str, dict[str, int]]:
    """As JSON has it."""
    return {model: usage.model_dump() for model, usage in sorted(spent.items())}


def undump(dumped: Mapping[str, Mapping[str, int]]) -> Spent:
    """Back from JSON."""
    return {model: Usage(**usage) for model, usage in dumped.items()}


def terms(counted: Iterable[Mapping[str, TermCount]]) -> dict[str, dict[str, int]]:
    """Terms applied, missed and invented, added up by canonical form, in order."""
    found: dict[str, TermCount] = {}
    for counts in counted:
        for name, count in counts.items():
            found[name] = found.get(name, TermCount()) + count
    return {name: found[name].model_dump() for name in sorted(found)}
