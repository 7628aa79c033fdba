"""Many transcripts, one run: journal, resume, summary. What a run leaves in its folder is told in docs/runs.md."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from rewriter import formats, prompting
from rewriter.api import Rewriter, assemble
from rewriter.atomic import write_whole
from rewriter.errors import InputError, UsageError
from rewriter.formats import Source
from rewriter.journal import JOURNAL, Journal, read_journal
from rewriter.money import cost
from rewriter.pipeline import Work
from rewriter.records import STATUSES, Outcome, Passage, TermCount, Usage
from rewriter.settings import fingerprint

SUMMARY = "summary.json"
EXIT_OK, EXIT_FAILED, EXIT_KEPT = 0, 1, 3


class Progress(Protocol):
    """Who hears how a run goes. Every method returns at once."""

    def file(self, name: str, passages: int) -> None:
        """A file begins, with so many passages."""

    def outcome(self, outcome: Outcome) -> None:
        """One more outcome, new or from an earlier run."""

    def done(self, report: dict[str, Any]) -> None:
        """A file is finished; `report` is its entry of the summary."""

    def note(self, text: str) -> None:
        """Something the user should know."""


@dataclass
class Past:
    """What the journal of earlier runs in the same folder knows."""

    settings: dict[str, Any] | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Past:
        """Replay OUT/run.jsonl; later lines win."""
        past = cls()
        for event in read_journal(folder / JOURNAL):
            kind = event["event"]
            if kind == "start":
                past.settings = event.get("settings")
            elif kind == "file":
                past.files[str(event.get("file"))] = event
            elif kind == "passage":
                past.outcomes[str(event.get("key"))] = event.get("outcomes", [])
        return past


class Run:
    """One execution over transcripts into one folder.

    `to` converts every file to another format. Raises UsageError for a format we do not know, and where an output would
    overwrite its own input.
    """

    def __init__(
        self, rewriter: Rewriter, sources: Sequence[Source], out: Path, progress: Progress, *, to: str | None = None
    ) -> None:
        self.rewriter, self.sources, self.out, self.progress, self.to = rewriter, sources, out, progress, to
        if to:
            formats.known(to)
        self.past = Past()
        self.reports: list[dict[str, Any]] = []
        self.last_summary: dict[str, Any] = {}
        self._prints: dict[str, str] = {}
        for source in sources:
            self._refuse_overwriting(source)

    def _refuse_overwriting(self, source: Source) -> None:
        target = self.target(source)
        if source.path is not None and target.exists() and target.samefile(source.path):
            raise UsageError(
                "the output would overwrite its own input.", where=str(source.path), remedy="Choose another -o folder."
            )
        if target.name in {JOURNAL, SUMMARY} and target.parent == self.out:
            raise UsageError(
                f"{target.name} is the name of a run's own file.", where=str(source.path), remedy="Rename the input."
            )

    def target(self, source: Source) -> Path:
        """Where a source's rewrite goes."""
        target = self.out / source.output
        return target.with_suffix(f".{self.to}") if self.to else target

    async def execute(self) -> int:
        """Rewrite every source, resuming what an earlier run in the same folder left. Returns the exit code.

        A file that cannot be read is reported and the rest goes on. Raises ModelError and OutputError: the run cannot
        go on then, and the same command continues it.
        """
        started = time.time()
        self.past = Past.read(self.out)
        with Journal(self.out) as journal:
            self._tell_changes()
            journal.add("start", at=_now(), settings=self._settings())
            for source in self.sources:
                self.reports.append(await self._file(source, journal))
            summary = self.last_summary = self.summary(time.time() - started)
            journal.add("end", at=_now(), exit=summary["exit"])
            journal.sync()
        write_whole(self.out / SUMMARY, json.dumps(summary, ensure_ascii=False, indent=1).encode() + b"\n")
        return int(summary["exit"])

    # --- one file ---

    async def _file(self, source: Source, journal: Journal) -> dict[str, Any]:
        try:
            data = source.read()
            name = source.output.as_posix()
            identity = fingerprint({"input": hashlib.sha256(data).hexdigest(), "run": self._settings(), "to": self.to})
            old = self.past.files.get(name)
            if old and old.get("identity") == identity and not old["unanswered"] and self._stands(source, old):
                report = {k: v for k, v in old.items() if k not in {"event", "identity"}} | {"resumed": True}
                self.progress.done(report)
                return report
            transcript = formats.read_bytes(data, name=source.name, format=None)
            if self.to:  # what cannot be written is not worth asking for
                formats.write(transcript, (), to=self.to)
            work = self.rewriter.prepare(transcript)
        except InputError as error:
            self.progress.note(str(error))
            return {"file": source.output.as_posix(), "failed": str(error)}
        self.progress.file(name, len(work.passages[: self.rewriter.settings.limit]))
        return await self._rewrite(source, work, identity, journal)

    def _stands(self, source: Source, old: dict[str, Any]) -> bool:
        try:
            return hashlib.sha256(self.target(source).read_bytes()).hexdigest() == str(old["sha256"])
        except OSError:
            return False

    async def _rewrite(self, source: Source, work: Work, identity: str, journal: Journal) -> dict[str, Any]:
        name = source.output.as_posix()
        outcomes: list[Outcome] = []

        def arrived(passage: Passage, new: list[Outcome]) -> None:
            if not any(o.unanswered for o in new):
                dumped = [o.model_dump(mode="json") for o in new]
                journal.add("passage", file=name, key=self._key(work, passage), outcomes=dumped)

        stream = self.rewriter.stream(
            work.transcript, work=work, known=lambda passage: self._known(work, passage), arrived=arrived
        )
        async for outcome in stream:
            outcomes.append(outcome)
            self.progress.outcome(outcome)
        result = assemble(work, outcomes, to=self.to)
        write_whole(self.target(source), result.data)
        for outcome in outcomes:
            journal.add("outcome", file=name, outcome=outcome.model_dump(mode="json"))
        report = self._report(source, work, outcomes, result.account, hashlib.sha256(result.data).hexdigest())
        journal.add("file", identity=identity, **report)
        journal.sync()
        self.progress.done(report)
        return report

    def _report(
        self, source: Source, work: Work, outcomes: list[Outcome], account: dict[str, int], digest: str
    ) -> dict[str, Any]:
        usage = sum((o.usage for o in outcomes), Usage())
        counts = Counter(o.status for o in outcomes)
        names = Counter(name for f in work.fixed.fixes for name in f.name.split("+"))
        return {
            "file": source.output.as_posix(),
            "output": self.target(source).relative_to(self.out).as_posix(),
            "sha256": digest,
            "passages": {status: counts[status] for status in STATUSES},
            "unanswered": sum(o.unanswered for o in outcomes),
            "fixes": dict(sorted(names.items())),
            "terms": _terms(o.terms for o in outcomes),
            "loops": [f.note for f in work.fixed.fixes if f.count],
            "characters": account,
            "usage": usage.model_dump(),
            "cost": cost(usage, self.rewriter.choice),
            "notes": list(work.transcript.notes),
        }

    # --- resuming ---

    def _settings(self) -> dict[str, Any]:
        """What a later run compares itself with; no secret is among it."""
        settings = self.rewriter.settings
        choice = self.rewriter.choice
        if not self._prints:
            languages = [settings.language] if settings.language else ["zh", "en", prompting.NEUTRAL]
            self._prints = {language: self.rewriter.print_of(language) for language in languages}
        return {
            "style": settings.style,
            "model": choice.model,
            "endpoint": choice.endpoint,
            "glossary": self.rewriter.glossary.digest,
            "budget": self.rewriter.budget,
            "limit": settings.limit,
            "stronger": settings.stronger,
            "prints": self._prints,
        }

    def _tell_changes(self) -> None:
        before, now = self.past.settings, self._settings()
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
        return fingerprint({"run": self._settings(), "text": passage.text, "context": work.context(passage)})

    def _known(self, work: Work, passage: Passage) -> list[Outcome] | None:
        """A passage's outcomes from the journal, moved to where the passage stands now."""
        old = self.past.outcomes.get(self._key(work, passage))
        if not old:
            return None
        outcomes = [Outcome.model_validate(o) for o in old]
        shift = passage.start + (len(passage.text) - len(passage.text.lstrip())) - outcomes[0].fixed[0]
        moved = []
        for outcome in outcomes:
            fixed = (outcome.fixed[0] + shift, outcome.fixed[1] + shift)
            start, end = work.fixed.to_source_span(*fixed)
            moved.append(
                outcome.model_copy(update={"index": passage.index, "fixed": fixed, "start": start, "end": end})
            )
        return moved

    # --- summary ---

    def summary(self, seconds: float) -> dict[str, Any]:
        """The run's totals: what `summary.json` holds."""
        good = [r for r in self.reports if "failed" not in r]
        passages = {status: sum(r["passages"][status] for r in good) for status in STATUSES}
        usage = sum((Usage(**r["usage"]) for r in good), Usage())
        failed = len(self.reports) - len(good)
        return {
            "exit": EXIT_FAILED if failed else EXIT_KEPT if passages["kept"] else EXIT_OK,
            "files": len(good),
            "failed": failed,
            "passages": passages,
            "characters": dict(sorted(sum((Counter(r["characters"]) for r in good), Counter[str]()).items())),
            "terms": _terms({n: TermCount(**c) for n, c in r.get("terms", {}).items()} for r in good),
            "usage": usage.model_dump(),
            "cost": cost(usage, self.rewriter.choice),
            "calls_now": self.rewriter.calls,
            "seconds_now": round(seconds, 3),
            "settings": self._settings(),
            "notices": self.rewriter.notices,
            "reports": self.reports,
        }


def _terms(counted: Iterable[Mapping[str, TermCount]]) -> dict[str, dict[str, int]]:
    """Terms applied, missed and invented, added up by canonical form, in order."""
    total: dict[str, TermCount] = {}
    for counts in counted:
        for name, count in counts.items():
            total[name] = total.get(name, TermCount()) + count
    return {name: total[name].model_dump() for name in sorted(total)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
