"""How fast an endpoint is asked: the policy by itself, the line before it in virtual time, both at a real server."""

from __future__ import annotations

import asyncio
import heapq
import pickle
from collections.abc import Awaitable, Callable, Coroutine
from itertools import chain, count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_server import FaultyServer
from rewriter.model.bodies import expected_tokens
from rewriter.model.client import ChatClient
from rewriter.model.limits import DROPPED, Limits
from rewriter.model.pace import (
    LONGEST_STOP,
    START,
    Bucket,
    Level,
    Pace,
    Result,
    Ticket,
    Told,
    per_minute,
    reset_seconds,
    tokens_per_minute,
)
from rewriter.model.retry import RetryPolicy
from rewriter.records import Request

GOOD = Result("answer", tokens=100)
LIMITED = Result("limited")


class Virtual:
    """A clock and a sleep in virtual time: when nobody can go on, it jumps to when the next sleeper wakes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), future))
        await future

    async def run(self, *work: Coroutine[Any, Any, Any]) -> list[Any]:
        """Everything done, however long it takes in virtual seconds."""
        together = asyncio.gather(*work)
        while not together.done():
            for _ in range(20):  # whatever can go on without time passing
                await asyncio.sleep(0)
            self._sleepers = [s for s in self._sleepers if not s[2].done()]
            if not together.done():
                assert self._sleepers, "everyone waits, and nobody will wake them"
                heapq.heapify(self._sleepers)
                self.now, _, future = heapq.heappop(self._sleepers)
                future.set_result(None)
        return list(await together)

    def limits(self, concurrency: int = 8, **options: Any) -> Limits:
        return Limits(concurrency, clock=self.clock, sleep=self.sleep, **options)


Endpoint = Callable[[int], Awaitable[Result]]  # how a call ends, given how many are under way


async def call(limits: Limits, endpoint: Endpoint, tokens: int = 100) -> list[float]:
    """A call that is tried until it is answered; when each of its tries began."""
    place, began = limits.place(), []
    while True:
        ticket = await limits.enter(tokens, place)
        began.append(limits.clock())
        result = DROPPED
        try:
            result = await endpoint(limits.under_way)
        finally:
            limits.leave(ticket, result)
        if result.kind == "answer":
            return began


def answers_after(time: Virtual, seconds: float, at_most: int = 10**9) -> Endpoint:
    """An endpoint that takes `seconds`, and turns away at once whoever comes when `at_most` are there."""

    async def endpoint(under_way: int) -> Result:
        await time.sleep(seconds if under_way <= at_most else 0.01)
        return GOOD if under_way <= at_most else LIMITED

    return endpoint


# --- ceilings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rpm", [1, 7, 60, 600, 6000])
async def test_no_minute_sees_more_requests_than_allowed(rpm: int) -> None:
    time = Virtual()
    limits = time.limits(64, rpm=rpm)
    wanted = min(3 * rpm, 2000) + 2
    tries = await time.run(*(call(limits, answers_after(time, 0.2)) for _ in range(wanted)))
    began = sorted(chain.from_iterable(tries))
    assert all(later - at >= 60 - 1e-6 for at, later in zip(began, began[rpm:], strict=False))
    assert wanted < rpm or began[-1] < 60 * wanted / rpm * 1.05 + 1  # and it is made use of


@pytest.mark.parametrize(("tpm", "sizes"), [(60_000, (300, 1500)), (6_000, (900, 3000)), (1_000, (5_000,))])
async def test_no_minute_sees_more_tokens_than_allowed(tpm: int, sizes: tuple[int, ...]) -> None:
    time = Virtual()
    limits = time.limits(32, tpm=tpm)
    started: list[tuple[float, int]] = []

    async def one(tokens: int) -> None:
        ticket = await limits.enter(tokens)
        started.append((time.now, tokens))
        await time.sleep(0.5)
        limits.leave(ticket, Result("answer", tokens=tokens))

    await time.run(*(one(sizes[n % len(sizes)]) for n in range(60)))
    for at, _ in started:
        assert sum(t for began, t in started if at <= began < at + 60) <= tpm + max(tpm / 60, *sizes)
    total = sum(t for _, t in started)
    assert started[-1][0] <= (total / tpm) * 60 + 1


async def test_tokens_are_settled_by_what_came() -> None:
    """Requests that take four times what was expected are waited for accordingly."""
    time = Virtual()
    limits = time.limits(1, tpm=6000)

    async def greedy(under_way: int) -> Result:
        await time.sleep(0.1)
        return Result("answer", tokens=400)

    await time.run(*(call(limits, greedy, tokens=100) for _ in range(60)))
    assert time.now == pytest.approx(60 * 400 / 6000 * 60, rel=0.05)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 200)), max_size=40),
    make=st.sampled_from([per_minute, tokens_per_minute]),
    limit=st.integers(1, 100_000),
)
def test_a_clock_that_jumps_neither_breaks_nor_fills_a_bucket_beyond_measure(
    steps: list[tuple[float, float]], make: Callable[[int, float], Bucket], limit: int
) -> None:
    now, bucket = 0.0, make(limit, 0.0)
    for jump, amount in steps:
        now += jump
        wait = bucket.delay(amount, now)
        assert 0 <= wait < float("inf")
        assert bucket.held(now) <= bucket.capacity
        if wait == 0:
            bucket.take(amount, now)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": 1, "rpm": 0}, {"concurrency": 1, "tpm": 0}])
def test_ceilings_of_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Limits(**options)


def test_expected_tokens_are_near_for_both_languages() -> None:
    chinese = "我们先看缓存，一共有三层，不能直接删，要先问过管机房的人。" * 20  # 22 of o200k each, counted
    english = "We look at the cache first, it has three layers, and nothing is deleted before we ask. " * 20  # 19 each
    for text, tokens in ((chinese, 440), (english, 380)):
        request = Request(
            model="m", messages=({"role": "user", "content": text},), parameters={"max_tokens": 2 * tokens}
        )
        assert expected_tokens(request) == pytest.approx(2 * tokens, rel=0.3)


# --- how many at once ------------------------------------------------------------------------------------------------


async def test_it_begins_low_and_is_soon_at_its_ceiling() -> None:
    time = Virtual()
    limits = time.limits(256)
    assert limits.level == START
    await time.run(*(call(limits, answers_after(time, 1.0)) for _ in range(600)))
    assert limits.level == 256
    assert time.now <= 5  # 16, 64, 256, and the rest of 600


async def test_an_endpoint_that_bears_few_gets_about_as_many() -> None:
    time, levels = Virtual(), []
    limits = time.limits(64, on_event=lambda kind, **facts: levels.append(facts["level"]) if kind == "level" else None)
    tries = await time.run(*(call(limits, answers_after(time, 1.0, at_most=10)) for _ in range(400)))
    assert all(4 <= level <= 12 for level in levels[8:])
    assert time.now < 400 / 10 * 1.6  # four fifths of what it could do, and the way there
    assert sum(len(t) - 1 for t in tries) < 120  # refusals


def test_one_round_of_refusals_is_one_cut() -> None:
    pace = Pace(64, start=32)
    tickets = [pace.begin(1, 0.0) for _ in range(32)]
    for ticket in tickets:
        pace.end(ticket, LIMITED, 1.0, pressed=True)
    assert pace.level == 16
    pace.end(pace.begin(1, 2.0), LIMITED, 3.0, pressed=True)
    assert pace.level == 8


@pytest.mark.parametrize("kind", ["overloaded", "timeout"])
def test_a_rare_failure_is_no_sign_of_load(kind: Any) -> None:
    pace, now = Pace(64, start=64), 0.0
    for n in range(400):
        now += 1
        pace.end(pace.begin(1, now), Result(kind) if n % 25 == 24 else GOOD, now, pressed=True)
    assert pace.level == 64
    for _ in range(3):
        pace.end(pace.begin(1, now), Result(kind), now, pressed=True)
    assert pace.level < 64


@pytest.mark.parametrize("kind", ["failed", "dropped"])
def test_what_says_nothing_about_load_changes_nothing(kind: Any) -> None:
    pace = Pace(8)
    for n in range(50):
        pace.end(pace.begin(1, n), Result(kind), n, pressed=True)
    assert pace.level == 8 and pace.under_way == 0


def test_after_an_outage_the_way_back_is_short() -> None:
    level, number = Level(256), 0
    for _ in range(600):
        number += 1
        level.answered(level.level, 1.0, pressed=True)
    assert level.level == 256
    for _ in range(200):
        number += 1
        level.troubled("overloaded", number, number)
    assert level.level == 1
    answers = 0
    while level.level < 128:
        answers += 1
        level.answered(level.level, 1.0, pressed=True)
    assert answers <= 64


def test_nothing_grows_while_nobody_waits() -> None:
    pace = Pace(64, start=4)
    for n in range(100):
        pace.end(pace.begin(1, n), GOOD, n, pressed=False)
    assert pace.level == 4


@pytest.mark.parametrize("start", [4, 16])
async def test_a_level_that_only_makes_answers_slower_is_taken_back(start: int) -> None:
    """Two slots behind a queue: at 64 at once every answer takes 32 times as long, and none comes sooner."""
    time = Virtual()
    slots = asyncio.Semaphore(2)

    async def endpoint(under_way: int) -> Result:
        async with slots:
            await time.sleep(0.5)
        return GOOD

    limits = time.limits(64, start=start)
    levels: list[tuple[float, int]] = [(0.0, start)]
    limits.on_event = lambda kind, **facts: levels.append((time.now, facts["level"]))
    await time.run(*(call(limits, endpoint) for _ in range(4000)))
    assert time.now == pytest.approx(4000 / 2 * 0.5, rel=0.02)  # nothing lost by it
    spans = zip(levels, [*levels[1:], (time.now, 0)], strict=True)
    mean = sum(level * (until - since) for (since, level), (until, _) in spans) / time.now
    assert mean <= 32


# --- what the server says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1), ("6m0s", 360), ("20ms", 0.02), ("2m59.56s", 179.56), ("1h2m3s", 3723), ("1.5", 1.5), ("0", 0),
        (None, None), ("", None), ("soon", None), ("5 apples", None), ("-3", None), ("nan", None), ("inf", None),
        ("1764140000", None), ("2026-11-26T08:00:00Z", None), ("90d", None),
    ],
)  # fmt: skip
def test_reset_times(value: str | None, seconds: float | None) -> None:
    assert reset_seconds(value) == (None if seconds is None else pytest.approx(seconds))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_headers_are_read_or_left(limit: str, remaining: str, reset: str) -> None:
    names = (f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset"))
    told = Told.read(dict(zip(names, (limit, remaining, reset), strict=True)), "requests")
    assert told is None or 0 <= told.remaining <= told.limit


def headers(what: str, limit: float, remaining: float, reset: str) -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}-{what}": str(value) for name, value in named.items()}


@pytest.mark.parametrize(
    ("said", "after", "wait"),
    [
        (headers("requests", 500, 0, "60s"), 0, 0.12),  # OpenAI: flows back evenly
        (headers("requests", 14_400, 0, "24h"), 0, 6.0),  # Groq: a day's limit, one every six seconds
        (headers("requests", 500, 3, "59.64s"), 0, 0.0),
        (headers("requests", 500, 3, "59.64s"), 3, 0.12),  # three have begun since, which it had not counted
        (headers("tokens", 6000, 50, "59.5s"), 0, 0.5),  # a call of 100
        (headers("requests", 500, 500, "0s"), 0, 0.0),
        (headers("requests", 20, 0, "24h"), 0, 0.0),  # used up for an hour and more: the endpoint shall say it itself
        ({"x-ratelimit-remaining-requests": "0"}, 0, 0.0),
        (headers("requests", 500, 900, "1s"), 0, 0.0),  # nonsense
    ],
)
def test_headers_are_honoured(said: dict[str, str], after: int, wait: float) -> None:
    pace = Pace(8)
    ticket = pace.begin(100, 0.0)
    for _ in range(after):
        pace.begin(100, 0.0)
    events = pace.hear(ticket, said, 1.0)
    assert pace.delay(100, 1.0) == pytest.approx(wait, rel=0.01, abs=1e-3)
    assert [kind for kind, _ in events] == (["rate limit"] if wait > 0 and "limit-requests" in str(said) else [])


def test_an_older_answer_that_comes_later_is_not_believed() -> None:
    pace = Pace(8)
    older, newer = pace.begin(1, 0.0), pace.begin(1, 0.0)
    pace.hear(newer, headers("requests", 500, 0, "60s"), 1.0)
    pace.hear(older, headers("requests", 500, 500, "0s"), 1.0)
    assert pace.delay(1, 1.0) > 0


async def test_a_stop_stops_everyone_for_that_time() -> None:
    time = Virtual()
    limits = time.limits(4)
    times = iter(range(10**6))

    async def endpoint(under_way: int) -> Result:
        await time.sleep(1.0)
        return Result("limited", after=30.0) if next(times) == 5 else GOOD

    tries = await time.run(*(call(limits, endpoint) for _ in range(40)))
    began = sorted(chain.from_iterable(tries))
    assert limits.waiting_until is None
    stop = next(at for at, later in pairwise(began) if later - at > 10)
    assert not [at for at in began if stop + 1 < at < stop + 30]  # it was met a second after that call began
    assert len(tries) == 40 and sum(len(t) for t in tries) == 41


@pytest.mark.parametrize(("after", "stopped"), [(LONGEST_STOP, True), (LONGEST_STOP + 1, False), (0.0, False)])
def test_nobody_is_stopped_for_an_hour_unannounced(after: float, stopped: bool) -> None:
    pace = Pace(4)
    pace.end(pace.begin(1, 0.0), Result("limited", after=after), 0.0, pressed=True)
    assert (pace.delay(1, 0.0) > 0) is stopped


# --- the line --------------------------------------------------------------------------------------------------------


async def test_first_come_first_served() -> None:
    time, order = Virtual(), []
    limits = time.limits(1, tpm=60_000)

    async def one(name: int, tokens: int) -> None:
        ticket = await limits.enter(tokens)
        order.append(name)
        await time.sleep(0.1)
        limits.leave(ticket, GOOD)

    await time.run(*(one(n, 5000 if n % 3 == 0 else 10) for n in range(12)))  # small ones do not slip by
    assert order == list(range(12))


async def test_a_second_try_is_not_sent_to_the_end_of_the_line() -> None:
    time = Virtual()
    limits = time.limits(1)
    first = iter([Result("failed")])

    async def endpoint(under_way: int) -> Result:
        await time.sleep(1.0)
        return next(first, GOOD)

    tries = await time.run(*(call(limits, endpoint) for _ in range(20)))
    assert tries[0] == [0.0, 2.0]  # behind the one that got its place when it failed, before the other eighteen


async def test_a_small_one_goes_when_the_large_one_before_it_gives_up() -> None:
    time = Virtual()
    limits = time.limits(4, tpm=600)
    limits.leave(await limits.enter(600), Result("answer", tokens=600))
    large = asyncio.create_task(limits.enter(10))
    small = asyncio.create_task(limits.enter(1))
    await asyncio.sleep(0)
    large.cancel()
    await time.run(asyncio.wait([small]))
    assert small.done() and limits.under_way == 1 and limits.waiting == 0


@settings(max_examples=60, deadline=None)
@given(data=st.data(), level=st.integers(1, 4), rpm=st.sampled_from([None, 60, 600]))
def test_whoever_is_cancelled_leaves_nothing_behind(data: st.DataObject, level: int, rpm: int | None) -> None:
    async def scenario() -> None:
        time = Virtual()
        limits = time.limits(level, rpm=rpm)
        tasks = [asyncio.create_task(call(limits, answers_after(time, 0.5))) for _ in range(8)]
        victims = data.draw(st.lists(st.sampled_from(tasks), max_size=6))

        async def cancel() -> None:
            for victim in victims:
                for _ in range(data.draw(st.integers(0, 3))):
                    await asyncio.sleep(0)
                if data.draw(st.booleans()):
                    await time.sleep(0.3)
                victim.cancel()

        await time.run(cancel(), asyncio.wait(tasks))
        assert all(t.done() for t in tasks)
        assert limits.under_way == 0 and limits.waiting == 0
        await time.run(call(limits, answers_after(time, 0.5)))  # and the next is served
        left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        assert left == []

    asyncio.run(scenario())


async def test_cancelled_in_the_breath_in_which_its_turn_came() -> None:
    limits = Limits(1)
    held = await limits.enter(1)
    waiting = asyncio.create_task(limits.enter(1))
    await asyncio.sleep(0)
    limits.leave(held, GOOD)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limits.under_way == 0


def test_policy_and_tickets_travel() -> None:
    """Another process may keep the policy and hand out the tickets: both are plain values."""
    pace = Pace(8, rpm=60, tpm=1000)
    ticket = pace.begin(10, 0.0)
    there: Pace = pickle.loads(pickle.dumps(pace))
    back: Ticket = pickle.loads(pickle.dumps(ticket))
    there.end(back, DROPPED, 1.0, pressed=False)
    assert (pace.under_way, there.under_way) == (1, 0)


# --- at a real server ------------------------------------------------------------------------------------------------


def ask(n: int) -> Request:
    parameters = {"temperature": 0, "max_tokens": 20}
    return Request(model="m", messages=({"role": "user", "content": f"第{n}段我们先看缓存"},), parameters=parameters)


QUICK = RetryPolicy(first=0.01, longest=0.05, jitter=0.01, attempts=12)


async def test_a_server_that_bears_few_at_once() -> None:
    async with (
        FaultyServer(at_once=6, delay=0.02) as server,
        ChatClient(server.base_url, None, concurrency=48, retry=QUICK) as chat,
    ):
        answers = await asyncio.gather(*(chat.complete(ask(n)) for n in range(300)))
    assert [a.text for a in answers] == [f"第{n}段我们先看缓存。" for n in range(300)]
    assert chat.retries["429"] == server.counts["limited"] < 150
    assert chat.limits.level <= 16


@pytest.mark.parametrize("says_wait", [True, False])
async def test_a_server_with_a_rate_is_asked_at_its_rate(says_wait: bool) -> None:
    """40 at once, then 100 a second: what the headers say is enough to be turned away hardly ever."""
    events: list[str] = []
    limits = Limits(16, on_event=lambda kind, **facts: events.append(kind))
    async with (
        FaultyServer(rpm=40, rate_window=0.4, says_wait=says_wait) as server,
        ChatClient(server.base_url, None, limits=limits, retry=QUICK) as chat,
    ):
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(chat.complete(ask(n)) for n in range(240)))
        took = asyncio.get_running_loop().time() - began
    assert took >= 1.9
    assert chat.retries["429"] <= 24
    assert "rate limit" in events


async def test_a_key_that_expires_while_many_are_under_way_is_told_once_to_each() -> None:
    async with (
        FaultyServer(api_key="k-123456789", key_lives=20, delay=0.01) as server,
        ChatClient(server.base_url, "k-123456789", concurrency=8) as chat,
    ):
        done = await asyncio.gather(*(chat.complete(ask(n)) for n in range(60)), return_exceptions=True)
    failed = [d for d in done if isinstance(d, BaseException)]
    assert len(done) - len(failed) == 20
    assert {type(f).__name__ for f in failed} == {"ModelConfigError"}
    assert chat.limits.under_way == 0 and sum(chat.retries.values()) == 0
