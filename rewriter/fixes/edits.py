"""Edits, and how several passes of them become one flat list of fixes against the source."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from rewriter.records import Fix, Record


@dataclass(frozen=True, slots=True)
class Edit:
    """text[start:end] is to become `after`; the text is the one that the fix was given."""

    name: str
    start: int
    end: int
    after: str
    count: int = 0
    note: str = ""


class FixedText(Record):
    """A source, its repaired text, and the repairs: `apply(source, fixes) == text`.

    Fixes are in order, apart, with spans in code points of `source`.
    """

    source: str
    text: str
    fixes: tuple[Fix, ...] = ()

    @cached_property
    def _spans(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Starts and ends of the fixes, in the source and in the text."""
        shifts = [0, *accumulate(len(f.after) - (f.end - f.start) for f in self.fixes)]
        starts = [f.start + shift for f, shift in zip(self.fixes, shifts, strict=False)]
        ends = [a + len(f.after) for a, f in zip(starts, self.fixes, strict=True)]
        return [f.start for f in self.fixes], [f.end for f in self.fixes], starts, ends

    def to_fixed(self, offset: int) -> int:
        """Where a source offset stands in the text; inside a fix, as far into its replacement as there is."""
        starts, ends, fixed_starts, fixed_ends = self._spans
        i = bisect_right(starts, offset) - 1
        if i < 0:
            return offset
        if offset >= ends[i]:
            return fixed_ends[i] + offset - ends[i]
        return min(fixed_starts[i] + offset - starts[i], fixed_ends[i])

    def to_source(self, offset: int) -> int:
        """Where a text offset stands in the source; inside a fix, at its start; at a removal, behind it."""
        starts, ends, fixed_starts, fixed_ends = self._spans
        i = bisect_right(fixed_starts, offset) - 1
        if i < 0:
            return offset
        if offset >= fixed_ends[i]:
            return ends[i] + offset - fixed_ends[i]
        return starts[i]

    def to_source_span(self, start: int, end: int) -> tuple[int, int]:
        """The source span of a text span: fixes that it overlaps are in it whole, removals at its edges are not."""
        _, ends, fixed_starts, fixed_ends = self._spans
        last = bisect_left(fixed_starts, end) - 1  # the last fix that begins before the end
        finish = end if last < 0 else ends[last] + max(0, end - fixed_ends[last])
        return min(self.to_source(start), finish), finish


def apply(source: str, fixes: Sequence[Fix]) -> str:
    """The source with its fixes made. Raises ValueError where a fix does not belong to this source."""
    parts, at = [], 0
    for f in fixes:
        if source[f.start : f.end] != f.before:
            raise ValueError(f"the fix {f.name} at {f.start} does not belong to this text")
        parts += [source[at : f.start], f.after]
        at = f.end
    return "".join([*parts, source[at:]])


def revert(text: str, fixes: Sequence[Fix]) -> str:
    """The source again: `revert(apply(source, fixes), fixes) == source`."""
    parts, at, shift = [], 0, 0
    for f in fixes:
        start = f.start + shift
        parts += [text[at:start], f.before]
        at = start + len(f.after)
        shift += len(f.after) - len(f.before)
    return "".join([*parts, text[at:]])


def compose(fixed: FixedText, edits: Sequence[Edit]) -> FixedText:
    """Edits of `fixed.text`, in order and apart, added to what was done before, as flat fixes of the source.

    Where an edit touches an earlier fix both become one, their names joined by "+".
    """
    if not edits:
        return fixed
    text = fixed.text
    old = list(zip(fixed.fixes, *fixed._spans[2:], strict=True))
    items = [(a, b, None, f) for f, a, b in old] + [(e.start, e.end, e, None) for e in edits]
    items.sort(key=lambda item: (item[0], item[1]))
    clusters: list[list[tuple[int, int, Edit | None, Fix | None]]] = []
    reach = -1
    for item in items:
        if clusters and item[0] <= reach:
            clusters[-1].append(item)
        else:
            clusters.append([item])
        reach = max(reach, item[1])
    fixes = [_merge(fixed, cluster) for cluster in clusters]
    parts, at = [], 0
    for e in edits:
        parts += [text[at : e.start], e.after]
        at = e.end
    return FixedText(
        source=fixed.source, text="".join([*parts, text[at:]]), fixes=tuple(f for f in fixes if f.before != f.after)
    )


def _merge(fixed: FixedText, cluster: list[tuple[int, int, Edit | None, Fix | None]]) -> Fix:
    start, end = cluster[0][0], max(item[1] for item in cluster)
    old = [(a, b, f) for a, b, _, f in cluster if f is not None]
    if len(cluster) == 1 and old:
        return old[0][2]
    parts, at = [], start
    for a, b, edit, _ in cluster:
        if edit is not None:
            parts += [fixed.text[at:a], edit.after]
            at = b
    parts.append(fixed.text[at:end])
    first = next((f.start for a, _, f in old if a == start), None)
    last = next((f.end for _, b, f in reversed(old) if b == end), None)
    begin = fixed.to_source(start) if first is None else first
    finish = fixed.to_source(end) if last is None else last
    named = [x for _, _, edit, f in cluster for x in (edit or f,) if x is not None]
    names = dict.fromkeys(n for x in named for n in x.name.split("+"))
    return Fix(
        name="+".join(names),
        start=begin,
        end=finish,
        before=fixed.source[begin:finish],
        after="".join(parts),
        count=max(x.count for x in named),
        note="; ".join(dict.fromkeys(x.note for x in named if x.note)),
    )


def apart(edits: Sequence[Edit]) -> list[Edit]:
    """The edits in order, without those that overlap an earlier one."""
    done: list[Edit] = []
    for edit in sorted(edits, key=lambda e: e.start):
        if not done or edit.start >= done[-1].end:
            done.append(edit)
    return done
