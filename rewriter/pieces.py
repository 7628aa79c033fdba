"""What ships: outcomes and fixes put into the transcript's own text, and the account that nothing is lost.

pieces    outcomes and fixes as replacements in the transcript's own text
account   every source character: rewritten, fixed, kept or carried
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewriter.errors import RewriterError
from rewriter.records import Outcome, Piece

if TYPE_CHECKING:
    from rewriter.fixes import FixedText
    from rewriter.work import Work


@dataclass(frozen=True)
class _Patch:
    """A stretch of the fixed text, the source span it stands for if it is a fix, and an outcome's text if it is one."""

    start: int
    end: int
    text: str | None = None
    source: tuple[int, int] | None = None


def pieces(work: Work, outcomes: Sequence[Outcome]) -> list[Piece]:
    """Outcomes and fixes as replacements in the transcript's own text, in order and apart.

    A fix at an outcome's edge, or between two, becomes part of one piece with it: no repair is lost in a gap and
    nothing is written twice.
    """
    patches = [_Patch(*o.fixed, text=o.text) for o in outcomes] + _fix_patches(work.fixed)
    patches.sort(key=lambda p: (p.start, p.end, p.text is not None))
    clusters: list[list[_Patch]] = []
    reach = -1  # the end of the last cluster
    for patch in patches:
        touches = patch.start == reach and (patch.source or any(p.source and p.end == reach for p in clusters[-1]))
        if patch.start < reach or touches:
            clusters[-1].append(patch)
        else:
            clusters.append([patch])
        reach = max(reach, patch.end)
    return [_piece(work.fixed, cluster) for cluster in clusters]


def _fix_patches(fixed: FixedText) -> list[_Patch]:
    shift, patches = 0, []
    for f in fixed.fixes:
        start = f.start + shift
        patches.append(_Patch(start, start + len(f.after), source=(f.start, f.end)))
        shift += len(f.after) - len(f.before)
    return patches


def _piece(fixed: FixedText, cluster: list[_Patch]) -> Piece:
    start, end = min(p.start for p in cluster), max(p.end for p in cluster)
    text, at = [], start
    for patch in cluster:
        if patch.text is not None:
            text += [fixed.text[at : patch.start], patch.text]
            at = patch.end
    text.append(fixed.text[at:end])
    inside = [p for p in cluster if p.source is not None]
    first = next((p.source[0] for p in inside if p.source and p.start == start), None)
    last = next((p.source[1] for p in reversed(inside) if p.source and p.end == end), None)
    return Piece(
        start=fixed.to_source(start) if first is None else first,
        end=fixed.to_source(end) if last is None else last,
        text="".join(text),
    )


def account(work: Work, outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Source code points by what became of them; the values add up to the length of the transcript's text.

    Keys: an outcome's status, `fixed` (inside a fix), `carried` (white space, headings, code), `beyond_limit`
    (passages a --limit left out). Raises RewriterError where a character of a segment is in none of them: that would
    be a loss, and nothing is written then.
    """
    text = work.transcript.text
    spans = [(o.start, o.end, str(o.status)) for o in outcomes]
    spans += [(f.start, f.end, "fixed") for f in work.fixed.fixes]
    handled = {o.index for o in outcomes}
    spans += [
        (*work.fixed.to_source_span(p.start, p.end), "beyond_limit") for p in work.passages if p.index not in handled
    ]
    names = ["carried", *dict.fromkeys(name for _, _, name in spans)]
    codes, labels = {name: code for code, name in enumerate(names)}, bytearray(len(text))  # a byte for each code point
    for start, end, name in spans:
        labels[start:end] = bytes([codes[name]]) * (end - start)
    for segment in work.transcript.segments:
        _nothing_lost(work, labels, segment.start, segment.end)
    counts = {name: labels.count(code) for name, code in codes.items()}
    return {name: count for name, count in sorted(counts.items()) if count}


def _nothing_lost(work: Work, labels: bytearray, start: int, end: int) -> None:
    """Raise where a character between two places is neither labelled nor white space."""
    text = work.transcript.text
    at = labels.find(0, start, end)
    while at >= 0:
        if not text[at].isspace():
            raise RewriterError(
                f"character {at} ({text[at]!r}) is in no passage and no fix.",
                where=work.transcript.name,
                remedy="Nothing was written. This is a bug: please report it with the file.",
            )
        at = labels.find(0, at + 1, end)
