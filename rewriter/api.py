"""The Python face: one transcript or text in, a `Result` out; `Rewriter` for many, concurrent and streaming."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rewriter import formats, logs, prompting, traces
from rewriter.cache import SHARED_VARIABLE, default_folder, open_cache, request_key
from rewriter.errors import BudgetExceeded, Interrupted, ModelUnavailable, RewriterError, UsageError
from rewriter.fixes import detect_language
from rewriter.glossary import Glossary
from rewriter.model.resolve import ModelChoice, resolve
from rewriter.pieces import account, pieces
from rewriter.pipeline import How, Means, check_seam, keep, rewrite_passage
from rewriter.processes import Processes
from rewriter.purse import MessageTokens, Purse
from rewriter.records import Answer, Fix, Outcome, Passage, Record, Request, Transcript, Usage
from rewriter.replays import CachedReplays
from rewriter.settings import Settings, fingerprint, load_settings
from rewriter.tokens import TokenCounter, counter_for
from rewriter.work import Work, fixing, in_passages

if TYPE_CHECKING:
    from rewriter.cache import PassageCache
    from rewriter.fixes import FixedText
    from rewriter.model.limits import Line
    from rewriter.model.local import EmbeddedServer
    from rewriter.prompting import Style

# So many passages in a row without any answer mean that the endpoint is down, not that a passage is unlucky: the run
# stops, resumable, rather than keep everything that is left.
UNANSWERED_IN_A_ROW = 5

# Model calls at once at most, where nobody says otherwise: what one process keeps busy easily (docs/models.md).
CONCURRENCY = 64

# Passages in the making at once, for each model call allowed: enough that judging one never leaves the model idle,
# few enough that a file of 100,000 passages does not become 100,000 tasks.
TASKS_PER_CALL = 4


class Result(Record):
    """A rewritten transcript: its text, the file's bytes in its own format, and what became of every passage.

    `account` says how many source code points were rewritten, fixed, kept or carried; they add up to the source.
    """

    text: str
    data: bytes
    passages: tuple[Outcome, ...]
    fixes: tuple[Fix, ...]
    account: dict[str, int]
    usage: Usage
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Outcome, ...]:
        """The passages whose source stands because no draft was accepted."""
        return tuple(o for o in self.passages if o.status == "kept")


class Place(Protocol):
    """Where passages are rewritten, if not here."""

    async def rewrite(self, work: Work, passage: Passage, language: str) -> list[Outcome]:
        """What `rewrite_passage` gives, from elsewhere."""
        ...

    def stop(self, error: RewriterError) -> None:
        """No call begins there from now on: what needs one raises `error`."""

    async def account(self) -> tuple[int, dict[str, Usage]]:
        """Calls made there, and what they took by model."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""


class Asker(Protocol):
    """An engine that gets answers otherwise than by a call when one is needed; passages are judged here."""

    async def rewrite(self, work: Work, passage: Passage, means: Means) -> list[Outcome]:
        """What `rewrite_passage` gives, with the engine's own way to ask."""
        ...

    def stop(self, error: RewriterError) -> None:
        """Nothing is asked for from now on."""

    async def aclose(self) -> None:
        """Let go of connections and files."""


