"""Many transcripts, one run: journal, resume, summary. What a run leaves in its folder is told in docs/runs.md."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from rewriter import formats, logs, prompting, summary, traces
from rewriter.api import Rewriter, Watch, assemble
from rewriter.atomic import need_folder, set_aside, write_whole
from rewriter.errors import BudgetExceeded, InputError, Interrupted, OutputError, RewriterError, UsageError
from rewriter.estimate import expected_of
from rewriter.formats import Source
from rewriter.formats.sources import LONGEST_SHOWN
from rewriter.history import Observer
from rewriter.journal import BATCHES, JOURNAL, Journal
from rewriter.past import Past
from rewriter.pipeline import Means, first_request
from rewriter.records import Outcome, Passage, Transcript, Usage
from rewriter.settings import fingerprint
from rewriter.work import Work

SUMMARY = "summary.json"
STDIN_COPY = "stdin.input"
OWN_FILES = frozenset({JOURNAL, SUMMARY, STDIN_COPY, BATCHES})
EXIT_OK, EXIT_FAILED, EXIT_KEPT = 0, 1, 3

# Code points of all files begun and not finished, before another one is begun: some sixty talks of an hour, which take
# about 70 MB with their outcomes. One file may be larger.
OPEN_CHARACTERS = 2_000_000

# Files in one trace with their run; of more, each has a trace of its own. A talk of an hour makes about a hundred
# spans, and 10,000 in a trace are what its receivers and their pages bear.
FILES_IN_A_TRACE = 100


class Progress(Protocol):
    """Who hears how a run goes. Every method returns at once."""

    def begin(self, files: int, size: int) -> None:
        """The run begins, with so many files of so many bytes in all."""

    def file(self, name: str, passages: int, size: int) -> None:
        """A file begins, with so many passages and bytes."""

    def outcome(self, outcome: Outcome) -> None:
        """One more outcome, new or from an earlier run, in the order they come."""

    def done(self, report: dict[str, Any], size: int) -> None:
        """A file is finished; `report` is its entry of the summary."""

    def note(self, text: str) -> None:
        """Something the user should know."""


class Rounds(Protocol):
    """An engine that gets the answers of many files in rounds."""

    def rounds(self, run: Run) -> AsyncGenerator[Sequence[int], None]:
        """Numbers of sources for which every answer is there, round after round until none is left.

        Raises BudgetExceeded and Interrupted where the rest has to wait for the same command.
        """
        ...


class Run:
    """One execution over transcripts into one folder.

    `to` converts every file to another format. `rounds` is an engine that gets the answers ahead of their use. Raises
    UsageError for a format we do not know, and where an output would overwrite its own input.
    """

    def __init__(
        self,
        rewriter: Rewriter,
        sources: Sequence[Source],
        out: Path,
        progress: Progress,
        *,
        to: str | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        self.rewriter, self.sources, self.out, self.progress, self.to = rewriter, sources, out, progress, to
        if to:
            formats.known(to)
        self.past = Past(out / JOURNAL)
        self.last_summary: dict[str, Any] = {}
        self.price = summary.Price(rewriter.choice)
        self._rounds = rounds
        self._stdin: bytes | None = None
        self._reports: dict[int, dict[str, Any]] = {}
        self._open: dict[int, int] = {}  # code points of the files begun and not finished
        self._paid: summary.Spent = {}  # in this execution, as the journal has it
        self._observer = Observer(rewriter.choice.model, rewriter.settings.style)
        self._failure: BaseException | None = None
        self._main: asyncio.Task[Any] | None = None
        self._refuse_same_targets()
        for source in sources:
            self._refuse_overwriting(source)

    def _refuse_same_targets(self) -> None:
        """Two inputs whose names differ in the suffix only, written in one format."""
        first: dict[str, Source] = {}
        for source in self.sources:
            other = first.setdefault(self.target(source).as_posix().casefold(), source)
            if other is not source:
                raise UsageError(
                    f"{other.name} and {source.name} would both be written as {self.target(source)}.",
                    remedy="Rename one, or rewrite them in two runs, each into a folder of its own.",
                )

    def _refuse_overwriting(self, source: Source) -> None:
        target = self.target(source)
        need_folder(target.parent, "Choose another -o.")
        try:
            same = source.path is not None and target.exists() and target.samefile(source.path)
        except OSError as error:
            raise OutputError(
                f"nothing can be written there: {error.strerror}.",
                where=str(target)[:LONGEST_SHOWN],
                remedy="Choose another -o.",
            ) from None
        if same:
            raise UsageError(
                "the output would overwrite its own input.", where=str(source.path), remedy="Choose another -o folder."
            )
        if target.name in OWN_FILES and target.parent == self.out:
            raise UsageError(
                f"{target.name} is the name of a run's own file.", where=str(source.path), remedy="Rename the input."
            )

    def target(self, source: Source) -> Path:
        """Where a source's rewrite goes."""
        target = self.out / source.output
        return target.with_suffix(f".{self.to}") if self.to else target

    # --- the whole run ---

    async def execute(self) -> int:
        """Rewrite every source, resuming what an earlier run in the same folder left. Returns the exit code.

        Files share the calls allowed; each is written when it is complete. One that cannot be read is reported and the
        rest goes on. Where the budget is spent or the run is interrupted, the calls under way are finished and the
        summary says so. Raises ModelError and OutputError: the run cannot go on then. The same command continues.
        """
        started, self._main = time.time(), asyncio.current_task()
        settings, options = self._settings, self._options()  # what is wrong in them is told before a file is made
        self.past = Past.read(self.out)
        self.rewriter.replays_before = self.past.since or started
        with Journal(self.out) as journal:
            self._tell_changes()
            size = sum(s.size for s in self.sources)
            journal.add(
                "start",
                at=_now(),
                time=started,
                settings=settings,
                options=options,
                to=self.to,
                files=len(self.sources),
                bytes=size,
            )
            logs.event("run_start", out=str(self.out), files=len(self.sources), bytes=size, **settings)
            self.progress.begin(len(self.sources), size)
            self.rewriter.purse.on_paid = partial(self._pay, journal)
            try:
                await self._all(journal)
                await self.rewriter.settle()
                self._pay_the_rest(journal)
            except RewriterError as error:
                logs.event("run_failed", exit=error.exit_code, why=str(error))
                with suppress(OutputError):
                    journal.add("end", at=_now(), exit=error.exit_code, stopped=True, why=str(error))
                raise
            finally:
                self.rewriter.purse.on_paid = None
            done = self.last_summary = self._summary(time.time() - started)
            journal.add("end", at=_now(), exit=done["exit"], stopped=done["stopped"] is not None, why=done["stopped"])
            journal.sync()
        if (cache := self.rewriter.cache) is not None:
            self._observer.save(cache.path)
        text = json.dumps(done, ensure_ascii=False, indent=1)
        write_whole(self.out / SUMMARY, text.encode("utf-8", "backslashreplace") + b"\n")  # as JSON escapes
        logs.event("run_end", **{k: v for k, v in done.items() if k not in {"reports", "settings"}})
        return int(done["exit"])

    def _pay(self, journal: Journal, model: str, usage: Usage) -> None:
        """Write down what was paid, before the answer is used: whatever becomes of it, the money is gone."""
        self._paid[model] = self._paid.get(model, Usage()) + usage
        try:
            journal.add("paid", model=model, usage=usage.model_dump())
        except OutputError as error:  # not raised here: the answer is still to be stored
            self._failure = self._failure if self._failure and not self._can_go_on() else error

    def _pay_the_rest(self, journal: Journal) -> None:
        """What was paid elsewhere and is in no passage's outcomes."""
        for model, usage in self.rewriter.purse.spent.items():
            rest = usage - self._paid.get(model, Usage())
            if rest.calls:
                self._pay(journal, model, rest)

    def interrupt(self) -> None:
        """Stop: the first time after the calls under way, the second time at once. For signal handlers."""
        if isinstance(self._failure, Interrupted) and self._main is not None:
            self._main.cancel()
            return
        self._stop(Interrupted("interrupted; the same command continues from here."))
        self.progress.note("Finishing the calls under way; interrupt once more to stop at once.")

    def _stop(self, error: BudgetExceeded | Interrupted) -> None:
        if self._failure is None:
            self._failure = error
            logs.event("stopped", why=str(error))
        self.rewriter.stop(error)

    async def _all(self, journal: Journal) -> None:
        """Every file: as they come, or as an engine has their answers."""
        if self._rounds is None:
            await self._these(range(len(self.sources)), journal)
            return
        try:
            async with aclosing(self._rounds.rounds(self)) as rounds:
                async for numbers in rounds:
                    await self._these(numbers, journal)
        except (BudgetExceeded, Interrupted) as error:
            self._stop(error)
            self._failure = error  # it says more than what it was stopped with

    async def _these(self, numbers: Iterable[int], journal: Journal) -> None:
        """Some files, each begun when the one before it has all its passages in the making."""
        running: set[asyncio.Task[None]] = set()
        try:
            for number in numbers:
                if self._failure is not None:
                    break
                fed = asyncio.Event()
                task = asyncio.create_task(self._one(number, self.sources[number], journal, fed))
                running.add(task)
                task.add_done_callback(running.discard)
                await fed.wait()
                while running and sum(self._open.values()) > OPEN_CHARACTERS:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            while running and self._can_go_on():
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if not self._can_go_on():
            assert self._failure is not None
            raise self._failure

    def _can_go_on(self) -> bool:
        """Whether the calls under way are worth waiting for."""
        return self._failure is None or isinstance(self._failure, BudgetExceeded | Interrupted)

    async def _one(self, number: int, source: Source, journal: Journal, fed: asyncio.Event) -> None:
        try:
            with traces.span("file", apart=len(self.sources) > FILES_IN_A_TRACE, file=source.output.as_posix()) as span:
                report = self._reports[number] = await self._file(number, source, journal, fed.set)
                span.ended(report)
        except (BudgetExceeded, Interrupted) as error:
            self._stop(error)
        except Exception as error:
            self._failure = self._failure if self._failure and not self._can_go_on() else error
        finally:
            self._open.pop(number, None)
            fed.set()

    # --- one file ---

    async def _file(self, number: int, source: Source, journal: Journal, fed: Callable[[], None]) -> dict[str, Any]:
        name = source.output.as_posix()
        try:
            data = self._bytes(source)
            digest, identity = self._identity(data)
            if (old := self._finished_before(source, identity)) is not None:
                journal.add("resumed", file=name, bytes=len(data))
                self.progress.done(old, source.size)
                return old
            work = await self.rewriter.aprepare(self._transcript(source, data))
        except InputError as error:
            journal.add("file", file=name, failed=str(error))
            logs.event("failed", file=name, why=str(error))
            self.progress.note(str(error))
            return {"file": name, "failed": str(error)}
        if source.path is None:
            write_whole(self.out / STDIN_COPY, data)
        self._open[number] = len(work.transcript.text)
        passages = len(work.passages[: self.rewriter.settings.limit])
        journal.add("begin", file=name, passages=passages, bytes=len(data))
        logs.event("file_start", file=name, passages=passages, bytes=len(data))
        self.progress.file(name, passages, source.size)
        return await self._rewrite(source, work, {"input_sha256": digest, "identity": identity}, journal, fed)

    def unfinished(self, source: Source) -> Work | None:
        """A source made ready for rewriting; None where an earlier run has finished it. Raises InputError."""
        data = self._bytes(source)
        if self._finished_before(source, self._identity(data)[1]) is not None:
            return None
        return self.rewriter.prepare(self._transcript(source, data))

    def knows(self, source: Source, work: Work, passage: Passage) -> bool:
        """Whether the journal has the passage's outcomes."""
        return self.past.passage(source.output.as_posix(), self._key(work, passage)) is not None

    def _bytes(self, source: Source) -> bytes:
        """The source's bytes; standard input, which can be read once, is kept."""
        if source.path is not None:
            return source.read()
        if self._stdin is None:
            self._stdin = source.read()
        return self._stdin

    def _identity(self, data: bytes) -> tuple[str, str]:
        """The hash of an input, and of all that decides what becomes of it."""
        digest = hashlib.sha256(data).hexdigest()
        return digest, fingerprint({"input": digest, "run": self._settings, "to": self.to})

    def _transcript(self, source: Source, data: bytes) -> Transcript:
        transcript = formats.read_bytes(data, name=source.name, format=None)
        if self.to:  # what cannot be written is not worth asking for
            formats.write(transcript, (), to=self.to)
        return transcript

    def _finished_before(self, source: Source, identity: str) -> dict[str, Any] | None:
        """A finished file's entry, where its output still stands; otherwise its passages are looked for again."""
        name = source.output.as_posix()
        old = self.past.entry(name)
        if old is None:
            return None
        if old.get("identity") == identity and not old["unanswered"] and self._stands(source, old):
            return {k: v for k, v in old.items() if k not in {"event", "identity"}} | {"resumed": True}
        self.past.reopen(name)
        return None

    def _stands(self, source: Source, old: dict[str, Any]) -> bool:
        try:
            return hashlib.sha256(self.target(source).read_bytes()).hexdigest() == str(old["sha256"])
        except OSError:
            return False

    async def _rewrite(
        self, source: Source, work: Work, hashes: dict[str, str], journal: Journal, fed: Callable[[], None]
    ) -> dict[str, Any]:
        name, began = source.output.as_posix(), time.time()
        means = self.rewriter.means(self.rewriter.language(work.transcript))
        keys: dict[int, str] = {}
        counted: set[int] = set()

        def known(passage: Passage) -> list[Outcome] | None:
            keys[passage.index] = self._key(work, passage)
            found = self._known(name, keys[passage.index], work, passage)
            self._seen(name, found or ())
            if found is None and self._observer.wants():
                counted.add(passage.index)
            return found

        def arrived(passage: Passage, new: list[Outcome]) -> None:
            self._seen(name, new)
            self._observe(work, passage, new, means, passage.index in counted)
            key = keys.pop(passage.index, None) or self._key(work, passage)
            if not any(o.unanswered for o in new):
                dumped = [o.model_dump(mode="json") for o in new]
                journal.add("passage", key=key, file=name, outcomes=dumped, time=round(time.time(), 3))

        watch = Watch(known=known, arrived=arrived, fed=fed)
        outcomes = [o async for o in self.rewriter.stream(work.transcript, work=work, watch=watch)]
        result = assemble(work, outcomes, to=self.to)
        note = self._set_aside(source, result.data)
        write_whole(self.target(source), result.data)
        for outcome in outcomes:
            journal.add("outcome", file=name, outcome=outcome.model_dump(mode="json"))
        report = {
            "file": name,
            "output": self.target(source).relative_to(self.out).as_posix(),
            "sha256": hashlib.sha256(result.data).hexdigest(),
            **summary.file_entry(work, outcomes, result.account, self.price),
            "seconds": round(time.time() - began, 3),
        }
        report["notes"] += note
        journal.add("file", **report, **hashes, **self._for_the_report(source, work))
        journal.sync()
        logs.event("file_end", file=name, passages=report["passages"], cost=report["cost"], seconds=report["seconds"])
        self.progress.done(report, source.size)
        return report

    def _set_aside(self, source: Source, data: bytes) -> list[str]:
        """Keep what stands in a result's place and is not what a run wrote there: another's file, or edits by hand."""
        target = self.target(source)
        if not target.is_file():
            return []
        stands = hashlib.sha256(target.read_bytes()).hexdigest()
        written = self.past.hashes.get(target.relative_to(self.out).as_posix())
        if stands in {written, hashlib.sha256(data).hexdigest()}:
            return []
        kept = set_aside(target).name
        logs.event("set_aside", file=source.output.as_posix(), name=kept)
        return [f"a file stood there that no run had left so; it is now {kept}"]

    def _observe(self, work: Work, passage: Passage, outcomes: Sequence[Outcome], means: Means, counted: bool) -> None:
        """Set what the passage took beside what was to be expected, where no stored answer had a part in it."""
        usage = sum((o.usage for o in outcomes), Usage())
        if not usage.calls or any(o.from_cache or o.unanswered for o in outcomes):
            self._observer.free()
        elif counted:
            expected = expected_of(first_request(work, passage, means), passage, self.rewriter.message_tokens)
            self._observer.add(*expected, usage)

    def _seen(self, name: str, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.progress.outcome(outcome)
            if outcome.status == "kept":
                logs.event("kept", file=name, start=outcome.start, end=outcome.end, why=outcome.reason)

    def _for_the_report(self, source: Source, work: Work) -> dict[str, Any]:
        """What shows the file and writes it again after a review, without the settings of the run."""
        transcript = work.transcript
        path = self.out / STDIN_COPY if source.path is None else source.path
        times = [(s.start, s.end, s.begin, s.finish, s.speaker) for s in transcript.segments]
        return {
            "input": str(path.absolute()),
            "format": transcript.format,
            "language": self.rewriter.language(transcript),
            "fixes_list": [f.model_dump() for f in work.fixed.fixes],
            "segments": times if transcript.timed else [],
        }

    # --- resuming ---

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What a later run compares itself with; no secret is among it."""
        settings, choice = self.rewriter.settings, self.rewriter.choice
        languages = [settings.language] if settings.language else ["zh", "en", prompting.NEUTRAL]
        return {
            "style": settings.style,
            "model": choice.model,
            "endpoint": choice.endpoint,
            "glossary": self.rewriter.glossary.digest,
            "budget": self.rewriter.budget,
            "limit": settings.limit,
            "stronger": settings.stronger,
            "prints": {language: self.rewriter.print_of(language) for language in languages},
        }

    def _options(self) -> dict[str, Any]:
        """Settings by which one passage can be asked again from anywhere: absolute paths, nothing secret."""
        settings, choice = self.rewriter.settings, self.rewriter.choice
        style = Path(settings.style)
        cache = self.rewriter.cache
        return {
            **settings.model_dump(mode="json"),
            "glossary": [str(Path(g).absolute()) for g in settings.glossary],
            "style": str(style.absolute()) if style.suffix else settings.style,
            "model": str(choice.path) if choice.embedded else choice.model,
            "base_url": None if choice.embedded else choice.endpoint,
            "budget": self.rewriter.budget,
            "cache": str(cache.path.absolute()) if cache is not None else None,
        }

    @cached_property
    def _print(self) -> str:
        return fingerprint(self._settings)

    def _tell_changes(self) -> None:
        before, now = self.past.settings, self._settings
        if before is None or before == now:
            return
        if self.rewriter.settings.refresh:
            return  # asking anew is what was asked for
        changed = [k for k in now if before.get(k) != now[k] and k != "prints"] or ["prompts, checks or --similar"]
        what = ", ".join(
            f"{k} (was {before.get(k)}, now {now[k]})" if k in {"style", "model", "budget", "limit"} else k
            for k in changed
        )
        self.progress.note(
            f"Changed since the last run into this folder: {what}. Files are rewritten again under the new settings; "
            "answers that still fit come from the cache, the rest is asked anew."
        )

    def _key(self, work: Work, passage: Passage) -> str:
        text = "\0".join((self._print, passage.text, work.context(passage)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _known(self, name: str, key: str, work: Work, passage: Passage) -> list[Outcome] | None:
        """A passage's outcomes from the journal, moved to where the passage stands now."""
        old = self.past.passage(name, key)
        return work.placed(passage, [Outcome.model_validate(o) for o in old]) if old else None

    # --- summary ---

    def _summary(self, seconds: float) -> dict[str, Any]:
        """The run's totals: what `summary.json` holds."""
        reports = [self._reports[n] for n in sorted(self._reports)]
        good = [r for r in reports if "failed" not in r]
        now = self.rewriter.purse.spent
        totals = summary.totals(good, summary.added([self.past.paid, now]), self.price)
        failed = len(reports) - len(good)
        code = EXIT_FAILED if failed else EXIT_KEPT if totals["passages"]["kept"] else EXIT_OK
        stopped = self._failure
        return {
            "exit": stopped.exit_code if isinstance(stopped, RewriterError) else code,
            "stopped": str(stopped) if stopped else None,
            "failed": failed,
            "unfinished": len(self.sources) - len(reports),
            **totals,
            "calls_now": self.rewriter.calls,
            "spent_now": summary.dump(now),
            "cost_now": self.price(now),
            "seconds_now": round(seconds, 3),
            "settings": self._settings,
            "notices": self.rewriter.notices,
            "reports": reports,
        }


@contextmanager
def stop_on_signals(run: Run) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run as `Run.interrupt` does, while the block runs in the event loop's main thread."""
    loop, before = asyncio.get_running_loop(), {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        with suppress(NotImplementedError, RuntimeError):  # Windows has none of this: Ctrl-C stops at once there
            loop.add_signal_handler(number, run.interrupt)
            before[number] = handler
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
