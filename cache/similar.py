"""The similar tier: accepted rewrites by the passage they came from, found again for one that is nearly the same.

Four ways in, tried in order: the same text but for width and white space (its rewrite stands as it is), the same words
with other marks, a near neighbour, and parts of two neighbours where an edit has moved a passage's ends. All but the
first are only ever candidates: `replay.carry` brings every difference into the stored rewrite or refuses, and the
caller's judge decides on the result against the new source. An error of the judge is a miss.

`similar.db` lies beside the answers. It is made from answers that were stored before, so a kill may cost its last rows,
and a damaged file is set aside for an empty one: nothing paid for is lost.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rewriter.records import Answer, Record

from . import seal
from .adding import Row
from .entry import About, about_of, pack, parse
from .keys import digest_of, normalise_endpoint
from .pages import begin_log, give_back, make_private, transaction
from .sketch import CODES, code, codes
from .words import Words

if TYPE_CHECKING:
    from rewriter.processes import Compute

    from .vectors import Vectors

FILE = "similar.db"
How = Literal["same", "marks", "near", "parts"]
Judge = Callable[[str, str], bool]

# Passages looked at for one code: where so many share it, they are the same sentence over and over.
CODE_LIMIT = 16
# Candidates tried: one that shares most codes and cannot be carried is seldom followed by one that can.
TRIES = 6
# Passages read for them: of another scope one may be none.
LOOKED_AT = 24
# Seconds for all tries together, the judge's time included; beyond, it is a miss. A model call takes seconds.
TIME_LIMIT = 2.0
# Code points. Longer passages are not remembered: aligning them would take longer than a look-up may.
LONGEST = 8000
# Bytes. A source and its rewrite are nearly the same text twice: together they deflate to less than half, always worth
# the time.
DEFLATE_ABOVE = 256
# Passages whose codes are held (0.7 KB each): they are made before the model call, and needed again when the file's
# answers are remembered.
CODES_HELD = 16_384
# Bytes of the rows that lead to a passage: twelve codes, each with its place in the tree.
LEADING = 12 * 24
# Rows removed one by one, each with its codes worked out anew (1 ms); more are removed in one pass over all codes.
SEVERAL = 1000
_LENGTH_BYTES = 4
PRAGMAS = (
    "trusted_schema = OFF",
    "synchronous = NORMAL",  # after a power cut the last rows may be missing, which costs a model call each
    "cache_size = -16384",  # KB: the inner pages of a million passages
    # bytes. All of the file made a look-up of 0.65 ms 0.62, and what is mapped counts as memory of the process.
    "mmap_size = 33554432",
    "wal_autocheckpoint = 8000",  # pages: codes fall on random pages, and ten times fewer checkpoints write each once
)
SIZES = "SELECT id, CAST(stored AS REAL), length(sealed) + ? FROM passages ORDER BY 2 DESC, id DESC"
SETUP = (
    "CREATE TABLE IF NOT EXISTS passages (id INTEGER PRIMARY KEY, stored REAL NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS codes (code INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (code, id))"
    " WITHOUT ROWID",
)
# What a code is worth where it leads to a passage: the same text, the same words, a part of them.
WORTH = (100, 20, *(1,) * CODES)
# Rows that codes lead to. Passages that a run remembers itself are many, and are turned down by their row's time.
_LED_TO = (
    "SELECT led.code, led.id, passages.stored FROM (SELECT code, id FROM codes WHERE code IN ({}) LIMIT ?) AS led"
    " JOIN passages ON passages.id = led.id"
)


class Remembered(NamedTuple):
    """A passage and its accepted rewrite. `key` is 64 hex digits, made from scope and source."""

    key: str
    scope: str
    source: str
    rewrite: str
    answer: Answer
    about: dict[str, Any]
    when: float


class Replay(Record):
    """A rewrite found for a passage: from which source, and how alike that was."""

    rewrite: str
    source: str
    how: How
    answer: Answer
    about: dict[str, Any]


def scope_of(
    endpoint: str, model: str, parameters: dict[str, Any], prompt: str, terms: Sequence[Sequence[str]] = ()
) -> str:
    """Within what rewrites may be replayed (64 hex digits): endpoint, model, parameters, prompt hash, glossary terms.

    `max_tokens` is left out, since it follows from the passage's length. `terms` are those that stand in the prompt.
    """
    kept = {k: v for k, v in parameters.items() if k != "max_tokens"}
    return digest_of(
        {
            "version": 1,
            "endpoint": normalise_endpoint(endpoint),
            "model": model,
            "parameters": kept,
            "prompt": prompt,
            "terms": [list(t) for t in terms],
        }
    )


class Similar:
    """The passages in a folder. Threads and processes may share it; calls block for some hundred microseconds."""

    def __init__(self, folder: Path, notices: list[str] | None = None, vectors: Vectors | None = None) -> None:
        """Open or make `similar.db`; what a user should hear is added to `notices`. `vectors` is kept up beside it.

        Raises OSError or sqlite3.Error where that cannot be done.
        """
        self.path = folder / FILE
        self.notices = notices if notices is not None else []
        self.vectors = vectors
        self._lock = threading.Lock()
        self._connection, self._pid = self._open(), os.getpid()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._set_aside(error)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        make_private(self.path)
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            begin_log(connection)
            for statement in SETUP:
                connection.execute(statement)
            triggers = connection.execute("SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')")
            if triggers.fetchone() != (0,):
                raise sqlite3.DatabaseError("it holds triggers or views, which are not ours")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _set_aside(self, why: object) -> None:
        aside = f"damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-similar.db"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(FILE + suffix).rename(self.path.with_name(aside + suffix))
        self.notices.append(f"The index of passages was damaged ({why}); it was set aside as {aside} and begun anew.")

    @contextlib.contextmanager
    def _working(self) -> Iterator[sqlite3.Connection]:
        """The connection, one thread at a time. SQLite's errors cost the tier's help, not the run."""
        with self._lock:
            try:
                if self._pid != os.getpid():  # a forked child must not use its parent's connection
                    self._connection, self._pid = self._connect(), os.getpid()
                yield self._connection
            except sqlite3.OperationalError as error:
                self._tell(f"The index of passages could not be used ({error}).")
            except sqlite3.DatabaseError as error:
                self._connection.close()
                self._set_aside(error)
                self._connection = self._connect()

    def _tell(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    # --- storing ---

    def remember(
        self,
        scope: str,
        source: str,
        rewrite: str,
        answer: Answer,
        *,
        about: About | None = None,
        when: float | None = None,
    ) -> int:
        """Keep an accepted rewrite of a passage for near ones to come, in place of what was there; its bytes.

        Too long a passage, or an empty one, is not kept: 0 bytes. Raises ValueError for what cannot be sealed.
        """
        stored = time.time() if when is None else when
        return self.remember_all([Remembered("", scope, source, rewrite, answer, dict(about or {}), stored)])

    def remember_all(self, passages: Iterable[Remembered]) -> int:
        """As `remember`, many in one transaction; their keys are made anew."""
        kept = [p for p in passages if _is_passage(p.source)]
        rows = [_rows(p) for p in kept]
        if not rows:
            return 0
        with self._transaction() as connection:
            for row, leading in rows:
                connection.execute("INSERT OR REPLACE INTO passages VALUES (?, ?, ?)", row)
                connection.executemany("INSERT OR IGNORE INTO codes VALUES (?, ?)", leading)
        if self.vectors is not None:
            sealed = (
                (place, p.scope, p.source, when, whole) for p, ((place, when, whole), _) in zip(kept, rows, strict=True)
            )
            self.vectors.add(starmap(Row, sealed))
        return sum(len(sealed) + LEADING for (_, _, sealed), _ in rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        with self._working() as connection, transaction(connection):
            yield connection

    def rewrite_of(self, scope: str, source: str) -> str | None:
        """The rewrite remembered for just this passage."""
        found = self._passage(_place(digest_of([scope, source])), scope)
        return found.rewrite if found is not None and found.source == source else None

    # --- finding ---

    def find(
        self,
        scope: str,
        source: str,
        judge: Judge,
        *,
        drops_hesitations: bool,
        before: float | None = None,
    ) -> Replay | None:
        """A rewrite of `source` made from a remembered one, judged; None where there is none that is sure.

        `judge(source, rewrite)` has the last word; what it raises is a miss. `drops_hesitations` says whether the style
        leaves out 嗯 and um. `before`, in seconds since 1970: only what was remembered by then counts.
        """
        if not _is_passage(source):
            return None
        until = time.monotonic() + TIME_LIMIT
        near = self.candidates(scope, source, before)
        return chosen(near, source, judge, drops_hesitations=drops_hesitations, until=until)

    def candidates(self, scope: str, source: str, before: float | None = None) -> list[Remembered]:
        """Remembered passages of a scope that are nearly this one, nearest first; only older ones than `before`."""
        limit = float("inf") if before is None else before
        codes = _codes(scope, source)
        worth = dict(zip(codes, WORTH, strict=False))
        rows = self._led_to(codes)
        if len(rows) >= CODE_LIMIT * len(codes):  # a sentence that is everywhere must not crowd out the others
            rows = [row for one in codes for row in self._led_to([one])]
        votes: Counter[int] = Counter()
        for one, place, stored in rows:
            if stored < limit:
                votes[place] += worth[one]
        found = (self._passage(place, scope) for place, _ in votes.most_common(LOOKED_AT))
        return list(islice((f for f in found if f is not None and f.when < limit), TRIES))

    def _led_to(self, codes: Sequence[int]) -> list[tuple[int, int, float]]:
        """(code, row, when stored); one statement for all codes takes a quarter of the time of one for each."""
        statement = _LED_TO.format(",".join("?" * len(codes)))
        with self._working() as connection:
            return connection.execute(statement, (*codes, CODE_LIMIT * len(codes))).fetchall()
        return []

    def _passage(self, place: int, scope: str) -> Remembered | None:
        row = None
        with self._working() as connection:
            row = connection.execute("SELECT sealed FROM passages WHERE id = ?", (place,)).fetchone()
        return _opened_at(place, scope, row[0]) if row else None

    # --- upkeep ---

    def __bool__(self) -> bool:
        """An index, even an empty one."""
        return True

    def __len__(self) -> int:
        found = 0
        with self._working() as connection:
            ((found,),) = connection.execute("SELECT count(*) FROM passages").fetchall()
        return int(found)

    def passages(self) -> Iterator[Remembered]:
        """Every sound passage; damaged ones are passed over."""
        for _, opened in self._rows():
            if opened is not None:
                yield opened

    def _rows(self) -> Iterator[tuple[int, Remembered | None]]:
        last = -1
        while True:
            rows: list[tuple[int, object]] = []
            with self._working() as connection:
                statement = "SELECT id, sealed FROM passages WHERE id > ? ORDER BY id LIMIT 256"
                rows = connection.execute(statement, (last,)).fetchall()
            if not rows:
                return
            for place, sealed in rows:
                opened = _opened(sealed)
                yield place, opened if opened is not None and _place(opened.key) == place else None
            last = rows[-1][0]

    def forget(self, request: str, text: str) -> int:
        """Remove the passages made from an answer that was wrong: its request's key and its text. How many there were.

        Reads every passage (0.1 ms each). A passage whose `about` does not name its request is known by its rewrite,
        which stands in the answer but for white space.
        """
        whole = "".join(text.split())

        def from_it(p: Remembered) -> bool:
            return p.about["request"] == request if "request" in p.about else "".join(p.rewrite.split()) in whole

        made = [place for place, p in self._rows() if p is not None and from_it(p)]
        self.drop(made)
        if self.vectors is not None:
            self.vectors.drop(made)
        return len(made)

    def verify(self) -> int:
        """Remove damaged passages; how many there were."""
        damaged = [place for place, opened in self._rows() if opened is None]
        self.drop(damaged)
        return len(damaged)

    def sizes(self) -> Iterator[tuple[int, float, int]]:
        """(row, when stored, bytes with what leads to it), the newest first."""
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                yield from connection.execute(SIZES, (LEADING,))
        except sqlite3.Error as error:
            self._tell(f"The index of passages could not be used ({error}).")

    def drop(self, places: list[int]) -> None:
        """Remove rows and what leads to them."""
        if self.vectors is not None and self.vectors.is_file:  # a server's limits are its own affair
            self.vectors.drop(places)
        if len(places) <= SEVERAL:
            self._drop(places)
            return
        with self._transaction() as connection:
            connection.execute("CREATE TEMP TABLE doomed (id INTEGER PRIMARY KEY)")
            connection.executemany("INSERT INTO doomed VALUES (?)", ((place,) for place in places))
            for table in ("codes", "passages"):
                connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM doomed)")  # noqa: S608  constants
            connection.execute("DROP TABLE doomed")

    def clear(self) -> None:
        """Remove everything."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM codes")
            connection.execute("DELETE FROM passages")
        if self.vectors is not None and self.vectors.is_file:
            self.vectors.clear()

    def shrink(self) -> None:
        """Give the room of removed rows back to the disk, where that is much."""
        with self._working() as connection:
            give_back(connection)

    def _drop(self, places: list[int]) -> None:
        """A row at a time; a damaged row's codes are not known, and lead nowhere then."""
        with self._transaction() as connection:
            for place in places:
                row = connection.execute("SELECT sealed FROM passages WHERE id = ?", (place,)).fetchone()
                opened = _opened(row[0]) if row else None
                gone = _codes(opened.scope, opened.source) if opened else []
                connection.executemany("DELETE FROM codes WHERE code = ? AND id = ?", [(c, place) for c in gone])
                connection.execute("DELETE FROM passages WHERE id = ?", (place,))

    def close(self) -> None:
        """Close the database; whoever made the index of meanings closes that."""
        with self._lock:
            self._connection.close()


