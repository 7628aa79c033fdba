"""Entries put at the same time share one flush: while one transaction is on its way to the disk, the next one gathers.

A flush takes 0.1 to 10 ms and nobody can hurry it, but it takes as long for a hundred entries as for one. Who puts an
entry waits until its own transaction is on disk, not longer, and the event loop is free meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

# Entries of one transaction: past some hundred the flush is no longer what takes the time.
MOST = 256


class Sealed(NamedTuple):
    """An entry ready to be written: its key, its bytes and the time it was stored."""

    key: bytes
    value: bytes
    when: float


class _Waiting(NamedTuple):
    entry: Sealed
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Together:
    """One thread that writes what waits, from any number of event loops.

    `write` stores entries in one transaction and gives, for each, None or the error to raise where it was put.
    """

    def __init__(self, write: Callable[[list[Sealed]], list[Exception | None]], ended: Callable[[], None]) -> None:
        self._write, self._ended = write, ended
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._waiting: list[_Waiting] = []
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    async def put(self, entry: Sealed) -> None:
        """Write an entry; on disk when this returns. Who is cancelled while waiting has it written all the same."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._pid != os.getpid():  # a forked child has no such thread; what waits is its parent's
                self._begin()
            self._waiting.append(_Waiting(entry, loop, done))
            if self._running is None:
                self._thread = self._thread or ThreadPoolExecutor(1, "cache-put")
                self._running = self._thread.submit(self._drain)
        await done

    def _drain(self) -> None:
        """Write until nothing waits."""
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                if not batch:
                    self._running = None
                    return
            errors: Sequence[Exception | None]
            try:
                errors = self._write([one.entry for one in batch])
            except Exception as error:  # not foreseen: whoever waits hears of it, nobody waits for ever
                errors = [error] * len(batch)
            _tell(batch, errors)

    def close(self) -> None:
        """Wait until all is written, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._pid != os.getpid():
                return
        thread.submit(self._ended)
        thread.shutdown()


def _tell(batch: list[_Waiting], errors: Sequence[Exception | None]) -> None:
    """Wake those who wait, each loop once. A loop that is closed meanwhile has nobody waiting."""
    for loop in {one.loop for one in batch}:
        told = [(one.done, error) for one, error in zip(batch, errors, strict=True) if one.loop is loop]
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, told)


def _settle(told: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, error in told:
        if done.done():  # cancelled
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
