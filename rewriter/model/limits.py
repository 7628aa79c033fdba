"""Waiting for one's turn: every call to one endpoint, by whatever client of a process, passes through one `Limits`.

`pace.py` says when a call may begin; here the callers stand in line, on one event loop. Nobody sleeps while holding a
place: a call that failed leaves, waits, and comes back to where it stood in the line.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from itertools import count

from rewriter.model.pace import START, Event, Pace, Result, Ticket

OnEvent = Callable[..., None]

DROPPED = Result("dropped")


class Line(ABC):
    """A line before an endpoint, as a client sees it: its place, its turn, what it heard, its leaving; and a stop."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self.on_event = on_event
        self._stopped: BaseException | None = None
        self._pauses: set[asyncio.Future[None]] = set()

    @abstractmethod
    def place(self) -> int:
        """A place in the line. A call keeps its own through all its tries, so that a second try is not the last."""

    @abstractmethod
    async def enter(self, tokens: int, place: int | None = None) -> Ticket:
        """Wait for the turn of a call that may take so many tokens. Every ticket must be given to `leave`, once."""

    @abstractmethod
    def hear(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Take in the headers of an answer, names in lower case."""

    @abstractmethod
    def leave(self, ticket: Ticket, result: Result) -> None:
        """A call has ended, however it did."""

    async def pause(self, waiting: Awaitable[None]) -> None:
        """Wait before another try; ends with the error of `stop`, should that come meanwhile."""
        sleep = asyncio.ensure_future(waiting)
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.add(stopped)
        try:
            if self._stopped is None:
                await asyncio.wait((sleep, stopped), return_when=asyncio.FIRST_COMPLETED)
            if self._stopped is not None:
                raise self._stopped
        finally:
            self._pauses.discard(stopped)
            stopped.cancel()
            sleep.cancel()

    def stop(self, error: BaseException) -> None:
        """No call begins from now on: whoever waits to try again, or comes later, gets `error`."""
        self._stopped = self._stopped or error
        for pause in self._pauses:
            if not pause.done():
                pause.set_result(None)


class Limits(Line):
    """The limits of one endpoint and the line before it. Belongs to one event loop; methods are not for threads.

    `concurrency` calls at once, `rpm` requests and `tpm` tokens a minute at most (None: as many as the endpoint bears).
    The number at once begins low, grows while answers come, and falls where the endpoint has too much of us.
    `on_event(kind, **facts)` hears of "level", "rate limit" and "stop", without secrets. `clock` must never go
    backwards; both it and `sleep` can be replaced, so that tests wait for nothing.
    """

    def __init__(
        self,
        concurrency: int = 8,
        *,
        rpm: int | None = None,
        tpm: int | None = None,
        start: int = START,
        on_event: OnEvent | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(on_event)
        self.clock, self._sleep = clock, sleep
        self._pace = Pace(concurrency, rpm=rpm, tpm=tpm, start=start, now=clock())
        self._line: list[tuple[int, int, asyncio.Future[Ticket]]] = []  # a heap: place, tokens, who
        self._places = count()
        self._waker: asyncio.Task[None] | None = None
        self._wakes_at = math.inf

    # --- for logs ---

    @property
    def level(self) -> int:
        """Calls at once that are allowed now."""
        return self._pace.level

    @property
    def under_way(self) -> int:
        """Calls that have begun and not ended."""
        return self._pace.under_way

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return sum(not future.done() for _, _, future in self._line)

    @property
    def waiting_until(self) -> float | None:
        """Until when, by `clock`, the endpoint has asked to be left alone; None where it has not."""
        until = self._pace.waiting_until
        return until if until > self.clock() else None

    # --- for clients ---

    def place(self) -> int:
        """A place in the line. A call keeps its own through all its tries, so that a second try is not the last."""
        return next(self._places)

    async def enter(self, tokens: int, place: int | None = None) -> Ticket:
        """Wait for the turn of a call that may take so many tokens. Every ticket must be given to `leave`, once."""
        if self._stopped is not None:
            raise self._stopped
        place = self.place() if place is None else place
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (place, tokens, future))
        self._admit()
        try:
            return await future
        except asyncio.CancelledError:
            # Its turn came and it was cancelled in one breath. (A future that holds the error of `stop` has no ticket.)
            if future.done() and not future.cancelled() and future.exception() is None:
                self.leave(future.result(), DROPPED)
            self._admit()  # who stood behind it may ask for less
            raise

    def stop(self, error: BaseException) -> None:
        """See Line; whoever is in line gets the error too."""
        super().stop(error)
        for _, _, future in self._line:
            if not future.done():
                future.set_exception(error)
        self._admit()

    def hear(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Take in the headers of an answer, names in lower case."""
        self._tell(self._pace.hear(ticket, headers, self.clock()))
        self._admit()

    def leave(self, ticket: Ticket, result: Result) -> None:
        """A call has ended, however it did."""
        events = self._pace.end(ticket, result, self.clock(), pressed=bool(self._line))
        self._admit()
        self._tell(events)

    # --- the line ---

    def _admit(self) -> None:
        """Let in whoever may begin, in order; where the first must wait for time to pass, see to being woken."""
        while self._line:
            _, tokens, future = self._line[0]
            if not future.done():
                now = self.clock()
                wait = self._pace.delay(tokens, now)
                if wait > 0:
                    self._wake_in(wait)
                    return
                future.set_result(self._pace.begin(tokens, now))
            heapq.heappop(self._line)
        self._wake_in(math.inf)

    def _wake_in(self, seconds: float) -> None:
        """See to it that the line is looked at in so many seconds; infinite: when a call ends, which needs no waker."""
        at = self.clock() + seconds
        if self._waker is not None and not self._waker.done():
            if at != math.inf and self._wakes_at <= at:
                return  # it will look earlier, and see
            self._waker.cancel()
        self._waker = None if at == math.inf else asyncio.create_task(self._wake(seconds))
        self._wakes_at = at

    async def _wake(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._waker = None
        self._admit()

    def _tell(self, events: list[Event]) -> None:
        for kind, facts in events:
            if self.on_event is not None:
                self.on_event(kind, **facts)
