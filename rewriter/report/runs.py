"""A run's folder read back: its files, what became of each passage, and where the words of the source stand.

Only what the run left in its folder is read (`run.jsonl`, `summary.json`); the transcripts themselves are not needed.
A run that is going on, or was killed, is read as far as it came.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewriter.errors import InputError
from rewriter.journal import JOURNAL, is_open, read_journal
from rewriter.records import Fix, Outcome, Segment, Verdict
from rewriter.report.differences import Placed, Row, differences

SUMMARY = "summary.json"

Event = dict[str, Any]


@dataclass(frozen=True)
class PassageView:
    """One outcome with what belongs to it. `number` counts a file's outcomes from 1; halves of a passage count apart.

    `fixes` were made in the passage or at its edges; `Placed` spans are code points of `outcome.source`. `begin` and
    `finish` are seconds, `speaker` who speaks (several names joined by a comma), where the file has them.
    """

    number: int
    outcome: Outcome
    fixes: tuple[Placed, ...] = ()
    begin: float | None = None
    finish: float | None = None
    speaker: str | None = None

    @property
    def heard(self) -> str:
        """What the recogniser wrote: the source with its fixes taken back."""
        return "".join(run.text for row in self.rows() for run in row.source)

    def rows(self) -> list[Row]:
        """The source beside what ships. A kept passage's findings are about its draft and are not here."""
        o = self.outcome
        findings = () if o.status == "kept" else o.findings
        return differences(o.source, o.text, findings=findings, fixes=self.fixes, terms=_put_right(o))

    def rejected_rows(self) -> list[Row]:
        """The source beside the draft that was turned down, with the findings; empty where there is no such draft."""
        o = self.outcome
        if o.rejected is None:
            return []
        return differences(o.source, o.rejected, findings=o.findings, fixes=self.fixes)

    @property
    def verdict(self) -> Verdict:
        """The guard's verdict on what ships, or on the rejected draft."""
        return Verdict(accepted=self.outcome.status != "kept", score=self.outcome.score, findings=self.outcome.findings)


@dataclass(frozen=True)
class FileView:
    """One transcript of a run. `event` is the journal's `file` entry: usage, cost, terms, notes, sha256 and the like.

    `finished` is false while its output has not been written, of `expected` passages (halves of one counted once);
    `failed` says why it could not be read at all. `fixes`
    have spans in the transcript's text, as have `segments`, which only timed files have.
    """

    name: str
    passages: tuple[PassageView, ...] = ()
    output: str = ""
    input: str | None = None
    format: str = ""
    language: str = ""
    finished: bool = False
    failed: str = ""
    expected: int = 0
    fixes: tuple[Fix, ...] = ()
    segments: tuple[Segment, ...] = ()
    event: Event = field(default_factory=dict)

    def segment_at(self, offset: int) -> Segment | None:
        """The segment with this code point of the transcript; None where the file is not timed."""
        i = bisect_right(self.segments, offset, key=lambda s: s.start) - 1
        return self.segments[max(i, 0)] if self.segments else None

    def spoken(self, passage: PassageView, rows: Sequence[Row]) -> list[Segment | None]:
        """The segment in which the words of each row begin."""
        at = min([passage.outcome.start, *(p.fix.start for p in passage.fixes)])
        found: list[Segment | None] = []
        for row in rows:
            found.append(self.segment_at(at))
            at += sum(len(run.text) for run in row.source)
        return found

    def begins(self, passage: PassageView, rows: Sequence[Row]) -> list[float | None]:
        """Seconds at which the segment begins in which the words of each row do."""
        return [segment.begin if segment else None for segment in self.spoken(passage, rows)]


@dataclass(frozen=True)
class RunView:
    """A run: its files in the order they were first met, settings, and summary (empty while none was written).

    `sessions` are the starts and ends of its executions, as the journal has them (ISO 8601; an end may be missing);
    `going_on` says that the run is writing at this moment.
    """

    folder: Path
    files: tuple[FileView, ...]
    settings: Event
    summary: Event
    sessions: tuple[tuple[str, str | None], ...] = ()
    going_on: bool = False

    @property
    def passages(self) -> Iterator[tuple[FileView, PassageView]]:
        """Every passage with its file."""
        return ((file, passage) for file in self.files for passage in file.passages)


