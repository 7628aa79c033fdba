"""Which cache a user means: its folder, its limits, the server behind it, as the environment says."""

from __future__ import annotations

import os
from pathlib import Path

from rewriter.errors import CacheError

from .answers import PassageCache
from .pages import DATABASE

FOLDER_VARIABLE = "REWRITER_CACHE"
SIZE_VARIABLE = "REWRITER_CACHE_SIZE"
AGE_VARIABLE = "REWRITER_CACHE_DAYS"
SHARED_VARIABLE = "REWRITER_CACHE_URL"
VECTORS_VARIABLE = "REWRITER_VECTORS"


def default_folder() -> Path:
    """REWRITER_CACHE, or the user's cache folder by the system's custom."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("transcript-rewriter")) / "answers"


def shared_environment() -> dict[str, str]:
    """The environment's names of what several machines share, and the key to it: for each of them to have."""
    names = [SHARED_VARIABLE]
    if "://" in os.environ.get(VECTORS_VARIABLE, ""):  # a file is one process's
        from .milvus import TOKEN_VARIABLE

        names += [VECTORS_VARIABLE, TOKEN_VARIABLE]
    return {name: os.environ[name] for name in names if name in os.environ}


def open_cache(path: Path | str | None = None, *, shared: str | None = None, make: bool = True) -> PassageCache:
    """The cache in a folder, by default the user's own, with the limits REWRITER_CACHE_SIZE (bytes) and
    REWRITER_CACHE_DAYS where they are set.

    `shared`, or REWRITER_CACHE_URL, is the address of a Redis or Valkey server behind it, REWRITER_VECTORS that of an
    index of passages by meaning. Without `make` the cache must be there already. Raises CacheError where it cannot be
    opened or is not there, or a limit is no number.
    """
    size, days = _limit(SIZE_VARIABLE), _limit(AGE_VARIABLE)
    folder = Path(path if path is not None else default_folder()).expanduser()
    if not make and not (folder / DATABASE).is_file():
        remedy = f"Name its folder with --cache or {FOLDER_VARIABLE}."
        raise CacheError("There is no cache here.", where=str(folder), remedy=remedy)
    limit = int(size) if size is not None else None
    url, vectors = shared or os.environ.get(SHARED_VARIABLE), os.environ.get(VECTORS_VARIABLE) or None
    if url:
        from .shared import SharedCache

        return SharedCache(folder, url, size_limit=limit, max_age=days, vectors=vectors)
    return PassageCache(folder, size_limit=limit, max_age=days, vectors=vectors)


def _limit(variable: str) -> float | None:
    said = os.environ.get(variable)
    if not said:
        return None
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise CacheError(f"{variable} is {said[:40]!r}.", remedy="Give a number above 0, or unset it.")
    return value
