"""A run as one HTML file that needs nothing else: style, script, plots and data are in it.

The list is not in the page as elements but as data (see `packed`), drawn by static/report.js as it comes into view: at
5,000 passages elements alone would take seconds. Nothing of a transcript reaches the page unescaped: figures go through
Jinja with autoescape, data through JSON in which no < is left, and the script makes text nodes only. The page forbids
itself everything but its own style and script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rewriter.atomic import write_whole
from rewriter.checks.normalise import SIMPLIFIED, TRADITIONAL
from rewriter.fixes import detect_language
from rewriter.records import STATUSES, Finding, Outcome, Segment, Status
from rewriter.report import plots, wording
from rewriter.report.differences import Row, Run
from rewriter.report.runs import FileView, PassageView, RunView, read_run
from rewriter.report.totals import UNTOUCHED, Totals, needs_a_look, retention, totals
from rewriter.report.visible import visible

REPORT = "report.html"

# Kinds of runs, by their numbers in the data.
KINDS = ("same", "lost", "added", "changed", "term", "fix")
# Of what a fix left out (a loop may be 16,000 characters) so many code points are shown.
LONGEST_FIX = 60
# Passages of a page at most: half a minute's work to make, and as much as a browser opens without complaint.
MOST = 40_000
# The list of places to look at first, at the top: as many as are read at a glance.
FIRST_PLACES = 12
# A language tag (BCP 47), roughly: what a user gave may be anything.
_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
# White space with a line's end in it: one line's end is enough on the page.
_BREAKS = re.compile(r"\s*\n\s*")
# Code points from which a file's language is told.
SAMPLE = 4000


@dataclass(frozen=True)
class Shown:
    """A passage made ready: its number in the whole report, what is drawn, and how much it asks to be looked at.

    `look` is 2 for a kept passage, 1 for one with findings, 0 else.
    """

    index: int
    file: FileView
    passage: PassageView
    rows: list[Row]
    kept_share: float
    look: int

    @property
    def status(self) -> Status:
        """The passage's outcome."""
        return self.passage.outcome.status

    @property
    def remark(self) -> str:
        """The heaviest finding that asks for a look."""
        return next((f.message for f in self.passage.outcome.findings if f.kind != UNTOUCHED), "")


def write_report(folder: str | Path, out: Path | None = None, *, only: Sequence[str] = ()) -> Path:
    """Write the report of a run into its folder (or to `out`); returns its path. `only` names the files to show.

    Raises InputError where there is no run or one of more than MOST passages, OutputError where the report cannot be
    written.
    """
    path = out or Path(folder) / REPORT
    write_whole(path, page(read_run(folder, only=only, most=MOST)).encode("utf-8", "replace"))
    return path


def page(run: RunView) -> str:
    """The report of a run as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    shown = [_shown(i, file, passage) for i, (file, passage) in enumerate(run.passages)]
    counted = totals(run)
    style = _static("look.css") + _static("report.css")
    script = _static("report.js")
    environment = Environment(
        loader=PackageLoader("rewriter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": wording.clock, "dollars": wording.dollars, "visible": visible}
    template = environment.get_template("report.html")
    return template.render(
        run=run,
        title=_title(run),
        totals=counted,
        headline=wording.headline(counted, sum(s.look > 0 for s in shown)),
        wording=wording,
        strip=plots.strip(shown),
        first=_first(shown),
        looks=sum(s.look > 0 for s in shown),
        terms=_terms(counted),
        most_found=max((c.shipped + c.rejected for c in counted.findings.values()), default=1),
        files=_files(run.files, shown),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_embedded(packed(run, shown)),
    )


def _static(name: str) -> str:
    return files("rewriter.report").joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(value: Any) -> str:
    """JSON that can stand in a script element: without a < nothing can end it or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _title(run: RunView) -> str:
    return run.files[0].name if len(run.files) == 1 else run.folder.resolve().name


# --- passages --------------------------------------------------------------------------------------------------------


def _shown(index: int, file: FileView, passage: PassageView) -> Shown:
    outcome = passage.outcome
    rows = passage.rejected_rows() or passage.rows()
    look = 2 if outcome.status == "kept" else int(needs_a_look(outcome))
    share = 1.0 if outcome.status == "kept" else retention(rows)
    return Shown(index, file, passage, rows, share, look)


def _first(shown: Sequence[Shown]) -> list[Shown]:
    """What to look at first: kept passages, then what the guard weighed heaviest, then names; one of each kind of
    remark, since a name that was missed thirty times is one thing to know.
    """
    said: set[str] = set()
    first: list[Shown] = []
    for s in sorted((s for s in shown if s.look), key=_weight, reverse=True):
        message = s.remark if s.look == 1 else str(s.index)
        if message not in said:
            said.add(message)
            first.append(s)
    return first[:FIRST_PLACES]


def _weight(shown: Shown) -> tuple[int, bool, float]:
    findings = shown.passage.outcome.findings
    by_guard = any(f.kind not in {"glossary", UNTOUCHED} for f in findings)
    return shown.look, by_guard, max((f.weight for f in findings), default=0.0)


def _terms(counted: Totals) -> dict[str, Any]:
    """The terms as a table; a column in which there is nothing is left out."""
    rows = [(name, (c.fixed + c.applied, c.missed, c.invented)) for name, c in counted.terms.items()]
    wanted = [i for i in range(3) if any(counts[i] for _, counts in rows)]
    return {
        "columns": [("right", "missed", "invented")[i] for i in wanted],
        "rows": [(name, [counts[i] for i in wanted]) for name, counts in rows],
    }


