"""Passages in Milvus: one collection, on a server or in a file that this process serves to itself.

A file is Milvus Lite's folder. pymilvus by itself would have it listen on a TCP port without a password, for everyone
on the machine, and hold it until the process ends; here it is reached through a socket in a folder of the owner's only,
and given up when it is closed. Every call has a time-out.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

TOKEN_VARIABLE = "MILVUS_TOKEN"  # noqa: S105  a variable's name
# Seconds: for a search (10 ms in 20,000 passages, 50 in 100,000, the first after opening up to 400 on a busy machine),
# for a write, for reaching a server, for making or loading its collection.
SEARCH, WRITE, OPEN, MAKE = 1.0, 5.0, 3.0, 10.0
LOOK_EVERY = 0.1  # seconds between two looks whether another machine has made the collection
# Rows of a file between two flushes: those not flushed are searched one by one, 40 us each.
FLUSH_EVERY = 500


class InUse(Exception):
    """Another process has the file open."""


class Passages:
    """A collection by its name, made when the first row is added: place, scope, stored, sealed, vector."""

    def __init__(self, address: str, name: str, *, is_file: bool) -> None:
        """Connect. Raises InUse and whatever else goes wrong."""
        self._file = address if is_file else None
        self._name, self._loaded, self._unflushed = name, False, 0
        connected = _client_class()
        address = _serve(address) if is_file else address
        try:
            self._client = connected(address, token="" if is_file else os.environ.get(TOKEN_VARIABLE, ""), timeout=OPEN)
        except BaseException:
            self._leave()
            raise

    def is_there(self) -> bool:
        """Whether the collection has been made; then it can be used."""
        if not self._loaded and self._client.has_collection(self._name, timeout=OPEN):
            self._client.load_collection(self._name, timeout=MAKE)
            self._loaded = True
        return self._loaded

    def make(self, width: int) -> None:
        """Make the collection, unless it is there, for vectors of so many numbers."""
        try:
            self._make(width)
        except Exception as error:
            self._wait_for_another(error)
        self.is_there()

    def _make(self, width: int) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("place", DataType.INT64, is_primary=True)
        schema.add_field("scope", DataType.INT64)
        schema.add_field("stored", DataType.DOUBLE)
        schema.add_field("sealed", DataType.VARCHAR, max_length=65_535)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=width)
        index = self._client.prepare_index_params()
        # A file's graph of 20,000 vectors is built for 8 s when it is closed, and searched no quicker than all of them.
        index.add_index("vector", index_type="FLAT" if self._file else "AUTOINDEX", metric_type="IP")
        self._client.create_collection(self._name, schema=schema, index_params=index, timeout=MAKE)

    def _wait_for_another(self, error: Exception) -> None:
        """Until a collection that could not be made is there: another machine may be making it. Else raises `error`."""
        until = time.monotonic() + MAKE
        while time.monotonic() < until:
            with contextlib.suppress(Exception):
                if self.is_there():  # fails until its index is made
                    return
            time.sleep(LOOK_EVERY)
        raise error

    def search(self, vector: Sequence[float], wanted: str, limit: int) -> list[tuple[int, str]]:
        """(place, sealed) of rows for which the expression `wanted` holds, the nearest first."""
        (hits,) = self._client.search(
            self._name,
            data=[list(vector)],
            filter=wanted,
            limit=limit,
            output_fields=["place", "sealed"],
            timeout=SEARCH,
        )
        return [(hit["entity"]["place"], hit["entity"]["sealed"]) for hit in hits]

    def put(self, rows: list[dict[str, Any]]) -> None:
        """Add rows, in place of those of the same place."""
        self._client.upsert(self._name, data=rows, timeout=WRITE)
        self._unflushed += len(rows)
        if self._file and self._unflushed >= FLUSH_EVERY:  # a server does so when it sees fit
            self._client.flush(self._name, timeout=WRITE)
            self._unflushed = 0

    def remove(self, places: Sequence[int]) -> None:
        """Remove rows."""
        self._client.delete(self._name, ids=list(places), timeout=WRITE)

    def count(self) -> int:
        """How many rows there are."""
        return int(self._client.query(self._name, output_fields=["count(*)"], timeout=WRITE)[0]["count(*)"])

    def drop(self) -> None:
        """Remove the collection."""
        self._client.drop_collection(self._name, timeout=WRITE)
        self._loaded = False

    def close(self) -> None:
        """Give up the connection, and the file."""
        with contextlib.suppress(Exception):
            self._client.close()
        self._leave()

    def _leave(self) -> None:
        if self._file:
            _leave(self._file)
            self._file = None


def _client_class() -> Any:
    """pymilvus' client. Its import would take settings from any .env file above it; those are taken out again."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC writes to the terminal by itself
    before = set(os.environ)
    from pymilvus import MilvusClient

    for name in set(os.environ) - before:
        del os.environ[name]
    for name in ("pymilvus", "milvus_lite", "grpc"):  # after the import, which sets up its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MilvusClient


# --- files, each served once in a process ---


class _Served(NamedTuple):
    server: Any
    database: Any
    address: str
    folder: TemporaryDirectory[str]
    users: int


_served: dict[str, _Served] = {}
_lock = threading.Lock()


def _serve(path: str) -> str:
    """The address of a file, for one more user; each has to leave. Raises InUse, OSError."""
    with _lock:
        found = _served.get(path) or _started(path)
        _served[path] = found._replace(users=found.users + 1)
        return found.address


def _started(path: str) -> _Served:
    from milvus_lite.adapter.grpc.server import start_server_in_thread
    from milvus_lite.exceptions import DataDirLockedError

    Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = TemporaryDirectory(prefix="rewriter-")  # a socket's path must be short, so it cannot lie in any folder
    windows = sys.platform == "win32"  # where gRPC knows no such sockets
    host = "127.0.0.1" if windows else f"unix:{folder.name}/milvus"
    try:
        server, database, port = start_server_in_thread(data_dir=path, host=host, port=0)
    except DataDirLockedError:
        folder.cleanup()
        raise InUse from None
    except BaseException:
        folder.cleanup()
        raise
    return _Served(server, database, f"http://{host}:{port}" if windows else f"{host}:0", folder, 0)


def _leave(path: str) -> None:
    with _lock:
        found = _served.pop(path, None)
        if found is not None and found.users > 1:
            _served[path] = found._replace(users=found.users - 1)
        elif found is not None:
            _stop(found)


def _stop(served: _Served) -> None:
    with contextlib.suppress(Exception):
        served.server.stop(1).wait(WRITE)
    with contextlib.suppress(Exception):
        served.database.close()
    served.folder.cleanup()


@atexit.register
def _stop_all() -> None:
    """What was not closed."""
    while _served:
        _stop(_served.popitem()[1])
