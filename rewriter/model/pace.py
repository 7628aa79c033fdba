"""How fast to ask one endpoint: how many calls at once, and how many requests and tokens a minute. Policy, no waiting.

Nothing here sleeps, reads a clock or knows of asyncio: every method is told the time, in seconds of any monotonic
clock. `limits.py` does the waiting on one event loop; something else may do it elsewhere.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# --- how many at once ------------------------------------------------------------------------------------------------

# Calls at once before anything is known of the endpoint, where the ceiling allows so many: a small provider's tier and
# a vLLM on one card take 16; a run that may have 256 gets there in two rounds of answers.
START = 16
# Until the first sign of too much, each answer allows so many more calls: the level grows fourfold in a round (the
# time of one answer). TCP's twofold start would spend five rounds on the way from 16 to 256: 10 s of a 2 s endpoint.
QUICK = 3.0
# After it, a round adds one sixteenth, or one call: from half to whole in eleven rounds, where TCP's one call a round
# would need 128 for 256.
SLOW = 1 / 16
# What a 429, or overload and timeouts that are not isolated, leave of the level. The usual half: two clients that share
# an endpoint come to equal shares (Chiu and Jain 1989).
CUT = 0.5
# Status 5xx and timeouts are a sign of load only where so many of the last calls failed. A provider that fails one call
# in fifty at random would otherwise hold a run at eight calls at once, as random loss does with TCP.
TROUBLE_SHOWN, TROUBLE_OF = 3, 20
# By Little's law a call that had n - 1 beside it and took t seconds stands for n / t answers a second. Where half as
# many again beside it bring not one tenth more, the rest stands in a line at the server (one with two slots, say), and
# every answer only takes longer. The level goes back to where it paid, and may try again after so many rounds.
WORTH_MORE, WORTH_RATE, HOLD = 1.5, 1.1, 16
# Answers to judge by, at least. Passages differ in length, and their times with it, by half or so: a mean of 16 is off
# by an eighth, far less than what lies between half as many again and a tenth.
SAMPLE = 16

Kind = Literal["answer", "limited", "overloaded", "timeout", "failed", "dropped"]


@dataclass(frozen=True)
class Result:
    """How a call ended: `kind`, the tokens it took where that is known, the seconds the server asks to stay away.

    `limited` is a 429, `overloaded` a 5xx, `timeout` no answer in time, `failed` a try that says nothing about load
    (a reset, rubbish), `dropped` a call that was cancelled or refused.
    """

    kind: Kind
    tokens: int | None = None
    after: float | None = None


@dataclass(frozen=True)
class Ticket:
    """A call under way: its place in the order of starts, when it began, the tokens it is expected to take.

    `together` is how many were under way when it began, itself among them.
    """

    number: int
    began: float
    tokens: int
    together: int = 1


Event = tuple[str, dict[str, Any]]


class Level:
    """How many calls at once: quick growth until the first trouble, then additive growth and halving (AIMD)."""

    def __init__(self, ceiling: int, start: int = START) -> None:
        if ceiling < 1:
            raise ValueError("at least one call at once")
        self.ceiling = ceiling
        self._level = float(min(ceiling, start))
        self._quick_to = math.inf  # below it, growth is quick
        self._good = 0  # answers since the last cut
        self._cut_at = -1  # calls begun up to here say nothing new: they met the same trouble
        self._last: deque[bool] = deque(maxlen=TROUBLE_OF)
        self._worth = _Worth()

    @property
    def level(self) -> int:
        return max(1, int(self._level))

    def answered(self, together: int, seconds: float, *, pressed: bool) -> str | None:
        """A call went well, that had so many under way with it. `pressed`: others wait, so the level may grow.

        Returns why the level has fallen, if it has.
        """
        self._last.append(True)
        self._good += 1
        back = self._worth.answered(together, seconds)
        if back is not None and back < self._level:
            self._level = float(back)
            return "slower"
        if pressed and not self._worth.holding:
            quick = self._level < self._quick_to
            step = QUICK if quick else max(1.0, self._level * SLOW) / self._level
            # quick growth ends where it is to end, not somewhere beyond
            reach = min(self.ceiling, self._quick_to) if quick else self.ceiling
            self._level = min(float(reach), self._level + step)
        return None

    def troubled(self, kind: Kind, number: int, newest: int) -> str | None:
        """A call failed. Cuts the level once for all calls that were under way together; returns why, if it did."""
        self._last.append(False)
        if kind not in {"limited", "overloaded", "timeout"} or number <= self._cut_at:
            return None
        if kind != "limited" and self._last.count(False) < TROUBLE_SHOWN:
            return None
        # An outage cuts again and again; what the endpoint bore before it is worth remembering.
        if self._good >= self.level or self._quick_to == math.inf:
            self._quick_to = max(1.0, self._level * CUT)
        self._level = max(1.0, self._level * CUT)
        self._good, self._cut_at = 0, newest
        self._worth = _Worth()
        return kind


class _Worth:
    """Whether more calls at once bring more answers a second: means for 1, 2 to 3, 4 to 7, 8 to 15 ... under way."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, float, float]] = {}  # by octave: answers, calls at once, answers a second
        self._hold = 0

    @property
    def holding(self) -> bool:
        return self._hold > 0

    def answered(self, together: int, seconds: float) -> int | None:
        """Count an answer; the level to go back to where so many at once do not pay."""
        octave = together.bit_length()
        n, calls, rate = self._seen.get(octave, (0, 0.0, 0.0))
        n += 1
        weight = 1 / min(n, SAMPLE)
        calls, rate = calls + (together - calls) * weight, rate + (together / max(seconds, 1e-3) - rate) * weight
        self._seen[octave] = (n, calls, rate)
        if self._hold:
            self._hold -= 1
            if not self._hold:
                self._seen.clear()
            return None
        before = [seen for o, seen in sorted(self._seen.items()) if o < octave and seen[0] >= SAMPLE]
        before = [seen for seen in before if calls >= WORTH_MORE * seen[1]]
        if n < SAMPLE or not before or rate >= WORTH_RATE * before[-1][2]:
            return None
        self._hold = HOLD * together
        return round(before[-1][1])


