"""What happened in a run, counted from what became of its passages: the figures at the top of a report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rewriter.money import cost_of
from rewriter.records import STATUSES, Fix, Outcome, Record, TermCount, Usage
from rewriter.report.differences import Row
from rewriter.report.runs import FileView, PassageView, RunView

# A passage that came back as it was is no damage: it can be filtered for, but nobody is sent there.
UNTOUCHED = "untouched"


class FindingCount(Record):
    """Findings of a kind: in drafts that were turned down, and in text that ships."""

    rejected: int = 0
    shipped: int = 0


class FixCount(Record):
    """Fixes of a name, and the code points that they left out (negative: that they put in)."""

    times: int = 0
    left_out: int = 0


class Loop(Record):
    """What a recogniser repeated, how often, and in which passage of which file."""

    file: str
    passage: int
    note: str
    times: int


class TermTotal(Record):
    """A term of the glossary: `fixed` before any model call, then what the rewrites did with it."""

    fixed: int = 0
    applied: int = 0
    missed: int = 0
    invented: int = 0


class Totals(Record):
    """A run in figures.

    `heard` and `shipped` are code points of transcripts and results; `seconds` is the time that the run's executions
    took (None: not known), `talk` the length of its timed files. Costs are US dollars, None where a price is not known.
    """

    files: int
    failed: int
    unfinished: int
    passages: dict[str, int]
    findings: dict[str, FindingCount]
    fixes: dict[str, FixCount]
    loops: tuple[Loop, ...]
    terms: dict[str, TermTotal]
    heard: int
    shipped: int
    usage: Usage
    saved: Usage
    from_cache: int
    cost: float | None
    saved_cost: float | None
    seconds: float | None
    talk: float


def totals(run: RunView) -> Totals:
    """Count a run."""
    passages = [p for _, p in run.passages]
    outcomes = [p.outcome for p in passages]
    statuses = Counter(o.status for o in outcomes)
    spent, saved = (_by_model(getattr(o, which) for o in outcomes) for which in ("spent", "saved"))
    usage = sum((o.usage for o in outcomes), Usage())
    return Totals(
        files=len(run.files),
        failed=sum(bool(f.failed) for f in run.files),
        unfinished=sum(not f.finished and not f.failed for f in run.files),
        passages={status: statuses[status] for status in STATUSES},
        findings=_findings(outcomes),
        fixes=_fixes(f for file in run.files for f in file.fixes),
        loops=tuple(_loops(run.files)),
        terms=_terms(run.files),
        heard=sum(_heard(p) for p in passages),
        shipped=sum(len(o.text) for o in outcomes),
        usage=usage,
        saved=sum(saved.values(), Usage()),
        from_cache=sum(o.from_cache for o in outcomes),
        cost=_written(run, "cost", spent),
        saved_cost=_written(run, "cost_saved", saved),
        seconds=_seconds(run.sessions),
        talk=sum(_length(f) for f in run.files),
    )


def needs_a_look(outcome: Outcome) -> bool:
    """Whether a person should look: the passage was kept, or the guard or the glossary has a remark on it."""
    return outcome.status == "kept" or any(f.kind != UNTOUCHED for f in outcome.findings)


def retention(rows: Iterable[Row]) -> float:
    """The share of the source's characters, fixes aside, that the result still has in some form (1: nothing lost).

    Words that the guard let go (fillers, false starts) count as lost too: this shows where a talk was shortened, the
    findings show where it was damaged.
    """
    lost = total = 0
    for row in rows:
        for run in row.source:
            if run.kind != "fix":
                size = sum(c.isalnum() for c in run.text)
                total += size
                lost += size * (run.kind == "lost")
    return 1 - lost / total if total else 1.0


def _findings(outcomes: Iterable[Outcome]) -> dict[str, FindingCount]:
    rejected: Counter[str] = Counter()
    shipped: Counter[str] = Counter()
    for outcome in outcomes:
        (rejected if outcome.status == "kept" else shipped).update(f.kind for f in outcome.findings)
    kinds = Counter(rejected) + shipped
    return {k: FindingCount(rejected=rejected[k], shipped=shipped[k]) for k, _ in kinds.most_common()}


def _fixes(fixes: Iterable[Fix]) -> dict[str, FixCount]:
    """By name; a place that was repaired twice counts under each of its names, its characters under the first."""
    times: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for fix in fixes:
        names = fix.name.split("+")
        times.update(names)
        left_out[names[0]] += len(fix.before) - len(fix.after)
    return {name: FixCount(times=n, left_out=left_out[name]) for name, n in times.most_common()}


def _loops(files: Iterable[FileView]) -> Iterable[Loop]:
    for file in files:
        for passage in file.passages:
            for placed in passage.fixes:
                if placed.fix.count:
                    fix = placed.fix
                    yield Loop(file=file.name, passage=passage.number, note=fix.note, times=fix.count)


def _terms(files: Sequence[FileView]) -> dict[str, TermTotal]:
    fixed = _put_right(f.after for file in files for f in file.fixes if f.name == "alias")
    said: dict[str, TermCount] = {}
    for file in files:
        for passage in file.passages:
            for name, count in passage.outcome.terms.items():
                said[name] = said.get(name, TermCount()) + count
    found = {n: TermTotal(fixed=fixed[n], **said.get(n, TermCount()).model_dump()) for n in {*fixed, *said}}
    return dict(sorted(found.items(), key=lambda item: (-item[1].missed, -item[1].fixed - item[1].applied, item[0])))


def _put_right(names: Iterable[str]) -> Counter[str]:
    """Names that took an alias's place. Two aliases side by side are one fix: its text is then two other names."""
    counts = Counter(names)
    for name in list(counts):
        others = "|".join(re.escape(n) for n in sorted(counts, key=len, reverse=True) if len(n) < len(name))
        if others and re.fullmatch(f"(?:{others})(?: *(?:{others}))+", name):
            times = counts.pop(name)
            counts.update({n: times * c for n, c in Counter(re.findall(others, name)).items()})
    return counts


def _heard(passage: PassageView) -> int:
    return len(passage.outcome.source) + sum(len(p.fix.before) - len(p.fix.after) for p in passage.fixes)


def _by_model(usages: Iterable[Mapping[str, Usage]]) -> dict[str, Usage]:
    total: dict[str, Usage] = {}
    for one in usages:
        for model, usage in one.items():
            total[model] = total.get(model, Usage()) + usage
    return total


def _written(run: RunView, key: str, usage: Mapping[str, Usage]) -> float | None:
    """Dollars as the run wrote them down at its time; at the prices of today only where it wrote nothing."""
    written = [file.event[key] for file in run.files if key in file.event]
    if written:
        return None if None in written else round(sum(written), 6)
    return cost_of(usage)


def _seconds(sessions: Sequence[tuple[str, str | None]]) -> float | None:
    """Time between starts and ends, of those executions that came to an end; whole seconds."""
    try:
        spans = [datetime.fromisoformat(end) - datetime.fromisoformat(start) for start, end in sessions if end]
    except ValueError:
        return None
    return sum(span.total_seconds() for span in spans) if spans else None


def _length(file: FileView) -> float:
    return max((s.finish or 0.0 for s in file.segments), default=0.0)
