"""Fillers: sounds of hesitation that carry nothing, with the comma that belongs to them.

Words that hesitate in one sentence and mean something in the next (那个, 就是, 啊, like, you know) are left to the
model.
"""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit, apart

# 呃 hesitates everywhere but in 打呃 and 呃逆 (hiccup).
_ZH_ANYWHERE = re.compile(r"(?<!打)呃+(?!逆)[，、,]? ?")
# 嗯 also answers: it stays alone in a turn, and before 对, 是, 好 and the like. In running text, after a comma or a
# full stop and before more text, it hesitates.
_ZH_RUNNING = re.compile(
    r"(?:(?<=[，。！？；、])|(?<=[。！？] )|^(?=嗯+[\u4e00-\u9fff]))嗯+[，、]? ?"
    r"(?=[\w])(?!对|是|好|行|可以|没错|不|有|明白|嗯)",
    re.MULTILINE,
)
# 额 is also a noun (限额, 额度): only between two commas, or at a sentence's start before a comma.
_ZH_BETWEEN = re.compile(r"(?<=[，。！？、])额+[，、](?=[\u4e00-\u9fff])")
# Not uh-huh and uh-oh, which answer and warn; not UM, which abbreviates.
_EN = re.compile(r"\b[Uu](?:h+|m+|hm+)\b(?![-'’])(?:,|\.\.\.|…)? ?")
_AFTER_COMMA = re.compile(r"[,，] ?$")


def find(text: str, lang: str) -> list[Edit]:
    """Fillers of the language; English ones also in Chinese text."""
    edits = []
    if lang == "zh":
        for pattern in (_ZH_ANYWHERE, _ZH_RUNNING, _ZH_BETWEEN):
            edits += [Edit("filler", m.start(), m.end(), "") for m in pattern.finditer(text)]
    if lang in {"zh", "en"}:
        edits += [_english(text, m) for m in _EN.finditer(text)]
    return apart(edits)


def _english(text: str, match: re.Match[str]) -> Edit:
    """The filler without its comma where the sentence needs none; the next word keeps the capital it needs."""
    start, end = match.span()
    if text[end : end + 1] in {"", ".", "?", "!", "\n"} and not match[0].endswith(" "):
        before = _AFTER_COMMA.search(text, max(0, start - 2), start)
        if before:
            start = before.start()
        elif start and text[start - 1] == " ":
            start -= 1
        return Edit("filler", start, end, "")
    if match[0][0] == "U" and text[end : end + 1].islower() and (start == 0 or text[start - 1] in '\n "“'):
        return Edit("filler", start, end + 1, text[end].upper())
    return Edit("filler", start, end, "")