def _place(key: str) -> int:
    """A passage's row: the first 63 bits of its key."""
    return int(key[:16], 16) >> 1


_held: dict[str, list[int]] = {}


def _codes(scope: str, source: str) -> list[int]:
    """The codes of a passage, made once while it is on its way."""
    key = digest_of([scope, source])
    found = _held.get(key)
    return _hold(key, _made(scope, source)) if found is None else found


async def make_codes(scope: str, source: str, compute: Compute) -> None:
    """Have the codes of a passage made by `compute`, and hold them until they are looked for."""
    key = digest_of([scope, source])
    if key not in _held and _is_passage(source):
        _hold(key, await compute(_made, scope, source))


def _hold(key: str, made: list[int]) -> list[int]:
    if len(_held) >= CODES_HELD:
        _held.clear()
    _held[key] = made
    return made


def _made(scope: str, source: str) -> list[int]:
    """Of the text but for width and space, of its words alone, and of parts of it."""
    raw, words = bytes.fromhex(scope), Words.of(source)
    strict, content = (x.encode("utf-8", "surrogatepass") for x in (words.strict(), words.content()))
    return [code(raw, b"strict", strict), code(raw, b"content", content), *codes(raw, "".join(words.tokens).lower())]


def _rows(p: Remembered) -> tuple[tuple[int, float, bytes], list[tuple[int, int]]]:
    """A passage's row, and those of the codes that lead to it."""
    text = p.source.encode("utf-8", "surrogatepass")
    payload = pack(p.answer.model_copy(update={"text": p.rewrite}), p.about, p.when, utf8=True)
    key = digest_of([p.scope, p.source])
    plain = bytes.fromhex(p.scope) + len(text).to_bytes(_LENGTH_BYTES, "big") + text + payload
    place = _place(key)
    return (place, p.when, seal.seal(bytes.fromhex(key), plain, above=DEFLATE_ABOVE)), [
        (one, place) for one in _codes(p.scope, p.source)
    ]


