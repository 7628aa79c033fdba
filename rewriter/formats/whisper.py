"""JSON of recognisers: Whisper and its relatives, FunASR, and lists of timed texts. Unknown fields are kept."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rewriter.errors import FormatError
from rewriter.formats.base import Body, Cue, timed_body
from rewriter.formats.cues import join_lines

# Fields of a segment that spell its text out in words or tokens: they would be wrong beside a new text.
_SPELT_OUT = ("words", "tokens", "chars", "timestamp", "timestamps", "ts_list", "word_segments")
_HALF = re.compile("[\ud800-\udfff]")
_JOINERS = ("", " ", "\n")
_MILLISECONDS = 1000
_KNOWN = (
    "Known are openai-whisper, whisperX, whisper-timestamped, faster-whisper, FunASR and lists of {start, end, text}."
)


class _Place(NamedTuple):
    """A text in the JSON: `holder[key]`, the document around it (for its whole text), and its cue."""

    path: tuple[str | int, ...]
    owner: tuple[str | int, ...]
    cue: Cue


def parse(text: str, *, name: str) -> Body:
    """Segments of a recogniser's JSON. Raises FormatError where it is none, of no known shape, or lacks a text."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"{name}:{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else name
        raise FormatError("not valid JSON.", where=where, remedy="Export it again; it may be cut off.") from None
    places = _places(data, name)
    if not places:
        raise FormatError("no segments with text in this JSON.", where=name, remedy=_KNOWN)

    for i, place in enumerate(places):
        if _HALF.search(place.cue.text):
            raise FormatError(f"segment {i} holds half a character.", where=name, remedy="Export it again as UTF-8.")

    def rebuild(changed: dict[int, str]) -> tuple[str, list[str]]:
        new = copy.deepcopy(data)
        notes = _replace(new, data, places, changed)
        return _dumped(new, text), notes

    return timed_body([p.cue for p in places], rebuild)


# --- finding ---


def _places(data: Any, name: str) -> list[_Place]:
    if isinstance(data, list):
        if data and all(isinstance(d, dict) and _list_key(d) for d in data):
            return [p for i, d in enumerate(data) for p in _in_document(d, (i,), name)]
        return _in_list(data, (), (), name, scale=1)
    if isinstance(data, dict):
        return _in_document(data, (), name)
    raise FormatError("not a transcript: JSON without segments.", where=name, remedy=_KNOWN)


def _list_key(document: Mapping[str, Any]) -> str | None:
    return next((k for k in ("segments", "sentence_info") if isinstance(document.get(k), list)), None)


def _in_document(document: Mapping[str, Any], at: tuple[str | int, ...], name: str) -> list[_Place]:
    key = _list_key(document)
    if key:
        scale = _MILLISECONDS if key == "sentence_info" else 1
        return _in_list(document[key], (*at, key), at, name, scale=scale)
    texts = document.get("text")
    times = _times_beside(document)
    if isinstance(texts, list) and times is not None and all(isinstance(t, str) for t in texts):
        cues = [Cue(t.strip(), float(a), float(b)) for t, (a, b) in zip(texts, times, strict=True)]
        return [_Place((*at, "text", i), at, cue) for i, cue in enumerate(cues)]
    raise FormatError("not a transcript: JSON without segments.", where=name, remedy=_KNOWN)


def _times_beside(document: Mapping[str, Any]) -> Sequence[Sequence[float]] | None:
    """A list of [start, end], one for each of the document's texts, under whatever name."""
    texts = document.get("text")
    for value in document.values():
        if (
            isinstance(texts, list)
            and isinstance(value, list)
            and 0 < len(value) == len(texts)
            and all(map(_is_span, value))
        ):
            return value
    return None


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_number(v) is not None for v in value)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _in_list(
    segments: Sequence[Any], at: tuple[str | int, ...], owner: tuple[str | int, ...], name: str, *, scale: int
) -> list[_Place]:
    places = []
    for i, segment in enumerate(segments):
        if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
            raise FormatError(f"segment {i} has no text.", where=name, remedy=_KNOWN)
        begin, finish = (_number(segment.get(k)) for k in ("start", "end"))
        speaker = next((str(segment[k]) for k in ("speaker", "spk") if segment.get(k) is not None), None)
        cue = Cue(
            segment["text"].strip(),
            None if begin is None else begin / scale,
            None if finish is None else finish / scale,
            speaker,
        )
        places.append(_Place((*at, i, "text"), owner, cue))
    return places


def _at(data: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        data = data[key]
    return data


# --- replacing ---


def _replace(new: Any, old: Any, places: Sequence[_Place], changed: Mapping[int, str]) -> list[str]:
    dropped, owners = 0, set()
    for which, words in changed.items():
        place = places[which]
        holder, key = _at(new, place.path[:-1]), place.path[-1]
        before = holder[key]
        first, last = len(before) - len(before.lstrip()), len(before.rstrip())
        holder[key] = before[:first] + words + before[max(first, last) :]
        if isinstance(holder, dict):
            dropped += _drop_spelt_out(holder)
        owners.add(place.owner)
    notes = (
        [f"{dropped} segment(s) changed: their times word by word do not fit any more and were left out."]
        if dropped
        else []
    )
    for owner in sorted(owners, key=str):
        document = _at(new, owner)
        if isinstance(document, dict) and isinstance(document.get("text"), str):
            mine = [p.path for p in places if p.owner == owner]
            document["text"] = _whole(_at(old, owner)["text"], [_at(old, p) for p in mine], [_at(new, p) for p in mine])
        if isinstance(document, dict) and places[0].path[-1] == "text" and _drop_spelt_out(document):
            notes.append("The whole text's times word by word do not fit any more and were left out.")
    return notes


def _drop_spelt_out(holder: dict[str, Any]) -> bool:
    gone = [k for k in _SPELT_OUT if holder.get(k) is not None]
    for key in gone:
        del holder[key]
    return bool(gone)


def _whole(before: str, old: Sequence[str], new: Sequence[str]) -> str:
    """The whole text of new segments, joined the way the old one was; words spaced as usual where that was no way."""
    for joiner in _JOINERS:
        if joiner.join(old).strip() == before.strip():
            first, last = len(before) - len(before.lstrip()), len(before.rstrip())
            return before[:first] + joiner.join(new).strip() + before[max(first, last) :]
    return join_lines("\n".join(t.strip() for t in new if t.strip()))


def _dumped(data: Any, like: str) -> str:
    """JSON laid out like the text it was read from: its indent, its escapes, its last line end."""
    indent = re.search(r"\n([ \t]+)\S", like)
    ascii_only = like.isascii() and "\\u" in like
    separators = None if indent or re.search(r'[":\]}\d], |": ', like) else (",", ":")
    out = json.dumps(data, ensure_ascii=ascii_only, indent=indent.group(1) if indent else None, separators=separators)
    return out + like[len(like.rstrip()) :]
