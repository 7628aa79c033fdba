"""The checker applied to files: two transcripts, or a file of pairs."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from rewriter import checks, formats
from rewriter.errors import InputError
from rewriter.fixes import FixedText, without_loops
from rewriter.formats.sources import STDIN
from rewriter.glossary import Glossary
from rewriter.records import Finding, Transcript, Verdict
from rewriter.report.sidebyside import Comparison


def check_files(
    source: str, rewrite: str, *, style: str = "clean", policy: str | None = None, glossary: Sequence[str] = ()
) -> Comparison:
    """Judge one file against another, of any format; spans are code points of the transcripts' texts.

    Where both are timed, cues that went, came or moved in time are a finding too. Raises InputError, GlossaryError.
    """
    terms = Glossary.load(glossary) if glossary else None
    here, there = formats.read_two(source, rewrite)
    verdict = _judged(
        here.text, there.text, lambda a, b: checks.check(a, b, style=style, policy=policy, glossary=terms)
    )
    if here.timed and there.timed and (moved := _moved_cue(here, there)):
        findings = (moved, *verdict.findings)
        verdict = verdict.model_copy(update={"accepted": False, "findings": findings})
    return Comparison(source=here.text, rewrite=there.text, verdict=verdict)


def _judged(source: str, rewrite: str, judge: Callable[[str, str], Verdict]) -> Verdict:
    """The verdict on two texts with their loops said once, its spans moved to the texts as they are.

    A clause said a thousand times leaves an alignment nothing to hold on to, and a rewrite that says it once has lost
    nothing.
    """
    here, there = without_loops(source), without_loops(rewrite)
    verdict = judge(here.text, there.text)
    if not here.fixes and not there.fixes:
        return verdict
    moved = [
        f.model_copy(update={"source": _moved(here, f.source), "draft": _moved(there, f.draft)})
        for f in verdict.findings
    ]
    return verdict.model_copy(update={"findings": tuple(moved)})


def _moved(fixed: FixedText, span: tuple[int, int] | None) -> tuple[int, int] | None:
    return fixed.to_source_span(*span) if span else None


def _moved_cue(here: Transcript, there: Transcript) -> Finding | None:
    """The first cue whose times differ, or the cues that one side has more of. Times in seconds."""
    message = ""
    before, after = formats.cue_times(here), formats.cue_times(there)
    for number, (old, new) in enumerate(zip(before, after, strict=False), 1):
        if old != new:
            times = f"{old[0]} to {old[1]} s became {new[0]} to {new[1]} s"
            message = f"cues: the times of cue {number} differ: {times}"
            break
    else:
        if len(before) != len(after):
            message = f"cues: {len(before)} in the source, {len(after)} in the rewrite"
    if not message:
        return None
    return Finding(kind="cues", severity="reject", weight=0.0, source=None, draft=None, message=message)


def check_pairs(
    path: str, *, style: str = "clean", policy: str | None = None, glossary: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Judge a JSONL file of pairs {id, source, rewrite[, lang]}: yields {id, accepted, score, findings} in order.

    The path - stands for standard input. Raises InputError naming the line that is not such a pair.
    """
    terms = Glossary.load(glossary) if glossary else None
    judge = partial(_judge_lines, style=style, policy=policy, glossary=terms)
    try:
        with _pairs(path) as file:
            yield from _spread(judge, file)
    except InputError as error:
        raise InputError(error.what, where=f"{path}, {error.where}", remedy=error.remedy) from None
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}.", where=path, remedy="Give a JSONL file of pairs."
        ) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8.", where=path, remedy="Save the pairs as UTF-8.") from None


def _pairs(path: str) -> TextIO:
    """The lines of a file of pairs, or of standard input."""
    if path == STDIN:
        return TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig")
    return Path(path).open(encoding="utf-8-sig")


# Lines that one process judges at a time: a tenth of a second's work, so that handing them over costs next to nothing.
_LINES = 64
# A file of fewer lines is judged here: another process takes as long to start as to judge as many.
_FEWEST = 4 * _LINES


def _judge_lines(numbered: tuple[int, list[str]], **options: Any) -> list[dict[str, Any]]:
    first, lines = numbered
    return list(checks.check_jsonl(lines, first=first, **options))


def _spread(judge: Callable[[tuple[int, list[str]]], list[dict[str, Any]]], file: Iterable[str]) -> Iterator[Any]:
    """The verdicts in order, from as many processes as there are cores; only a few parts are in memory at once."""
    lines = iter(file)
    head = list(islice(lines, _FEWEST))
    if len(head) < _FEWEST:
        yield from judge((1, head))
        return
    parts = _parts(chain(head, lines))
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, initializer=_leave_interrupts) as pool:
        waiting = deque(pool.submit(judge, part) for part in islice(parts, 2 * cores))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(judge, part) for part in islice(parts, 1))


def _parts(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    first = 1
    while part := list(islice(lines, _LINES)):
        yield first, part
        first += len(part)


def _leave_interrupts() -> None:
    """Ctrl-C is the parent's to answer; its children end with it, and at a SIGTERM without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
