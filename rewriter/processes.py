"""Processes beside this one, for what needs a processor and no model: judging drafts, above all.

A process is this package started by itself: it reads calls from its standard input and writes what came of them, and
ends when that closes, however we do. The standard library's pools would run the caller's own script once more in each
of their processes, and take 0.17 ms of ours for a call; this takes 0.06.

Nothing depends on them: a call that no process can take is computed here, and so is one that failed there or whose
process died. What is computed is the same in either place.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import stat
import struct
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

T = TypeVar("T")
# Given a function and its arguments, what that gives; computed wherever there is room.
Compute = Callable[..., Awaitable[Any]]

# Calls that one process holds. Answers come in bursts, and what waits here keeps it busy between them.
HELD = 256
# Bytes that may wait between two processes, as far as the system lets them.
ROOM = 1 << 20
# They are used, and another is started, where all that was computed in so many seconds, here and there, would have kept
# ours busy for this share of them. Below it they would only cost: a call, and a second processor's caches.
SECONDS, BUSY = 0.5, 0.7
# Of a machine with many processors no more are taken than one process that sends and receives keeps busy.
MOST = 4

_LENGTH = struct.Struct("<I")
_RESULT = struct.Struct("<Id")  # length, and seconds that it took
_START = "import sys; sys.path[:] = {path!r}; from rewriter.processes import serve; serve()"


async def here(function: Callable[..., T], *arguments: Any) -> T:
    """A `Compute` of this process alone."""
    return function(*arguments)


def usual() -> int:
    """As many processes as there are processors beside ours, at most MOST."""
    return min(MOST, (os.cpu_count() or 1) - 1)


class Processes:
    """At most so many processes, started when ours has too much to do. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.computed = 0  # calls that were computed there
        self._running: list[_Process] = []
        self._starting: asyncio.Task[None] | None = None
        self._busy = False
        self._since = time.monotonic(), self._used()

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function gives; computed there if it, all it is given and all it gives can be pickled."""
        if self.most and self._has_much_to_do():
            process = min((one for one in self._running if one.alive), key=lambda one: one.load, default=None)
            if process is not None and process.load < HELD:
                with suppress(_NotThere):
                    found: T = await process.call(function, arguments)
                    self.computed += 1
                    return found
        return function(*arguments)

    def _used(self) -> float:
        """Seconds computed, here and there."""
        return time.process_time() + sum(process.used for process in self._running)

    def _has_much_to_do(self) -> bool:
        (then, used), now = self._since, time.monotonic()
        if now - then >= SECONDS:
            self._look_after()
            self._since = now, self._used()
            self._busy = self._since[1] - used >= BUSY * (now - then)
            if self._busy and len(self._running) < self.most and all(process.load for process in self._running):
                self._starting = self._starting or asyncio.create_task(self._start())
        return self._busy

    def _look_after(self) -> None:
        """Forget processes that died; who died once may do so again, and is not replaced."""
        alive = [process for process in self._running if process.alive]
        self.most -= len(self._running) - len(alive)
        self._running = alive

    async def _start(self) -> None:
        try:
            self._running.append(await _Process.started())
        except (OSError, NotImplementedError):  # no room, or an event loop that starts none: this one does it all
            self.most = len(self._running)
        finally:
            self._starting = None

    async def aclose(self) -> None:
        """End them."""
        if self._starting is not None:
            await self._starting
        for process in self._running:
            await process.aclose()
        self._running.clear()


class _NotThere(Exception):
    """The process did not compute a call."""


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        self._process, self._calls = process, process.stdin
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self.alive, self.used = True, 0.0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def started(cls) -> _Process:
        """A process that reads calls. Raises OSError where there is no room for it."""
        code, pipe = _START.format(path=sys.path), asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
        assert process.stdin is not None
        _make_room(process.stdin.get_extra_info("pipe").fileno())
        return cls(process)

    @property
    def load(self) -> int:
        """Calls that it holds."""
        return len(self._waiting)

    async def call(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        """What came of a call there. Raises _NotThere."""
        try:
            sent = pickle.dumps((function, arguments))
        except (pickle.PicklingError, AttributeError, TypeError):
            raise _NotThere from None
        waits: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(waits)
        self._calls.writelines((_LENGTH.pack(len(sent)), sent))
        came = await waits
        if not came:
            raise _NotThere
        found: T = pickle.loads(came)  # noqa: S301 - a process of our own wrote it
        return found

    async def _read(self) -> None:
        results = self._process.stdout
        assert results is not None
        try:
            while True:
                size, seconds = _RESULT.unpack(await results.readexactly(_RESULT.size))
                came = await results.readexactly(size)
                self.used += seconds
                waits = self._waiting.popleft()
                if not waits.done():  # who asked may have been cancelled
                    waits.set_result(came)
        except (OSError, EOFError):  # it died
            pass
        finally:
            self.alive = False
            for waits in self._waiting:
                if not waits.done():
                    waits.set_result(b"")
            self._waiting.clear()

    async def aclose(self) -> None:
        """End it, whatever it is at: nobody waits for that any more."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._calls.close()
        with suppress(OSError):
            await self._calls.wait_closed()
        await self._process.wait()
        await self._reading


def _make_room(number: int) -> None:
    """Let a pipe, or the socket that some event loops have for one, hold more: our loop comes by only now and then."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as end:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        elif sys.platform == "linux":
            import fcntl

            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, ROOM)


def serve() -> None:
    """Compute calls from standard input until it ends; what cannot be computed gives nothing, and is computed there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what to do about Ctrl-C decides who called
    with os.fdopen(os.dup(1), "wb") as results:
        _make_room(results.fileno())
        os.dup2(2, 1)  # whatever prints does not print among them
        while sent := _whole(sys.stdin.buffer):
            began = time.process_time()
            try:
                function, arguments = pickle.loads(sent)  # noqa: S301 - the process that started this one wrote it
                came = pickle.dumps(function(*arguments))
            except Exception:
                came = b""
            results.write(_RESULT.pack(len(came), time.process_time() - began) + came)
            results.flush()


def _whole(calls: BinaryIO) -> bytes:
    """The next call, or nothing where there is none or only half of one."""
    head = calls.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (size,) = _LENGTH.unpack(head)
    sent = calls.read(size)
    return sent if len(sent) == size else b""
