"""The passage cache: the exact tier, the similar tier behind it, upkeep and moving."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rewriter.errors import CacheError
from rewriter.records import Answer, Usage

from . import moving, upkeep
from .exact import ELSEWHERE, SECONDS_PER_DAY, ExactCache
from .front import ENTRIES
from .upkeep import CacheStats, VerifyReport

if TYPE_CHECKING:
    from rewriter.processes import Compute

    from .entry import About
    from .similar import Judge, Replay, Similar
    from .vectors import Vectors

# With a size limit, a prune goes below it by this part, so that not every put prunes again.
PRUNE_SLACK = 0.1


class Accepted(NamedTuple):
    """A rewrite that was accepted, to be kept; see PassageCache.remember."""

    scope: str
    source: str
    rewrite: str
    answer: Answer
    about: About = {}  # noqa: RUF012  never changed


class PassageCache(ExactCache):
    """Answers in a folder, usable from several threads and processes at once.

    `put` returns when the answer is on disk; a kill after that loses nothing. `get` writes nothing, and gives back an
    answer only where its seal, key and shape are right; all else is a miss, counted in `stats()`. Nothing is removed
    unless `size_limit` (bytes of entries and passages) asks for it: then the oldest go first, pinned ones never. With
    `max_age` (days) an older entry that is not pinned is a miss; it is removed only by `prune`. `memory` is how many
    answers are also held in memory. Calls block for the time of one SQLite statement: some microseconds for a hit, one
    flush to the disk for a put; `aput` and `once` leave the event loop free for the flush. `vectors` is an index of
    passages by meaning, or its address (see vectors.py). `notices` collects what a user should hear.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size_limit: int | None = None,
        max_age: float | None = None,
        memory: int = ENTRIES,
        vectors: Vectors | str | None = None,
    ) -> None:
        """Open the cache in folder `path`, made where missing. Raises CacheError with a remedy."""
        self.size_limit = size_limit
        self._vectors = _index(vectors)
        self._similar: Similar | None = None
        self._similar_lock, self._pruning = threading.Lock(), threading.Lock()
        self._weight: int | None = None  # bytes of entries and passages, once counted; then kept up with what is added
        super().__init__(path, max_age=max_age, memory=memory)
        if self._vectors is not None:
            self._vectors.notices = self.notices

    # --- the similar tier, told in similar.py ---

    @property
    def similar(self) -> Similar:
        """The passages whose rewrites may be replayed, opened at first use. Raises CacheError."""
        if self._similar is None:
            from .similar import Similar

            try:
                with self._similar_lock:
                    if self._similar is None:
                        self._similar = Similar(self.path, self.notices, self._vectors)
            except (OSError, sqlite3.Error) as error:
                raise CacheError(
                    f"The index of passages cannot be opened ({error}).", where=str(self.path), remedy=ELSEWHERE
                ) from error
        return self._similar

    def has_passages(self) -> bool:
        """Whether an index of passages is there; asking does not make one."""
        return self._similar is not None or (self.path / "similar.db").exists()

    def replay(
        self,
        scope: str,
        source: str,
        judge: Judge,
        *,
        drops_hesitations: bool,
        before: float | None = None,
    ) -> Replay | None:
        """A rewrite of a passage made from that of a near one and accepted by `judge`; counted with what it saves.

        `scope` is made with `scope_of`. `before` (seconds since 1970) leaves out what was kept later: who keeps and
        looks in any order gets the same replays so. Raises CacheError where the index cannot be opened.
        """
        return self._counted(
            self.similar.find(scope, source, judge, drops_hesitations=drops_hesitations, before=before)
        )

    def _counted(self, found: Replay | None) -> Replay | None:
        if found is not None:
            label = {name: found.about.get(name, "") for name in ("model", "style")}
            self.tally.hit("replay", json.dumps(label).encode(), found.answer.usage)
        return found

    async def areplay(
        self,
        scope: str,
        source: str,
        judge: Judge,
        *,
        drops_hesitations: bool,
        before: float | None = None,
        compute: Compute | None = None,
    ) -> Replay | None:
        """As `replay`; where that has nothing, the index of meanings is asked, with the event loop free meanwhile.

        `compute`, given a function and its arguments, gives what that gives: what takes long may be computed elsewhere.
        """
        if compute is not None:
            from .similar import make_codes

            await make_codes(scope, source, compute)
        found = self.replay(scope, source, judge, drops_hesitations=drops_hesitations, before=before)
        if found is not None or self._vectors is None:
            return found
        from .similar import alike, chosen

        near = await self._vectors.aside(partial(alike, self._vectors, scope, source, before))
        return self._counted(chosen(near, source, judge, drops_hesitations=drops_hesitations))

    def would_replay(
        self, scope: str, source: str, judge: Judge, *, drops_hesitations: bool, before: float | None = None
    ) -> bool:
        """Whether `areplay` would give a rewrite now; nothing is counted or made.

        Raises CacheError where the index cannot be opened.
        """
        from .similar import alike, chosen

        if self.has_passages() and self.similar.find(
            scope, source, judge, drops_hesitations=drops_hesitations, before=before
        ):
            return True
        near = alike(self._vectors, scope, source, before) if self._vectors is not None else []
        return chosen(near, source, judge, drops_hesitations=drops_hesitations) is not None

    def remember(self, scope: str, source: str, rewrite: str, answer: Answer, *, about: About | None = None) -> None:
        """Keep an accepted rewrite, so that it may be replayed.

        `about` may name the key of the answer it was made from (`request`), so that both go when one is removed.
        Raises CacheError where the index cannot be opened or the answer not be stored.
        """
        self.remember_all([Accepted(scope, source, rewrite, answer, about or {})])

    def remember_all(self, passages: Iterable[Accepted]) -> None:
        """As `remember`, many in one transaction: half the time, or less. What is kept already is not written again."""
        from .similar import Remembered

        now = time.time()
        new = [
            Remembered("", p.scope, p.source, p.rewrite, p.answer, dict(p.about), now)
            for p in passages
            if self.rewrite_of(p.scope, p.source) != p.rewrite
        ]
        try:
            size = self.similar.remember_all(new)
        except (ValueError, TypeError) as error:
            raise CacheError(f"A passage cannot be kept ({error}).", remedy="Use smaller passages.") from error
        self._added(size)

    def rewrite_of(self, scope: str, source: str) -> str | None:
        """The rewrite kept for just this passage. Raises CacheError where the index cannot be opened."""
        return self.similar.rewrite_of(scope, source)

    def delete(self, key: str) -> bool:
        """Remove an entry, and the passages made from it, so that it is asked anew; says whether there was one.

        Raises CacheError where it cannot be removed.
        """
        self._forget_made_from(key)
        return super().delete(key)

    def correct(self, key: str, text: str) -> bool:
        """Put a text in place of a stored answer's, and pin it; says whether there is such an entry.

        Usage and provenance stay; `about` says that it was corrected. Passages made from the old text are removed.
        Raises CacheError where it cannot be stored.
        """
        self._forget_made_from(key)
        return super().correct(key, text)

    def _forget_made_from(self, key: str) -> None:
        entry = self.entry(key) if self.has_passages() else None
        if entry is not None:
            self.similar.forget(key, entry.answer.text)

    # --- upkeep, told in upkeep.py ---

    def stats(self, price: Callable[[str, Usage], float | None] | None = None) -> CacheStats:
        """What is there and what it saved. Reads every entry. `price` gives the dollars of a model's tokens."""
        by_meaning = self._vectors.count() if self._vectors is not None else None
        return upkeep.stats(self, len(self.similar) if self.has_passages() else 0, by_meaning, price)

    def verify(self) -> VerifyReport:
        """Read every entry; move damaged ones to a file `damaged-TIME.jsonl` (every column, bytes as hex).

        A database that SQLite itself finds damaged is set aside as a whole, and what is readable taken over. Damaged
        passages are removed: they are made from answers, and are made again.
        """
        lost = self.similar.verify() if self.has_passages() else 0
        self._front.forget()
        return upkeep.verify(self).model_copy(update={"damaged_passages": lost})

    def prune(self, *, max_bytes: int | None = None, older_than: float | None = None) -> int:
        """Remove what was stored more than `older_than` days ago, then the oldest until `max_bytes` suffice.

        Entries and passages are one row by age: the oldest go, whichever they are. `max_bytes` counts sealed entries
        with their keys and passages with what leads to them; the files are a little larger. Pinned entries stay, though
        they count. How many entries and passages were removed. Raises CacheError for a limit below 0.
        """
        if min(max_bytes or 0, older_than or 0) < 0:
            raise CacheError("Bytes and days to keep are 0 or more.", remedy="`rewriter cache clear` removes all.")
        with self._pruning:
            removed = self._prune(max_bytes, older_than)
            upkeep.shrink(self.store, self.similar if self.has_passages() else None)
        return removed

    def _prune(self, max_bytes: int | None, older_than: float | None) -> int:
        before = time.time() - older_than * SECONDS_PER_DAY if older_than is not None else None
        with self.working():
            removed, self._weight = upkeep.prune(
                self.store, self.similar if self.has_passages() else None, max_bytes, before
            )
        self._front.forget()
        return removed

    def _added(self, size: int) -> None:
        """With a size limit: keep count, and prune when it is above.

        Counting reads the whole database, so it is done only when the files themselves are above the limit.
        """
        if self.size_limit is None:
            return
        with self._pruning, self.working():
            if self._weight is not None:
                self._weight += size
            elif upkeep.file_bytes(self.path) > self.size_limit:
                self._weight = upkeep.weight(self.store, self.similar if self.has_passages() else None)
            if self._weight is not None and self._weight > self.size_limit:
                self._prune(int(self.size_limit * (1 - PRUNE_SLACK)), None)

    def clear(self, *, pinned: bool = False) -> int:
        """Remove all remembered passages and all entries, pinned ones only if `pinned`; how many entries there were."""
        with self._pruning, self.working():
            if self.has_passages() or self._vectors is not None:
                self.similar.clear()
            removed = self.store.clear_all(pinned=pinned)
            upkeep.shrink(self.store, self.similar if self.has_passages() else None)
            self._weight = None
        self._front.forget()
        return removed

    # --- moving, told in moving.py ---

    def export(self, path: Path | str) -> int:
        """Write every sound entry, and every passage, to a JSONL file, whole or not at all; how many entries.

        Raises CacheError.
        """
        passages = self.similar.passages() if self.has_passages() else ()
        return moving.export(Path(path), self.entries(), passages)

    def import_(self, path: Path | str, judge: Judge | None = None) -> int:
        """Add the entries and passages of an exported file; what is there already stays. How many entries were added.

        Answers are judged whenever they are read; a passage's rewrite is judged here too, and left out where
        `judge(source, rewrite)` says no. Raises CacheError where the file is no export. A line that cannot be read is
        left out, and a notice counts them.
        """
        with self.working(), nullcontext() if self._vectors is None else self._vectors.in_full():
            added, bad = moving.import_(Path(path), self.store, lambda: self.similar, judge)
        if bad:
            self.notices.append(f"{path}: {bad} lines could not be read and were left out.")
        self._added(0)
        return added

    def close(self) -> None:
        """As ExactCache.close, and the index of passages too."""
        if self._similar is not None:
            self._similar.close()
            self._similar = None
        if self._vectors is not None:
            self._vectors.close()
        super().close()


def _index(vectors: Vectors | str | None) -> Vectors | None:
    if isinstance(vectors, str):
        from .vectors import Vectors

        return Vectors(vectors)
    return vectors
