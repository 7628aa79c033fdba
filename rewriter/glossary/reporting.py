"""Whether a rewrite applied the glossary: what it put right, what it left, what it made up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rewriter.glossary.terms import TermReport, TermUse
from rewriter.records import Hit


def report(before: Sequence[Hit], after: Sequence[Hit], source: str, rewrite: str) -> TermReport:
    """Compare the hits of a source, by sound too, with those of its rewrite.

    A term counts as applied as often as its canonical form gained, up to the number of times it was misheard; places
    are not aligned, for a passage is short and a model may move a word.
    """
    heard, there = _by_term(before), _by_term(after)
    applied, missed, invented = [], [], []
    for name in sorted({*heard, *there}):
        wrong = [hit for hit in heard.get(name, ()) if hit.how != "canonical"]
        right = [hit for hit in there.get(name, ()) if hit.how == "canonical"]
        gained = len(right) - (len(heard.get(name, ())) - len(wrong))
        if wrong and gained > 0:
            applied.append(_use(wrong[:gained], source))
        if left := [hit for hit in there.get(name, ()) if hit.how == "alias"]:
            missed.append(_use(left, rewrite))
        if right and name not in heard:
            invented.append(_use(right, rewrite))
    return TermReport(applied=tuple(applied), missed=tuple(missed), invented=tuple(invented))


def _by_term(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.canonical, []).append(hit)
    return groups


def _use(hits: Sequence[Hit], text: str) -> TermUse:
    return TermUse(
        canonical=hits[0].canonical,
        forms=tuple(dict.fromkeys(text[hit.start : hit.end] for hit in hits)),
        spans=tuple((hit.start, hit.end) for hit in hits),
        certain=any(hit.certain for hit in hits),
    )