def read_run(folder: str | Path, *, only: Sequence[str] = (), most: int | None = None) -> RunView:
    """Read a run's folder; `only` names the files to read (all by default).

    A passage takes about 15 KB of memory. Raises InputError where there is no run, where `only` names a file that the
    run does not have, and where there are more than `most` passages.
    """
    folder = Path(folder)
    if not (folder / JOURNAL).is_file():
        raise InputError(
            f"there is no run here: {JOURNAL} is missing.",
            where=str(folder),
            remedy="Give the folder that `rewriter rewrite` wrote to with -o.",
        )
    journal = _Journal(only=frozenset(only))
    for event in read_journal(folder / JOURNAL):
        journal.take(event)
        if most is not None and journal.outcomes > most:
            raise InputError(
                f"the run has more than {most:,} passages: too many to be looked at at once.",
                where=str(folder),
                remedy="Name some of its files with --file.",
            )
    summary = _summary(folder)
    failed = {str(r["file"]): str(r["failed"]) for r in summary.get("reports", []) if r.get("failed")}
    names = [*journal.files, *(name for name in failed if name not in journal.files)]
    if missing := [name for name in only if name not in names]:
        raise InputError(
            f"the run has no file {missing[0]!r}.", where=str(folder), remedy=f"It has: {', '.join(names[:20])}."
        )
    return RunView(
        folder=folder,
        files=tuple(_file(n, journal.files.get(n), failed.get(n, "")) for n in names if not only or n in only),
        settings=journal.settings or summary.get("settings", {}),
        summary=summary,
        sessions=tuple(journal.sessions),
        going_on=is_open(folder),
    )


def _summary(folder: Path) -> Event:
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a run that has not ended; the journal says the same and more
    return summary if isinstance(summary, dict) else {}


# --- the journal -----------------------------------------------------------------------------------------------------


@dataclass
class _Pages:
    """What the journal says of one file: its last entry, and the outcomes that belong to it or are still to get one."""

    event: Event | None = None
    expected: int = 0
    outcomes: list[Event] = field(default_factory=list)
    open_outcomes: list[Event] = field(default_factory=list)
    open_passages: dict[int, list[Event]] = field(default_factory=dict)


@dataclass
class _Journal:
    """Events in order; later ones win. `only`: files to take in (empty: all); of others the names are kept."""

    only: frozenset[str] = frozenset()
    outcomes: int = 0
    files: dict[str, _Pages] = field(default_factory=dict)
    settings: Event = field(default_factory=dict)
    sessions: list[tuple[str, str | None]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        kind = event["event"]
        if kind == "start":
            self._start(event)
        elif kind == "end" and self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], str(event.get("at", "")))
        elif kind in {"begin", "passage", "outcome", "file"}:
            self._of_file(kind, event)

    def _start(self, event: Event) -> None:
        settings = event.get("settings") or {}
        for pages in self.files.values():
            pages.open_outcomes = []  # a kill left half of them; they will be written again, whole
            if settings != self.settings:
                pages.open_passages = {}
        self.settings = settings
        self.sessions.append((str(event.get("at", "")), None))

    def _of_file(self, kind: str, event: Event) -> None:
        name = str(event.get("file"))
        pages = self.files.setdefault(name, _Pages())
        if self.only and name not in self.only:
            return
        if kind == "begin":
            pages.expected = int(event.get("passages", 0))
        elif kind == "passage" and event.get("outcomes"):
            pages.open_passages[int(event["outcomes"][0].get("index", 0))] = event["outcomes"]
        elif kind == "outcome":
            pages.open_outcomes.append(event["outcome"])
            self.outcomes += 1
        elif kind == "file":
            self.outcomes -= len(pages.outcomes)  # those of an earlier run, which these take the place of
            pages.event, pages.outcomes = event, pages.open_outcomes
            pages.open_outcomes, pages.open_passages = [], {}


