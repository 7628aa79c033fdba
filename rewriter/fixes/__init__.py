"""Deterministic, named, recorded, reversible repairs made before any model call.

    fixed = fix("嗯我们我们今天讲缓存", lang="zh", style="clean")
    fixed.text                                  # 我们今天讲缓存
    apply(fixed.source, fixed.fixes) == fixed.text

A fix is certain or it is not made: what depends on meaning is the model's work, under the checker's eye.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from rewriter.fixes import filler, linebreak, loop, stutter, width
from rewriter.fixes.edits import Edit, FixedText, apart, apply, compose, revert
from rewriter.fixes.language import detect_language
from rewriter.records import Hit

__all__ = ["Edit", "FixedText", "apply", "detect_language", "fix", "revert", "without_loops"]

# Styles that keep hesitation and stutter: `correct` changes only misrecognitions and punctuation.
_VERBATIM = {"correct"}

# One repair can uncover another (a filler inside a loop, a stutter across a line break), so they are made again until
# nothing changes. Real text takes two rounds, the second of which finds nothing; a text made to take more than eight is
# left as it is then, which bounds the time.
_ROUNDS = 8


def fix(
    text: str,
    *,
    lang: str,
    style: str,
    hits: Sequence[Hit] = (),
    protect: Sequence[tuple[int, int]] = (),
    join_lines: bool = True,
) -> FixedText:
    """Repair what is certain. What is repaired stays as it is: fixing the result changes nothing.

    `hits` are a glossary's certain hits in `text`: their canonical form takes their place. Spans of `protect` (code
    points of `text`, in order and apart) are not touched. `join_lines` allows joining wrapped lines (not for timed
    text).
    """
    # Aliases first: their spans were found in this very text.
    aliases = [Edit("alias", h.start, h.end, h.canonical) for h in hits if h.how == "alias" and h.certain]
    fixed = _add(FixedText(source=text, text=text), apart(aliases), protect)
    for _ in range(_ROUNDS):
        before = fixed
        fixed = _round(fixed, lang, style in _VERBATIM, protect, join_lines)
        if fixed is before:
            break
    return fixed


def without_loops(text: str) -> FixedText:
    """The text with every recogniser loop said once, and nothing else changed."""
    return compose(FixedText(source=text, text=text), loop.find(text))


def _round(
    fixed: FixedText, lang: str, verbatim: bool, protect: Sequence[tuple[int, int]], join_lines: bool
) -> FixedText:
    # Width and space before everything that compares words; loops before stutters, or a loop of 我们 would be taken
    # for one; fillers before stutters, because 我们呃我们 is one; line breaks last, on lines that are clean.
    fixed = _add(fixed, width.find(fixed.text), protect)
    fixed = _add(fixed, loop.find(fixed.text), protect)
    if not verbatim:
        fixed = _add(fixed, filler.find(fixed.text, lang), protect)
        fixed = _add(fixed, stutter.find(fixed.text, lang), protect)
    if join_lines:
        fixed = _add(fixed, linebreak.find(fixed.text), protect)
    return fixed


def _add(fixed: FixedText, edits: Sequence[Edit], protect: Sequence[tuple[int, int]]) -> FixedText:
    """The edits that touch nothing protected, added; the very same object where there are none."""
    if protect and edits:
        starts = [fixed.to_fixed(start) for start, _ in protect]
        ends = [fixed.to_fixed(end) for _, end in protect]
        # Protected spans that end behind an edit's start and start before its end.
        edits = [e for e in edits if bisect_right(ends, e.start) >= bisect_left(starts, e.end)]
    return compose(fixed, edits)
