"""Paragraphs: in which of them a model is shown a text, and where the rewrite has them.

Recognisers and the tools behind them break text by time or length, in the middle of thoughts, and some end each such
piece with a full stop. A weak model takes a blank line for the beginning of its task and leaves out what stands before
it; any model takes the stop for the end of a sentence.
"""

from __future__ import annotations

import re

from rewriter.formats.cues import CLAUSE_END, CLOSING, SENTENCE_END, points

# A blank line, however many and whatever white space is in it: a paragraph ends.
_BREAK = re.compile(r"[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))+[ \t]*")
# What begins a paragraph that is more than the next sentence: a heading, an item, a quotation, a table, a speaker.
_OWN_LINE = re.compile(r"\s*(?:[#>|*+\-•]|\d{1,3}[.)、]|[^\s，。,.!?！？]{1,12}(?: [^\s，。,.!?！？]{1,12})?[:：])")
_MARKS = SENTENCE_END | CLAUSE_END | CLOSING
_NOT_SPACE = re.compile(r"\S")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")

# Lines that say who speaks, or when, and nothing else: "Speaker 1: 00:02:07", "[00:12] 主持人", "发言人 2：". A name is
# one where a time stands with it, or where it is what tools call speakers they do not know.
_TIME = (
    r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?[ \t]*)?"
    r"[\[(（【]?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?[\])）】]?"
)
_TIMES = rf"{_TIME}(?:[ \t]*(?:-->|[-–~])?[ \t]*{_TIME})?"
_NAME = r"[^\W\d_][^\n\r\d:：，。！？,!?;；]{0,30}\d{0,3}"
_CALLED = (
    *("speaker", "host", "guest", "moderator", "interviewer", "interviewee"),
    *("发言人", "说话人", "主持人", "嘉宾", "记者"),
)
_UNKNOWN = rf"(?i:{'|'.join(_CALLED)})[ _]?\d{{0,3}}"
_WHO = re.compile(
    rf"(?:{_TIMES}(?:[ \t]*[-–]?[ \t]*{_NAME})?|{_NAME}[ \t]*[:：]?[ \t]*{_TIMES}|{_UNKNOWN})[ \t]*[:：]?"
)
# Code points of such a line at most: a name of up to 30, two times with dates, and what may stand between and around.
# Longer lines are speech, and need not be looked at.
_LONGEST_LABEL = 90
_LINE = re.compile(r"[^\s](?:[^\r\n]*[^\s])?")

# Of so many paragraphs at least can be told how they were made, and this share of them must be as expected.
FEWEST_PARAGRAPHS, NEARLY_ALL = 8, 0.95


def are_loose(text: str) -> bool:
    """Whether paragraphs were broken by length: nearly each ends in a full stop and nearly none has one inside.

    Then neither the stops nor the breaks say where a thought ends.
    """
    paragraphs = [p for p in map(str.strip, _BREAK.split(text)) if p]
    if len(paragraphs) < FEWEST_PARAGRAPHS:
        return False
    made = sum(p.endswith("。") and p.count("。") == 1 and len(p) > 1 for p in paragraphs)
    return made >= NEARLY_ALL * len(paragraphs)


def shown(text: str, *, loose: bool) -> str:
    """A text as a model is shown it: paragraphs of plain speech in one, loose ones without the stops between them.

    Where no mark stands before a break, the break is all that parts two words, and stays. Lines that say who speaks
    are left out: a weak model drops them or takes them for the end of its task; `with_paragraphs` puts them back.
    """
    text = without_labels(text)
    parts, start = [], 0
    for found in _BREAK.finditer(text):
        before, after = text[start : found.start()], text[found.end() :]
        if before[-1:] not in _MARKS or not after or _OWN_LINE.match(before) or _OWN_LINE.match(after):
            parts.append(text[start : found.end()])
        elif loose and before.endswith("。"):
            parts.append(f"{before[:-1]}，")
        else:
            parts.append(before if _WIDE.match(before[-1]) else f"{before} ")
        start = found.end()
    return "".join([*parts, text[start:]])


def without_labels(text: str) -> str:
    """A text without the lines that say who speaks, unless there is nothing else in it."""
    bare, start = [], 0
    for low, high in _labels(text):
        bare += [text[start:low], "\n" if low and high < len(text) else ""]
        start = high
    shorter = "".join([*bare, text[start:]])
    return shorter if shorter.strip() else text


def _labels(text: str) -> list[tuple[int, int]]:
    """The lines that say who speaks, each run of them with all white space around it."""
    found: list[tuple[int, int]] = []
    if ":" not in text and not _calls_somebody(text.lower()):  # most texts: told in a tenth of the time
        return found
    end = 0  # of the last line with something in it
    for line in _LINE.finditer(text):
        low, high = line.span()
        if high - low <= _LONGEST_LABEL and _WHO.fullmatch(text, low, high):
            behind = _NOT_SPACE.search(text, high)
            high = behind.start() if behind else len(text)
            if found and found[-1][1] == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((end, high))
        end = line.end()
    return found


def _calls_somebody(text: str) -> bool:
    return any(name in text for name in _CALLED)


def with_labels(draft: str, source: str) -> str:
    """The draft with the source's lines that say who speaks, which no model was shown.

    A turn begins where alignment finds it and a sentence or a line ends there in the draft; where that is not so, its
    line is left out, and the guard will miss it.
    """
    labels = _labels(source)
    if not labels or _labels(draft):
        return draft
    bare, bounds, start = "", [], 0
    for low, high in labels:
        bare += source[start:low]
        bounds.append(len(bare))
        bare, start = f"{bare}\n", high
    places = points(f"{bare}{source[start:]}", draft, bounds)
    for (low, high), at in reversed(list(zip(labels, places, strict=True))):
        before, after = draft[:at].rstrip(), draft[at:].lstrip()
        between = draft[len(before) : len(draft) - len(after)]
        if not before or not after or before[-1] in _MARKS or "\n" in between:
            draft = f"{before}{source[low:high]}{after}"
    return draft


def with_paragraphs(draft: str, source: str) -> str:
    """The draft with the source's paragraph breaks, where a model ran two paragraphs together, and its `with_labels`.

    Only breaks behind a sentence's end count, and only where a sentence ends in the draft too: recognisers break lines
    in the middle of sentences, and joining those is what a rewrite is for. Places are found by alignment.
    """
    draft = with_labels(draft, source)
    breaks = [m for m in _BREAK.finditer(source) if source[: m.start()].rstrip()[-1:] in SENTENCE_END]
    if len(breaks) <= sum(1 for _ in _BREAK.finditer(draft)):
        return draft
    places = points(source, draft, [m.end() for m in breaks]) if breaks else []
    for found, at in reversed(list(zip(breaks, places, strict=True))):
        before, after = draft[:at].rstrip(), draft[at:].lstrip()
        between = draft[len(before) : len(draft) - len(after)]
        if before[-1:] in SENTENCE_END and after and "\n" not in between:
            draft = f"{before}{found[0]}{after}"
    return draft
