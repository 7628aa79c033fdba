"""A transcript in another format than its own: words, times and speakers go over; styling does not."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from rewriter.errors import FormatError
from rewriter.formats.base import Cue

_NO_TIMES = "Only srt, vtt, ass, ssa and JSON with times can be converted to it; txt and md cannot."


def convert(to: str, text: str, cues: Sequence[Cue], *, name: str) -> tuple[str, list[str]]:
    """The file's text in format `to`, and notes. `text` is the rewritten text, `cues` its cues (none for txt and md).

    Raises FormatError where the new format needs times and there are none.
    """
    if to in {"txt", "md"}:
        notes = ["Times and speakers do not fit into plain text and were left out."] if cues else []
        return text.rstrip("\n") + "\n", notes
    if not cues or any(c.begin is None or c.finish is None for c in cues):
        raise FormatError(f"cannot be written as {to}: it has no times.", where=name, remedy=_NO_TIMES)
    writers = {"srt": _srt, "vtt": _vtt, "json": _json}
    spoken = any(c.speaker for c in cues)
    notes = ["Speakers do not fit into srt and were left out."] if spoken and to == "srt" else []
    return (writers[to](cues) if to in writers else _substation(cues, to)), notes


def _clock(time: float, point: str) -> str:
    thousandths = round(time * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _timing(cue: Cue, point: str) -> str:
    return f"{_clock(cue.begin or 0.0, point)} --> {_clock(cue.finish or 0.0, point)}"


def _srt(cues: Sequence[Cue]) -> str:
    return "\n".join(f"{i}\n{_timing(c, ',')}\n{c.text}\n" for i, c in enumerate(cues, 1))


def _vtt(cues: Sequence[Cue]) -> str:
    blocks = []
    for cue in cues:
        voice = f"<v {html.escape(cue.speaker, quote=False)}>" if cue.speaker else ""
        blocks.append(f"{_timing(cue, '.')}\n{voice}{html.escape(cue.text, quote=False)}\n")
    return "\n".join(["WEBVTT\n", *blocks])


def _json(cues: Sequence[Cue]) -> str:
    segments = []
    for i, cue in enumerate(cues):
        speaker = {"speaker": cue.speaker} if cue.speaker else {}
        segments.append({"id": i, "start": cue.begin, "end": cue.finish, "text": cue.text, **speaker})
    whole = "\n".join(c.text for c in cues)
    return json.dumps({"text": whole, "segments": segments}, ensure_ascii=False, indent=2) + "\n"


def _substation(cues: Sequence[Cue], to: str) -> str:
    import pysubs2

    subs = pysubs2.SSAFile()
    for cue in cues:
        start, end = round((cue.begin or 0.0) * 1000), round((cue.finish or 0.0) * 1000)
        text = cue.text.replace("\n", "\\N")
        subs.append(pysubs2.SSAEvent(start=start, end=end, text=text, name=(cue.speaker or "").replace(",", " ")))
    return subs.to_string(to)
