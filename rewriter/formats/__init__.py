"""Transcripts in and out: txt, md, srt, vtt, ass, ssa and recogniser JSON, in the encodings people have them in.

    transcript = read(Path("talk.srt"))
    data = write(transcript, [Piece(start=0, end=5, text="Hello")])

Writing replaces the pieces and nothing else: without pieces the bytes are those that were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rewriter.errors import InputError, UsageError
from rewriter.formats.encoding import decode, encode
from rewriter.formats.sources import STDIN, SUFFIXES, Source, discover, format_of, read_file, read_stdin
from rewriter.records import Piece, Transcript

if TYPE_CHECKING:
    from rewriter.formats.base import Body

__all__ = [
    "Source",
    "Written",
    "cue_times",
    "discover",
    "format_of",
    "known",
    "read",
    "read_bytes",
    "read_named",
    "read_two",
    "render",
    "suffixes",
    "write",
]

_MODULES = {
    "txt": "plain",
    "md": "markdown",
    "srt": "srt",
    "vtt": "vtt",
    "ass": "ass",
    "ssa": "ass",
    "json": "whisper",
}


class Written(NamedTuple):
    """A file's bytes, and what could not be kept in it, for a person."""

    data: bytes
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Payload:
    data: bytes
    body: Body


def suffixes() -> tuple[str, ...]:
    """The file suffixes we read, with their dots."""
    return tuple(SUFFIXES)


def read(path: Path) -> Transcript:
    """The transcript in a file, its format told by the suffix.

    Raises InputError (missing, unreadable, empty), FormatError (unknown or malformed) and EncodingError.
    """
    return read_bytes(read_file(Path(path)), name=str(path), format=format_of(path))


def read_named(name: str) -> Transcript:
    """The transcript in a file, or in standard input where its name is "-". Raises what `read` raises."""
    return read_bytes(read_stdin(), name=name) if name == STDIN else read(Path(name))


def read_two(first: str, second: str) -> tuple[Transcript, Transcript]:
    """Two transcripts, one of which may be standard input. Raises UsageError where both are, and what `read` raises."""
    if first == second == STDIN:
        raise UsageError("standard input can be read once only.", remedy="Name a file for one of the two.")
    return read_named(first), read_named(second)


def read_bytes(data: bytes, *, name: str, format: str | None = None) -> Transcript:
    """The transcript in some bytes. Without `format` the suffix of `name` tells it; "-" is txt.

    Raises what `read` raises.
    """
    kind = known(format) if format else "txt" if name == "-" else format_of(name)
    decoded = decode(data, name=name)
    if not decoded.text.strip():
        raise InputError("the file is empty.", where=name, remedy="Check that it is the right one.")
    body = cast("Body", _module(kind).parse(decoded.text, name=name))
    return Transcript(
        name=name,
        format=kind,
        text=body.text,
        segments=body.segments,
        timed=bool(body.cues),
        encoding=decoded.encoding,
        notes=(*decoded.notes, *body.notes),
        payload=_Payload(data, body),
    )


def cue_times(transcript: Transcript) -> list[tuple[float | None, float | None]]:
    """Begin and end in seconds of every cue or recogniser segment of a timed file, those without text too."""
    return [(cue.begin, cue.finish) for cue in transcript.payload.body.cues]


def write(transcript: Transcript, pieces: Sequence[Piece], *, to: str | None = None) -> bytes:
    """The bytes of `render`."""
    return render(transcript, pieces, to=to).data


def render(transcript: Transcript, pieces: Sequence[Piece], *, to: str | None = None) -> Written:
    """The transcript's file with the pieces (in order, apart) in their places, in its own encoding and line ends.

    `to` names another format; the result is UTF-8 then. Raises FormatError where that needs times there are none of,
    UsageError for a format we do not know.
    """
    payload: _Payload = transcript.payload
    changed = [p for p in pieces if p.text != transcript.text[p.start : p.end]]
    kind = known(to) if to else transcript.format
    if kind != transcript.format:
        return _converted(transcript, payload.body, changed, kind)
    if not changed:
        return Written(payload.data, ())
    text, notes = _in_place(transcript, payload.body, changed)
    data, note = encode(text, transcript.encoding)
    return Written(data, (*notes, *([note] if note else [])))


def _in_place(transcript: Transcript, body: Body, changed: Sequence[Piece]) -> tuple[str, list[str]]:
    from rewriter.formats.base import new_cue_texts, spliced
    from rewriter.formats.plain import with_newlines_of

    if body.rebuild:
        return body.rebuild(new_cue_texts(body, changed))
    return spliced(transcript.text, with_newlines_of(transcript.text, changed)), []


def _converted(transcript: Transcript, body: Body, changed: Sequence[Piece], kind: str) -> Written:
    from rewriter.formats.base import new_cue_texts, spliced
    from rewriter.formats.convert import convert

    new = new_cue_texts(body, changed) if body.cues else {}
    cues = [cue._replace(text=new.get(i, cue.text)) for i, cue in enumerate(body.cues)]
    text, notes = convert(kind, spliced(transcript.text, changed), cues, name=transcript.name)
    return Written(text.encode("utf-8"), tuple(notes))


def known(name: str) -> str:
    """A format by its name or suffix. Raises UsageError for one we do not know."""
    kind = SUFFIXES.get(f".{name.lower().lstrip('.')}")
    if kind is None:
        raise UsageError(f"unknown format {name!r}.", remedy=f"Known are {', '.join(_MODULES)}.")
    return kind


def _module(kind: str) -> Any:
    return import_module(f"rewriter.formats.{_MODULES[kind]}")
