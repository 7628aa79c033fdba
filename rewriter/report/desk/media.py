"""The recordings on the desk: which belongs to which transcript. Only files that the user named are ever opened."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rewriter.errors import InputError, UsageError
from rewriter.report.runs import FileView

# What browsers play and Python's table of file types may not know on every system.
_TYPES = {
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".opus": "audio/ogg",
    ".oga": "audio/ogg",
    ".flac": "audio/flac",
}


class Recording(NamedTuple):
    """A media file, by its number on this desk. `kind` is its media type."""

    number: int
    path: Path
    kind: str

    @property
    def tag(self) -> str:
        """The HTML element that plays it."""
        return self.kind.partition("/")[0]


def recordings(names: Sequence[str]) -> list[Recording]:
    """The files named. Raises InputError for one that is not there, UsageError for what is no recording."""
    found = []
    for number, name in enumerate(names):
        path = Path(name).absolute()
        if not path.is_file():
            raise InputError("no such file.", where=name, remedy="Check the path given with --media.")
        kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or ""
        if not kind.startswith(("audio/", "video/")):
            raise UsageError("is no audio or video file.", where=name, remedy="Name an mp3, m4a, wav, mp4, webm or so.")
        found.append(Recording(number, path, kind))
    return found


def recording_of(file: FileView, files: int, among: Sequence[Recording]) -> Recording | None:
    """The recording of a transcript: the one of its name, or the only one where the desk has one transcript only."""
    stem = Path(file.name).stem
    # talk.zh.srt is a subtitle of talk.mp4.
    named = [r for r in among if r.path.stem in {stem, stem.partition(".")[0]}]
    if named:
        return named[0]
    return among[0] if len(among) == files == 1 else None
