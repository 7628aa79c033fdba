"""What the journal of earlier runs into a folder knows, read in seconds and held in little memory.

A line's beginning tells what it is (`journal.py` writes `event`, then `key`, then `file`), so that only the entries of
finished files are parsed when a run is resumed. Of the passages only their place in the journal is kept, and of a
finished file's not even that: they are looked for again should its output be gone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewriter.journal import JOURNAL, parse, read_lines
from rewriter.records import Usage

# Of a finished file's entry these are for the report and large; a resumed run does without.
_LARGE = ("fixes_list", "segments")

_PASSAGE = b'{"event":"passage","key":"'
_OUTCOME = b'{"event":"outcome",'


@dataclass
class Finished:
    """A finished file's entry, and the stretch [first, last) of the journal that holds its passages."""

    entry: dict[str, Any]
    first: int
    last: int


@dataclass
class Past:
    """The journal's knowledge; later lines win.

    `since` is when the run began that is not at its end yet, or None; `paid` is what all executions paid, by model.
    """

    path: Path
    settings: dict[str, Any] | None = None
    since: float | None = None
    paid: dict[str, Usage] = field(default_factory=dict)
    files: dict[str, Finished] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)  # by output: SHA-256 (hex) of what was written last
    _open: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Past:
        """Replay OUT/run.jsonl."""
        past = cls(folder / JOURNAL)
        for place, line in read_lines(past.path):
            if line.startswith(_OUTCOME):
                continue
            if line.startswith(_PASSAGE):
                past._passage(place, line)
            elif (event := parse(line)) is not None:
                past._event(place, event)
        return past

    def _passage(self, place: int, line: bytes) -> None:
        key, file = _key_and_file(line)
        if file is not None:
            self._open.setdefault(file, {})[key] = place

    def _event(self, place: int, event: dict[str, Any]) -> None:
        kind, name = event["event"], str(event.get("file"))
        if kind == "start":
            self.settings = event.get("settings")
            self.since = self.since or event.get("time")
        elif kind == "paid":
            add_paid(self.paid, event)
        elif kind == "end" and not event.get("stopped"):
            self.since = None
        elif kind == "file" and "failed" not in event:
            self.hashes[str(event.get("output"))] = str(event.get("sha256"))
            passages = self._open.pop(name, {})
            kept = {k: v for k, v in event.items() if k not in _LARGE}
            self.files[name] = Finished(kept, min(passages.values(), default=place), place)

    def entry(self, file: str) -> dict[str, Any] | None:
        """The entry of a file that was finished, as `summary.json` has it, with its `identity`."""
        found = self.files.get(file)
        return found.entry if found else None

    def reopen(self, file: str) -> None:
        """A finished file must be written anew: find its passages again."""
        found = self.files.pop(file, None)
        if found is None:
            return
        own = self._open.setdefault(file, {})
        for place, line in read_lines(self.path, found.first, found.last):
            if line.startswith(_PASSAGE):
                key, name = _key_and_file(line)
                if name == file:
                    own[key] = place

    def passage(self, file: str, key: str) -> list[dict[str, Any]] | None:
        """The outcomes of a passage, or None where the journal has none (or a damaged line)."""
        place = self._open.get(file, {}).get(key)
        if place is None:
            return None
        for _, line in read_lines(self.path, place):
            event = parse(line) or {}
            outcomes = event.get("outcomes")
            return outcomes if event.get("key") == key and isinstance(outcomes, list) else None
        return None


def add_paid(paid: dict[str, Usage], event: dict[str, Any]) -> None:
    """Add what one line of the journal says was paid."""
    model = str(event["model"])
    paid[model] = paid.get(model, Usage()) + Usage.model_validate(event["usage"])


def _key_and_file(line: bytes) -> tuple[str, str | None]:
    """The key and the file of a passage's line; None where the line is torn before they end."""
    start = len(_PASSAGE)
    end = line.find(b'"', start)
    mark, after = b'","file":', b',"outcomes":'
    name = end + len(mark)
    until = line.find(after, name)
    if end < 0 or until < 0 or line[end:name] != mark:
        return "", None
    try:
        file = json.loads(line[name:until])  # the bytes: a name that is no UTF-8 has halves of surrogate pairs
    except ValueError:
        return "", None
    return line[start:end].decode("ascii", "replace"), str(file) if line.endswith(b"}\n") else None
