"""What of a glossary enters a prompt: the terms that occur in the passage, ranked and bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rewriter.glossary.terms import TermHint
from rewriter.records import Hit

# Hints per passage. A passage of 300 tokens rarely holds more than ten terms; a model that is shown many more begins
# to put them where they were not said.
MAX_TERMS = 16
# Tokens of hints per passage, roughly (see `_tokens`): about as much as a short passage itself.
MAX_TOKENS = 300
# What a line's own words cost, in tokens, beside the forms and the note.
_LINE = 6
_RANK = {"alias": 0, "sound": 1, "canonical": 2}


def hints(text: str, hits: Sequence[Hit], *, limit_terms: int, limit_tokens: int) -> list[TermHint]:
    """Hints in order of appearance. Known mishearings go before what sounds alike (likely ones and best scores first),
    that before terms that are spelt right already; what goes beyond the limits is left out from the end of that
    ranking.
    """
    groups: dict[tuple[str, str, bool], list[Hit]] = {}
    wrong = {hit.canonical for hit in hits if hit.how != "canonical"}
    for hit in hits:
        if hit.how != "canonical" or hit.canonical not in wrong:
            groups.setdefault((hit.canonical, hit.how, hit.likely), []).append(hit)
    ranked = sorted(groups.values(), key=_rank)
    kept = _within(ranked, text, limit_terms, limit_tokens)
    return [_hint(text, group) for group in sorted(kept, key=lambda g: (g[0].start, g[0].end, g[0].canonical))]


def _rank(group: Sequence[Hit]) -> tuple[int, bool, float, int]:
    first = group[0]
    return _RANK[first.how], not first.likely, -max(hit.score for hit in group), first.start


def _within(ranked: Iterable[list[Hit]], text: str, limit_terms: int, limit_tokens: int) -> list[list[Hit]]:
    kept: list[list[Hit]] = []
    for group in ranked:
        limit_tokens -= _tokens(_hint(text, group))
        if len(kept) == limit_terms or limit_tokens < 0:
            break
        kept.append(group)
    return kept


def _hint(text: str, group: Sequence[Hit]) -> TermHint:
    forms = tuple(dict.fromkeys(text[hit.start : hit.end] for hit in group))
    first = group[0]
    return TermHint(canonical=first.canonical, forms=forms, how=first.how, likely=first.likely, note=first.note)


def _tokens(hint: TermHint) -> int:
    """Roughly: a Chinese character is a token, and so are four other letters. Counting would load a vocabulary."""
    words = "".join((hint.canonical, *hint.forms, hint.note))
    wide = sum(char >= "\u3000" for char in words)
    return _LINE + wide + (len(words) - wide + 3) // 4
