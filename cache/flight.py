"""Calls in flight: who asks for what is being asked already waits for that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from rewriter.records import Answer


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
