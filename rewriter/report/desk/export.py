"""The final transcripts: what was decided, and the run's result where nothing was, written as the run writes.

A file is made from its input, the fixes and outcomes of the journal and the decided texts; nothing is fixed, cut or
asked anew, so it does not matter what has changed in settings or program since. Every source character is accounted
for as in a run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rewriter import formats
from rewriter.atomic import write_whole
from rewriter.errors import InputError, OutputError
from rewriter.fixes import FixedText, apply
from rewriter.formats.sources import read_file
from rewriter.pieces import account, pieces
from rewriter.records import Outcome, Passage, Record, Transcript
from rewriter.report.desk.book import Entry
from rewriter.report.desk.decisions import State
from rewriter.report.runs import FileView, RunView
from rewriter.work import Work

FOLDER = "reviewed"

Decided = Sequence[tuple[Entry, State]]


class Written(Record):
    """A final transcript. `passages` counts by what stands (result, source, draft, edit, answer) and by how far it is
    settled; `characters` accounts for every code point of the source; `notes` say what could not be kept.
    """

    file: str
    output: str
    passages: dict[str, int]
    characters: dict[str, int]
    notes: tuple[str, ...] = ()


# What stands in the place of a passage, by the kind of the decision that put it there.
_STANDS = {"accept": "result", "restore": "source", "draft": "draft", "edit": "edit", "asked": "answer"}


def export(runs: Sequence[tuple[RunView, Decided]], out: Path | None) -> list[Written]:
    """Write every finished file of some runs: into `out`, or into each run's own folder `reviewed`.

    All are made before the first is written. Raises InputError where an input is gone or has changed since the run,
    OutputError where one cannot be written.
    """
    made: list[tuple[Path, bytes, Written]] = []
    for run, decided in runs:
        folder = run.folder / FOLDER if out is None else out
        of_file: dict[str, list[tuple[Entry, State]]] = {}
        for entry, state in decided:
            of_file.setdefault(entry.file.name, []).append((entry, state))
        for file in run.files:
            if file.finished:
                made.append(_made(file, of_file.get(file.name, []), folder, bool(run.settings.get("limit"))))
    _refuse_clashes([path for path, _, _ in made])
    for path, data, _ in made:
        write_whole(path, data)
    return [written for _, _, written in made]


def _made(file: FileView, decided: Decided, folder: Path, limited: bool) -> tuple[Path, bytes, Written]:
    work = _work(file, limited)
    outcomes = [_outcome(entry.outcome, state) for entry, state in decided]
    suffix = PurePosixPath(file.output).suffix.lstrip(".")
    to = suffix if suffix and formats.known(suffix) != work.transcript.format else None
    characters = account(work, outcomes)
    rendered = formats.render(work.transcript, pieces(work, outcomes), to=to)
    target = _target(file, folder)
    counts = Counter(_stands(state) for _, state in decided)
    counts["settled"] = sum(state.settled for _, state in decided)
    written = Written(
        file=file.name,
        output=str(target),
        passages=dict(sorted(counts.items())),
        characters=characters,
        notes=rendered.notes,
    )
    return target, rendered.data, written


def _work(file: FileView, limited: bool) -> Work:
    """The transcript as the run saw it: read again, its fixes made as recorded."""
    transcript = _transcript(file)
    try:
        text = apply(transcript.text, file.fixes)
    except ValueError as error:
        raise InputError(str(error) + ".", where=file.name, remedy=_AGAIN) from None
    fixed = FixedText(source=transcript.text, text=text, fixes=file.fixes)
    if not limited:
        return Work(transcript, fixed, ())
    beyond = max((view.outcome.fixed[1] for view in file.passages), default=0)
    # What a --limit left out is one passage that nobody rewrote.
    rest = Passage(index=len(text) + 1, start=beyond, end=len(text), text=text[beyond:], tokens=0)
    return Work(transcript, fixed, (rest,))


_AGAIN = "Run the same command again; decisions about passages that did not change are kept."


def _transcript(file: FileView) -> Transcript:
    if not file.input:
        raise InputError(
            "the run's journal does not say where this file was read from.",
            where=file.name,
            remedy="Run the same command again: journals of this version do.",
        )
    data = read_file(Path(file.input))
    if hashlib.sha256(data).hexdigest() != file.event.get("input_sha256"):
        raise InputError("has changed since the run.", where=file.input, remedy=_AGAIN)
    return formats.read_bytes(data, name=file.input, format=file.format or None)


def _outcome(outcome: Outcome, state: State) -> Outcome:
    """The outcome with the text that was decided; source that was restored counts as kept."""
    decision = state.standing
    if decision is None:
        return outcome
    status = "kept" if decision.kind == "restore" else outcome.status
    return outcome.model_copy(update={"text": decision.text, "status": status})


def _stands(state: State) -> str:
    texts = [d for d in state.decisions if d.kind in _STANDS and (d.kind != "asked" or d.accepted)]
    return _STANDS[texts[-1].kind] if texts else "result"


def _target(file: FileView, folder: Path) -> Path:
    """Where a file goes. A journal may come from anywhere: it names no place outside the folder."""
    name = PurePosixPath(file.output)
    if not file.output or name.is_absolute() or ".." in name.parts or "\\" in file.output or ":" in name.parts[0]:
        raise OutputError(
            f"the journal names {file.output!r} as the output, which is outside the folder.",
            where=file.name,
            remedy="Nothing was written. Do not trust this run.",
        )
    target = folder.absolute() / name
    if file.input and target.exists() and target.samefile(file.input):
        raise OutputError("would overwrite its own input.", where=str(target), remedy="Choose another folder with -o.")
    return target


def _refuse_clashes(paths: Sequence[Path]) -> None:
    twice = [str(path) for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise OutputError(
            "two runs would write the same file.", where=twice[0], remedy="Export one run at a time, each with its -o."
        )
