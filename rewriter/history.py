"""What past runs took beside what was expected of them, so that an estimate foretells repairs and the model's habits.

For some of a run's passages the expected tokens (first request and an answer as long as the passage) are counted beside
the real ones (every rung of the ladder). Their sums are kept by model and style in `history.json` of the cache folder.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from rewriter.atomic import write_whole
from rewriter.errors import OutputError
from rewriter.records import Record, Usage

HISTORY = "history.json"

# Passages of a run that are all counted, and the share after that: counting a request again takes about as long as
# building it.
COUNTED_FIRST, COUNTED_SHARE = 200, 16
# Old passages count half once there are so many: a model's new version is seen within a run or two.
MOST_HELD = 4000
# Below this many passages the past says less than the general figures do.
FEWEST = 12

# Answer tokens for each token of the passage, where nothing is known: measured on human rewrites of transcripts, after
# fixes (corrected 1.01, cleaned 0.96, written style 0.87).
ANSWER_SHARE = {"correct": 1.01, "clean": 0.96, "formal": 0.87}
# Tokens that chat formats put around each message, and once around all of them.
MESSAGE_TOKENS, REPLY_TOKENS = 4, 3


class Pattern(Record):
    """Sums over passages: expected and real tokens (cached ones are input too), squares of the relative surplus."""

    passages: int = 0
    expected_input: float = 0.0
    expected_output: float = 0.0
    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0
    squares: float = 0.0

    def with_passage(self, expected_input: int, expected_output: int, usage: Usage) -> Pattern:
        """One more passage."""
        weight = 0.5 if self.passages >= MOST_HELD else 1.0
        ratio = (usage.input + usage.output) / max(1, expected_input + expected_output)
        return Pattern(
            passages=int(self.passages * weight) + 1,
            expected_input=self.expected_input * weight + expected_input,
            expected_output=self.expected_output * weight + expected_output,
            input=self.input * weight + usage.input,
            cached=self.cached * weight + usage.cached,
            output=self.output * weight + usage.output,
            squares=self.squares * weight + (ratio - 1.0) ** 2,
        )


class Factors(NamedTuple):
    """Real tokens for each expected one, the cached share of input, and the relative uncertainty for one passage."""

    input: float
    cached: float
    output: float
    spread: float


class History(Record):
    """Patterns by "model|style"."""

    patterns: dict[str, Pattern] = Field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path | None) -> History:
        """The history in a cache folder; an absent or damaged one is empty."""
        if folder is None:
            return cls()
        try:
            return cls.model_validate_json((folder / HISTORY).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def factors(self, model: str, style: str) -> Factors:
        """What to expect of a model in a style."""
        past = self.patterns.get(f"{model}|{style}", Pattern())
        if past.passages < FEWEST:
            return Factors(1.0, 0.0, ANSWER_SHARE.get(style, 1.0), 0.5)
        spread = math.sqrt(past.squares / past.passages)
        cached = past.cached / max(1.0, past.input)
        return Factors(past.input / past.expected_input, cached, past.output / past.expected_output, spread)


class Observer:
    """Watches one run's passages for the history."""

    def __init__(self, model: str, style: str) -> None:
        self.name, self._seen, self._found = f"{model}|{style}", 0, Pattern()

    def wants(self) -> bool:
        """Whether the passage that begins now should be counted.

        Chosen as it begins: those that end first are those that needed no repair.
        """
        self._seen += 1
        return self._seen <= COUNTED_FIRST or self._seen % COUNTED_SHARE == 0

    def free(self) -> None:
        """A passage that had begun was had without a call: another one is counted in its place."""
        self._seen -= 1

    def add(self, expected_input: int, expected_output: int, usage: Usage) -> None:
        """A passage that was asked for anew, with all its rungs."""
        self._found = self._found.with_passage(expected_input, expected_output, usage)

    def save(self, folder: Path | None) -> None:
        """Add to the history in a cache folder. What cannot be written is let go: it is an estimate's help only."""
        if folder is None or not self._found.passages:
            return
        history = History.read(folder)
        old, new = history.patterns.get(self.name, Pattern()), self._found
        keep = min(1.0, MOST_HELD / max(1, old.passages + new.passages))
        summed = {k: getattr(old, k) * keep + getattr(new, k) for k in Pattern.model_fields if k != "passages"}
        merged = Pattern(passages=int(old.passages * keep) + new.passages, **summed)
        text = json.dumps(History(patterns={**history.patterns, self.name: merged}).model_dump(), indent=1)
        try:
            write_whole(folder / HISTORY, text.encode())
        except OutputError:
            return