class Caller(Protocol):
    """Who answers requests: `ChatClient`, or an engine's own way to the model."""

    async def complete(self, request: Request) -> Answer:
        """The model's answer; raises ModelError where there is none to be had."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True)
class Watch:
    """Who follows a stream: `known` may give a passage's outcomes from an earlier run, `arrived` hears of new ones in
    the order they come, `fed` that every passage is in the making or done.
    """

    known: Callable[[Passage], list[Outcome] | None] = lambda passage: None
    arrived: Callable[[Passage, list[Outcome]], None] = lambda passage, outcomes: None
    fed: Callable[[], None] = lambda: None


class Rewriter:
    """Rewrites transcripts with one model, style, glossary and cache; use it as an async context manager.

    Keyword arguments are the fields of `Settings`; `glossary` may also be a loaded Glossary or one path. The model is
    contacted, and the embedded model loaded, only when an answer is needed that the cache does not hold.
    """

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        glossary = options.pop("glossary", None)
        loaded = glossary if isinstance(glossary, Glossary) else None
        if glossary is not None and not isinstance(glossary, Glossary):
            options["glossary"] = _names(glossary)
        self.settings = settings or load_settings(options)
        self.glossary = loaded or Glossary.load(self.settings.glossary)
        self._choice: ModelChoice | None = None
        self._counter: TokenCounter | None = None
        self._cache: PassageCache | None = None
        self._server: EmbeddedServer | None = None
        self._client: Caller | None = None
        self._limits: Line | None = None
        self._stopped: RewriterError | None = None
        self.place: Place | None = None
        self.asker: Asker | None = None
        self._notices: list[str] = []
        self._starting = asyncio.Lock()
        self._making: asyncio.Semaphore | None = None  # passages in the making, of all transcripts
        self._opened = time.time()
        self.replays_before: float | None = None  # None: before a transcript is begun
        self._unanswered = 0  # passages in a row without any answer
        self._answers = 0
        self.calls = 0
        self.only_looks = False  # for an estimate: no cache is made where there is none
        self._turn = asyncio.Lock()
        self.purse = Purse(self.settings.max_cost, self.settings.max_tokens)
        self.processes = Processes(self.settings.processes or 0)

    # --- life ---

    async def __aenter__(self) -> Rewriter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client, stop the embedded model and other processes, close the cache, leave the place or asker."""
        await self.processes.aclose()
        if self.place is not None:
            await self.place.aclose()
            self.place = None
        if self.asker is not None:
            await self.asker.aclose()
            self.asker = None
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._cache is not None:
            self._cache.close()
            self._notices = self.notices  # closing may add to them
            self._cache = None

    # --- what is used ---

    @property
    def choice(self) -> ModelChoice:
        """The model and endpoint in use. Raises ModelConfigError, naming three ways to a model, where there is none."""
        if self._choice is None:
            key = self.settings.api_key.get_secret_value() if self.settings.api_key else None
            self._choice = resolve(model=self.settings.model, base_url=self.settings.base_url, api_key=key)
        return self._choice

    @property
    def counter(self) -> TokenCounter:
        """Counts tokens as the model's family does (tiktoken, offline)."""
        if self._counter is None:
            self._counter = counter_for(self.settings.model or "")
        return self._counter

    @property
    def cache(self) -> PassageCache | None:
        """The cache of answers, opened at first use; None with `use_cache=False` and where there is none to look at."""
        if self._cache is None and self.settings.use_cache and not (self.only_looks and self._no_cache_yet()):
            self._cache = open_cache(self.settings.cache)
        return self._cache

    def _no_cache_yet(self) -> bool:
        if SHARED_VARIABLE in os.environ:
            return False
        folder = Path(self.settings.cache or default_folder()).expanduser()
        return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))

    @property
    def notices(self) -> list[str]:
        """What the user should know: a damaged database set aside, an answer that could not be stored, and the like."""
        notices = [*self._notices, *(self._cache.notices if self._cache is not None else ())]
        return list(dict.fromkeys(notices))  # a full disk says the same for every answer

    def tell(self, notice: str) -> None:
        """Something the user should know at the end."""
        if notice not in self._notices:
            self._notices.append(notice)

    @property
    def budget(self) -> int:
        """Tokens of a passage at most: as set, or what suits the model."""
        if self.settings.budget:
            return self.settings.budget
        return prompting.EMBEDDED_BUDGET if self.choice.embedded else prompting.ENDPOINT_BUDGET

    @property
    def concurrency(self) -> int:
        """Model calls at once, at most: as set; else 1 for the embedded model (two are slower together) or CONCURRENCY.

        How many there are at a moment depends on how the endpoint bears them.
        """
        return self.settings.concurrency or (1 if self.choice.embedded else CONCURRENCY)

    @cached_property
    def message_tokens(self) -> MessageTokens:
        """Counts the tokens of messages."""
        return MessageTokens(self.counter)

    def style(self, language: str) -> Style:
        """The style's prompt file for a language."""
        return prompting.load_style(self.settings.style, language)

    def language(self, transcript: Transcript) -> str:
        """The language set, or the one the text is written in."""
        return self.settings.language or detect_language(transcript.text)

    def print_of(self, language: str) -> str:
        """A hash of everything but the text that decides an outcome; equal prints mean equal outcomes."""
        from rewriter.checks import checks_version

        return fingerprint(
            {
                "style": self.style(language).digest,
                "policy": self.style(language).policy,
                "glossary": self.glossary.digest,
                "model": self.choice.model,
                "endpoint": self.choice.endpoint,
                "stronger": self.settings.stronger,
                "budget": self.budget,
                "ladder": self.settings.ladder.model_dump(),
                "limit": self.settings.limit,
                "checks": checks_version(),
                "similar": self.settings.similar,
                # a refresh is a run of its own: nothing an earlier one left is taken over
                "refresh": self._opened if self.settings.refresh else 0,
            }
        )

    def means(self, language: str) -> Means:
        """What a passage in `language` needs on its way."""
        stronger, style = self.settings.stronger, self.style(language)
        ask = partial(self.ask, prompt=style.digest)
        return Means(
            style=style,
            language=language,
            glossary=self.glossary,
            counter=self.counter,
            model=self.choice.model,
            ask=ask,
            ladder=self.settings.ladder,
            stronger=(stronger, ask) if stronger else None,
            replays=self._replays(language),
            compute=self.processes.call,
        )

    def _replays(self, language: str) -> CachedReplays | None:
        cache = self.cache
        if cache is None or self.settings.similar == "off" or self.settings.refresh:
            return None
        before = time.time() if self.replays_before is None else self.replays_before
        return CachedReplays(cache, self.choice.endpoint, self.style(language), before, self.processes.call)

    async def settle(self) -> None:
        """Take over into `calls` and `purse` what was used elsewhere."""
        if self.place is not None:
            self.calls, self.purse.spent = await self.place.account()

    def stop(self, error: RewriterError) -> None:
        """No call begins from now on: what needs one raises `error`. Calls under way are finished and stored."""
        self._stopped = self._stopped or error
        if self._limits is not None:
            self._limits.stop(error)
        if self.place is not None:
            self.place.stop(error)
        if self.asker is not None:
            self.asker.stop(error)

    async def ask(self, request: Request, rung: str, *, prompt: str) -> tuple[Answer, How]:
        """The answer, and how it was come by. Stored before anyone judges it. `prompt` is the style's digest."""
        if self.cache is None:
            answer, stored = await self.call(request), False
        else:
            key, about = request_key(self.choice.endpoint, request), self.about(request.model, prompt)
            answer, stored = await self.cache.once(
                key, lambda: self.call(request), about=about, refresh=self.settings.refresh
            )
        if not stored:
            await self._one_by_one()
        return answer, "stored" if stored else "asked"

    async def _one_by_one(self) -> None:
        """Hand out answers one in each round of the event loop, after they were paid and stored.

        Judging one takes milliseconds of the processor. When 64 answers come together, the next questions would have to
        wait for all of them to be judged; this way the loop sends and receives between one and the next. Measured at 64
        calls of 0.5 s and 4 ms each: 90 % of the ideal, without it 63 %. What waits here is safe from a kill.
        """
        async with self._turn:
            await asyncio.sleep(0)

    def about(self, model: str, prompt: str) -> dict[str, str]:
        """Where an answer comes from, as the cache keeps it; `prompt` is the style's digest."""
        return {"model": model, "style": self.settings.style, "prompt": prompt}

    async def call(self, request: Request) -> Answer:
        """The model's answer by a call of its own, paid from the purse; nothing is stored."""
        client = await self.client()
        self._go_on()
        async with self.purse.open(request, self.counter, self.choice) as account:
            self._go_on()  # there may have been a wait for room
            self.calls += 1
            try:
                answer = await client.complete(request)
            except (BudgetExceeded, Interrupted):  # turned away in the line: it was not made
                self.calls -= 1
                raise
            account.pay(answer.usage)
            return answer

    def _go_on(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    async def client(self) -> Caller:
        """Who answers requests, connected at first use."""
        async with self._starting:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> Caller:
        from rewriter.model.client import ChatClient

        choice = self.choice
        self._limits = self._new_limits()
        base_url, api_key = choice.base_url, choice.api_key
        if choice.embedded:
            from rewriter.model.local import EmbeddedServer

            self._server = EmbeddedServer(choice.path)
            await asyncio.to_thread(self._server.start)
            base_url, api_key = self._server.base_url, self._server.api_key
        return ChatClient(
            base_url,
            api_key,
            endpoint=choice.endpoint,
            key_name=choice.key_name,
            limits=self._limits,
            timeout=self.settings.timeout,
        )

    def _new_limits(self) -> Line:
        """The line before the endpoint. Another engine may have one for all its machines."""
        from rewriter.model.limits import Limits

        settings = self.settings
        return Limits(self.concurrency, rpm=settings.rpm, tpm=settings.tpm, on_event=logs.event)

    # --- rewriting ---

    def prepare(self, transcript: Transcript) -> Work:
        """Fixes and passages of a transcript, without any model call."""
        return self._in_passages(transcript, self._fixing(transcript)(transcript.text))

    async def aprepare(self, transcript: Transcript) -> Work:
        """As `prepare`, the fixes by another process where this one has too much to do."""
        fixed = await self.processes.call(self._fixing(transcript), transcript.text)
        return self._in_passages(transcript, fixed)

    def _fixing(self, transcript: Transcript) -> Callable[[str], FixedText]:
        language = self.language(transcript)
        policy = self.style(language).policy
        return fixing(transcript, policy=policy, language=language, glossary=self.glossary)

    def _in_passages(self, transcript: Transcript, fixed: FixedText) -> Work:
        return in_passages(transcript, fixed, counter=self.counter, budget=self.budget)

    async def stream(
        self, transcript: Transcript | str | Path, *, work: Work | None = None, watch: Watch | None = None
    ) -> AsyncIterator[Outcome]:
        """Outcomes in the transcript's order, as soon as each and its right neighbour are there.

        At most `concurrency` times TASKS_PER_CALL passages are ahead of the one that is awaited; transcripts streamed
        at the same time share the calls. Raises ModelError where the endpoint refuses us or is down, BudgetExceeded
        where the purse is empty; what was answered stays in the cache.
        """
        work = work or await self.aprepare(_transcript(transcript))
        means = self.means(self.language(work.transcript))
        previous: Outcome | None = None
        async for group in self._groups(work, means, watch or Watch()):
            for outcome in group:
                if previous is not None:
                    previous, current = check_seam(previous, outcome, means)
                    yield previous
                    previous = current
                else:
                    previous = outcome
        if previous is not None:
            yield previous
        if means.replays is not None:
            means.replays.done()

    async def _groups(self, work: Work, means: Means, watch: Watch) -> AsyncIterator[list[Outcome]]:
        """Each passage's outcomes, in order, with a bounded number of passages in the making."""
        ahead = self.concurrency * TASKS_PER_CALL
        making = self._making = self._making or asyncio.Semaphore(ahead)
        waiting: deque[asyncio.Task[list[Outcome]]] = deque()
        try:
            for passage in work.passages[: self.settings.limit]:
                while len(waiting) >= ahead:
                    yield await waiting.popleft()
                await making.acquire()
                task = asyncio.create_task(self._outcomes(work, passage, means, watch))
                task.add_done_callback(lambda _: making.release())
                waiting.append(task)
            watch.fed()
            while waiting:
                yield await waiting.popleft()
        except (BudgetExceeded, Interrupted):  # the calls under way are paid for: they end, and what is whole is kept
            await asyncio.gather(*waiting, return_exceptions=True)
            raise
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _outcomes(self, work: Work, passage: Passage, means: Means, watch: Watch) -> list[Outcome]:
        old = watch.known(passage)
        if old is not None:
            return old
        with traces.span("passage", passage=passage.index, tokens=passage.tokens) as span:
            outcomes = await self._answered(work, passage, means)
            span.became(outcomes)
        watch.arrived(passage, outcomes)
        return outcomes

    async def _answered(self, work: Work, passage: Passage, means: Means) -> list[Outcome]:
        try:
            outcomes = await self._rewritten(work, passage, means)
        except ModelUnavailable as error:
            self._unanswered += 1
            if not self._answers or self._unanswered >= UNANSWERED_IN_A_ROW:
                raise
            return [keep(work, passage, error)]
        self._unanswered = 0
        self._answers += 1
        return outcomes

    async def _rewritten(self, work: Work, passage: Passage, means: Means) -> list[Outcome]:
        if self.place is not None:
            return await self.place.rewrite(work, passage, means.language)
        if self.asker is not None:
            return await self.asker.rewrite(work, passage, means)
        return await rewrite_passage(work, passage, means)

    async def rewrite(self, transcript: Transcript | str | Path, *, to: str | None = None) -> Result:
        """The whole transcript rewritten. A str or Path is a file's path; `to` converts to another format.

        Raises InputError, ModelError, GlossaryError, StyleError: each says what, where and the remedy.
        """
        work = await self.aprepare(_transcript(transcript))
        return assemble(work, [o async for o in self.stream(work.transcript, work=work)], to=to)


def assemble(work: Work, outcomes: list[Outcome], *, to: str | None = None) -> Result:
    """Outcomes put back into the transcript, accounted for."""
    whole = account(work, outcomes)
    patches = pieces(work, outcomes)
    text, at = [], 0
    for piece in patches:
        text += [work.transcript.text[at : piece.start], piece.text]
        at = piece.end
    text.append(work.transcript.text[at:])
    return Result(
        text="".join(text),
        data=formats.write(work.transcript, patches, to=to),
        passages=tuple(outcomes),
        fixes=work.fixed.fixes,
        account=whole,
        usage=sum((o.usage for o in outcomes), Usage()),
        notes=work.transcript.notes,
    )


def _names(files: str | Path | Iterable[str | Path]) -> tuple[str, ...]:
    return tuple(map(str, [files] if isinstance(files, str | Path) else files))


def _transcript(given: Transcript | str | Path) -> Transcript:
    return given if isinstance(given, Transcript) else formats.read(Path(given))


async def arewrite(
    source: str | Path | Transcript | None = None, *, text: str | None = None, to: str | None = None, **options: Any
) -> Result:
    """Rewrite one file (`source`, a path) or one text (`text`); options are those of `Rewriter`.

    Raises UsageError unless exactly one of both is given, and what `Rewriter.rewrite` raises.
    """
    if (source is None) == (text is None):
        raise UsageError("give either a file or text=, not both.", remedy='For example rewrite("talk.txt").')
    if text is not None:
        source = formats.read_bytes(text.encode("utf-8"), name="-", format="txt")
    assert source is not None
    async with Rewriter(**options) as rewriter:
        return await rewriter.rewrite(source, to=to)


def rewrite(
    source: str | Path | Transcript | None = None, *, text: str | None = None, to: str | None = None, **options: Any
) -> Result:
    """`arewrite` for code that is not async. In a running event loop use `await arewrite(...)` instead."""
    return _run(arewrite(source, text=text, to=to, **options))


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)
