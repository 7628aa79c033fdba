"""Many machines: passages are rewritten by workers on a Ray cluster; what became of them is journalled here.

A worker gets a passage with its context, builds the prompt, looks into the shared cache, asks the model and judges the
draft: the same `pipeline` as anywhere. One gate on the driver's machine lets calls through, so that money, rates and
concurrency are limited for all workers together. A worker or a machine that dies costs time: the passages it held are
given to another, and what it had answered before is in the shared cache.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import Base64Bytes, SecretStr

from rewriter import logs, traces
from rewriter.api import Caller, Rewriter
from rewriter.cache import SHARED_VARIABLE, shared_environment
from rewriter.errors import BudgetExceeded, Interrupted, ModelUnavailable, RewriterError, UsageError
from rewriter.model.limits import DROPPED, Limits, Line
from rewriter.model.pace import Result, Ticket
from rewriter.model.resolve import ModelChoice
from rewriter.pipeline import Means, rewrite_passage
from rewriter.purse import Account, MessageTokens, Purse, expected_usage
from rewriter.records import Answer, Outcome, Passage, Record, Request, Usage
from rewriter.settings import Settings
from rewriter.work import Work

# Seconds in which no worker at all could be reached before the run gives up: a node's death is noticed and its workers
# are started elsewhere within one of them.
PATIENCE = 600.0
CONNECT_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between tries while workers are being started again


class Kit(Record):
    """What a worker needs to do as the driver would: settings, model, the files that settings name, environment."""

    settings: Settings
    choice: ModelChoice
    api_key: str | None
    base_url: str | None
    files: dict[str, Base64Bytes]
    environment: dict[str, str]

    @classmethod
    def of(cls, rewriter: Rewriter) -> Kit:
        """The driver's own."""
        settings, choice = rewriter.settings, rewriter.choice
        named = [*settings.glossary, *([settings.style] if Path(settings.style).suffix else [])]
        return cls(
            settings=settings,
            choice=choice,
            api_key=choice.api_key.get_secret_value() if choice.api_key else None,
            base_url=choice.base_url,
            files={name: base64.b64encode(Path(name).read_bytes()) for name in named},
            environment=shared_environment() | traces.variables(),
        )

    def unpacked(self, folder: Path) -> Settings:
        """The settings, with the files that they name written into a folder of this machine."""
        there: dict[str, str] = {}
        for number, (name, data) in enumerate(self.files.items()):
            path = folder / str(number) / Path(name).name
            path.parent.mkdir()
            path.write_bytes(data)
            there[name] = str(path)
        changed = {
            "glossary": tuple(there[name] for name in self.settings.glossary),
            "style": there.get(self.settings.style, self.settings.style),
            "max_cost": None,
            "max_tokens": None,
        }
        return self.settings.model_copy(update=changed)


