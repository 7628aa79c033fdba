"""When to ask again: small values that compose, with the sleep and the clock's randomness injected.

What may be asked again the client decides (`client.py`). Here stand how often, and how long a call waits for its own
sake; how fast the endpoint as a whole is asked is the matter of `pace.py`.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewriter.model.pace import Kind, Result

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

# Six tries with waits of about 1, 2, 4, 8 and 16 s bridge half a minute, longer than a usual restart or rate window of
# a provider's tier; a Retry-After is followed besides, within the time limit.
ATTEMPTS = 6
# Ten minutes: a run goes on after a provider's short outage, and an endpoint that is down is said to be down before a
# person has given up waiting. A Retry-After beyond it fails at once: nobody sleeps for an hour unannounced.
SECONDS = 600.0
LIMITED = 4
FIRST_WAIT, LONGEST_WAIT, JITTER = 1.0, 60.0, 1.0  # seconds


class Retryable(Exception):
    """A failed try that may go well next time. `cause` is one phrase for a person, free of secrets.

    `sort` is a word to count it by: a status, "timeout", "connection" or "rubbish"; `after` what a Retry-After asked.
    """

    def __init__(self, cause: str, *, sort: str, after: float | None = None) -> None:
        super().__init__(cause)
        self.cause, self.sort, self.after = cause, sort, after

    def result(self) -> Result:
        """What it says about how fast we ask."""
        kinds: dict[str, Kind] = {"429": "limited", "timeout": "timeout", "408": "timeout"}
        kind = kinds.get(self.sort, "overloaded" if self.sort.startswith("5") else "failed")
        return Result(kind, after=self.after)


@dataclass(frozen=True)
class RetryPolicy:
    """At most `attempts` tries, none of them starting later than `seconds` after the first.

    A try that was only turned away for being one too many (429) counts as one in LIMITED: the endpoint is up and lets
    other calls of ours through, and the first in line is turned away most often, for it is let in when more are tried.

    Between two tries the server's Retry-After, where there is one, else exponential waits from `first` to `longest`
    seconds plus up to `jitter` at random, so that clients who failed together do not come back together.
    """

    attempts: int = ATTEMPTS
    seconds: float = SECONDS
    first: float = FIRST_WAIT
    longest: float = LONGEST_WAIT
    jitter: float = JITTER
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def retrying(
        self,
        before_sleep: Callable[[RetryCallState], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> AsyncRetrying:
        """The policy as tenacity's value; it raises the last Retryable when it gives up. `sleep` may wrap its own."""
        from tenacity import AsyncRetrying, retry_if_exception_type

        return AsyncRetrying(
            retry=retry_if_exception_type(Retryable),
            stop=self._enough(),
            wait=self._wait(),
            sleep=sleep or self.sleep,
            before_sleep=before_sleep,
            reraise=True,
        )

    def _enough(self) -> Callable[[RetryCallState], bool]:
        """After the tries and the time allowed; made anew for every call, whose tries it counts."""
        from tenacity import stop_before_delay

        # Not stop_after_delay: that one looks only after it has slept past the limit.
        too_late, failed = stop_before_delay(self.seconds), 0.0

        def enough(state: RetryCallState) -> bool:
            nonlocal failed
            error = state.outcome.exception() if state.outcome else None
            limited = isinstance(error, Retryable) and error.sort == "429"
            failed += 1 / LIMITED if limited else 1.0
            return failed > self.attempts - 1e-9 or too_late(state)

        return enough

    def _wait(self) -> Callable[[RetryCallState], float]:
        from tenacity import wait_exponential, wait_random

        backoff = wait_exponential(multiplier=self.first, max=self.longest) + wait_random(0, self.jitter)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.after if isinstance(error, Retryable) else None
            return min(backoff(state), self.longest) if asked is None else asked

        return wait


def retry_after(value: str | None, *, date: str | None = None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as an HTTP date; None where it says neither.

    A date is taken against the server's own clock, its Date header, where there is one: ours may be wrong, or be put
    right while we wait. A time that has passed is 0. Source: RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, at = _timestamp(value), _timestamp(date)
        if until is None:
            return None
        seconds = until - (now() if at is None else at)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _timestamp(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date is not None else None
    except (ValueError, OverflowError):
        return None
