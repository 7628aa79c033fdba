"""Calls in flight: who asks for what is being asked already waits for that answer, in this process and in others."""

from __future__ import annotations

import asyncio
import os
import struct
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rewriter.records import Answer

LOCK_FILE = "asking.lock"


@dataclass
class Flight:
    """One call, and how many wait for it."""

    task: asyncio.Task[Answer]
    waiting: int = 0


class Flights:
    """One call per key and event loop. A waiter's cancellation ends the call only where nobody else waits for it."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, Flight] = {}

    async def join(self, key: str, ask: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer, and whether somebody else had asked already. Raises what `ask` raises, to every waiter."""
        place = (asyncio.get_running_loop(), key)
        flight = self._flying.get(place)
        joined = flight is not None
        if flight is None:

            async def call() -> Answer:
                try:
                    return await ask()
                finally:
                    self._land(place, asyncio.current_task())

            flight = self._flying[place] = Flight(asyncio.ensure_future(call()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), joined
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(place, flight.task)  # a call being cancelled is not one to join
                flight.task.cancel()

    def _land(self, place: Hashable, task: object) -> None:
        flight = self._flying.get(place)
        if flight is not None and flight.task is task:
            del self._flying[place]


class Turnstile:
    """One asker per key among the processes of this machine: one byte of a file, locked while the answer is asked for.

    The byte's place is the key's first 62 bits, so no two keys meet and the file stays empty. The system gives the
    lock back when a process dies, however it dies. Open-file locks (Linux) belong to this object alone; the older kind,
    which the system drops when any handle of the process is closed, would not do. Elsewhere nobody waits.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._handle: int | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def take(self, key: bytes) -> bool:
        """Whether this process may ask now; False while another one does. True where locks do not work."""
        try:
            return self._set(key, write=True)
        except (ImportError, AttributeError):
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def give_back(self, key: bytes) -> None:
        """Let the next process ask."""
        with suppress(ImportError, AttributeError, OSError):
            self._set(key, write=False)

    def _set(self, key: bytes, *, write: bool) -> bool:
        import fcntl

        command = fcntl.F_OFD_SETLK
        place = int.from_bytes(key[:8], "big") >> 2
        kind = fcntl.F_WRLCK if write else fcntl.F_UNLCK
        # struct flock: type, whence, start, length, pid (0), padded as the compiler does
        fcntl.fcntl(self._open(), command, struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0))
        return True

    def _open(self) -> int:
        with self._lock:
            if self._handle is None or self._pid != os.getpid():  # a forked child has to have its own
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._pid = os.getpid()
            return self._handle

    def close(self) -> None:
        """Close the file; locks still held go with it."""
        with self._lock:
            if self._handle is not None and self._pid == os.getpid():
                os.close(self._handle)
            self._handle = None