def _opened(sealed: object) -> Remembered | None:
    """A remembered passage, None where its seal does not hold. The key is not known before: it is in the seal."""
    key = seal.key_of(sealed)
    try:
        plain = seal.unseal(key, sealed)
        at = seal.KEY_BYTES + _LENGTH_BYTES
        end = at + int.from_bytes(plain[seal.KEY_BYTES : at], "big")
        scope, source = plain[: seal.KEY_BYTES].hex(), plain[at:end].decode("utf-8", "surrogatepass")
        opened = parse(plain[end:])
        about = about_of(opened.about)
    except (seal.Damaged, seal.Newer, ValueError):
        return None
    if digest_of([scope, source]) != key.hex():
        return None
    return Remembered(key.hex(), scope, source, opened.answer.text, opened.answer, about, opened.when)


def _opened_at(place: int, scope: str, sealed: object) -> Remembered | None:
    """As `_opened`; None too where it is of another scope, or belongs in another row."""
    opened = _opened(sealed)
    return opened if opened is not None and opened.scope == scope and _place(opened.key) == place else None


def _is_passage(source: str) -> bool:
    return len(source) <= LONGEST and bool(source.strip())


def alike(vectors: Vectors, scope: str, source: str, before: float | None = None) -> list[Remembered]:
    """Passages of a scope that mean nearly the same, nearest first; only older ones than `before`.

    Blocks for an embedding and a search: a tenth of a second, where the index hangs some seconds.
    """
    if not _is_passage(source):
        return []
    limit = float("inf") if before is None else before
    found = (_opened_at(place, scope, sealed) for place, sealed in vectors.near(scope, source, before))
    return [f for f in found if f is not None and f.when < limit]