def _files(run_files: Sequence[FileView], shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """A line for each file: name, passages, and how many of them are kept and to be looked at."""
    lines: dict[str, dict[str, Any]] = {
        f.name: {"number": i, "file": f, "remark": _remark(f), "passages": 0, "kept": 0, "looks": 0, "first": -1}
        for i, f in enumerate(run_files)
    }
    for s in shown:
        line = lines[s.file.name]
        line["passages"] += 1
        line["kept"] += s.look == 2
        line["looks"] += s.look > 0
        line["first"] = s.index if line["first"] < 0 else line["first"]
    return list(lines.values())


def _remark(file: FileView) -> str:
    if file.failed:
        return f"failed: {file.failed}"
    done = len({p.outcome.index for p in file.passages})
    open_ = [] if file.finished else [f"not finished: {done} of {file.expected} passages"]
    return "; ".join([*open_, *map(str, file.event.get("notes", ()))])


# --- data ------------------------------------------------------------------------------------------------------------


def packed(run: RunView, shown: Sequence[Shown]) -> dict[str, Any]:
    """What static/report.js draws, short because it is most of the file.

    files: [name, language]. passages: objects of f (file), n (number in it), s (status), l (look), r (rows), and where
    there is something to say q (score), b and e (seconds), w (speaker), d (1: the rows show a rejected draft), y (why
    it was kept), x (steps), g (findings: [kind, rejects, message]), m (terms). A row is [source runs, result runs,
    numbers of findings], of a timed file with its seconds and speaker; a run a string, or [kind, text, number of
    finding or -1, after, note].
    """
    order = {file.name: i for i, file in enumerate(run.files)}
    return {
        "kinds": KINDS,
        "statuses": [[s, *wording.STATUSES[s]] for s in STATUSES],
        "meanings": {kind: wording.FINDINGS[kind] for kind in wording.QUOTING},
        "steps": wording.STEPS,
        "files": [[visible(f.name), _language(f)] for f in run.files],
        "passages": [_packed_passage(s, order[s.file.name]) for s in shown],
    }


def _packed_passage(shown: Shown, file: int) -> dict[str, Any]:
    passage, outcome = shown.passage, shown.passage.outcome
    terms = {*outcome.terms, *(p.fix.after for p in passage.fixes if p.fix.name == "alias")}
    spoken = shown.file.spoken(passage, shown.rows)
    said = {
        "f": file,
        "n": passage.number,
        "s": STATUSES.index(outcome.status),
        "l": shown.look,
        "q": round(outcome.score, 2) if outcome.score < 1 else None,
        "b": passage.begin,
        "e": passage.finish,
        "w": visible(passage.speaker) if passage.speaker else None,
        "d": 1 if outcome.rejected is not None else None,
        "y": visible(_reason(outcome)) or None,
        "x": list(outcome.ladder) if len(outcome.ladder) > 1 else None,
        "g": [_packed_finding(f) for f in outcome.findings] or None,
        "m": sorted(map(visible, terms)) or None,
        "r": [_packed_row(row, segment) for row, segment in zip(shown.rows, spoken, strict=True)],
    }
    return {key: value for key, value in said.items() if value is not None}


def _reason(outcome: Outcome) -> str:
    """Why a passage was kept, where no finding says it."""
    return "" if any(f.message == outcome.reason for f in outcome.findings) else outcome.reason


def _packed_finding(finding: Finding) -> list[Any]:
    message = finding.message.removeprefix(f"{finding.kind}: ")
    return [finding.kind, int(finding.severity == "reject"), visible(message)]


def _packed_row(row: Row, segment: Segment | None) -> list[Any]:
    said = [_packed_side(row.source), _packed_side(row.result), list(row.findings)]
    return said if segment is None else [*said, segment.begin, visible(segment.speaker or "")]


def _packed_side(runs: Sequence[Run]) -> list[Any]:
    shown = [run for run in runs if run.text or run.after]
    if shown:  # white space at a row's end is the row's end
        shown[-1] = shown[-1]._replace(text=shown[-1].text.rstrip())
    return [_packed_run(run) for run in shown]


def _packed_run(run: Run) -> str | list[Any]:
    text = _BREAKS.sub("\n" if run.kind != "fix" else " ", visible(run.text))
    if run.kind == "same" and run.finding < 0:
        return text
    if run.kind == "fix" and len(text) > LONGEST_FIX:
        text = f"{text[: LONGEST_FIX * 2 // 3]} … {text[-LONGEST_FIX // 3 :]}"
    values = [KINDS.index(run.kind), text, run.finding, visible(run.after), visible(run.note)]
    while values[-1] in ("", -1):
        values.pop()
    return values


def _language(file: FileView) -> str:
    """The tag by which a browser chooses letters and line breaks: zh-Hant where characters are traditional."""
    sample = _sample(p.outcome.text for p in file.passages)
    language = file.language or detect_language(sample)
    if language == "zh":
        traditional, simplified = (sum(c in signs for c in sample) for signs in (TRADITIONAL, SIMPLIFIED))
        return "zh-Hant" if traditional > simplified else "zh"
    return language if language != "und" and _TAG.fullmatch(language) else ""


def _sample(texts: Iterable[str]) -> str:
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text)
        if size > SAMPLE:
            break
    return "\n".join(taken)
