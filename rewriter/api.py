"""The Python face: one transcript or text in, a `Result` out; `Rewriter` for many, concurrent and streaming."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rewriter import formats, prompting
from rewriter.cache import open_cache, request_key, scope_of
from rewriter.errors import CacheError, ModelUnavailable, UsageError
from rewriter.fixes import detect_language
from rewriter.glossary import Glossary
from rewriter.model.resolve import ModelChoice, resolve
from rewriter.passages import DEFAULT_BUDGET
from rewriter.pipeline import Means, Work, account, check_seam, keep, pieces, prepare, rewrite_passage
from rewriter.records import Answer, Fix, Outcome, Passage, Record, Request, Transcript, Usage
from rewriter.settings import Settings, fingerprint, load_settings
from rewriter.tokens import TokenCounter, counter_for

if TYPE_CHECKING:
    from rewriter.cache import PassageCache
    from rewriter.model.client import ChatClient
    from rewriter.model.local import EmbeddedServer
    from rewriter.pipeline import Judge
    from rewriter.prompting import Hint, Style

# So many passages in a row without any answer mean that the endpoint is down, not that a passage is unlucky: the run
# stops, resumable, rather than keep everything that is left.
UNANSWERED_IN_A_ROW = 5

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
        self._client: ChatClient | None = None
        self._starting = asyncio.Lock()
        self._opened = time.time()
        self._unanswered = 0  # passages in a row without any answer
        self._answers = 0
        self.calls = 0

    # --- life ---

    async def __aenter__(self) -> Rewriter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client, stop the embedded model, close the cache."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._cache is not None:
            self._cache.close()
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
        """The cache of answers, opened at first use; None with `use_cache=False`."""
        if self._cache is None and self.settings.use_cache:
            self._cache = open_cache(self.settings.cache)
        return self._cache

    @property
    def notices(self) -> list[str]:
        """What the cache had to say: a damaged database set aside, an answer that could not be stored."""
        return list(self._cache.notices) if self._cache is not None else []

    @property
    def budget(self) -> int:
        """Tokens of a passage at most: as set, or what suits the model."""
        if self.settings.budget:
            return self.settings.budget
        return prompting.EMBEDDED_BUDGET if self.choice.embedded else DEFAULT_BUDGET

    @property
    def concurrency(self) -> int:
        """Model calls at once: as set, or 1 for the embedded model (two are slower together) and 8 otherwise."""
        return self.settings.concurrency or (1 if self.choice.embedded else 8)

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
        ask = partial(self._ask, prompt=style.digest)
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
        )

    def _replays(self, language: str) -> _Replays | None:
        cache = self.cache
        if cache is None or self.settings.similar == "off" or self.settings.refresh:
            return None
        return _Replays(cache, self.choice.endpoint, self.style(language))

    async def _ask(self, request: Request, *, prompt: str) -> tuple[Answer, bool]:
        """The answer, and whether the cache had it. Stored before anyone judges it."""
        if self.cache is None:
            return await self._call(request), False
        key = request_key(self.choice.endpoint, request)
        about = {"model": request.model, "style": self.settings.style, "prompt": prompt}
        return await self.cache.once(key, lambda: self._call(request), about=about, refresh=self.settings.refresh)

    async def _call(self, request: Request) -> Answer:
        async with self._starting:
            if self._client is None:
                self._client = await self._connect()
        self.calls += 1
        return await self._client.complete(request)

    async def _connect(self) -> ChatClient:
        from rewriter.model.client import ChatClient

        choice = self.choice
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
            concurrency=self.concurrency,
            timeout=self.settings.timeout,
        )

    # --- rewriting ---

    def prepare(self, transcript: Transcript) -> Work:
        """Fixes and passages of a transcript, without any model call."""
        language = self.language(transcript)
        return prepare(
            transcript,
            policy=self.style(language).policy,
            language=language,
            glossary=self.glossary,
            counter=self.counter,
            budget=self.budget,
        )

    async def stream(
        self,
        transcript: Transcript | str | Path,
        *,
        work: Work | None = None,
        known: Callable[[Passage], list[Outcome] | None] | None = None,
        arrived: Callable[[Passage, list[Outcome]], None] | None = None,
    ) -> AsyncIterator[Outcome]:
        """Outcomes in the transcript's order, as soon as each and its right neighbour are there.

        `known` may give a passage's outcomes from an earlier run; `arrived` hears of new ones in the order they come.
        Raises ModelError where the endpoint refuses us or is down; what was answered stays in the cache.
        """
        work = work or self.prepare(_transcript(transcript))
        means = self.means(self.language(work.transcript))
        previous: Outcome | None = None
        if self.settings.refresh:
            known = None
        async for group in self._groups(work, means, known or (lambda passage: None), arrived):
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

    async def _groups(
        self,
        work: Work,
        means: Means,
        known: Callable[[Passage], list[Outcome] | None],
        arrived: Callable[[Passage, list[Outcome]], None] | None,
    ) -> AsyncIterator[list[Outcome]]:
        """Each passage's outcomes, in order, with a bounded number of passages in the making."""

        async def one(passage: Passage) -> list[Outcome]:
            old = known(passage)
            if old is not None:
                return old
            outcomes = await self._answered(work, passage, means)
            if arrived:
                arrived(passage, outcomes)
            return outcomes

        waiting: list[asyncio.Task[list[Outcome]]] = []
        queue = iter(work.passages[: self.settings.limit])
        try:
            for passage in queue:
                waiting.append(asyncio.create_task(one(passage)))
                if len(waiting) >= self.concurrency * TASKS_PER_CALL:
                    yield await waiting.pop(0)
            while waiting:
                yield await waiting.pop(0)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _answered(self, work: Work, passage: Passage, means: Means) -> list[Outcome]:
        try:
            outcomes = await rewrite_passage(work, passage, means)
        except ModelUnavailable as error:
            self._unanswered += 1
            if not self._answers or self._unanswered >= UNANSWERED_IN_A_ROW:
                raise
            return [keep(work, passage, error)]
        self._unanswered = 0
        self._answers += 1
        return outcomes

    async def rewrite(self, transcript: Transcript | str | Path, *, to: str | None = None) -> Result:
        """The whole transcript rewritten. A str or Path is a file's path; `to` converts to another format.

        Raises InputError, ModelError, GlossaryError, StyleError: each says what, where and the remedy.
        """
        work = self.prepare(_transcript(transcript))
        return assemble(work, [o async for o in self.stream(work.transcript, work=work)], to=to)


