"""What the formats share: the parts of a file that may be rewritten, and how new text gets to them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rewriter.formats.cues import distribute, relined
from rewriter.records import Piece, Segment


class Cue(NamedTuple):
    """A cue or recogniser segment: its plain text, times in seconds and speaker, where the file has them."""

    text: str
    begin: float | None = None
    finish: float | None = None
    speaker: str | None = None


Span = tuple[int, int]
# New texts of changed cues, by number -> the file's text, and notes on what could not be kept.
Rebuild = Callable[[dict[int, str]], tuple[str, list[str]]]


@dataclass(frozen=True)
class Body:
    """A file taken apart. `text` and `segments` go into the Transcript.

    For timed files `cues` are all cues, `spans` where in `text` each cue's text is (None for an empty cue), and
    `rebuild` makes the file's text from the new texts of the changed cues. txt and md have neither.
    """

    text: str
    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()
    cues: tuple[Cue, ...] = ()
    spans: tuple[Span | None, ...] = ()
    rebuild: Rebuild | None = field(default=None, repr=False)


def timed_body(cues: Sequence[Cue], rebuild: Rebuild, notes: Sequence[str] = ()) -> Body:
    """The body of a timed file: the cues' texts joined by a newline, one segment for each cue that has text."""
    spans: list[Span | None] = []
    segments: list[Segment] = []
    at = 0
    for cue in cues:
        if not cue.text:
            spans.append(None)
            continue
        span = (at, at + len(cue.text))
        spans.append(span)
        segments.append(
            Segment(
                index=len(segments), start=span[0], end=span[1], begin=cue.begin, finish=cue.finish, speaker=cue.speaker
            )
        )
        at = span[1] + 1
    text = "\n".join(c.text for c in cues if c.text)
    return Body(text, tuple(segments), tuple(notes), tuple(cues), tuple(spans), rebuild)


def spliced(text: str, pieces: Sequence[Piece]) -> str:
    """`text` with the pieces in their places."""
    out, at = [], 0
    for piece in pieces:
        out += [text[at : piece.start], piece.text]
        at = piece.end
    return "".join([*out, text[at:]])


def new_cue_texts(body: Body, pieces: Sequence[Piece]) -> dict[int, str]:
    """The new text of every cue that the pieces change, by cue number. A piece may cover many cues, or part of one."""
    numbers = [i for i, span in enumerate(body.spans) if span]
    spans = [span for span in body.spans if span]
    starts, ends = [s for s, _ in spans], [e for _, e in spans]
    edits: dict[int, list[tuple[int, int, str]]] = {}
    for piece in pieces:
        if piece.text != body.text[piece.start : piece.end]:
            touched = range(bisect_right(ends, piece.start), bisect_left(starts, piece.end))
            for which, start, end, part in _parts(body.text, spans, piece, touched):
                edits.setdefault(which, []).append((start, end, part))
    changed = {}
    for which, changes in edits.items():
        old = body.text[slice(*spans[which])]
        new = relined(old, _edited(body.text, spans[which], changes).strip())
        if new != old:
            changed[numbers[which]] = new
    return changed


def _parts(text: str, spans: Sequence[Span], piece: Piece, touched: range) -> list[tuple[int, int, int, str]]:
    """(cue, start, end, new text) for each cue a piece touches."""
    if not touched:  # between two cues: new words join the cue before, white space is dropped
        if not spans or not piece.text.strip():
            return []
        which = min(max(touched.stop - 1, 0), len(spans) - 1)
        at = min(max(piece.start, spans[which][0]), spans[which][1])
        return [(which, at, at, piece.text)]
    bounds = [spans[k][0] - piece.start for k in touched[1:]]
    parts = distribute(text[piece.start : piece.end], piece.text, bounds)
    return [
        (k, max(piece.start, spans[k][0]), min(piece.end, spans[k][1]), part)
        for k, part in zip(touched, parts, strict=True)
    ]


def _edited(text: str, span: Span, changes: Sequence[tuple[int, int, str]]) -> str:
    out, at = [], span[0]
    for start, end, part in changes:
        out += [text[at:start], part]
        at = end
    return "".join([*out, text[at : span[1]]])
