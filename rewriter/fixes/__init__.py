"""Deterministic, named, recorded, reversible repairs made before any model call.

    fixed = fix("嗯我们我们今天讲缓存", lang="zh", style="clean")
    fixed.text                                  # 我们今天讲缓存
    apply(fixed.source, fixed.fixes) == fixed.text

A fix is certain or it is not made: what depends on meaning is the model's work, under the checker's eye.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewriter.fixes import filler, linebreak, loop, stutter, width
from rewriter.fixes.edits import Edit, FixedText, apply, compose, revert
from rewriter.fixes.language import detect_language
from rewriter.records import Hit

__all__ = ["Edit", "FixedText", "apply", "detect_language", "fix", "revert"]

# Styles that keep hesitation and stutter: `correct` changes only misrecognitions and punctuation.
_VERBATIM = {"correct"}


def fix(
    text: str,
    *,
    lang: str,
    style: str,
    hits: Sequence[Hit] = (),
    protect: Sequence[tuple[int, int]] = (),
    join_lines: bool = True,
) -> FixedText:
    """Repair what is certain.

    `hits` are a glossary's certain hits in `text`: their canonical form takes their place. Spans of `protect` (code
    points of `text`) are not touched. `join_lines` allows joining wrapped lines (not for timed text).
    """
    fixed = FixedText(source=text, text=text)
    # Aliases first: their spans were found in this very text.
    aliases = [Edit("alias", h.start, h.end, h.canonical) for h in hits if h.how == "alias" and h.certain]
    fixed = _add(fixed, aliases, protect)
    # Width and space before everything that compares words; loops before stutters, or a loop of 我们 would be taken
    # for one; fillers before stutters, because 我们呃我们 is one; line breaks last, on lines that are clean.
    fixed = _add(fixed, width.find(fixed.text), protect)
    fixed = _add(fixed, loop.find(fixed.text), protect)
    if style not in _VERBATIM:
        fixed = _add(fixed, filler.find(fixed.text, lang), protect)
        fixed = _add(fixed, stutter.find(fixed.text, lang), protect)
    if join_lines:
        fixed = _add(fixed, linebreak.find(fixed.text), protect)
    return fixed


def _add(fixed: FixedText, edits: Sequence[Edit], protect: Sequence[tuple[int, int]]) -> FixedText:
    spans = [(fixed.to_fixed(a), fixed.to_fixed(b)) for a, b in protect]
    allowed = [e for e in edits if not any(e.start < b and e.end > a for a, b in spans)]
    return compose(fixed, allowed)
