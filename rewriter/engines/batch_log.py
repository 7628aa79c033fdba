"""What a run has given to a provider's batch interface, so that it is known after a kill: OUT/batches.jsonl.

Append-only, one JSON object a line, each on the disk before the step that follows it is taken:

    open       the folder's own token, by which an answer is known to have been bought for it
    written    a request file is whole: it will be sent (token, model, requests, size, expected usage, settings, at)
    uploaded   the provider has the file
    submitted  the provider has the batch: from here on it costs money
    refused    the provider did not begin it: it waits until there is room
    split      it was cut in two, which are as good as written
    collected  its answers are in the cache; what got none is named, by cause
    dropped    it was never begun, and is not wanted any more
    cleaned    its files at the provider are deleted
    end        an execution came to its end by itself: what failed may be tried afresh
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from rewriter.errors import OutputError
from rewriter.journal import parse, read_lines
from rewriter.records import Record, Usage


class Batch(Record):
    """A request file and what became of it. `file` and `batch` are the provider's names for it, where it has it.

    `size` is in bytes, `at` seconds since 1970; `settings` is a hash of what decides the run's requests.
    """

    token: str
    model: str
    requests: int
    size: int
    expected: Usage
    settings: str
    at: float
    file: str = ""
    batch: str = ""

    @property
    def name(self) -> str:
        """The request file's name at the provider."""
        return f"rewriter-{self.token}.jsonl"


class BatchLog:
    """The log of one folder.

    `batches` are those not collected yet, by token. Since the last end: `answered` counts answers, `tries` by request
    key those that did not come, and `failures` says why the last of them did not. `uncleaned` are files left at the
    provider, by token.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = ""
        self.batches: dict[str, Batch] = {}
        self.tries: Counter[str] = Counter()
        self.answered = 0
        self.failures: dict[str, str] = {}
        self.uncleaned: dict[str, list[str]] = {}
        for _, line in read_lines(path):
            event = parse(line)
            if event is not None:
                self._take_in(event)
        self._file = self._opened()
        if not self.out:
            self.add("open", out=secrets.token_hex(8))

    def _opened(self) -> BinaryIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+b")
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line torn by a kill
                    file.write(b"\n")
            return file
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, event: str, **values: Any) -> None:
        """Append an event and bring it to the disk. Raises OutputError."""
        try:
            self._file.write(json.dumps({"event": event, **values}, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None
        self._take_in({"event": event, **values})

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"the record of batches cannot be written: {error.strerror}.",
            where=str(self.path),
            remedy="Free space, then run the same command again: it continues.",
        )

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # a line that could not be written, which `add` has told, is tried once more
            self._file.close()

    # --- one for each step ---

    def written(self, batch: Batch) -> None:
        """A request file is whole."""
        self.add("written", **batch.model_dump(mode="json"))

    def uploaded(self, batch: Batch, file: str) -> Batch:
        """The provider has the file."""
        self.add("uploaded", token=batch.token, file=file)
        return self.batches[batch.token]

    def submitted(self, batch: Batch, name: str) -> Batch:
        """The provider has the batch."""
        self.add("submitted", token=batch.token, batch=name)
        return self.batches[batch.token]

    def refused(self, batch: Batch, why: str) -> Batch:
        """The provider did not begin it."""
        self.add("refused", token=batch.token, why=why)
        return self.batches[batch.token]

    def split(self, batch: Batch, parts: Iterable[Batch]) -> None:
        """It is replaced by its parts, all at once."""
        self.add("split", token=batch.token, into=[p.model_dump(mode="json") for p in parts], files=_files(batch))

    def collected(
        self, batch: Batch, answered: int, usage: Usage, failed: Mapping[str, list[str]], files: list[str]
    ) -> None:
        """Its answers are in the cache; `failed` are the keys without one, by cause."""
        told = {"answered": answered, "usage": usage.model_dump(), "failed": failed}
        self.add("collected", token=batch.token, **told, files=files)

    def dropped(self, batch: Batch) -> None:
        """It was never begun."""
        self.add("dropped", token=batch.token, files=_files(batch))

    # --- what is known ---

    def _take_in(self, event: Mapping[str, Any]) -> None:
        kind, token = event["event"], str(event.get("token", ""))
        known = self.batches.get(token)
        if kind == "open":
            self.out = str(event["out"])
        elif kind == "written":
            self._written(event)
        elif kind == "cleaned":
            self.uncleaned.pop(token, None)
        elif kind == "end":
            self.answered = 0
            self.tries.clear()
            self.failures.clear()
        elif known is not None:
            self._changed(known, event)

    def _written(self, event: Mapping[str, Any]) -> None:
        batch = Batch.model_validate({name: event[name] for name in Batch.model_fields})
        self.batches[batch.token] = batch

    def _changed(self, known: Batch, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        changes: dict[str, dict[str, Any]] = {
            "uploaded": {"file": event.get("file")},
            "submitted": {"batch": event.get("batch")},
            "refused": {"batch": ""},
        }
        if kind in changes:
            self.batches[known.token] = known.model_copy(update=changes[kind])
            return
        del self.batches[known.token]
        for part in event.get("into", ()):
            self._written(part)
        if event.get("files"):
            self.uncleaned[known.token] = list(event["files"])
        self.answered += int(event.get("answered", 0))
        for cause, keys in event.get("failed", {}).items():
            self.tries.update(keys)
            self.failures.update(dict.fromkeys(keys, cause))


def _files(batch: Batch) -> list[str]:
    return [batch.file] if batch.file else []
