"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
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


def _umask() -> int:
    """The process's file creation mask; reading it means setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
