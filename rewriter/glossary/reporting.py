"""Whether a rewrite applied the glossary: what it put right, what it left, what it made up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rewriter.glossary.beside import Beside, Tokens, nearest
from rewriter.glossary.terms import TermReport, TermUse
from rewriter.records import Finding, Fix, Hit, TermCount

# Tokens on the source's side of a name that are looked through for what it may have been heard as. A longer stretch was
# said anew, and something in it sounds like anything.
_LOOKED_THROUGH = 12


def report(before: Sequence[Hit], after: Sequence[Hit], source: str, rewrite: str) -> TermReport:
    """Compare the hits of a source, by sound too, with those of its rewrite.

    Each canonical form in the rewrite answers one place of the source: the one it stands against in the alignment, or
    else one that is left (a model may move a word). One that answers none is put down to the model: applied where what
    stood there sounds like the term, though it was not offered, and answers for no other; invented otherwise.
    """
    beside = Beside(source, rewrite)
    heard, there = _by_term(before), _by_term(after)
    applied, missed, invented = [], [], []
    for name in sorted({*heard, *there}):
        right = [hit for hit in there.get(name, ()) if hit.how == "canonical"]
        answered, unasked = _answered(heard.get(name, ()), right, beside)
        guessed = _guessed(unasked, answered, source, beside)
        applied.append([*(hit for hit in answered if hit.how != "canonical"), *filter(None, guessed)])
        invented.append([hit for hit, guess in zip(unasked, guessed, strict=True) if guess is None])
        missed.append([hit for hit in there.get(name, ()) if hit.how == "alias"])
    return TermReport(applied=_uses(applied, source), missed=_uses(missed, rewrite), invented=_uses(invented, rewrite))


def _guessed(unasked: Iterable[Hit], answered: Iterable[Hit], source: str, beside: Beside) -> list[Hit | None]:
    """For each canonical form what it was heard as, of what no other answers for."""
    taken = list(answered)
    found: list[Hit | None] = []
    for hit in unasked:
        guess = _heard_as(hit, source, beside, taken)
        found.append(guess)
        taken += [guess] if guess else []
    return found


def _heard_as(hit: Hit, source: str, beside: Beside, taken: Sequence[Hit]) -> Hit | None:
    """What of the source a canonical form was made of, where that sounds like it."""
    tokens = beside.in_source(hit.start, hit.end)
    runs = _free(tokens, taken) if len(tokens) <= _LOOKED_THROUGH else []
    found = next(filter(None, (nearest(source, run, hit.canonical) for run in runs)), None)
    return found and hit.model_copy(update={"start": found[0], "end": found[1], "how": "sound"})


def _free(tokens: Tokens, taken: Sequence[Hit]) -> list[Tokens]:
    """Stretches of tokens between places that are taken."""
    marked = groupby(tokens, key=lambda t: any(hit.start < t.end() and t.start() < hit.end for hit in taken))
    return [list(run) for is_taken, run in marked if not is_taken]


def _answered(heard: Sequence[Hit], right: Sequence[Hit], beside: Beside) -> tuple[list[Hit], list[Hit]]:
    """The places of the source that a canonical form answers, and the canonical forms that answer none."""
    free, left, answered = list(right), [], []
    for hit in heard if right else ():  # aligning the two takes longer than all else here
        start, end = beside.in_made(hit.start, hit.end)
        found = next((other for other in free if other.start < end and start < other.end), None)
        if found is None:
            left.append(hit)
        else:
            free.remove(found)
            answered.append(hit)
    moved = min(len(left), len(free))
    return [*answered, *left[:moved]], free[moved:]


def _by_term(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.canonical, []).append(hit)
    return groups


def _uses(groups: Iterable[Sequence[Hit]], text: str) -> tuple[TermUse, ...]:
    return tuple(_use(sorted(hits, key=lambda hit: hit.start), text) for hits in groups if hits)


def _use(hits: Sequence[Hit], text: str) -> TermUse:
    return TermUse(
        canonical=hits[0].canonical,
        forms=tuple(dict.fromkeys(text[hit.start : hit.end] for hit in hits)),
        spans=tuple((hit.start, hit.end) for hit in hits),
        certain=any(hit.certain for hit in hits),
    )


# --- what follows from it --------------------------------------------------------------------------------------------


def mended(text: str, hits: Iterable[Hit]) -> tuple[str, tuple[Fix, ...]]:
    """A rewrite with its certain aliases replaced, and the fixes that did it; spans are code points of `text`."""
    fixes = tuple(
        Fix(name="alias", start=hit.start, end=hit.end, before=text[hit.start : hit.end], after=hit.canonical)
        for hit in hits
        if hit.certain and hit.how == "alias"
    )
    pieces, at = [], 0
    for fix in fixes:
        pieces += [text[at : fix.start], fix.after]
        at = fix.end
    return "".join((*pieces, text[at:])), fixes


def findings(said: TermReport, rewrite: str) -> tuple[Finding, ...]:
    """Warnings for a person: names that were made up, and known mishearings that were left; spans are the rewrite's."""
    made = "{!r} stands where nothing like it was said."
    left = "{1!r} was left as it was heard; the glossary has {0!r}."
    return tuple(
        Finding(
            kind="glossary",
            severity="warn",
            weight=_weight(use.canonical),
            source=None,
            draft=span,
            draft_text=rewrite[slice(*span)],
            message=message.format(use.canonical, rewrite[slice(*span)]),
        )
        for uses, message in ((said.invented, made), (said.missed, left))
        for use in uses
        for span in use.spans
    )


def _weight(name: str) -> float:
    """Content characters, as the guard counts them: a Chinese character is one, four other letters are."""
    wide = sum(char >= "\u3000" for char in name)
    return wide + (len(name) - wide) / 4


def totals(reports: Iterable[TermReport]) -> dict[str, TermCount]:
    """The reports of many passages added up, by canonical form, in order."""
    counts: dict[str, dict[str, int]] = {}
    for one in reports:
        for kind, uses in (("applied", one.applied), ("missed", one.missed), ("invented", one.invented)):
            for use in uses:
                count = counts.setdefault(use.canonical, {})
                count[kind] = count.get(kind, 0) + len(use.spans)
    return {name: TermCount(**counts[name]) for name in sorted(counts)}
