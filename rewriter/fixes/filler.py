"""Fillers: sounds of hesitation that carry nothing, with the comma that belongs to them.

Only sounds that nobody means anything by. Words that hesitate in one sentence and mean something in the next (那个,
就是, 啊, 哦, like, you know, hmm, well) are left to the model, and so is "er", which often says that what comes next
corrects what was said. A line that holds nothing but a filler stays too: it is somebody's turn or a cue, and may be an
answer.
"""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit, apart

# A run of one sound counts as one filler: 呃呃, or 嗯，嗯，嗯.
_CHINESE = re.compile(r"([呃嗯额])\1*(?:[，、] ?\1+)*")
# Um begins a sentence; UM abbreviates.
_ENGLISH = re.compile(r"[Uu](?<!\w[Uu])(?:h+|m+|hm+)\b")

# 呃 hesitates everywhere but in 打呃 and 呃逆 (hiccup).
_HICCUP = ("打", "逆")
# 嗯 also says yes. It hesitates inside a line after a comma or a full stop and before more text, but not after a
# question and not before words that go on to agree, answer or thank.
_ANSWERS = re.compile(r"[，、]? ?(?:对|是|好|行|可以|没|不|有|明白|知道|了解|懂|谢|我知道|我明白|ok|OK|Ok)")
_BEFORE_HESITATION = frozenset("，、。！；：…,.!;:呃额—")
# uh-huh, uh-uh and uh-oh (also spaced) say yes, no and beware; 10 um is a length; e-r, um's are no sounds.
_NOT_A_SOUND = re.compile(r"[-'’]|[ -](?:huh|uh|oh|hum|hm+)\b", re.IGNORECASE)
_PART_OF_ANOTHER = re.compile(r"(?:\d ?|[-'’]|\b[Uu][hm]+ )\Z")

_COMMAS = frozenset("，、,")
_ENDERS = frozenset("。！？!?.…；;")
_OPENERS, _CLOSERS = frozenset("（(「『“\"'[【《"), frozenset("）)」』”\"']】》")
_REST = re.compile(r"[\W_]*")


def find(text: str, lang: str) -> list[Edit]:
    """Fillers of the language; uh and um also in Chinese text."""
    spans = [m.span() for m in _CHINESE.finditer(text) if _hesitates(text, m)] if lang == "zh" else []
    if lang in {"zh", "en"}:
        spans += [m.span() for m in _ENGLISH.finditer(text) if _is_sound(text, *m.span())]
    return apart([e for span in spans if (e := _removal(text, *span))])


def _hesitates(text: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    left, right = text[max(0, start - 1) : start], text[end : end + 1]
    if match[0][0] == "呃":
        return left != _HICCUP[0] and right != _HICCUP[1]
    if left == " ":
        left = text[max(0, start - 2) : start - 1]
    if match[0][0] == "额":  # also a noun (限额, 额度): only between two commas
        return left in _BEFORE_HESITATION and right in _COMMAS
    after = text[end + 1 : end + 2] if right in _COMMAS else right
    begins = left in _BEFORE_HESITATION or (left in {"", "\n"} and right not in _COMMAS)
    return begins and after.isalnum() and not _ANSWERS.match(text, end)


def _is_sound(text: str, start: int, end: int) -> bool:
    return not _NOT_A_SOUND.match(text, end) and not _PART_OF_ANOTHER.search(text[max(0, start - 6) : start])


def _removal(text: str, start: int, end: int) -> Edit | None:
    """The filler taken out so that no comma doubles, none begins or ends a sentence, and no space is left over."""
    gap = start
    while gap and text[gap - 1] in " \t":
        gap -= 1
    left, right = text[gap - 1 : gap] or "\n", text[end : end + 1] or "\n"
    if (left in "\r\n" and _is_whole_line(text, end)) or (left in _OPENERS and right in _CLOSERS):
        return None
    within = left.isalnum()  # behind a word, to which what follows the filler belongs
    if right in _COMMAS:
        return Edit("filler", gap, end, "") if within else _cut(text, start, end + 1)
    if right in _ENDERS or right in "\r\n":
        if left in _COMMAS:
            return Edit("filler", gap - 1, end, "")
        return Edit("filler", gap, end, "") if within or right in "\r\n" else _cut(text, start, _past_enders(text, end))
    return Edit("filler", start, end, "") if within and gap == start else _cut(text, start, end)


def _cut(text: str, start: int, end: int) -> Edit:
    """text[start:end] and the space behind it taken out; the next word takes over the capital that began a sentence."""
    end += text[end : end + 1] == " "
    if text[start].isupper() and text[end : end + 1].islower():
        return Edit("filler", start, end + 1, text[end].upper())
    return Edit("filler", start, end, "")


def _past_enders(text: str, end: int) -> int:
    while end < len(text) and text[end] in _ENDERS:
        end += 1
    return end


def _is_whole_line(text: str, end: int) -> bool:
    rest = _REST.match(text, end)
    return rest is None or rest.end() == len(text) or "\n" in rest[0]
