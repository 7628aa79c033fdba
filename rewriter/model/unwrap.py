"""Take off what models put around a rewrite, where it is certain that it is not part of it.

What is not certain stays: the checker sees it as invented text and rejects the draft, which costs a call. Taking off a
sentence that was said would cost the sentence.
"""

from __future__ import annotations

import re

# Reasoning of thinking models, closed, at the very start of the answer. One that was never closed is left: the answer
# stopped inside it and holds no rewrite.
_THINK = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
# Some chat templates put the opening tag into the prompt, so that an answer only has the closing one.
_THINK_TAIL = re.compile(r"\A(?:(?!<think).)*?</think>", re.DOTALL | re.IGNORECASE)

# One code fence around everything; a fence that opens and closes again inside is text.
_FENCE = re.compile(r"\A\s*(`{3,}|~{3,})[ \t]*[\w+-]*[ \t]*\n(.*?)\n?[ \t]*\1\s*\Z", re.DOTALL)

# The marks that prompting puts around a passage, as a line or at an edge, and how models misquote them.
_MARKER = re.compile(r"<<<\s*/?\s*[0-9a-f]{8}\s*>>>|<<\s*/?\s*[0-9a-f]{8}\s*>>|</?[0-9a-f]{8}>")

# A first line that announces the rewrite and ends in a colon. It must name the act (修改, 整理, rewritten, corrected)
# and the thing (文本, 段落, transcript, text) or point at it (以下, 如下, here is), so that a talk's own "大家看下面："
# or "Here is the plan:" is none.
_ACT_ZH = r"(?:修改|修正|修订|改写|重写|整理|润色|校对|校正|纠正|更正|清理|优化|处理|转写|改正)"
_THING_ZH = r"(?:文本|文字|文稿|稿子|内容|段落|版本|结果|原文|句子|转录|转写|逐字稿|字幕|文章)"
_PREFACES = (
    re.compile(
        rf"\A(?:(?:好的?|当然|当然可以|没问题|明白了?|可以|收到)[，,。.！!]?\s*)?"
        rf"(?:(?:以下|下面|这里|这)(?:就)?(?:是|为)?)?(?:您|你|我)?(?:为您|为你|给您|给你|对)?(?:经过?)?(?:我)?"
        rf"{_ACT_ZH}(?:之?后|过|完|好)?(?:的|得到的)?{_THING_ZH}?(?:如下|在下面)?[：:]\s*"
    ),
    re.compile(rf"\A(?:以下|下面)(?:就)?(?:是|为)?{_ACT_ZH}?(?:之?后|过)?的?{_THING_ZH}[：:]\s*"),
    re.compile(
        r"\A(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[,.!]?\s*)?"
        r"(?:here(?:'s|’s| is| are)|below is|this is|the following is)\s+(?:the|your|a|an|my)\s+"
        r"(?:[\w-]+\s+){0,3}?"
        r"(?:corrected|rewritten|cleaned(?:[- ]up)?|edited|revised|polished|improved|clean|formatted|fixed|rewrite)\b"
        r"[^\n:.!?]{0,60}:\s*",
        re.IGNORECASE,
    ),
    re.compile(
        r"\A(?:the\s+)?(?:corrected|rewritten|cleaned(?:[- ]up)?|edited|revised)\s+"
        r"(?:transcript|text|passage|version|paragraph)(?:\s+is)?(?:\s+as follows)?\s*:\s*",
        re.IGNORECASE,
    ),
)

_QUOTES = {"“": "”", '"': '"', "「": "」", "『": "』", "‘": "’", "'": "'", "«": "»"}

# Layers one answer can have: think block, preface, fence, markers, quotes, in any order. More are not seen in practice.
_LAYERS = 6


def unwrap(text: str, passage: str) -> str:
    """The rewrite inside a model's answer, without white space at its ends.

    Taken off are a closed think block at the start, one code fence around the whole, passage markers, a stock preface
    line, and quotes around the whole; each only where `passage` does not begin so itself.
    """
    draft, source = text.strip(), passage.strip()
    for _ in range(_LAYERS):
        before = draft
        for take_off in (_think, _markers, _fence, _preface, _quotes):
            draft = take_off(draft, source).strip()
        if draft == before:
            break
    return draft


# Letters of what was said before that a draft must begin with before they count as taken from there, and how like it
# they must be (0 to 100). A speaker who takes up the last words again says fewer; a model that rewrites the context too
# says all of its last sentence, lightly edited.
_ECHOED, _ECHO_ALIKE = 8, 80.0


def without_context(draft: str, context: str, passage: str) -> str:
    """The draft without the rewrite of its context before it; the draft as it is where it does not begin so.

    `context` is what the model was shown of the text before the passage. The place where the passage begins is found by
    alignment, so that an edited copy is found too; whether what is left says everything is for the checker to see.
    """
    from rapidfuzz.fuzz import partial_ratio

    from rewriter.formats.cues import points

    cut = points(context + passage, draft, [len(context)])[0] if context else 0
    echo = _letters(draft[:cut])
    if len(echo) < _ECHOED or partial_ratio(echo, _letters(context)) < _ECHO_ALIKE:
        return draft
    return draft[cut:].lstrip()


def _think(draft: str, source: str) -> str:
    if "think>" in source.lower():
        return draft
    bare = _THINK.sub("", draft, count=1)
    return _THINK_TAIL.sub("", bare, count=1) if bare == draft else bare


def _fence(draft: str, source: str) -> str:
    match = _FENCE.match(draft)
    if match is None or match[1] in match[2] or source.startswith(("```", "~~~")):
        return draft
    return match[2]


def _markers(draft: str, source: str) -> str:
    """Markers are made so that they cannot occur in their passage: wherever one stands, it is not text."""
    return draft if _MARKER.search(source) else _MARKER.sub("", draft)


def _preface(draft: str, source: str) -> str:
    """A preface that the speaker could not have said: the passage has no such words at its own start.

    Something must follow it, or the answer is a preface and nothing else, which is for the checker to see.
    """
    for pattern in _PREFACES:
        match = pattern.match(draft)
        if match and draft[match.end() :].strip() and not _begins_alike(source, match[0]) and not pattern.match(source):
            return draft[match.end() :]
    return draft


def _begins_alike(source: str, preface: str) -> bool:
    """Whether the passage begins with these words, punctuation and case aside."""
    said, words = _letters(source), _letters(preface)
    return words in said[: 2 * len(words)]


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _quotes(draft: str, source: str) -> str:
    """Quotes around the whole: the only pair of their kind, in an answer to a passage that opens with no quote."""
    closing = _QUOTES.get(draft[:1])
    if closing is None or len(draft) < 2 or draft[-1] != closing or source[:1] in _QUOTES:
        return draft
    inner = draft[1:-1]
    return draft if draft[0] in inner or closing in inner else inner