class _Replays:
    """The cache's similar tier for one transcript. Trouble with it costs its help, not the run.

    What is accepted is kept for later transcripts only when this one is done: whether a passage is replayed must not
    depend on which others were answered before it, or a run that was killed and resumed would end otherwise than one
    that was not.
    """

    def __init__(self, cache: PassageCache, endpoint: str, style: Style) -> None:
        self._cache, self._endpoint, self._style = cache, endpoint, style
        # `correct` keeps what was said, 嗯 and um too; the other styles leave them out
        self._drops = style.policy not in {"correct", "strict"}
        self._accepted: list[Callable[[], None]] = []

    def _scope(self, request: Request, hints: Sequence[Hint]) -> str:
        terms = [(h.how, h.note, h.canonical, *h.forms) for h in hints]
        prompt = f"{self._style.digest} {self._style.policy}"
        return scope_of(self._endpoint, request.model, request.parameters, prompt, terms)

    def find(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> str | None:
        """See pipeline.Replays."""
        if request_key(self._endpoint, request) in self._cache:
            return None
        try:
            scope = self._scope(request, hints)
            found = self._cache.replay(scope, text, judge, drops_hesitations=self._drops)
        except CacheError as error:
            self._tell(error)
            return None
        return found.rewrite if found else None

    def keep(self, request: Request, text: str, hints: Sequence[Hint], draft: str, answer: Answer) -> None:
        """See pipeline.Replays."""
        about = {"model": request.model, "style": self._style.name, "prompt": self._style.digest}
        scope = self._scope(request, hints)

        def remember() -> None:
            if self._cache.rewrite_of(scope, text) != draft:
                self._cache.remember(scope, text, draft, answer, about=about)

        self._accepted.append(remember)

    def done(self) -> None:
        """See pipeline.Replays."""
        try:
            for remember in self._accepted:
                remember()
        except CacheError as error:
            self._tell(error)
        self._accepted.clear()

    def _tell(self, error: CacheError) -> None:
        if str(error) not in self._cache.notices:
            self._cache.notices.append(str(error))


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
