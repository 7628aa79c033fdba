"""The data passed between floors. All offsets are code points, all times seconds, half-open spans [start, end)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["reject", "warn"]
Status = Literal["rewritten", "cached", "replayed", "repaired", "kept"]
STATUSES: tuple[Status, ...] = ("rewritten", "cached", "replayed", "repaired", "kept")


class Record(BaseModel):
    """Immutable, strict about its fields, JSON-serialisable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Segment(Record):
    """The smallest addressable unit of the input: a paragraph, a cue, a recogniser segment.

    `start` and `end` are code points of `Transcript.text`; `begin` and `finish` are seconds where the file has them.
    """

    index: int
    start: int
    end: int
    begin: float | None = None
    finish: float | None = None
    speaker: str | None = None


class Transcript(Record):
    """One document as one text, the segments in it, and what is needed to write it back.

    Text outside every segment (white space between paragraphs, markdown headings, code blocks) is carried through.
    For txt and md, `text` is the file's text as decoded, byte order mark left out. For timed formats it is the cues'
    or segments' plain texts joined by a newline. `payload` belongs to the format that read the file.
    """

    name: str
    format: str
    text: str
    segments: tuple[Segment, ...]
    timed: bool = False
    encoding: str = "utf-8"
    notes: tuple[str, ...] = ()
    payload: Any = Field(default=None, repr=False, exclude=True)


class Fix(Record):
    """One repair made before any model call: source[start:end] == before is replaced by after.

    `name` is the fix's name (loop, stutter, filler, alias, width, space, linebreak; several joined by "+" where one
    place was repaired twice). `count` is how often a loop's clause stood there, 0 elsewhere. `note` is for a person.
    """

    name: str
    start: int
    end: int
    before: str
    after: str
    count: int = 0
    note: str = ""


class Passage(Record):
    """Consecutive text within a token budget: text[start:end] of the fixed text, white space at its ends included.

    Passages of a region tile it: joined they give the region's text. `tokens` counts the whole of `text`.
    """

    index: int
    start: int
    end: int
    text: str
    tokens: int
    speaker: str | None = None


class Finding(Record):
    """One thing the checker saw. Spans are code points of the source and of the draft as given to `check`.

    `weight` is in content characters (Chinese characters, or letters of other scripts divided by their usual word
    length); findings come in order of weight, heaviest first. `source` or `draft` is None where that side has nothing.
    """

    kind: str
    severity: Severity
    weight: float
    source: tuple[int, int] | None
    draft: tuple[int, int] | None
    source_text: str = ""
    draft_text: str = ""
    message: str


class Verdict(Record):
    """Accepted or rejected, with a score in 0 to 1 (1: nothing lost, nothing invented) and the findings."""

    accepted: bool
    score: float
    findings: tuple[Finding, ...] = ()


class Usage(Record):
    """Tokens of one or more model calls; `cached` input tokens are part of `input`."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0

    def __add__(self, other: Usage) -> Usage:
        """The sum, field by field."""
        return Usage(
            calls=self.calls + other.calls,
            input=self.input + other.input,
            cached=self.cached + other.cached,
            output=self.output + other.output,
        )

    def __sub__(self, other: Usage) -> Usage:
        """What is left, field by field and at least 0."""
        return Usage(
            calls=max(0, self.calls - other.calls),
            input=max(0, self.input - other.input),
            cached=max(0, self.cached - other.cached),
            output=max(0, self.output - other.output),
        )


class Hit(Record):
    """A place text[start:end] where a glossary term, or a way it is misheard, occurs.

    `how` is canonical, alias or sound; `certain` says that the alias may be replaced without asking; `score` is 1 for
    letters that match and lower the less alike the sounds are. `likely` says that what sounds like the term is hardly
    anything else.
    """

    start: int
    end: int
    canonical: str
    how: Literal["canonical", "alias", "sound"]
    score: float = 1.0
    certain: bool = False
    likely: bool = False
    note: str = ""


class Request(Record):
    """Everything that decides a model's answer, but the endpoint: model, messages, parameters.

    `static` says how many of the first messages are the same in many requests (0: not known); it changes no answer.
    """

    model: str
    messages: tuple[dict[str, str], ...]
    parameters: dict[str, Any] = Field(default_factory=dict)
    static: int = Field(default=0, ge=0)


class Answer(Record):
    """What a model returned, before any judgement. `finish` is its finish_reason."""

    text: str
    finish: str = "stop"
    usage: Usage = Usage()
    model: str = ""


class TermCount(Record):
    """How often a term of the glossary was applied, missed and invented; see `rewriter.glossary.TermReport`."""

    applied: int = 0
    missed: int = 0
    invented: int = 0

    def __add__(self, other: TermCount) -> TermCount:
        """The sum, field by field."""
        return TermCount(
            applied=self.applied + other.applied,
            missed=self.missed + other.missed,
            invented=self.invented + other.invented,
        )


class Outcome(Record):
    """What became of a passage. `start` and `end` are code points of the source (before fixes).

    `text` is what ships, without the passage's white space at its ends. For a kept passage `reason` says why and
    `rejected` is the last draft that was turned down; `unanswered` marks one kept because no answer could be had.
    `fixed` is the span in the fixed text; `part` is "a" or "b" for a half of a passage that was cut in two; `ladder`
    names the steps taken; `usage` is what it took in all and `spent` by model; `from_cache` counts answers that needed
    no model call, and `saved` is what they had taken once, by model; `terms` says by canonical form what became of the
    glossary in a draft that ships.
    """

    index: int
    part: str = ""
    fixed: tuple[int, int] = (0, 0)
    start: int
    end: int
    status: Status
    text: str
    source: str
    score: float = 1.0
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    rejected: str | None = None
    unanswered: bool = False
    ladder: tuple[str, ...] = ()
    usage: Usage = Usage()
    spent: dict[str, Usage] = Field(default_factory=dict)
    saved: dict[str, Usage] = Field(default_factory=dict)
    from_cache: int = 0
    terms: dict[str, TermCount] = Field(default_factory=dict)


class Piece(Record):
    """A stretch text[start:end] of a transcript's text and what takes its place. Pieces are in order, apart."""

    start: int
    end: int
    text: str
