"""SubRip: the cues' texts are found and replaced in place, so that everything else stays byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rewriter.errors import FormatError
from rewriter.formats.base import Body, Cue, Rebuild, Span, timed_body
from rewriter.formats.markup import Markup, remark, unmark
from rewriter.formats.plain import newline_of

_CLOCK = r"(\d+):(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_MEANT_AS_TIMING = re.compile(r"\s*\d[\d:.,\s]*-->|.*-->\s*\d+:[\d:.,]+\s*$")
_NUMBER = re.compile(r"\s*\d+\s*")
# Only tags that players know: a recogniser's "<unk>" is text.
_TAGS = re.compile(r"</?(?:i|b|u|s|c|font|ruby|rt)\b[^<>\n]*>|\{\\[^{}\n]*\}", re.IGNORECASE)


class Line(NamedTuple):
    """text[start:end] of a file, without its line end. `number` counts from 1."""

    number: int
    start: int
    end: int
    text: str


def lines_of(text: str) -> list[Line]:
    """The lines of a text; CRLF, CR and LF end them."""
    ends = [(m.start(), m.end()) for m in re.finditer(r"\r\n|\r|\n", text)]
    edges = [(0, 0), *ends, (len(text), len(text))]
    spans = ((a[1], b[0]) for a, b in pairwise(edges))
    return [Line(i, s, e, text[s:e]) for i, (s, e) in enumerate(spans, 1)]


def parse(text: str, *, name: str) -> Body:
    """Cues of an srt file. Raises FormatError with the line where a timing cannot be read, or there is none."""
    lines = lines_of(text)
    timings = list(_timings(lines, name))
    if not timings:
        raise FormatError(
            "no cue found.", where=name, remedy="An srt file has lines like 00:00:01,000 --> 00:00:02,000."
        )
    cues, spans = [], []
    markup = _markup(text)  # once: it looks through the whole file
    edges = [*(at for at, _ in timings), None]
    for (at, times), following in zip(timings, edges[1:], strict=True):
        span = _text_span(lines, at, following)
        spans.append(span)
        cues.append(Cue(unmark(text[slice(*span)], markup).plain.strip(), *times))
    return timed_body(cues, rebuilder(text, spans, markup))


def _markup(text: str) -> Markup:
    """srt has no escapes; line breaks are those of the file."""
    newline = newline_of(text)
    return Markup(_TAGS, lambda s: re.sub(r"\r\n?", "\n", s), lambda s: s.replace("\n", newline))


def rebuilder(text: str, spans: Sequence[Span], markup: Markup) -> Rebuild:
    """A function that puts new words of cues into `text`, whose cues' raw texts are at `spans`."""

    def rebuild(changed: dict[int, str]) -> tuple[str, list[str]]:
        out, at = [], 0
        for which in sorted(changed):
            start, end = spans[which]
            out += [text[at:start], remark(unmark(text[start:end], markup), changed[which], markup)]
            at = end
        return "".join([*out, text[at:]]), []

    return rebuild


def seconds(hours: str | None, minutes: str, secs: str, fraction: str | None) -> float:
    """A clock time in seconds; the fraction's digits are thousandths, hundredths or tenths by their number."""
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(secs) + (float(f"0.{fraction}") if fraction else 0.0)


def _timings(lines: Sequence[Line], name: str) -> Iterator[tuple[int, tuple[float, float]]]:
    for at, line in enumerate(lines):
        if "-->" not in line.text:
            continue
        if match := _TIMING.fullmatch(line.text):
            parts = match.groups()
            yield at, (seconds(*parts[:4]), seconds(*parts[4:]))
        elif _MEANT_AS_TIMING.match(line.text):
            what = f"line {line.number} is no timing: {line.text.strip()[:80]!r}."
            raise FormatError(what, where=f"{name}:{line.number}", remedy="Write it as 00:00:01,000 --> 00:00:02,000.")


def _text_span(lines: Sequence[Line], at: int, following: int | None) -> Span:
    """Where the text of the cue timed at line `at` is. Blank lines inside it belong to it, a number line before the
    next timing does not; nor does what follows a blank line and begins with "#", which some editors write as notes."""
    stop = len(lines) if following is None else following
    if following is not None and stop - 1 > at and _NUMBER.fullmatch(lines[stop - 1].text):
        stop -= 1
    inside = list(lines[at + 1 : stop])
    while inside and not inside[0].text.strip():
        inside.pop(0)
    for i in range(1, len(inside)):
        if not inside[i - 1].text.strip() and inside[i].text.startswith("#"):
            inside = inside[:i]
            break
    while inside and not inside[-1].text.strip():
        inside.pop()
    if not inside:
        after = lines[at + 1].start if at + 1 < len(lines) else lines[at].end
        return after, after
    return inside[0].start, inside[-1].end
