"""Request files on their way to a provider, in OUT/batches: <token>.jsonl as it is sent, <token>.keys for ourselves.

A line of the second is a JSON array: the request's key, the mark of the passage it is asked for, its style's digest.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rewriter.engines.batch_log import Batch
from rewriter.errors import OutputError
from rewriter.records import Usage

FOLDER = "batches"
SUFFIXES = (".part", ".jsonl", ".keys", ".answers")
_TOKEN = re.compile(r"[0-9a-f]{16}")

# OpenAI's limits for one batch (2026): 50,000 requests, 200 MB of input. Others' are the same or are learnt by asking.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000


class Note(NamedTuple):
    """What is known of a request beside what is sent: whose it is, and the prompt it was made with."""

    key: str
    mark: str
    prompt: str


class RequestFile:
    """A request file for one model that is being filled; nothing of it counts before `close`."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model, self.token = model, secrets.token_hex(8)
        self.requests = self.size = 0
        self.expected = Usage()
        self._folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lines = (folder / f"{self.token}.part").open("wb")
            self._keys = keys_of(folder, self.token).open("wb")

    def takes(self, line: bytes, most_requests: int, most_bytes: int) -> bool:
        """Whether a line still fits; the first always does."""
        return not self.requests or (self.requests < most_requests and self.size + len(line) <= most_bytes)

    def add(self, line: bytes, note: Note, expected: Usage) -> None:
        """One more request. Raises OutputError."""
        with writing(self._folder):
            self._lines.write(line)
            self._keys.write(json.dumps(note).encode() + b"\n")
        self.requests, self.size, self.expected = self.requests + 1, self.size + len(line), self.expected + expected

    def close(self, settings: str) -> Batch:
        """Bring it to the disk whole. Raises OutputError."""
        with writing(self._folder):
            for file in (self._keys, self._lines):
                file.flush()
                os.fsync(file.fileno())
                file.close()
            (self._folder / f"{self.token}.part").replace(requests_of(self._folder, self.token))
        return Batch(
            token=self.token,
            model=self.model,
            requests=self.requests,
            size=self.size,
            expected=self.expected,
            settings=settings,
            at=time.time(),
        )

    def discard(self) -> None:
        """Leave nothing of it."""
        for file in (self._lines, self._keys):
            with suppress(OSError):  # what a full disk did not take is tried once more
                file.close()
        remove(self._folder, self.token)


def line_of(key: str, body: dict[str, Any]) -> bytes:
    """A request as a line of a request file."""
    asked = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    try:
        return json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which a Whisper file may hold: escaped, as all JSON may be
        return json.dumps(asked, separators=(",", ":")).encode() + b"\n"


def requests_of(folder: Path, token: str) -> Path:
    """The file that is sent."""
    return folder / f"{token}.jsonl"


def keys_of(folder: Path, token: str) -> Path:
    """The file beside it."""
    return folder / f"{token}.keys"


def answers_of(folder: Path, token: str) -> Path:
    """Where the provider's answers are downloaded to."""
    return folder / f"{token}.answers"


def notes(folder: Path, token: str) -> Iterator[Note]:
    """What is known of a file's requests; nothing where the user has removed it."""
    try:
        with keys_of(folder, token).open("rb") as lines:
            for line in lines:
                yield Note(*json.loads(line))
    except FileNotFoundError:
        return


def split(folder: Path, batch: Batch) -> list[Batch]:
    """A request file as two of half as many requests. Raises OutputError."""
    parts: list[Batch] = []
    half = -(-batch.requests // 2)
    share = Usage(**{k: v // 2 for k, v in batch.expected.model_dump().items()})
    with writing(folder), requests_of(folder, batch.token).open("rb") as lines:
        pairs = zip(lines, notes(folder, batch.token), strict=True)
        for count in (half, batch.requests - half):
            part = RequestFile(folder, batch.model)
            for _ in range(count):
                part.add(*next(pairs), Usage())
            parts.append(part.close(batch.settings).model_copy(update={"expected": share}))
    return parts


def remove(folder: Path, token: str) -> None:
    """Remove what there is of a request file, and the folder when it is empty."""
    for suffix in SUFFIXES:
        (folder / f"{token}{suffix}").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def remove_all_but(folder: Path, tokens: set[str]) -> None:
    """Remove request files that a kill left before they were logged."""
    if folder.is_dir():
        ours = {p.stem for p in folder.iterdir() if p.suffix in SUFFIXES and _TOKEN.fullmatch(p.stem)}
        for token in ours - tokens:
            remove(folder, token)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The system's errors, told to a person."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"requests cannot be written: {error.strerror}.",
            where=str(folder),
            remedy="Free space, then run the same command again: it continues.",
        ) from None