# --- how many a minute -----------------------------------------------------------------------------------------------


class Bucket:
    """A token bucket: `rate` a second flows in, up to `capacity`; what is taken beyond it is owed.

    An amount above the capacity may be taken when the bucket is full, so that nothing waits for ever.
    """

    def __init__(self, rate: float, capacity: float, now: float, held: float | None = None) -> None:
        self.rate, self.capacity = rate, capacity
        self._held, self._at = capacity if held is None else held, now

    def held(self, now: float) -> float:
        """What is in it; below zero: owed."""
        # A clock that stands or steps back adds nothing and takes nothing.
        if now > self._at:
            self._held, self._at = min(self.capacity, self._held + (now - self._at) * self.rate), now
        return self._held

    def delay(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken."""
        lacking = min(amount, self.capacity) - self.held(now)
        if lacking <= 1e-9:
            return 0.0
        return lacking / self.rate if self.rate > 0 else math.inf

    def take(self, amount: float, now: float) -> None:
        """Take `amount`; less than nothing gives back."""
        self._held = min(self.capacity, self.held(now) - amount)


def per_minute(limit: int, now: float) -> Bucket:
    """A bucket for requests such that no 60 s, wherever they begin, see more than `limit`.

    A tenth of a second's worth may come at once (at least one request) and the flow is less by that.
    """
    if limit < 1:
        raise ValueError("at least one request a minute")
    burst = max(1.0, limit / 600)
    return Bucket((limit - burst + 1) / 60, burst, now)


def tokens_per_minute(limit: int, now: float) -> Bucket:
    """A bucket for tokens: a second's worth may come at once; a request that is larger waits for the full bucket.

    Any 60 s see at most `limit` and one second's worth, or one request, besides.
    """
    if limit < 1:
        raise ValueError("at least one token a minute")
    return Bucket(limit / 60, limit / 60, now)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")

# A limit that is not full again within a day is an account's matter, not a rate.
LONGEST_RESET = 86_400.0


def reset_seconds(value: str | None) -> float | None:
    """Seconds in an x-ratelimit-reset header: "6m0s", "20ms", "1.5"; None for what is no length of time.

    Some servers send a date or the seconds since 1970 instead. These are not taken: the server's clock and ours differ.
    """
    text = (value or "").strip().lower()
    try:
        seconds = float(text)
    except ValueError:
        parts = _LENGTH.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            return None
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return seconds if 0 <= seconds <= LONGEST_RESET else None


@dataclass(frozen=True)
class Told:
    """What a server's x-ratelimit headers say of one thing it counts."""

    limit: float
    remaining: float
    reset: float

    @classmethod
    def read(cls, headers: Mapping[str, str], what: str) -> Told | None:
        """From x-ratelimit-limit-, -remaining- and -reset-`what`; None unless all three are there and make sense."""
        try:
            limit = float(headers[f"x-ratelimit-limit-{what}"])
            remaining = float(headers[f"x-ratelimit-remaining-{what}"])
        except (KeyError, ValueError):
            return None
        reset = reset_seconds(headers.get(f"x-ratelimit-reset-{what}"))
        if reset is None or not (math.isfinite(limit) and limit >= 1 and 0 <= remaining <= limit):
            return None
        return cls(limit, remaining, reset)

    def bucket(self, now: float, since: float) -> Bucket | None:
        """As a bucket, `since` of it being gone that the server had not counted yet; None where it says no rate.

        `reset` is when the limit is whole again, so (limit - remaining) / reset flows back a second. That is how
        OpenAI and those who copy it mean it, and it holds for limits of a minute and of a day alike. A server with
        fixed windows gives less than this towards a window's end; its 429 says so.
        """
        if self.remaining == self.limit or self.reset == 0:
            return None
        return Bucket((self.limit - self.remaining) / self.reset, self.limit, now, self.remaining - since)


# --- all of it -------------------------------------------------------------------------------------------------------

# A stop that is longer is not waited for: the call that met it fails and says how long it would be.
LONGEST_STOP = 600.0
# How much of a new ratio of real to expected tokens goes into the one we use.
LEARN = 0.1


@dataclass
class _Counted:
    """One thing that is limited: our own ceiling, what the server says, and how much has been begun in all."""

    own: Bucket | None = None
    told: Bucket | None = None
    lacking: bool = False  # the server's last word was that nothing is left
    begun: float = 0.0
    begun_at: dict[int, float] = field(default_factory=dict)  # by ticket under way: `begun` when it had begun

    def delay(self, amount: float, now: float) -> float:
        own = self.own.delay(amount, now) if self.own else 0.0
        return max(own, self.told_delay(amount, now))

    def told_delay(self, amount: float, now: float) -> float:
        """Seconds that the server's word makes us wait."""
        told = self.told.delay(amount, now) if self.told else 0.0
        # A day's limit that is used up is not slept through: the endpoint shall say it itself, and the run stop.
        return told if told <= LONGEST_STOP else 0.0

    def take(self, amount: float, now: float) -> None:
        for bucket in (self.own, self.told):
            if bucket is not None:
                bucket.take(amount, now)


class Pace:
    """The state of one endpoint's limits, for as many callers as share it.

    `concurrency`, `rpm` (requests a minute) and `tpm` (tokens a minute) are ceilings; None is none.
    """

    def __init__(
        self, concurrency: int, *, rpm: int | None = None, tpm: int | None = None, start: int = START, now: float = 0.0
    ) -> None:
        self._level = Level(concurrency, start)
        self._requests = _Counted(per_minute(rpm, now) if rpm is not None else None)
        self._tokens = _Counted(tokens_per_minute(tpm, now) if tpm is not None else None)
        self.under_way = 0
        self.waiting_until = -math.inf
        self._started = 0
        self._heard = -1  # the newest call whose headers were read
        self._ratio = 1.0

    @property
    def level(self) -> int:
        """Calls at once that are allowed now."""
        return self._level.level

    def delay(self, tokens: int, now: float) -> float:
        """Seconds until a call of so many tokens may begin; infinite where another has to end first."""
        if self.under_way >= self.level:
            return math.inf
        stop = self.waiting_until - now
        expected = self._expected(tokens)
        return max(0.0, stop, self._requests.delay(1, now), self._tokens.delay(expected, now))

    def begin(self, tokens: int, now: float) -> Ticket:
        """A call begins."""
        self.under_way += 1
        ticket = Ticket(self._started, now, self._expected(tokens), self.under_way)
        self._started += 1
        for counted, amount in ((self._requests, 1), (self._tokens, ticket.tokens)):
            counted.take(amount, now)
            counted.begun += amount
            counted.begun_at[ticket.number] = counted.begun
        return ticket

    def hear(self, ticket: Ticket, headers: Mapping[str, str], now: float) -> list[Event]:
        """Take in the x-ratelimit headers of an answer to a call under way; names in lower case."""
        if ticket.number <= self._heard:
            return []  # an older call's answer that came later
        events: list[Event] = []
        for what, counted in (("requests", self._requests), ("tokens", self._tokens)):
            told = Told.read(headers, what)
            if told is None or ticket.number not in counted.begun_at:
                continue
            self._heard = ticket.number
            counted.told = told.bucket(now, counted.begun - counted.begun_at[ticket.number])
            wait = counted.told_delay(1, now)
            if wait > 0 and not counted.lacking:  # told once, not with every answer of a run at its limit
                events.append(("rate limit", {"of": what, "limit": told.limit, "wait": round(wait, 3)}))
            counted.lacking = wait > 0
        return events

    def end(self, ticket: Ticket, result: Result, now: float, *, pressed: bool) -> list[Event]:
        """A call has ended. `pressed`: others wait to begin. Returns what is worth telling."""
        self.under_way -= 1
        for counted in (self._requests, self._tokens):
            counted.begun_at.pop(ticket.number, None)
        self._settle(ticket, result, now)
        events: list[Event] = []
        if result.after and result.after <= LONGEST_STOP and now + result.after > self.waiting_until:
            self.waiting_until = now + result.after
            events.append(("stop", {"seconds": round(result.after, 3), "why": result.kind}))
        before = self.level
        why = None
        if result.kind == "answer":
            why = self._level.answered(ticket.together, now - ticket.began, pressed=pressed)
        elif result.kind != "dropped":
            why = self._level.troubled(result.kind, ticket.number, self._started - 1)
        if self.level != before:
            events.append(("level", {"level": self.level, "was": before, "why": why or "more"}))
        return events

    def _expected(self, tokens: int) -> int:
        return max(1, round(tokens * self._ratio))

    def _settle(self, ticket: Ticket, result: Result, now: float) -> None:
        """Put the real number of tokens in the place of the expected one; what was turned away took none."""
        if result.kind == "limited":
            self._tokens.take(-ticket.tokens, now)
        elif result.tokens:
            self._tokens.take(result.tokens - ticket.tokens, now)
            self._ratio *= 1 + LEARN * (min(4.0, max(0.25, result.tokens / ticket.tokens)) - 1)
