"""From one machine to another: a JSONL file, one entry a line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewriter.errors import CacheError
from rewriter.records import Answer

from . import seal
from .entry import pack

if TYPE_CHECKING:
    from .answers import PassageCache
    from .similar import Judge

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


def export(cache: PassageCache, target: Path) -> int:
    """See PassageCache.export."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    count = 0
    with writing_file(target):
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(json.dumps(FORMAT) + "\n")
                for entry in cache.entries():
                    line = entry.model_dump(mode="json", exclude=set() if entry.pinned else {"pinned"})
                    out.write(json.dumps(line) + "\n")  # ASCII, so that a lone surrogate survives
                    count += 1
                for line in _passages(cache):
                    out.write(json.dumps(line) + "\n")
                out.flush()
                os.fsync(out.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return count


def _passages(cache: PassageCache) -> Iterator[dict[str, Any]]:
    if cache.has_passages():
        for p in cache.similar.passages():
            yield {"passage": {**p._asdict(), "answer": p.answer.model_dump(mode="json")}}


def import_(cache: PassageCache, source: Path, judge: Judge | None) -> int:
    """See PassageCache.import_."""
    added = bad = 0
    with writing_file(source), cache.working(), source.open("rb") as lines:
        if not _is_export(next(lines, b"")):
            raise CacheError("This is not an exported cache.", where=str(source), remedy="Export one first.")
        for line in lines:
            try:
                added += _import_line(cache, line, judge)
            except (ValueError, TypeError, KeyError, RecursionError, CacheError):
                bad += 1
    if bad:
        cache.notices.append(f"{source}: {bad} lines could not be read and were left out.")
    return added


def _is_export(line: bytes) -> bool:
    try:
        return bool(json.loads(line) == FORMAT)
    except ValueError:
        return False


def _import_line(cache: PassageCache, line: bytes, judge: Judge | None) -> bool:
    from .answers import raw_key

    entry = json.loads(line)
    if "passage" in entry:
        _import_passage(cache, entry["passage"], judge)
        return False
    raw, when = raw_key(entry["key"]), float(entry["when"])
    answer = Answer.model_validate(entry["answer"])
    sealed = seal.seal(raw, pack(answer, entry["about"], when))
    return cache.store.write_if_absent(raw, sealed, when, pinned=entry.get("pinned") is True)


def _import_passage(cache: PassageCache, passage: dict[str, Any], judge: Judge | None) -> None:
    scope, source, rewrite = (str(passage[name]) for name in ("scope", "source", "rewrite"))
    about, when = dict(passage["about"]), float(passage["when"])
    answer = Answer.model_validate(passage["answer"])
    if cache.rewrite_of(scope, source) is None and (judge is None or judge(source, rewrite)):
        cache.similar.remember(scope, source, rewrite, answer, about=about, when=when)
