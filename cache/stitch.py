"""A passage whose ends have moved: made of a part of one stored passage, or of the end of one and the start of another.

Passages are cut where the text says so, and an edit beside a cut moves it: the new passage then begins or ends inside
an old one. The stored pairs are cut, or joined and cut, where the new passage begins and ends; then the differences are
carried as in any other. A cut is made only where the rewrite has the words on both sides as they were said and nothing
was rewritten near.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .replay import LONGEST, Hunk, Path, Refused, carry
from .words import Words

# Tokens of the new passage that have to stand in a stored one, once, for a cut to be sure; and how far from the new
# passage's end they may be, since what moved the cut is an edit beside it.
ANCHOR, STEPS = 6, (0, 6, 12, 18)
Pair = tuple[str, str]  # source, rewrite


def stitched(stored: Sequence[Pair], source: str, *, drops_hesitations: bool) -> Iterator[tuple[tuple[int, ...], str]]:
    """Rewrites of `source` made from parts of stored pairs, with the numbers of those used."""
    new = Words.of(source)
    if len(new.tokens) < 2 * ANCHOR:
        return
    texts = [Words.of(s) for s, _ in stored]
    starts = [(n, _start(t.tokens, new.tokens)) for n, t in enumerate(texts)]
    ends = [(n, _end(t.tokens, new.tokens)) for n, t in enumerate(texts)]
    for first, start in starts:
        for last, end in ends:
            if start is None or end is None:
                continue
            size = end - start if first == last else len(texts[first].tokens) - start + end
            if abs(size - len(new.tokens)) > LONGEST:
                continue
            try:
                pair = _part(stored, texts, (first, start), (last, end))
                text = carry(*pair, source, drops_hesitations=drops_hesitations)
            except Refused:
                continue
            yield ((first,) if first == last else (first, last)), text


def _start(tokens: Sequence[str], new: Sequence[str]) -> int | None:
    """The token of a stored passage at which the new one begins, None where that is not sure."""
    for step in STEPS:
        place = _only(tokens, new[step : step + ANCHOR])
        if place is not None:
            return max(0, place - step)
    return None


def _end(tokens: Sequence[str], new: Sequence[str]) -> int | None:
    """The token of a stored passage before which the new one ends, None where that is not sure."""
    for step in STEPS:
        place = _only(tokens, new[len(new) - step - ANCHOR : len(new) - step])
        if place is not None:
            return min(len(tokens), place + ANCHOR + step)
    return None


def _only(tokens: Sequence[str], part: Sequence[str]) -> int | None:
    """Where a part stands in tokens, None unless it stands there once."""
    size = len(part)
    if size < ANCHOR:
        return None
    places = [n for n in range(len(tokens) - size + 1) if tokens[n] == part[0] and tokens[n : n + size] == part]
    return places[0] if len(places) == 1 else None


def _part(stored: Sequence[Pair], texts: Sequence[Words], begin: tuple[int, int], stop: tuple[int, int]) -> Pair:
    """The stored pair, or two joined, from one token of the source to another. Raises Refused."""
    first, start = begin
    last, end = stop
    if first == last:
        return _cut(texts[first], stored[first][1], start, end)
    left = _cut(texts[first], stored[first][1], start, len(texts[first].tokens))
    right = _cut(texts[last], stored[last][1], 0, end)
    return _joined(left[0], right[0]), _joined(left[1], right[1])


def _joined(left: str, right: str) -> str:
    """Two texts as one; a space keeps words of spaced scripts apart."""
    left, right = left.rstrip(), right.lstrip()
    return f"{left} {right}" if left[-1:].isascii() or right[:1].isascii() else left + right


def _cut(old: Words, rewrite: str, start: int, end: int) -> Pair:
    """Tokens [start, end) of a source and what the rewrite has for them. Raises Refused."""
    if start == 0 and end == len(old.tokens):
        return old.text, rewrite
    done = Words.of(rewrite)
    path = Path(old, done)
    for place in {start, end} - {0, len(old.tokens)}:
        if not path.clear(Hunk(place, place, 0, 0)) or path.before(place) != path.after(place):
            raise Refused("the model rewrote what stands beside the cut")
    return _slice(old, start, end), _slice(done, path.after(start), path.before(end))


def _slice(words: Words, start: int, end: int) -> str:
    """The text of tokens [start, end), with the marks after the last."""
    if start >= end:
        raise Refused("nothing is left of it")
    begin = words.spans[start][0] if start else 0
    stop = words.spans[end][0] if end < len(words.tokens) else len(words.text)
    return words.text[begin:stop].rstrip()
