"""A transcript made ready for its passages to be rewritten: fixed, and split. No model is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rewriter import fixes
from rewriter.paragraphs import are_loose
from rewriter.passages import regions, split
from rewriter.records import Outcome, Passage, Transcript
from rewriter.tokens import TokenCounter

if TYPE_CHECKING:
    from rewriter.fixes import FixedText
    from rewriter.glossary import Glossary

# Code points of the text before a passage that the model may read. About two Chinese sentences: enough to know what a
# pronoun or a term refers to, short enough that an edit re-asks one neighbour only and the bill hardly grows.
CONTEXT_CHARACTERS = 80

_NOT_SPACE = re.compile(r"\S")


@dataclass(frozen=True)
class Work:
    """A transcript made ready: fixed text and passages. Passage offsets are code points of `fixed.text`.

    `loose` says that its paragraphs do not end where thoughts do (see `paragraphs`).
    """

    transcript: Transcript
    fixed: FixedText
    passages: tuple[Passage, ...]
    loose: bool = False

    def context(self, passage: Passage) -> str:
        """The end of what was said before the passage, from a sentence start where there is one."""
        before = self.fixed.text[max(0, passage.start - CONTEXT_CHARACTERS) : passage.start].strip()
        cut = re.search(r"[。！？!?]\s*(?=\S)|\.\s+(?=\S)", before)
        return before[cut.end() :] if cut and passage.start > CONTEXT_CHARACTERS else before

    def excerpt(self, passage: Passage) -> Work:
        """The passage with only what its rewriting needs to see: small enough to be sent elsewhere for every passage.

        `placed` brings the outcomes back to where the passage stands here.
        """
        first = max(0, passage.start - CONTEXT_CHARACTERS - 1)
        text = self.fixed.text[first : passage.end]
        alone = passage.model_copy(update={"start": passage.start - first, "end": passage.end - first})
        transcript = Transcript(name=self.transcript.name, format="txt", text=text, segments=())
        return Work(transcript, fixes.FixedText(source=text, text=text), (alone,), self.loose)

    def placed(self, passage: Passage, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes of the same text, wherever it stood, as outcomes of this passage."""
        if not outcomes:
            return []
        shift = core_of(passage.start, passage.text)[0] - outcomes[0].fixed[0]
        moved = []
        for outcome in outcomes:
            fixed = (outcome.fixed[0] + shift, outcome.fixed[1] + shift)
            start, end = self.fixed.to_source_span(*fixed)
            moved.append(
                outcome.model_copy(update={"index": passage.index, "fixed": fixed, "start": start, "end": end})
            )
        return moved


def prepare(
    transcript: Transcript, *, policy: str, language: str, glossary: Glossary, counter: TokenCounter, budget: int
) -> Work:
    """Fix what the policy lets go in the transcript's text, and split it into passages of at most `budget` tokens."""
    fixed = fixing(transcript, policy=policy, language=language, glossary=glossary)(transcript.text)
    return in_passages(transcript, fixed, counter=counter, budget=budget)


def fixing(transcript: Transcript, *, policy: str, language: str, glossary: Glossary) -> Callable[[str], FixedText]:
    """What fixes the transcript's text; it can be pickled."""
    return partial(
        fixes.fix,
        lang=language,
        style=policy,
        hits=glossary.certain_hits(transcript.text),
        protect=_outside(transcript),
        join_lines=not transcript.timed,
    )


def in_passages(transcript: Transcript, fixed: FixedText, *, counter: TokenCounter, budget: int) -> Work:
    """The fixed text split into passages."""
    spans = [(fixed.to_fixed(s.start), fixed.to_fixed(s.end), s.speaker) for s in transcript.segments]
    where = regions(fixed.text, [span for span in spans if span[0] < span[1]])
    passages = tuple(split(fixed.text, budget=budget, counter=counter, regions=where))
    return Work(transcript, fixed, passages, loose=not transcript.timed and are_loose(fixed.text))


def _outside(transcript: Transcript) -> list[tuple[int, int]]:
    """The spans between segments that hold something: headings, code blocks and the like, which nobody may touch."""
    edges = [0, *(x for s in transcript.segments for x in (s.start, s.end)), len(transcript.text)]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [(a, b) for a, b in gaps if _NOT_SPACE.search(transcript.text, a, b)]


def core_of(start: int, text: str) -> tuple[int, str]:
    """A passage's text without the white space at its ends, and where it begins."""
    core = text.strip()
    return start + (text.index(core) if core else 0), core
