"""Two texts of one content side by side: what of the one stands where the other has a name, and how that sounds."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property

from rewriter.checks.align import Op, align
from rewriter.glossary import phones, pinyin
from rewriter.glossary.fold import fold
from rewriter.glossary.latin import NATS, SOUNDS_PER_SYLLABLE, sounds
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.sound import PER_SYLLABLE

# A Chinese character, or a word of another script. Marks are no part of names here.
_WORD = r"[^\W\u3400-\u9fff\uf900-\ufaff]+"
TOKEN = re.compile(rf"{CHINESE.pattern.removesuffix('+')}|{_WORD}(?:['’.+-]{_WORD})*")
# Where a person or a model put a name, what stood there may sound this many times as far from it as what is offered
# unasked: that it was put there is evidence too.
GENEROUS = 1.5
# What is not heard: a recogniser puts a comma into a name, and a list has a dot between its parts.
MARKS = re.compile(r"[\W_]+")

Tokens = Sequence[re.Match[str]]


class Beside:
    """A source and what was made of it, aligned token by token."""

    def __init__(self, source: str, made: str) -> None:
        self._source, self._made = source, made

    @cached_property
    def source(self) -> Tokens:
        """The source's tokens."""
        return list(TOKEN.finditer(self._source))

    @cached_property
    def made(self) -> Tokens:
        """The tokens of what was made of it."""
        return list(TOKEN.finditer(self._made))

    @cached_property
    def ops(self) -> list[Op]:
        """Alternating equal and unequal stretches; a and b number tokens of the source, c and d those of the other."""
        codes: dict[str, str] = {}
        left, right = (
            "".join(codes.setdefault(fold(token[0]), chr(0x10000 + len(codes))) for token in tokens)
            for tokens in (self.source, self.made)
        )
        return align(left, right)

    def in_source(self, start: int, end: int) -> Tokens:
        """The source's tokens that stand against made[start:end], code points; all of an unequal stretch."""
        first, last = _numbers(self.made, start, end)
        if first >= last:
            return []
        begin = self.ops[bisect_right(self.ops, first, key=lambda op: op.d)]
        finish = self.ops[bisect_left(self.ops, last, key=lambda op: op.d)]
        low = begin.a + (first - begin.c if begin.equal else 0)
        return self.source[low : finish.a + (last - finish.c) if finish.equal else finish.b]

    def in_made(self, start: int, end: int) -> tuple[int, int]:
        """The code points of the other text that stand against source[start:end]; empty where nothing does."""
        first, last = _numbers(self.source, start, end)
        if first >= last:
            return 0, 0
        begin = self.ops[bisect_right(self.ops, first, key=lambda op: op.b)]
        finish = self.ops[bisect_left(self.ops, last, key=lambda op: op.b)]
        low = begin.c + (first - begin.a if begin.equal else 0)
        high = finish.c + (last - finish.a) if finish.equal else finish.d
        return (self.made[low].start(), self.made[high - 1].end()) if low < high else (0, 0)


def _numbers(tokens: Tokens, start: int, end: int) -> tuple[int, int]:
    """Numbers of the tokens that text[start:end] touches."""
    return bisect_right(tokens, start, key=lambda t: t.end()), bisect_left(tokens, end, key=lambda t: t.start())


def nearest(text: str, tokens: Tokens, name: str) -> tuple[int, int] | None:
    """The part of text's tokens that sounds most like the name, as code points; None where none does.

    A part, for a filler may have been dropped beside it.
    """
    spans = [(tokens[a].start(), tokens[b].end()) for a in range(len(tokens)) for b in range(a, len(tokens))]
    heard = [(apart, a - b, a, b) for a, b in spans if (apart := alike(text[a:b], name)) is not None]
    return min(heard)[2:] if heard else None


def alike(seen: str, name: str) -> float | None:
    """How far apart they sound, in nats for each syllable; None where nobody would mishear the one as the other."""
    limit = GENEROUS * PER_SYLLABLE
    characters, its = MARKS.sub("", seen), MARKS.sub("", name)
    if CHINESE.fullmatch(characters) and CHINESE.fullmatch(its):
        if len(characters) != len(its):
            return None
        apart = pinyin.distance(characters, pinyin.ears(its), limit * len(its))
        return None if apart is None else apart / len(its)
    left, right = phones.once(sounds(seen)), phones.once(sounds(name))
    if not left or not right:
        return None
    each = phones.apart(left, right) * NATS / len(right) * SOUNDS_PER_SYLLABLE
    return each if each <= limit else None
