"""One cache for several machines: a Redis or Valkey server behind the local one.

Read from the local cache, then from the server (what it has is kept here too); stored in both. What is sealed is the
same on both sides, so a damaged or foreign value on the server is a miss. A correction is told to the others by a list
on the server, which each looks at every few seconds. A server that is down costs its help, not the run.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rewriter.errors import CacheError

from . import seal
from .answers import PassageCache
from .entry import unpack
from .front import ENTRIES
from .keys import raw_key
from .together import Sealed

if TYPE_CHECKING:
    from .vectors import Vectors

PREFIX = b"transcript-rewriter:answer:"
CHANGED = "transcript-rewriter:changed"
SEEN_FILE = "shared-seen"
# Seconds. A server in reach answers in a millisecond; one that does not must not hold up a run for long, nor often.
TIMEOUT, PAUSE = 0.5, 30.0
# Seconds between two looks at what others corrected: so long may an entry be served here as it was before.
LOOK_EVERY = 5.0
# Seconds for which corrections are kept. A machine that was away longer may serve what was corrected meanwhile.
KEEP_CHANGES = 90 * 86400


class SharedCache(PassageCache):
    """A PassageCache with a server behind it; `url` is redis://, rediss://, valkey:// or unix://.

    `pin`, `prune`, `clear`, `verify` and the similar tier are of the local cache alone. Limits of the server's memory
    are the server's own affair (`maxmemory`); what it drops is asked from the others or anew.
    """

    def __init__(
        self,
        path: Path | str,
        url: str,
        *,
        size_limit: int | None = None,
        max_age: float | None = None,
        memory: int = ENTRIES,
        vectors: Vectors | str | None = None,
    ) -> None:
        """Open the local cache. Raises CacheError for it, for a URL that is none, and without the package redis."""
        super().__init__(path, size_limit=size_limit, max_age=max_age, memory=memory, vectors=vectors)
        try:
            self._server = _client(url)
        except CacheError:
            self.close()
            raise
        self._name = _name(url)
        self._paused = self._looked = 0.0
        self._seen = self._read_seen()

    # --- the server, as far as it is there ---

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        """The server's client; its errors become one notice and a pause."""
        import redis

        try:
            yield self._server
        except (redis.RedisError, OSError) as error:
            self._paused = time.monotonic() + PAUSE
            # not the error's text: it may hold what was sent
            text = f"The shared cache at {self._name} could not be used ({type(error).__name__}); going on without it."
            if text not in self.notices:
                self.notices.append(text)

    @property
    def _reachable(self) -> bool:
        return time.monotonic() >= self._paused

    @property
    def _must_look(self) -> bool:
        return self._reachable and time.monotonic() - self._looked >= LOOK_EVERY

    def _is_near(self, key: str) -> bool:
        if not self._reachable:
            return True
        if self._must_look:
            return False
        return self._front.get(key) is not None or self._read_here(raw_key(key)) is not None

    def _read(self, raw: bytes) -> tuple[bytes | None, str]:
        if self._must_look:
            self._look_at_changes()
        sealed, tier = super()._read(raw)
        if sealed is not None or not self._reachable:
            return sealed, tier
        with self._asking() as server:
            sealed = server.get(PREFIX + raw)
        if sealed is None:
            return None, ""
        with contextlib.suppress(seal.Newer, CacheError):
            try:
                self._keep(Sealed(raw, sealed, unpack(raw, sealed).when))
            except seal.Damaged:
                self.counts["damaged"] += 1
                return None, ""
        return sealed, "shared"

    def _published(self, entry: Sealed) -> None:
        raw, sealed = entry.key, entry.value
        if not self._reachable:
            return
        with self._asking() as server:
            there = server.getrange(PREFIX + raw, 0, len(seal.START) - 1)
            if there[: len(seal.MAGIC)] == seal.MAGIC and there > seal.START:
                return  # a newer version's
            old = server.set(PREFIX + raw, sealed, get=True)
            if old is not None and old != sealed:
                self._tell_change(server, raw)

    def _withdrawn(self, raw: bytes) -> None:
        if self._reachable:
            with self._asking() as server:
                server.delete(PREFIX + raw)
                self._tell_change(server, raw)

    @staticmethod
    def _now(server: Any) -> float:
        """The server's clock, so that the machines' own need not agree."""
        seconds, micros = server.time()
        return float(seconds + micros / 1e6)

    def _tell_change(self, server: Any, raw: bytes) -> None:
        now = self._now(server)
        server.zadd(CHANGED, {raw: now})
        server.zremrangebyscore(CHANGED, "-inf", now - KEEP_CHANGES)

    def _look_at_changes(self) -> None:
        """Drop local copies of what was corrected or removed elsewhere."""
        self._looked = time.monotonic()
        changed: list[tuple[bytes, float]] = []
        with self._asking() as server:
            changed = server.zrangebyscore(CHANGED, self._seen, "+inf", withscores=True)
        for raw, when in changed:
            if when > self._seen:
                with contextlib.suppress(sqlite3.Error):
                    self.store.remove(raw)
                self._front.forget(raw.hex())
        if changed and changed[-1][1] > self._seen:
            self._seen = changed[-1][1]
            with contextlib.suppress(OSError):
                (self.path / SEEN_FILE).write_text(repr(self._seen))

    def _read_seen(self) -> float:
        try:
            return float((self.path / SEEN_FILE).read_text())
        except (OSError, ValueError):
            return 0.0

    def delete(self, key: str) -> bool:
        """Remove an entry here and on the server; says whether there was one here."""
        there = super().delete(key)
        self._withdrawn(raw_key(key))
        return there

    def close(self) -> None:
        """Close both; what is being stored is told to the server before."""
        super().close()
        if hasattr(self, "_server"):
            self._server.close()


def _client(url: str) -> Any:
    try:
        import redis
    except ImportError:
        raise CacheError(
            "The shared cache needs the package redis.", remedy='Install it: pip install "transcript-rewriter[redis]".'
        ) from None
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        return redis.Redis.from_url(
            url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, redis.RedisError):
        raise CacheError(
            "The address of the shared cache is none.", remedy="Give redis://HOST:PORT/0 (or rediss, valkey, unix)."
        ) from None


def _name(url: str) -> str:
    """Host and port, without credentials."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
