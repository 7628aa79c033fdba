"""A text taken apart for comparing: content tokens, and the marks in the gaps between them.

Two texts say the same words where their tokens are equal, letter by letter: no NFKC, which turns 10² into 102, and no
case folding, which joins US and us. Only full-width forms of ASCII are read as ASCII, one character for one. What
pauses and closes (commas, stops, quotes, white space) stands in the gaps, so that a rule can look at it by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, chain

# U+FF01 to U+FF5E are ASCII in full width; one character stays one, so offsets stay. A list, for each code point below
# 65,536: twice as fast to translate by as a dictionary, in which most characters are missed.
WIDTH = list(range(0x10000))
WIDTH[0xFF01:0xFF5F] = range(0x21, 0x7F)
WIDTH[0x3000], WIDTH[0x2019], WIDTH[0x2018] = 0x20, 0x27, 0x27

# Scripts written without spaces: each character is a token.
_SINGLE = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
# Numerals that \w takes for letters or digits but that are no part of a number beside them: ², ½, ①, ㈠.
_ODD = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209c\u2150-\u218b\u2460-\u24ff\u2776-\u2793\u3192-\u319f\u3220-\u32ff"
_LETTER = rf"(?:(?![{_SINGLE}{_ODD}_])\w)"
# Words of other scripts and numbers, with what joins their parts: can't, gpt-4.1, 10:30, 1,000, and/or, a_b.
_JOINED = rf"(?:(?:['._/@+#&-]|(?<=\d)[,:](?=\d)){_LETTER}+)*"
_WORD = rf"\.?(?<![\w.]\.)\d{_LETTER}*{_JOINED}|{_LETTER}+{_JOINED}"
# Marks of pause, stop and quotation, in one spelling each. Everything else that is no space is content: % - + ² $ °.
MARKS = {
    ",": ",", "，": ",", "。": ".", "．": ".", ".": ".", "｡": ".", "!": "!", "?": "?", ";": ";", ":": ":", "、": "、",
    "…": "…", "—": "—", "–": "—", '"': '"', "“": '"', "”": '"', "'": "'", "(": "(", ")": ")", "[": "[", "]": "]",
    "「": '"', "」": '"', "『": '"', "』": '"', "《": "《", "》": "》", "【": "[", "】": "]",
}  # fmt: skip
PAUSES = frozenset(",;:、…—")
STOPS = frozenset(".!")
_MARK = re.escape("".join(MARKS))
# A run of such characters, or one token of another kind; `split` gives, by turns, what stands before, the run or None,
# the token or None.
_TOKEN = re.compile(rf"([{_SINGLE}]+)|({_WORD}|[^\s{_MARK}])")
_IS_SINGLE = re.compile(rf"[{_SINGLE}]")
_RUNS = ((re.compile(r"\.{2,}|…+"), "…"), (re.compile(r"—{2,}"), "—"))


@dataclass(frozen=True)
class Words:
    """A text's tokens and the marks between them.

    `gaps[k]` is what stands before token k, `gaps[len(tokens)]` what stands after the last: marks in one spelling,
    without white space; a lone space beside a character of a script without spaces is " ", since it may be a pause.
    """

    text: str
    tokens: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """Take a text apart."""
        tokens, gaps = _parts(text)
        for k, raw in enumerate(gaps):
            if raw:
                gaps[k] = _marks(raw) or (" " if 0 < k < len(tokens) and _pausing(tokens[k - 1], tokens[k]) else "")
        return cls(text, tuple(tokens), tuple(gaps))

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Where each token stands in the text (code points)."""
        tokens, gaps = _parts(self.text)
        edges = [0, *accumulate(map(len, chain(*zip(gaps, (*tokens, ""), strict=True))))]
        return tuple(zip(edges[1:-2:2], edges[2:-1:2], strict=True))

    def raw_gap(self, k: int) -> str:
        """The text of a gap."""
        start = self.spans[k - 1][1] if k else 0
        return self.text[start : self.spans[k][0] if k < len(self.spans) else len(self.text)]

    def raw(self, start: int, end: int) -> str:
        """The text of tokens [start, end), gaps between them included; at least one token."""
        return self.text[self.spans[start][0] : self.spans[end - 1][1]]

    @cached_property
    def folded(self) -> tuple[str, ...]:
        """The tokens in lower case: for finding places, never for deciding that two texts say the same."""
        return tuple(t.lower() for t in self.tokens)

    def strict(self) -> str:
        """What is left when only width, white space and the spelling of marks are let go."""
        parts = [""] * (2 * len(self.gaps))
        parts[::2], parts[1::2] = self.gaps, (*self.tokens, "")
        return "\0".join(parts)

    def content(self) -> str:
        """The tokens alone."""
        return "\0".join(self.tokens)


def _parts(text: str) -> tuple[list[str], list[str]]:
    """The tokens, and what stands before each and behind the last; together the text but for its width."""
    pieces = _TOKEN.split(text.translate(WIDTH))
    tokens: list[str] = []
    gaps: list[str] = []
    for before, run, word in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
        gaps.append(before)
        if run:
            tokens += run
            gaps += [""] * (len(run) - 1)
        else:
            tokens.append(word)
    return tokens, [*gaps, pieces[-1]]


def _pausing(before: str, after: str) -> bool:
    return bool(_IS_SINGLE.match(before) and _IS_SINGLE.match(after))


@lru_cache(maxsize=4096)
def _marks(raw: str) -> str:
    """The marks of a gap, in one spelling and without white space."""
    marks = "".join(MARKS.get(c, c) for c in raw if not c.isspace())
    for pattern, one in _RUNS:
        marks = pattern.sub(one, marks)
    return marks
