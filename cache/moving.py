"""From one machine to another: a JSONL file, one entry a line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewriter.errors import CacheError
from rewriter.records import Answer

from . import seal
from .entry import Entry, pack
from .keys import raw_key

if TYPE_CHECKING:
    from .similar import Judge, Remembered, Similar
    from .store import Store

FORMAT = {"format": "transcript-rewriter answers", "version": 1}


@contextlib.contextmanager
def writing_file(path: Path) -> Iterator[None]:
    """A file's errors become CacheError."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"The file cannot be read or written ({error.strerror}).",
            where=str(path),
            remedy="Choose another place.",
        ) from error


def export(target: Path, entries: Iterable[Entry], passages: Iterable[Remembered]) -> int:
    """See PassageCache.export."""
    _may_replace(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    count = 0
    with writing_file(target):
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(json.dumps(FORMAT) + "\n")
                for entry in entries:
                    line = entry.model_dump(mode="json", exclude=set() if entry.pinned else {"pinned"})
                    out.write(json.dumps(line) + "\n")  # ASCII, so that a lone surrogate survives
                    count += 1
                for p in passages:
                    out.write(json.dumps({"passage": {**p._asdict(), "answer": p.answer.model_dump(mode="json")}}))
                    out.write("\n")
                out.flush()
                os.fsync(out.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return count


def import_(source: Path, store: Store, similar: Callable[[], Similar], judge: Judge | None) -> tuple[int, int]:
    """See PassageCache.import_. How many entries were added, and how many lines left out."""
    added = bad = 0
    with writing_file(source), source.open("rb") as lines:
        if not _is_export(next(lines, b"")):
            raise CacheError("This is not an exported cache.", where=str(source), remedy="Export one first.")
        for line in lines:
            try:
                found = json.loads(line)
                if "passage" in found:
                    _import_passage(similar(), found["passage"], judge)
                else:
                    added += _import_entry(store, found)
            except (ValueError, TypeError, KeyError, RecursionError, CacheError):
                bad += 1
    return added, bad


def _may_replace(target: Path) -> None:
    """An earlier export may be written over, another file not."""
    with writing_file(target):
        if target.is_file() and target.stat().st_size and not _is_export(_first_line(target)):
            raise CacheError(
                "This file is there already and is no exported cache.", where=str(target), remedy="Choose another name."
            )


def _first_line(path: Path) -> bytes:
    with path.open("rb") as lines:
        return lines.readline(len(json.dumps(FORMAT)) + 2)


def _is_export(line: bytes) -> bool:
    try:
        return bool(json.loads(line) == FORMAT)
    except ValueError:
        return False


def _import_entry(store: Store, entry: dict[str, Any]) -> bool:
    raw, when = raw_key(entry["key"]), float(entry["when"])
    answer = Answer.model_validate(entry["answer"])
    sealed = seal.seal(raw, pack(answer, entry["about"], when))
    return store.write_if_absent(raw, sealed, when, pinned=entry.get("pinned") is True)


def _import_passage(similar: Similar, passage: dict[str, Any], judge: Judge | None) -> None:
    scope, source, rewrite = (str(passage[name]) for name in ("scope", "source", "rewrite"))
    about, when = dict(passage["about"]), float(passage["when"])
    answer = Answer.model_validate(passage["answer"])
    known = similar.rewrite_of(scope, source)
    new = known is None or (known == rewrite and similar.vectors is not None)  # which may not have it yet
    if new and (judge is None or judge(source, rewrite)):
        similar.remember(scope, source, rewrite, answer, about=about, when=when)
