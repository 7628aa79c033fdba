"""Smaller marks of a draft that says something else, most of which warn.

Facts put in, addresses lost, questions no longer asked, characters doubled.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from rewriter.checks import facts, negations, unusual
from rewriter.checks.find import FLOOR, Gap, Segment
from rewriter.checks.names import CALM, distance
from rewriter.checks.normalise import NUMBER, Tokens

# Weight of an address or a question: enough to be told, in content characters.
ADDRESS_WEIGHT, QUESTION_WEIGHT = 3.0, 2.0
# Tokens after a question's last word within which the draft may put its question mark.
ASKED_NEAR = 3
# Tokens of a run that is told when it stands twice in a row; longer ones are found as duplicates by weight.
LONGEST_DOUBLE = 4
# Code points on either side in which a number put in may have been said in pieces.
PIECES_NEAR = 15
_ADDRESS = re.compile(r"https?://[^\s<>，。、）)]+|www\.[^\s<>，。、）)]+|[\w.+-]+@[\w-]+\.[a-z.]+", re.IGNORECASE)
_ASKED = re.compile("[?？]")


def put_in(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Numbers and negations of the draft that nobody said, put in alone among Chinese.

    English ones are left: of human corrections of English recognisers and learners 3 % put in a number or a "not" that
    had been swallowed, of Chinese ones 0.2 %.
    """
    found = []
    for k, g in enumerate(gaps):
        if not any(f[0] == NUMBER or f in negations.NEGATIONS for f in draft.forms[g.c : g.d]):
            continue
        if not _among_chinese(draft, g.c, g.d) or distance(gaps, k) < CALM:
            continue
        back = [Gap(g.c, g.d, g.a, g.b)]
        for n in negations.negations(back, draft, source):
            found.append(Segment("negation", n.weight, g.a, g.b, n.a, n.b))
        if not any(f[0] == NUMBER for f in source.forms[g.a : g.b]):
            new = [n for n in facts.numbers(back, draft, source) if n.kind == "number"]
            found += [
                Segment("number", n.weight, g.a, g.b, n.a, n.b) for n in new if not _in_pieces(n, g, source, draft)
            ]
    return found


def _among_chinese(draft: Tokens, c: int, d: int) -> bool:
    return all(f >= "\u3400" for f in draft.forms[max(0, c - 1) : c] + draft.forms[d : d + 1])


def _in_pieces(n: Segment, g: Gap, source: Tokens, draft: Tokens) -> bool:
    """一百零八 for 一百零 一百零八: do all characters of the number stand about there in the source?"""
    if not len(source):
        return False
    at = source.start(min(g.a, len(source) - 1))
    said = source.text[max(0, at - PIECES_NEAR) : at + PIECES_NEAR]
    return all(c in said for c in draft.text[slice(*draft.span(n.a, n.b))])


def addresses(source: Tokens, draft: Tokens) -> list[Segment]:
    """Web and mail addresses of the source that the draft does not have: "term"."""
    if "://" not in source.text and "www." not in source.text and "@" not in source.text:
        return []
    written = draft.text.lower()
    tokens = range(len(source))
    found = []
    for m in _ADDRESS.finditer(source.text):
        if m[0].rstrip(".,;:!?").lower() not in written:
            a = bisect_right(tokens, m.start(), key=source.start) - 1
            b = bisect_right(tokens, m.end() - 1, key=source.start)
            if b > max(a, 0):
                found.append(Segment("term", ADDRESS_WEIGHT, max(a, 0), b, 0, 0))
    return found


def questions(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Questions of the source whose last word the draft has without a question mark after it."""
    asked = len(_ASKED.findall(source.text))
    if not asked or asked <= len(_ASKED.findall(draft.text)):
        return []
    return list(_unasked(gaps, source, draft))


def _unasked(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> Iterator[Segment]:
    tokens = range(len(source))
    ends = [g.b for g in gaps]
    for m in _ASKED.finditer(source.text):
        i = bisect_right(tokens, m.start(), key=source.start) - 1
        k = bisect_right(ends, i)
        if i < 0 or (k < len(gaps) and gaps[k].a <= i):
            continue  # the word itself was changed
        j = i + (gaps[k - 1].d - gaps[k - 1].b if k else 0)
        last = min(len(draft) - 1, j + ASKED_NEAR)
        end = draft.start(last) if last > j else len(draft.text)
        if not _ASKED.search(draft.text, draft.end(j), end):
            yield Segment("question", QUESTION_WEIGHT, i, i + 1, j, j + 1)


def doubled(gaps: Sequence[Gap], draft: Tokens) -> list[Segment]:
    """A Chinese run put in beside itself: a slip of the model (第五步步入库), or a word of its own (人人 for 人)."""
    found = []
    code = draft.code
    for g in gaps:
        size = g.d - g.c
        if g.a == g.b and 0 < size <= LONGEST_DOUBLE:
            for start in (g.c - size, g.c):
                run = code[max(0, start) : start + size]
                if run == code[start + size : start + 2 * size] and all("\u3400" <= c <= "\u9fff" for c in run):
                    place = "beside" if _meant(draft, start, size) else "slip"
                    found.append(Segment("duplicate", FLOOR, g.a, g.b, g.c, g.d, place))
                    break
    return found


def _meant(draft: Tokens, start: int, size: int) -> bool:
    """Do the two make a word (天天), or end one clause and begin the next?"""
    apart = draft.start(start + size) - draft.end(start + size - 1)
    return apart > 0 or unusual.usual(draft.code[start : start + 2 * size])
