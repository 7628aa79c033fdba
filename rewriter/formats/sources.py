"""What the user named on the command line, as a list of inputs with a name for each output."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewriter.errors import FormatError, InputError, UsageError

SUFFIXES = {
    ".txt": "txt",
    ".md": "md",
    ".markdown": "md",
    ".srt": "srt",
    ".vtt": "vtt",
    ".ass": "ass",
    ".ssa": "ssa",
    ".json": "json",
}
# A run's own files, and the folder of reviewed ones, left in its output folder; the first tells that it is one.
_JOURNAL = "run.jsonl"
_OF_A_RUN = frozenset({_JOURNAL, "summary.json", "review.jsonl", "batches.jsonl", "stdin.input", "reviewed"})
STDIN = "-"

# Code points of a name that cannot be one, in a message.
LONGEST_SHOWN = 200
# Folders that are named in one.
FOLDERS_NAMED = 3


@dataclass(frozen=True)
class Source:
    """One input: a file, or standard input (`path` None). `output` is the relative name of its rewrite."""

    path: Path | None
    output: Path

    @property
    def name(self) -> str:
        """The file's path as given; "-" for standard input."""
        return STDIN if self.path is None else str(self.path)

    @property
    def size(self) -> int:
        """Bytes of the file; 0 for standard input and for a file that cannot be looked at."""
        try:
            return 0 if self.path is None else self.path.stat().st_size
        except OSError:
            return 0

    def read(self) -> bytes:
        """The bytes. Standard input can be read once. Raises InputError where the file cannot be read."""
        return read_stdin() if self.path is None else read_file(self.path)


def read_stdin() -> bytes:
    """What standard input holds; it can be read once. Raises InputError where it is closed."""
    if sys.stdin is None:
        raise InputError("standard input is closed.", where=STDIN, remedy="Pipe a text into it, or name a file.")
    return sys.stdin.buffer.read()


def read_file(path: Path) -> bytes:
    """A file's bytes, or an InputError that says why not."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file.", where=str(path), remedy="Check the path.") from None
    except IsADirectoryError:
        raise InputError("a folder, where a file is asked for.", where=str(path), remedy="Name a file.") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"cannot be read: {reason}.", where=str(path), remedy="Check it and its permissions."
        ) from None


def format_of(path: Path | str) -> str:
    """The format a file name stands for. Raises FormatError for a suffix we do not know."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        what = f"unknown format {suffix!r}." if suffix else "a file without a suffix: its format is unknown."
        raise FormatError(
            what, where=str(path), remedy=f"Known are {', '.join(SUFFIXES)}; rename the file, or pipe text in as -."
        )
    return SUFFIXES[suffix]


def _tell_nobody(notice: str) -> None: ...


def discover(inputs: Sequence[str], tell: Callable[[str], None] = _tell_nobody) -> list[Source]:
    """Files, folders (with their subfolders), globs and "-" as sources, in the order given, each file once.

    Folders below a given one in which a run has left its journal are passed over: what is in them has been rewritten.
    So are those that cannot be read; `tell` hears of them, in one sentence for each folder given.
    Raises InputError for what is missing or a folder without transcripts, FormatError for an unknown suffix, and
    UsageError for an empty name and where two files would be written to the same one.
    """
    found: dict[str, Source] = {}
    for given in inputs:
        for source in _found(given, tell):
            found.setdefault(STDIN if source.path is None else os.path.realpath(source.path), source)
    return _apart(list(found.values()))


def _found(given: str, tell: Callable[[str], None]) -> Iterator[Source]:
    path = Path(given)
    if given == STDIN:
        yield Source(None, Path("stdin.txt"))
    elif not given:  # a variable of a shell that is not set; it would stand for the current folder
        raise UsageError("an input has an empty name.", remedy="Name a file or a folder; . is the current one.")
    elif _there(path) and path.is_dir():
        yield from _in_folder(path, tell)
    elif _there(path):
        format_of(path)
        yield Source(path, Path(path.name))
    elif glob.has_magic(given):
        yield from _matching(given)
    else:
        raise InputError("no such file or folder.", where=given, remedy="Check the path.")


