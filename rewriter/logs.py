"""What a run does, seen from outside: events as standard logging records, and a file of them as JSON lines.

Events go to the logger "rewriter"; whoever uses the package as a library attaches handlers as usual. No passage's text
and no secret is in any of them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rewriter.atomic import need_folder
from rewriter.errors import OutputError, UsageError

logger = logging.getLogger("rewriter")
logger.addHandler(logging.NullHandler())

_WARNINGS = frozenset({"retry", "rate_limit", "kept", "failed", "set_aside", "notice", "stopped"})
_ERRORS = frozenset({"run_failed"})
STDERR = "-"
_BEGINS = b'{"at": "'  # every line; see JsonLines


def event(kind: str, **facts: Any) -> None:
    """Log one event; `facts` are JSON-serialisable."""
    name = kind.replace(" ", "_")
    level = logging.ERROR if name in _ERRORS else logging.WARNING if name in _WARNINGS else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"facts": facts})


class JsonLines(logging.Formatter):
    """A record as one JSON object: `at` (UTC), `level`, `event` and its facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**said, **getattr(record, "facts", {})}, ensure_ascii=False, default=str)


class _File(logging.FileHandler):
    """A log file; what it could not take is said once, and hinders nobody."""

    def __init__(self, path: str, troubles: list[str]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.troubles = troubles

    def handleError(self, record: logging.LogRecord) -> None:
        """Logging would print a traceback for every record."""
        self._tell(sys.exc_info()[1])

    def close(self) -> None:
        """Closing writes what is left, which may fail too."""
        try:
            super().close()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        if not self.troubles:
            reason = getattr(error, "strerror", None) or error
            self.troubles.append(f"{self.baseFilename}: the log is not whole: {reason}.")


def _opened(path: str, troubles: list[str]) -> _File:
    if not path:  # a shell's variable that is not set
        raise UsageError("--log-file has an empty name.", remedy="Name a file, or leave the option out.")
    need_folder(Path(path).parent, "Choose another --log-file.")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not _may_be_a_log(Path(path)):
            raise UsageError("this is a file, and no log.", where=path, remedy="Choose another --log-file.")
        return _File(path, troubles)
    except OSError as error:
        raise OutputError(
            f"the log cannot be written: {error.strerror}.", where=path, remedy="Choose another --log-file."
        ) from None


def _may_be_a_log(path: Path) -> bool:
    """Not a transcript or a journal that was named by mistake: it would be spoilt."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        return file.read(len(_BEGINS)) in {b"", _BEGINS}


@contextmanager
def log_to(path: str | None) -> Iterator[list[str]]:
    """Append events to a file while the block runs; None: nowhere, "-": to standard error.

    The list holds, at the end, one sentence where the file could not take everything. Raises UsageError for an empty
    name and OutputError where the file cannot be opened.
    """
    troubles: list[str] = []
    if path is None:
        yield troubles
        return
    handler = logging.StreamHandler(sys.stderr) if path == STDERR else _opened(path, troubles)
    handler.setFormatter(JsonLines())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield troubles
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
