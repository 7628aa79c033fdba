"""Files written whole or not at all, in folders that can be made, and none lost that stood there."""

from __future__ import annotations

import os
import tempfile
from itertools import chain, count
from pathlib import Path

from rewriter.errors import OutputError


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, flush it to disk, and rename it into place.

    Raises OutputError where that fails (no space, no permission); what stood at `path` before still stands then.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(
            f"cannot be written: {error.strerror or error}.",
            where=str(path),
            remedy="Free space or choose another folder with -o; nothing half-written was left.",
        ) from None


def need_folder(folder: Path, remedy: str) -> None:
    """Raise OutputError where a folder cannot be made because what is no folder stands there, or further up."""
    for place in (folder, *folder.parents):
        if os.path.isdir(place):  # noqa: PTH112  (pathlib raises where it may not look)
            return
        if os.path.lexists(place):
            what = "a link that leads nowhere" if place.is_symlink() else "a file"
            raise OutputError(f"this is {what}, where a folder is needed.", where=str(place), remedy=remedy)


def set_aside(path: Path) -> Path:
    """Give a file another name beside it, one that is free: talk.txt~, talk.txt~2~ and so on. Raises OutputError."""
    names = (f"{path.name}~{number}~" for number in count(2))
    other = next(p for p in map(path.with_name, chain([f"{path.name}~"], names)) if not os.path.lexists(p))
    try:
        path.rename(other)
    except OSError as error:
        raise OutputError(
            f"cannot be set aside: {error.strerror}.", where=str(path), remedy="Choose another folder with -o."
        ) from None
    return other


def _umask() -> int:
    """The process's file creation mask; reading it means setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
