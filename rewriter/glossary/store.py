"""The built indexes of big glossaries, kept on disk, so that the same files are ready at once the next time.

A kept index is found by what it was made of: the bytes of the files, the code that builds it, and the machine's way to
write numbers. Anything wrong with it (cut short, changed, written by other code) means that it is built anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rewriter.atomic import write_whole
from rewriter.errors import OutputError
from rewriter.glossary.exact import Exact
from rewriter.glossary.table import Table

# Bytes of glossary files from which on an index is kept. Reading YAML takes about 10 microseconds for each byte; below
# this size reading and building take less than a quarter of a second.
WORTHWHILE = 20_000
# Indexes kept; the least recently written go first. That of 100,000 terms takes about 20 MB.
KEPT = 20
_MAGIC = b"transcript-rewriter glossary\n"
_CHECKSUM = 32


class Kept(NamedTuple):
    """What is kept of a glossary; `sound` is what `Sound.from_parts` reads, for it is needed less often."""

    table: Table
    exact: Exact
    sound: Sequence[bytes]
    digest: str


def place_of(paths: Sequence[Path]) -> Path | None:
    """Where the index of these files is kept; None where they are small, or cannot be read."""
    try:
        contents = [path.read_bytes() for path in paths]
    except OSError:
        return None
    if sum(map(len, contents)) < WORTHWHILE:
        return None
    made_of = hashlib.sha256(_builder())
    for path, content in zip(paths, contents, strict=True):
        made_of.update(f"{path.suffix.lower()} {len(content)}\n".encode() + content)
    return _folder() / f"{made_of.hexdigest()}.index"


def load(place: Path) -> Kept | None:
    """What is kept there, if it is there and whole."""
    try:
        data = place.read_bytes()
        sealed, body = data[len(_MAGIC) : len(_MAGIC) + _CHECKSUM], data[len(_MAGIC) + _CHECKSUM :]
        if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != sealed:
            return None
        head, _, rest = body.partition(b"\n")
        described = json.loads(head)
        parts: list[bytes] = []
        at = 0
        for size in described["sizes"]:
            parts.append(rest[at : at + size])
            at += size
        table = Table.from_parts(*parts[:3])
        return Kept(table, Exact.from_parts(table, *parts[3:6]), parts[6:], described["digest"])
    except (OSError, ValueError, ImportError):
        return None


def keep(place: Path, kept: Kept) -> None:
    """Write an index. Where that fails, for want of space or permission, the next run builds it again."""
    parts = [*kept.table.to_parts(), *kept.exact.to_parts(), *kept.sound]
    if not parts[3]:  # an automaton that cannot be kept
        return
    head = json.dumps({"digest": kept.digest, "sizes": list(map(len, parts))}).encode()
    body = b"".join((head, b"\n", *parts))
    with contextlib.suppress(OutputError, OSError):
        write_whole(place, _MAGIC + hashlib.sha256(body).digest() + body)
        written = sorted(place.parent.glob("*.index"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in written[KEPT:]:
            old.unlink(missing_ok=True)


def _folder() -> Path:
    """Beside the folder of answers that REWRITER_CACHE names, not in it: what is in there is an answer or damaged."""
    if folder := os.environ.get("REWRITER_CACHE"):
        return Path(f"{folder}-glossaries")
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("transcript-rewriter")) / "glossaries"


@lru_cache(maxsize=1)
def _builder() -> bytes:
    """What an index depends on beside the files."""
    from importlib.metadata import version

    made_of = hashlib.sha256(f"{version('pypinyin')} {sys.byteorder} {array('I').itemsize}".encode())
    for source in sorted(Path(__file__).parent.glob("*.*")):
        made_of.update(source.name.encode() + source.read_bytes())
    with contextlib.suppress(ModuleNotFoundError):
        made_of.update(version("daachorse").encode())
    return made_of.digest()