class Gate:
    """Through which every call of every worker goes: one purse, one line before the endpoint. An actor of its own."""

    def __init__(self, settings: Settings, choice: ModelChoice, concurrency: int) -> None:
        self._purse, self._choice = Purse(settings.max_cost, settings.max_tokens), choice
        self._limits = Limits(concurrency, rpm=settings.rpm, tpm=settings.tpm)
        self._stopped: RewriterError | None = None
        self._numbers = count()
        self._accounts: dict[int, tuple[str, Account]] = {}
        self._tickets: dict[int, tuple[str, Ticket]] = {}
        self._alive: dict[str, str] = {}
        self._calls = 0
        self._paid: list[tuple[str, Usage]] = []  # and not told yet
        self._news = asyncio.Event()
        self._purse.on_paid = self._note

    async def hello(self, name: str, worker: str) -> None:
        """`worker` lives under `name` now: whoever did before is dead, and its calls are over.

        What they took, nobody knows; those that had not been sent were none.
        """
        before = self._alive.get(name)
        self._alive[name] = worker
        under_way = [n for n, (who, _) in self._tickets.items() if who == before]
        booked = [n for n, (who, _) in self._accounts.items() if who == before]
        self._calls -= max(0, len(booked) - len(under_way))
        for number in under_way:
            await self.leave(number, DROPPED)
        for number in booked:
            await self.close(number, Usage())

    def _is_dead(self, worker: str) -> bool:
        return worker not in self._alive.values()

    async def book(self, worker: str, model: str, expected: Usage) -> int:
        """An account for a call. Raises BudgetExceeded, or what the run was stopped with."""
        self._go_on()
        account = await self._purse.room_for(model, expected, self._choice)
        if self._stopped is not None or self._is_dead(worker):
            self._purse.close(account)
        self._go_on()
        number = next(self._numbers)
        if not self._is_dead(worker):
            self._calls += 1
            self._accounts[number] = worker, account
        return number

    def _go_on(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    async def close(self, number: int, usage: Usage, made: bool = True) -> None:
        """The call is over and took so much; told twice, it counts once. Not `made`: it was turned away in the line."""
        _, account = self._accounts.pop(number, ("", None))
        if account is not None:
            self._calls -= not made
            account.pay(usage)
            self._purse.close(account)

    async def enter(self, worker: str, tokens: int, place: int | None) -> tuple[int, int]:
        """Wait for the turn of a try; its number, and the place in the line to come back to."""
        place = self._limits.place() if place is None else place
        ticket, number = await self._limits.enter(tokens, place), next(self._numbers)
        if self._is_dead(worker):  # nobody is left to take the turn, or to give it back
            self._limits.leave(ticket, DROPPED)
        else:
            self._tickets[number] = worker, ticket
        return number, place

    async def hear(self, number: int, headers: dict[str, str]) -> None:
        """Headers of an answer that speak of limits."""
        if number in self._tickets:
            self._limits.hear(self._tickets[number][1], headers)

    async def leave(self, number: int, result: Result) -> None:
        """A try is over."""
        _, ticket = self._tickets.pop(number, ("", None))
        if ticket is not None:
            self._limits.leave(ticket, result)

    async def stop(self, error: RewriterError) -> None:
        """Let no call through from now on."""
        self._stopped = error
        self._limits.stop(error)

    def _note(self, model: str, usage: Usage) -> None:
        self._paid.append((model, usage))
        self._news.set()

    async def paid(self) -> list[tuple[str, Usage]]:
        """What was paid since this was asked last, answer by answer; it waits until there is something."""
        await self._news.wait()
        self._news.clear()
        paid, self._paid = self._paid, []
        return paid

    async def account(self) -> tuple[int, dict[str, Usage]]:
        """Calls and what they took, by model."""
        return self._calls, self._purse.spent


class GateLine(Line):
    """The gate's line as a worker's client sees it."""

    def __init__(self, gate: Any, worker: str) -> None:
        super().__init__(on_event=None)
        self._gate, self._worker = gate, worker
        self._own, self._there = count(), dict[int, int]()

    def place(self) -> int:
        """See Line."""
        return next(self._own)

    async def enter(self, tokens: int, place: int | None = None) -> Any:
        """See Line."""
        place = self.place() if place is None else place
        with _causes():
            number, there = await self._gate.enter.remote(self._worker, tokens, self._there.get(place))
        self._there[place] = there
        return number, place

    def hear(self, ticket: Any, headers: Mapping[str, str]) -> None:
        """See Line."""
        telling = {k: v for k, v in headers.items() if k.startswith("x-ratelimit-") or k == "retry-after"}
        if telling:
            self._gate.hear.remote(ticket[0], telling)

    def leave(self, ticket: Any, result: Result) -> None:
        """See Line."""
        number, place = ticket
        if result.kind in {"answer", "dropped"}:
            self._there.pop(place, None)
        self._gate.leave.remote(number, result)


class Gated:
    """A worker's way to the model: every call is booked at the gate."""

    def __init__(self, inner: Caller, gate: Any, worker: str, count: MessageTokens) -> None:
        self._inner, self._gate, self._worker, self._count = inner, gate, worker, count

    async def complete(self, request: Request) -> Answer:
        """See Caller."""
        with _causes():
            number = await self._gate.book.remote(self._worker, request.model, expected_usage(request, self._count))
        usage, made = Usage(), True
        try:
            answer = await self._inner.complete(request)
            usage = answer.usage
            return answer
        except (BudgetExceeded, Interrupted):
            made = False
            raise
        finally:
            await self._gate.close.remote(number, usage, made)

    async def aclose(self) -> None:
        """See Caller."""
        await self._inner.aclose()


class Worker:
    """Rewrites passages wherever the cluster has put it; an actor."""

    def __init__(self, packed: str, gate: str, name: str) -> None:
        # plain text and names, which are kept with the actor: what lies in one machine's object store is lost with it
        kit, found = Kit.model_validate_json(packed), _ray().get_actor(gate)
        os.environ.update(kit.environment)
        own = f"{name} {uuid.uuid4().hex}"
        found.hello.remote(name, own)  # before anything else that this worker sends
        with tempfile.TemporaryDirectory() as folder:
            self._rewriter = _WorkerRewriter(kit, found, own, kit.unpacked(Path(folder)))
            self._rewriter.style("en")  # read while the file is there
        self._means: dict[str, Means] = {}
        self._spans = contextlib.ExitStack()
        self._spans.enter_context(traces.recording(lambda notice: None))  # the driver meets the same, and tells it

    async def ready(self, language: str) -> str:
        """The print of what decides an outcome here; it must be the driver's."""
        return self._rewriter.print_of(language)

    async def process(self) -> int:
        """The worker's process number on its machine."""
        return os.getpid()

    async def finish(self) -> None:
        """Send the spans that are left."""
        await asyncio.to_thread(self._spans.close)

    async def stop(self, error: RewriterError) -> None:
        """No call begins here from now on."""
        self._rewriter.stop(error)

    async def rewrite(self, work: Work, language: str, before: float | None, place: dict[str, str]) -> list[Outcome]:
        """The outcomes of the one passage in an excerpt; replays draw on what was kept `before` (see Rewriter).

        Spans stand at a `place` (see traces).
        """
        if language not in self._means:
            self._rewriter.replays_before = before
            self._means[language] = self._rewriter.means(language)
        means = self._means[language]
        with traces.under(place):
            outcomes = await rewrite_passage(work, work.passages[0], means)
        if means.replays is not None:
            means.replays.done()
        return outcomes


class _WorkerRewriter(Rewriter):
    def __init__(self, kit: Kit, gate: Any, name: str, settings: Settings) -> None:
        super().__init__(settings)
        self._gate, self._name = gate, name
        secrets = {"api_key": kit.api_key and SecretStr(kit.api_key), "base_url": kit.base_url}
        self._choice = kit.choice.model_copy(update=secrets)

    def _new_limits(self) -> Line:
        return GateLine(self._gate, self._name)

    async def _connect(self) -> Caller:
        return Gated(await super()._connect(), self._gate, self._name, self.message_tokens)


class RayPlace:
    """The driver's side: gives each passage to the worker that has the least to do."""

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter
        self.workers: list[Any] = []
        self._load: list[int] = []
        self._gate: Any = None
        self._hearing: asyncio.Task[None] | None = None
        self._answered = time.monotonic()

    async def start(self) -> None:
        """Connect to the cluster and start the workers.

        Raises UsageError where there is no cluster at the address, or one whose workers would rewrite otherwise.
        """
        ray = await asyncio.to_thread(_ray)  # a signal in the second that it takes is not raised in, and lost with, it
        settings = self._rewriter.settings
        if self._rewriter.choice.embedded:
            raise UsageError(
                "the Ray engine needs an endpoint.",
                remedy="Serve a model, `rewriter local serve` or another, and name it with --base-url.",
            )
        _connect(ray, settings.address)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        kit, name = Kit.of(self._rewriter), f"gate-{uuid.uuid4().hex}"
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        gate = ray.remote(num_cpus=0, max_concurrency=100_000, scheduling_strategy=here, name=name)(Gate)
        self._gate = gate.remote(settings, self._rewriter.choice, self._rewriter.concurrency)
        self._hearing = asyncio.create_task(self._hear())
        # no CPU is reserved: the workers of a node that died must find room on those that are left
        worker = ray.remote(num_cpus=0, max_restarts=-1, max_concurrency=10_000, scheduling_strategy="SPREAD")(Worker)
        names = [f"worker {n}" for n in range(settings.workers or max(1, cpus))]
        self.workers = [worker.remote(kit.model_dump_json(), name, own) for own in names]
        self._load = [0] * len(self.workers)
        self._tell_about_the_cache(ray)
        await self._agree()

    async def _agree(self) -> None:
        for language in ("zh", "en"):
            own = self._rewriter.print_of(language)
            for found in await asyncio.gather(*(w.ready.remote(language) for w in self.workers)):
                if found != own and not self._rewriter.settings.refresh:
                    raise UsageError(
                        "the cluster's workers would rewrite otherwise than this machine.",
                        remedy="Install the same version of transcript-rewriter on every machine.",
                    )

    async def _hear(self) -> None:
        """Pass on what is paid as it is paid, so that the journal has it whatever becomes of the passage, or of us."""
        with contextlib.suppress(_ray().exceptions.RayActorError):  # the gate has gone, and all calls with it
            while True:
                for model, usage in await self._gate.paid.remote():
                    if (told := self._rewriter.purse.on_paid) is not None:
                        told(model, usage)

    def _tell_about_the_cache(self, ray: Any) -> None:
        nodes = [n for n in ray.nodes() if n["Alive"]]
        if len({n["NodeManagerAddress"] for n in nodes}) > 1 and SHARED_VARIABLE not in os.environ:
            self._rewriter.tell(
                f"The machines share no cache: set {SHARED_VARIABLE} to a Redis server, or what a machine has answered "
                "is asked again should it be lost."
            )

    async def rewrite(self, work: Work, passage: Passage, language: str) -> list[Outcome]:
        """See api.Place. A worker that is lost is replaced by another."""
        excerpt, pause = work.excerpt(passage), FIRST_PAUSE
        while True:
            number = min(range(len(self.workers)), key=self._load.__getitem__)
            try:
                found = await self._given(number, excerpt, language)
            except _ray().exceptions.RayActorError:
                await self._after_a_loss(number, pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            self._answered = time.monotonic()
            return work.placed(passage, found)

    async def _given(self, number: int, excerpt: Work, language: str) -> list[Outcome]:
        self._load[number] += 1
        try:
            with _causes():
                before = self._rewriter.replays_before
                worker, place = self.workers[number], traces.place()
                found: list[Outcome] = await worker.rewrite.remote(excerpt, language, before, place)
                return found
        finally:
            self._load[number] -= 1

    async def _after_a_loss(self, number: int, pause: float) -> None:
        logs.event("worker_lost", worker=number)
        if time.monotonic() - self._answered > PATIENCE:
            raise ModelUnavailable(
                f"no worker of the cluster has answered for {PATIENCE:.0f} s.",
                remedy="Look at the cluster with `ray status`; the same command goes on from here.",
            )
        self._load[number] += 1  # the others first, until it may be back
        try:
            await asyncio.sleep(pause)
        finally:
            self._load[number] -= 1

    def stop(self, error: RewriterError) -> None:
        """No call begins from now on, wherever the workers are."""
        for actor in (self._gate, *self.workers):
            actor.stop.remote(error)

    async def account(self) -> tuple[int, dict[str, Usage]]:
        """Calls of all workers, and what they took by model."""
        found: Awaitable[tuple[int, dict[str, Usage]]] = self._gate.account.remote()
        return await found

    async def _finish(self) -> None:
        """Let the workers send their last spans, those that still live."""

        async def finished(worker: Any) -> None:
            with contextlib.suppress(_ray().exceptions.RayError):
                await worker.finish.remote()

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * traces.LAST_SECONDS):
                await asyncio.gather(*map(finished, self.workers))

    async def aclose(self) -> None:
        """End the workers and leave the cluster."""
        ray = _ray()
        if self._hearing is not None:
            self._hearing.cancel()
        if traces.tracer is not None:
            await self._finish()
        for actor in [*self.workers, *([self._gate] if self._gate is not None else [])]:
            ray.kill(actor)
        ray.shutdown()


@contextlib.contextmanager
def _causes() -> Iterator[None]:
    """Errors as they were raised elsewhere, not wrapped."""
    try:
        yield
    except _ray().exceptions.RayTaskError as error:
        if isinstance(error.cause, RewriterError):
            raise error.cause from None
        raise


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError:
        raise UsageError(
            "the Ray engine is not installed.", remedy="pip install 'transcript-rewriter[ray]' on every machine."
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _knock(address)
        with _own_sigterm():
            ray.init(address=address, namespace="rewriter", log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(
            f"there is no Ray cluster at {address}: {said}",
            remedy="Start one with `ray start --head`, or leave --address out to use this machine.",
        ) from None


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray answers SIGTERM by ending the process with codes of its own, from its start on. Ours is put back after it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _knock(address: str | None) -> None:
    """See whether anybody listens at HOST:PORT; Ray itself would try for minutes. Raises OSError."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
