"""Half the price: passages are asked through a provider's batch interface, in rounds, and judged here.

In a round every unfinished file is read, and each of its passages climbs its ladder on the answers that the cache has;
the first one that is missing is noted instead of asked. The notes go to the provider as batches, the answers come into
the cache, and the next round finds what is missing then: the repairs of what was rejected. A file for which nothing is
missing is rewritten by the run as any other. So nothing waits in memory while a provider takes its hours, and a run
that is killed at any moment finds all it needs on the disk and at the provider (`batch_jobs.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rewriter import logs, prompting
from rewriter.api import Rewriter
from rewriter.cache import Entry, PassageCache, request_key
from rewriter.engines import batch_files as files
from rewriter.engines.batch_api import BatchApi
from rewriter.engines.batch_jobs import MARK, Jobs
from rewriter.engines.batch_log import BatchLog
from rewriter.engines.batch_looking import Climb, GivenUp, NotYet
from rewriter.engines.batch_orders import Orders, gone
from rewriter.errors import (
    BudgetExceeded,
    InputError,
    Interrupted,
    ModelUnavailable,
    RewriterError,
    UsageError,
)
from rewriter.journal import BATCHES
from rewriter.model.retry import RetryPolicy
from rewriter.pipeline import How, Means, keep, rewrite_passage
from rewriter.records import Answer, Outcome, Passage, Request
from rewriter.run import Run
from rewriter.settings import fingerprint
from rewriter.work import Work

# How often a request that got no answer is put into a batch, before its passage is kept as it was said.
MOST_TRIES = 3

# While other batches are still under way, all files are gone through again for at most this share of the time.
LOOKING_SHARE = 0.1

# Seconds between two notes of how far the provider is.
TOLD_EVERY = 10.0


class BatchEngine:
    """A run's way to the model through batches: `rounds` gets the answers, `rewrite` uses them."""

    def __init__(self, rewriter: Rewriter, retry: RetryPolicy | None = None) -> None:
        """Raises UsageError where the settings do not go with batches."""
        _refuse(rewriter)
        choice = rewriter.choice
        self._rewriter = rewriter
        self._api = BatchApi(
            choice.base_url,
            choice.api_key,
            endpoint=choice.endpoint,
            key_name=choice.key_name,
            timeout=rewriter.settings.timeout,
            retry=retry,
            on_event=logs.event,
        )
        self._repairs_live = rewriter.settings.repair == "live"
        self._live = False  # what is missing is asked as it is needed
        self._notes_now = True  # what is missing is noted for a batch
        self._empty: BudgetExceeded | None = None
        self._error: RewriterError | None = None
        self._wake = asyncio.Event()
        self._there: dict[int, bytearray] = {}  # of each file, which passages have all their answers
        self._seconds = self._since = 0.0  # what the last going through took, and when it ended
        self._told = (0.0, 0, 0)

    @property
    def _cache(self) -> PassageCache:
        cache = self._rewriter.cache
        assert cache is not None
        return cache

    # --- the rounds ---

    async def rounds(self, run: Run) -> AsyncGenerator[Sequence[int], None]:
        """See run.Rounds."""
        self._begin(run)
        left = list(range(len(run.sources)))
        try:
            await self._jobs.pick_up()
            while left:
                ready = await self._round(run, left)
                if ready:
                    yield ready
                    left = sorted(set(left) - set(ready))
                self._go_on()
                if left and not await self._arrived(run):
                    if self._empty is not None:
                        raise self._empty
                    assert self._repairs_live, "a round without a request and without an answer"
                    self._live = True
                    yield left
                    left = []
                    self._go_on()
            await self._end()
        except Interrupted as error:
            raise self._told_of_batches(error) from None
        finally:
            self._orders.discard()
            self._log.close()

    def _begin(self, run: Run) -> None:
        rewriter = self._rewriter
        languages = [rewriter.settings.language] if rewriter.settings.language else ["zh", "en", prompting.NEUTRAL]
        settings = fingerprint({language: rewriter.print_of(language) for language in languages})
        self._log = BatchLog(run.out / BATCHES)
        self._jobs = Jobs(rewriter, self._api, run.out / files.FOLDER, self._log, settings)
        self._orders = Orders(rewriter, self._jobs)

    async def _end(self) -> None:
        """The run is over by itself: what is still out there is of no use to it."""
        self._log.add("end")
        for batch in self._jobs.waiting:
            await self._jobs.drop(batch)
        if left := len(self._jobs.under_way):
            self._rewriter.tell(
                f"The provider still works on {_batches(left)} of an earlier command, for which this one had no use."
            )

    # --- one round ---

    async def _round(self, run: Run, left: Sequence[int]) -> list[int]:
        """Note and send what is missing; numbers of the files for which nothing is."""
        began = time.monotonic()
        ready = [number for number in left if await self._complete(run, number)]
        self._orders.close()
        await self._jobs.send(self._go_on)
        self._since = time.monotonic()
        self._seconds = self._since - began
        self._notes_now = not self._repairs_live and self._empty is None
        self._tell(run)
        return ready

    async def _complete(self, run: Run, number: int) -> bool:
        """Whether every answer for a file is there (or nothing is to be asked for it)."""
        source = run.sources[number]
        try:
            work = run.unfinished(source)
        except InputError:  # the run says so
            return True
        if work is None:
            return True
        means = self._rewriter.means(self._rewriter.language(work.transcript))
        passages = work.passages[: self._rewriter.settings.limit]
        there = self._there.setdefault(number, bytearray(len(passages)))
        for place, passage in enumerate(passages):
            if not there[place]:
                await asyncio.sleep(0)  # a signal is heard between two passages
                self._go_on()
                there[place] = run.knows(source, work, passage) or await self._answered(work, passage, means)
        return all(there)

    async def _answered(self, work: Work, passage: Passage, means: Means) -> bool:
        """Whether a passage has all its answers; what is missing is noted."""
        climb = Climb(work, passage, means, self._cache, self._rewriter.choice.endpoint, self._known)
        while True:
            missing = await climb.missing()
            if not missing or not self._notes_now or (self._repairs_live and self._is_repair(climb, missing)):
                return not missing
            try:
                if not await self._orders.order(missing, self._mark(work, passage), means.style.digest):
                    return False
            except BudgetExceeded as error:
                self._empty, self._notes_now = error, False
                return False

    def _is_repair(self, climb: Climb, missing: Sequence[NotYet]) -> bool:
        """Whether this is no passage's first request, or one that a batch has not answered."""
        return climb.begun or bool(self._log.tries[missing[0].key])

    def _known(self, key: str) -> Answer | None:
        """The stored answer; raises GivenUp for one that was asked for often enough."""
        entry = self._entry(key)
        if entry is None and self._log.tries[key] >= MOST_TRIES:
            raise self._given_up(key)
        return entry.answer if entry else None

    def _entry(self, key: str) -> Entry | None:
        """The stored answer with its provenance; not counted as a hit."""
        return self._cache.entry(key) if key in self._cache else None

    def _given_up(self, key: str) -> Exception:
        """Why a passage is kept; or why the run ends, where batches have not given a single answer."""
        cause = self._log.failures.get(key, "")
        if self._log.answered:
            return GivenUp(f"asked in {MOST_TRIES} batches; the last time: {cause}.")
        self._log.add("end")
        return ModelUnavailable(
            f"{MOST_TRIES} batches gave not a single answer; the last: {cause}.",
            where=self._api.endpoint,
            remedy="Look at the provider's page of batches; the same command goes on from here.",
        )

    # --- waiting ---

    async def _arrived(self, run: Run) -> bool:
        """Wait for answers that are worth another round; False where none are to come."""
        collected = False
        while self._jobs.under_way or self._jobs.waiting:
            collected |= await self._jobs.look()
            self._tell(run)
            busy = bool(self._jobs.under_way or self._jobs.waiting)
            if collected and (not busy or self._worth_it()):
                return True
            if busy:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._rewriter.settings.poll)
            self._go_on()
        return False

    def _worth_it(self) -> bool:
        return (time.monotonic() - self._since) * LOOKING_SHARE >= self._seconds

    def stop(self, error: RewriterError) -> None:
        """See api.Asker."""
        self._error = self._error or error
        self._api.limits.stop(error)
        self._wake.set()

    def _go_on(self) -> None:
        if self._error is not None:
            raise self._error

    def _told_of_batches(self, error: Interrupted) -> Interrupted:
        """The same, with what the provider is doing meanwhile."""
        under_way = len(self._jobs.under_way) + len(self._jobs.waiting)
        if not under_way:
            return error
        working = f"the provider still works on {_batches(under_way)}"
        return Interrupted(f"interrupted; {working}, and the same command collects the answers.")

    def _tell(self, run: Run) -> None:
        """Say how far the provider is, when that has changed; nothing where only the necessary is to be said."""
        at, sent, done = self._told
        now = time.monotonic()
        if (self._jobs.sent, self._jobs.done) == (sent, done) or getattr(run.progress, "quiet", False):
            return
        if self._jobs.sent == sent and now - at < TOLD_EVERY and self._jobs.done < sent:
            return
        self._told = now, self._jobs.sent, self._jobs.done
        run.progress.note(
            f"provider's batches: {self._jobs.done} of {self._jobs.sent} requests done, "
            f"{_batches(len(self._jobs.under_way))} under way"
        )

    # --- using the answers ---

    async def rewrite(self, work: Work, passage: Passage, means: Means) -> list[Outcome]:
        """See api.Asker."""
        using = _Using(self, self._mark(work, passage), means.style.digest)
        stronger = (means.stronger[0], using.ask) if means.stronger else None
        try:
            return await rewrite_passage(work, passage, replace(means, ask=using.ask, stronger=stronger))
        except GivenUp as error:
            return [keep(work, passage, error)]

    def _mark(self, work: Work, passage: Passage) -> str:
        """By which a passage of this folder knows what was bought for it; says nothing of it to others."""
        text = f"{self._log.out}\0{Path(work.transcript.name).absolute()}\0{passage.index}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    async def answer(self, request: Request, rung: str, mark: str, prompt: str, used: set[str]) -> tuple[Answer, How]:
        """The answer to a request of a passage, and how it was come by; `used` are those it has had already."""
        key = request_key(self._rewriter.choice.endpoint, request)
        entry = self._entry(key)
        how, _, whose = str(entry.about.get(MARK, "")).partition(" ") if entry else ("", "", "")
        if entry is not None and whose == mark and key not in used:
            used.add(key)
            return entry.answer, "batch" if how == "batch" else "asked"
        if self._live:
            return await self._rewriter.ask(request, rung, prompt=prompt)
        if entry is None and self._log.tries[key] >= MOST_TRIES:
            raise self._given_up(key)
        answer = self._cache.get(key) if entry else None
        if answer is None:
            raise gone(self._rewriter)
        return answer, "stored"

    async def aclose(self) -> None:
        """See api.Asker."""
        await self._api.aclose()


class _Using:
    """One passage's way to its answers."""

    def __init__(self, engine: BatchEngine, mark: str, prompt: str) -> None:
        self._engine, self._mark, self._prompt = engine, mark, prompt
        self._used: set[str] = set()

    async def ask(self, request: Request, rung: str) -> tuple[Answer, How]:
        """See pipeline.Ask."""
        return await self._engine.answer(request, rung, self._mark, self._prompt, self._used)


def _refuse(rewriter: Rewriter) -> None:
    settings = rewriter.settings
    if rewriter.choice.embedded:
        raise UsageError(
            "the embedded model has no batch interface.",
            remedy="Name an endpoint with --base-url, or leave --engine out.",
        )
    if not settings.use_cache:
        raise UsageError("batches need the cache: it is where answers wait to be used.", remedy="Leave --no-cache out.")
    if settings.refresh:
        raise UsageError(
            "--refresh does not go with batches: a run that is stopped while the provider works would buy all again.",
            remedy="Name an empty folder with --cache: that asks everything anew, once.",
        )


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number} batches"
