"""ASS and SSA: only the text field of Dialogue lines is replaced; styles, effects, layers and comments stay."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewriter.errors import FormatError
from rewriter.formats.base import Body, Cue, timed_body
from rewriter.formats.markup import Markup, unmark
from rewriter.formats.srt import Line, lines_of, rebuilder, seconds

_TAGS = re.compile(r"(?<!\\)\{[^{}]*\}")
_CLOCK = re.compile(r"\s*(\d+):(\d{1,2}):(\d{1,2})(?:[.:,](\d{1,3}))?\s*")
_DRAWING = re.compile(r"\\p[1-9]")
_NEEDED = ("start", "end", "text")


def _unescape(raw: str) -> str:
    return raw.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", "\u00a0").replace("\\{", "{")


def _escape(plain: str) -> str:
    return plain.replace("\n", "\\N").replace("\u00a0", "\\h").replace("{", "\\{")


_MARKUP = Markup(_TAGS, _unescape, _escape)


def parse(text: str, *, name: str) -> Body:
    """Dialogue lines of an ass or ssa file; drawings are carried through.

    Raises FormatError with the line where [Events] has no usable Format line, or a Dialogue line is short or has no
    times.
    """
    cues, spans = [], []
    section, fields = "", list[str]()
    for line in lines_of(text):
        kind, _, rest = line.text.partition(":")
        if line.text.lstrip("\ufeff").startswith("["):
            section = line.text.strip().lower()
        elif section == "[events]" and kind.strip().lower() == "format":
            fields = _fields(rest, line, name)
        elif section == "[events]" and kind.strip().lower() == "dialogue":
            cue, start = _dialogue(line, len(kind) + 1, fields, name)
            cues.append(cue)
            spans.append((start, line.end))
    if not cues:
        raise FormatError(
            "no Dialogue line found in [Events].", where=name, remedy="Is it an ASS or SSA subtitle file?"
        )
    return timed_body(cues, rebuilder(text, spans, _MARKUP))


def _fields(rest: str, line: Line, name: str) -> list[str]:
    fields = [f.strip().lower() for f in rest.split(",")]
    if any(f not in fields for f in _NEEDED) or fields[-1] != "text":
        what = f"the Format line of [Events] (line {line.number}) needs Start, End and, as the last, Text."
        raise FormatError(what, where=f"{name}:{line.number}", remedy="Save the file again from a subtitle editor.")
    return fields


def _dialogue(line: Line, after_kind: int, fields: Sequence[str], name: str) -> tuple[Cue, int]:
    """A Dialogue line's cue, and where its text begins in the file."""
    values = line.text[after_kind:].split(",", len(fields) - 1) if fields else []
    times = (
        [_CLOCK.fullmatch(values[fields.index(f)]) for f in ("start", "end")] if len(values) == len(fields) > 0 else []
    )
    if not times or not times[0] or not times[1]:
        what = f"line {line.number} is no Dialogue line as the Format line says."
        raise FormatError(what, where=f"{name}:{line.number}", remedy="Correct the line, or save the file again.")
    raw = values[-1]
    speaker = next((values[fields.index(f)].strip() for f in ("name", "actor") if f in fields), "")
    words = "" if _DRAWING.search("".join(_TAGS.findall(raw))) else unmark(raw, _MARKUP).plain.strip()
    cue = Cue(words, seconds(*times[0].groups()), seconds(*times[1].groups()), speaker or None)
    return cue, line.end - len(raw)
