"""The small plots of a report as numbers for SVG: a talk from left to right, in as many columns as can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from rewriter.records import Status

# Columns of a strip at most: about three pixels each on a wide screen, which is as much as one can point at.
MOST_COLUMNS = 400
# How tall a column is by its outcome, in percent: seen without colour as well. The worst outcome of a column counts.
HEIGHTS: dict[Status, int] = {"rewritten": 40, "cached": 28, "replayed": 28, "repaired": 66, "kept": 100}
# The retention plot reaches down to the full tenth below its least share, but shows this much at least: a talk that
# lost nothing is a straight line, and not an enlarged one.
LEAST_RANGE = 0.1


class Placed(Protocol):
    """What a strip needs to know of a passage."""

    @property
    def index(self) -> int: ...
    @property
    def look(self) -> int: ...
    @property
    def kept_share(self) -> float: ...
    @property
    def status(self) -> Status: ...


class Column(NamedTuple):
    """Passages first..last (indices): their worst outcome, whether one has something to look at, and the least share
    of the source that one of them kept. `target` is the passage that a click leads to."""

    first: int
    last: int
    target: int
    status: Status
    height: int
    look: bool
    share: float


class Strip(NamedTuple):
    """Columns, and the retention line as points "x,y ..." of a box of len(columns) by 100, from `floor` up to 1."""

    columns: list[Column]
    line: str
    least: float
    floor: float


def strip(passages: Sequence[Placed]) -> Strip:
    """Outcomes and retention along the talk."""
    count = min(len(passages), MOST_COLUMNS)
    cuts = [len(passages) * i // count for i in range(count + 1)] if count else [0]
    columns = [_column(passages[a:b]) for a, b in pairwise(cuts)]
    least = min((c.share for c in columns), default=1.0)
    floor = min(1 - LEAST_RANGE, int(least * 10) / 10)
    return Strip(columns, _line([c.share for c in columns], floor), least, floor)


def _column(passages: Sequence[Placed]) -> Column:
    worst = max(passages, key=lambda p: (p.look, HEIGHTS[p.status]))
    statuses: list[Status] = [p.status for p in passages]
    status = max(statuses, key=HEIGHTS.__getitem__)
    return Column(
        first=passages[0].index,
        last=passages[-1].index,
        target=worst.index,
        status=status,
        height=HEIGHTS[status],
        look=any(p.look for p in passages),
        share=min(p.kept_share for p in passages),
    )


def _line(shares: Sequence[float], floor: float) -> str:
    """A step for each column, 0 at the top for all kept."""
    points = []
    for x, share in enumerate(shares):
        y = 100 * (1 - share) / (1 - floor)
        points += [f"{x},{y:.0f}", f"{x + 1},{y:.0f}"]
    return " ".join(points)