def chosen(
    near: list[Remembered], source: str, judge: Judge, *, drops_hesitations: bool, until: float | None = None
) -> Replay | None:
    """The first rewrite made from one of these passages that `judge` accepts; see Similar.find.

    `until`, on the monotonic clock, is when to give up, TIME_LIMIT from now by default.
    """
    until = time.monotonic() + TIME_LIMIT if until is None else until
    for replay in _replays(near, source, drops_hesitations) if near else ():
        if time.monotonic() > until:
            return None
        if _accepted(judge, source, replay.rewrite):
            return replay
    return None


def _replays(near: list[Remembered], source: str, drops: bool) -> Iterator[Replay]:
    """What can be made of the candidates: of one, then of parts of one or two, where a passage's ends have moved."""
    from .replay import Refused, carry
    from .stitch import stitched

    words, pairs = Words.of(source), [(n, Words.of(n.source)) for n in near]
    seen: set[str] = set()
    for one, old in pairs:
        if old.strict() == words.strict():
            yield Replay(rewrite=one.rewrite, source=one.source, how="same", answer=one.answer, about=one.about)
            continue
        how: How = "marks" if old.tokens == words.tokens else "near"
        with contextlib.suppress(Refused):
            text = carry(one.source, one.rewrite, source, drops_hesitations=drops)
            seen.add(text)
            yield Replay(rewrite=text, source=one.source, how=how, answer=one.answer, about=one.about)
    for parts, text in stitched([(n.source, n.rewrite) for n in near], source, drops_hesitations=drops):
        if text in seen:
            continue
        seen.add(text)
        first = near[parts[0]]
        joined = "\n".join(near[n].source for n in parts)
        yield Replay(rewrite=text, source=joined, how="parts", answer=first.answer, about=first.about)


def _accepted(judge: Judge, source: str, rewrite: str) -> bool:
    try:
        return judge(source, rewrite)
    except Exception:  # a judge that fails has not accepted; the passage goes to the model
        return False