def _there(path: Path) -> bool:
    """Whether there is such a file or folder. Raises InputError for a name that none can have."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"this cannot be looked at: {reason}.", where=str(path)[:LONGEST_SHOWN], remedy="Check the path."
        ) from None


def _in_folder(folder: Path, tell: Callable[[str], None]) -> Iterator[Source]:
    closed: list[OSError] = []
    files = _not_of_runs([p for p in sorted(_below(folder, closed)) if _is_wanted(p.relative_to(folder))], folder)
    if closed and files:
        tell(f"{_named(closed)}: left out, for the folder cannot be read.")
    elif closed:
        raise InputError("the folder cannot be read.", where=_named(closed), remedy="Check its permissions.")
    if not files:
        known = ", ".join(SUFFIXES)
        raise InputError(
            "no transcripts in this folder.",
            where=str(folder),
            remedy=f"Looked for {known}, but not in subfolders that hold a run's results ({_JOURNAL}).",
        )
    for path in files:
        yield Source(path, path.relative_to(folder))


def _below(folder: Path, closed: list[OSError]) -> Iterator[Path]:
    """The files in a folder and its subfolders, but for hidden ones; `closed` takes in why a folder cannot be read."""
    for top, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (path for path in (Path(top, name) for name in names) if _is_file(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it cannot be looked at: whoever reads it says so
        return True


def _named(closed: Sequence[OSError]) -> str:
    names = ", ".join(sorted(str(error.filename) for error in closed)[:FOLDERS_NAMED])
    return f"{names} and {len(closed) - FOLDERS_NAMED} more" if len(closed) > FOLDERS_NAMED else names


def _not_of_runs(files: Sequence[Path], top: Path) -> list[Path]:
    """The files that are not in a run's folder below `top`."""
    runs: dict[Path, bool] = {}

    def of_a_run(folder: Path) -> bool:
        if folder in {top, folder.parent}:
            return False
        if folder not in runs:
            there = os.path.exists(folder / _JOURNAL)  # noqa: PTH110  (pathlib raises where it may not look)
            runs[folder] = there or of_a_run(folder.parent)
        return runs[folder]

    return [p for p in files if not of_a_run(p.parent)]


def _is_wanted(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES and not _OF_A_RUN.intersection(path.parts)


def _matching(pattern: str) -> Iterator[Source]:
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    fixed, rest = Path(*parts[:first]), [p if p == "**" else re.sub(r"\*\*+", "*", p) for p in parts[first:]]
    if rest[-1] == "**":  # files too
        rest.append("*")
    # Not glob.glob: it follows links to folders, and two that lead upwards keep it busy for ever.
    paths = sorted(fixed.glob("/".join(rest)))
    files = _not_of_runs([p for p in paths if p.is_file() and _is_wanted(p.relative_to(fixed))], fixed)
    if not files:
        raise InputError("nothing matches.", where=pattern, remedy=f"Known suffixes are {', '.join(SUFFIXES)}.")
    for path in files:
        yield Source(path, path.relative_to(fixed))


def _apart(sources: list[Source]) -> list[Source]:
    """Sources with the same output name get their parent folder's name in front; UsageError where that is no help."""
    clashing = _repeated(sources)
    moved = [
        Source(s.path, Path(s.path.resolve().parent.name) / s.output) if s.path and _key(s) in clashing else s
        for s in sources
    ]
    still = _repeated(moved)
    if still:
        names = [s.name for s in moved if _key(s) in still]
        raise UsageError(
            f"{names[0]} and {names[1]} would both be written as {sorted(still)[0]}.",
            remedy="Rename one, or give their common folder as the input.",
        )
    return moved


def _key(source: Source) -> str:
    return source.output.as_posix().casefold()


def _repeated(sources: Sequence[Source]) -> set[str]:
    keys = [_key(s) for s in sources]
    return {k for k in keys if keys.count(k) > 1} if len(set(keys)) < len(keys) else set()