def _file(name: str, pages: _Pages | None, failed: str) -> FileView:
    if pages is None:
        return FileView(name=name, failed=failed)
    event = pages.event or {}
    fixes = tuple(Fix.model_validate(f) for f in event.get("fixes_list", ()))
    segments = tuple(_segments(event.get("segments", ())))
    written = pages.outcomes or [o for _, group in sorted(pages.open_passages.items()) for o in group]
    outcomes = [_outcome(o) for o in written]
    return FileView(
        name=name,
        passages=tuple(_passages(outcomes, fixes, segments)),
        output=str(event.get("output", "")),
        input=event.get("input"),
        format=str(event.get("format", "")),
        language=str(event.get("language", "")),
        finished=bool(event) and not event.get("failed"),
        failed=failed or str(event.get("failed", "")),
        expected=max(pages.expected, len({o.index for o in outcomes})),
        fixes=fixes,
        segments=segments,
        event=event,
    )


def _outcome(dumped: Event) -> Outcome:
    """An outcome as any version wrote it: what this one does not know is left out."""
    return Outcome.model_validate({k: v for k, v in dumped.items() if k in Outcome.model_fields})


def _segments(dumped: Iterable[Sequence[Any]]) -> Iterator[Segment]:
    for index, (start, end, begin, finish, speaker) in enumerate(dumped):
        yield Segment(index=index, start=start, end=end, begin=begin, finish=finish, speaker=speaker)


# --- passages --------------------------------------------------------------------------------------------------------


def _passages(outcomes: Sequence[Outcome], fixes: Sequence[Fix], segments: Sequence[Segment]) -> Iterator[PassageView]:
    groups = _shared_out(outcomes, fixes)
    for number, (outcome, placed) in enumerate(zip(outcomes, groups, strict=True), 1):
        said = _overlapping(segments, outcome.start, outcome.end)
        begins = [s.begin for s in said if s.begin is not None]
        finishes = [s.finish for s in said if s.finish is not None]
        yield PassageView(
            number=number,
            outcome=outcome,
            fixes=tuple(placed),
            begin=min(begins, default=None),
            finish=max(finishes, default=None),
            speaker=", ".join(dict.fromkeys(s.speaker for s in said if s.speaker)) or None,
        )


def _shared_out(outcomes: Sequence[Outcome], fixes: Sequence[Fix]) -> list[list[Placed]]:
    """Each fix with the outcome it was made in, or at whose edge it stands; every fix is in one of them.

    What was left out between two passages goes to the second, behind the last one to the last.
    """
    groups: list[list[Placed]] = [[] for _ in outcomes]
    ends = [o.fixed[1] for o in outcomes]
    shift = 0
    for fix in fixes:
        start = fix.start + shift
        shift += len(fix.after) - (fix.end - fix.start)
        i = bisect_right(ends, start)
        if i == len(outcomes):
            i -= 1
        if i >= 0:
            groups[i].append(_inside(start, fix, outcomes[i]))
    return groups


def _inside(start: int, fix: Fix, outcome: Outcome) -> Placed:
    """Where a fix stands in the outcome's source; one that reaches across an edge stands whole at that edge."""
    at, end = start - outcome.fixed[0], start - outcome.fixed[0] + len(fix.after)
    if at >= 0 and end <= len(outcome.source):
        return Placed(at, end, fix)
    edge = 0 if at < 0 else len(outcome.source)
    return Placed(edge, edge, fix)


def _overlapping(segments: Sequence[Segment], start: int, end: int) -> Sequence[Segment]:
    first = bisect_right(segments, start, key=lambda s: s.end)
    last = bisect_right(segments, end - 1, key=lambda s: s.start)
    return segments[first:last]


def _put_right(outcome: Outcome) -> list[str]:
    return [name for name, count in outcome.terms.items() if count.applied]
