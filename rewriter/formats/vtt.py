"""WebVTT: header, notes, styles, regions, cue ids and settings stay byte for byte; only cue text is replaced."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from rewriter.errors import FormatError
from rewriter.formats.base import Body, Cue, timed_body
from rewriter.formats.markup import Markup, unmark
from rewriter.formats.plain import newline_of
from rewriter.formats.srt import Line, lines_of, rebuilder, seconds

_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{2})\.(\d{3})"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_HEADER = re.compile(r"WEBVTT(?:[ \t]|$)")
_OTHER_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_TAGS = re.compile(r"<[^<>]*>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_NO_HEADER = (
    "The first line is not WEBVTT, as players require; it was read all the same and is written back without it."
)


def parse(text: str, *, name: str) -> Body:
    """Cues of a vtt file. A missing WEBVTT line is tolerated with a note; a timing that cannot be read is a FormatError
    with its line."""
    lines = lines_of(text)
    notes = () if _HEADER.match(lines[0].text) else (_NO_HEADER,)
    cues, spans = [], []
    markup = _markup(text)
    for block in _blocks(lines):
        at = _timing_line(block, name)
        if at is None:
            continue
        match = _TIMING.fullmatch(block[at].text)
        assert match is not None
        after = block[at].end
        span = (block[at + 1].start, block[-1].end) if at + 1 < len(block) else (after, after)
        raw = text[slice(*span)]
        spans.append(span)
        parts = match.groups()
        cues.append(Cue(unmark(raw, markup).plain.strip(), seconds(*parts[:4]), seconds(*parts[4:]), _speaker(raw)))
    if not cues:
        raise FormatError("no cue found.", where=name, remedy="A vtt cue begins like 00:01.000 --> 00:02.000.")
    return timed_body(cues, rebuilder(text, spans, markup), notes)


def _markup(text: str) -> Markup:
    newline = newline_of(text)

    def unescape(raw: str) -> str:
        return html.unescape(re.sub(r"\r\n?", "\n", raw))

    def escape(plain: str) -> str:
        return html.escape(plain, quote=False).replace("\n", newline)

    return Markup(_TAGS, unescape, escape)


def _speaker(raw: str) -> str | None:
    """The voice of a cue, where it has exactly one."""
    voices = {html.unescape(v).strip() for v in _VOICE.findall(raw)}
    return voices.pop() if len(voices) == 1 else None


def _blocks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Runs of lines that are not blank."""
    block: list[Line] = []
    for line in lines:
        if line.text.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _timing_line(block: Sequence[Line], name: str) -> int | None:
    """Which of a block's first two lines is its timing; None for a header, note, style or region."""
    if _OTHER_BLOCK.match(block[0].text) or _HEADER.match(block[0].text):
        return None
    for at, line in enumerate(block[:2]):
        if _TIMING.fullmatch(line.text):
            return at
        if "-->" in line.text:
            what = f"line {line.number} is no timing: {line.text.strip()[:80]!r}."
            raise FormatError(what, where=f"{name}:{line.number}", remedy="Write it as 00:01.000 --> 00:02.000.")
    return None
