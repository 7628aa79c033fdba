"""Drafts that are wrong as a whole or at their ends: refusals, prefaces, echoes of the prompt, another language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewriter.checks.find import Gap
from rewriter.checks.normalise import SIMPLIFIED, TRADITIONAL, Tokens

# Share of Chinese characters from which a text is Chinese, and below which it is not.
MOSTLY_HAN = 0.5
HARDLY_HAN = 0.1
_HAN = re.compile("[\u3400-\ufaff\U00020000-\U0003ffff]+")
# Different characters that only one script has, from which a text is in that script.
SCRIPT = 3
# Code points of a text looked at for its script.
SAMPLE = 300
# Likeness in percent (best window, Indel) from which the source says the same.
NEARLY = 80.0
# Content characters that a gap must have put in for its words to be looked at.
TOLD = 0.5
# Tokens below which the language of a text cannot be told.
ENOUGH_TOKENS = 8
# Share of the draft's tokens found in the source from which both are in one language.
SAME_LANGUAGE = 0.3

# Each pattern is a way writing assistants talk about their work. They count only where the source does not say the
# same, so a talk about rewriting is safe.
REFUSAL = re.compile(
    r"(?:很?抱歉|对不起|不好意思|對不起)[，,！。 ]{0,2}(?:但)?"
    r"(?:我|作为|由于|这|该|無法|无法)[^\n]{0,20}(?:不能|无法|無法|没办法|不可以|AI|人工智能)"
    r"|作为一?[个名]?(?:人工智能|AI|语言模型)"
    r"|我(?:只)?是一?个?AI|请(?:您)?提供[^\n。]{0,12}(?:文本|文字|内容|原文|转写)"
    r"|\bI(?:'m| am) (?:very |so )?sorry,? (?:but )?(?:I|as)\b[^\n]{0,20}(?:can'?t|cannot|unable|not able|won't)"
    r"|\bI(?:'m| am) unable to (?:rewrite|assist|help|process|comply|edit)"
    r"|\b[Aa]s an AI\b"
    r"|\b[Pp]lease provide (?:me with )?(?:the|a|your|some) [^\n.]{0,20}(?:transcript|text|passage|content)"
    r"|\bI (?:can'?t|cannot|won't) (?:help|assist|comply|rewrite|process|fulfil)"
)
_WORK = "改写|润色|整理|修改|校对|修正|优化|处理|书面|纠正|改寫|潤飾|編輯|编辑"
_WORK_EN = (
    "transcript|rewrit|rewrote|cleaned|clean-up|edited|polished|revised|version|correct(?:ed|ion)|filler|proofread"
)
PREFACE = re.compile(
    rf"^\W*(?:{_WORK_EN})\w*(?: \w+){{0,3}} ?[:：]\s*$"
    rf"|^\W*[【\[(（*#]*(?:{_WORK})[^\n。，]{{0,8}}[】\])）：:*]"
    rf"|^\W*(?:好的|当然|没问题|以下|这是|下面|這是|希望|如果|如需|请|注|說明|说明|已)[^\n]{{0,20}}(?:{_WORK})"
    rf"|(?:{_WORK})(?:后|後|结果|好|完|过)[^\n]{{0,8}}(?:如下|文本|版本|内容|：|:|】|\]|\))"
    r"|^\W*(?:sure|certainly|of course|absolutely|okay)[!,. ]{1,3}(?:here|i|below|let)"
    rf"|^\W*here(?:'s| is| are)[^\n]{{0,40}}(?:{_WORK_EN})|\b(?:note|notes|disclaimer)\b ?[:：][^\n]*(?:{_WORK_EN}|i )"
    r"|let me know if|hope this helps|feel free to|i hope this|is there anything else|would you like me to"
    r"|希望[^\n]{0,12}(?:帮助|满意|有用|幫助)|如(?:果)?(?:有|您|你|需)[^\n]{0,16}(?:告诉我|随时|告知|联系|修改|调整|需要|問題|问题)"
    r"|(?:我|已)(?:已经|已)?(?:对|将|把)?[^\n]{0,12}(?:去除|删除|删掉|修正|保留)了?[^\n]{0,12}(?:语气词|口语|错别字|口头|原意)"
    r"|^\W*(?:注|说明|備註|备注)[：:]",
    re.IGNORECASE | re.MULTILINE,
)
ECHO = re.compile(
    r"<think>|</think>|<\|im_|^```|```$|\[/?INST\]"
    r"|###? ?(?:Instruction|Input|Output|Rewrite|原文|改写)|<(?:/)?(?:transcript|passage|text|source)>",
    re.IGNORECASE | re.MULTILINE,
)
# Code points looked at on either end of the draft for a preface or a closing remark.
EDGE = 160


@dataclass(frozen=True, slots=True)
class Sign:
    """A wrong shape, with the span of the draft (code points) that shows it."""

    kind: str
    start: int
    end: int


def signs(source: Tokens, draft: Tokens, gaps: Sequence[Gap]) -> list[Sign]:
    """Every wrong shape of the draft."""
    found = [*_wordings(source.text, draft, gaps), *_echo(source.text, draft.text), *_language(source, draft, gaps)]
    return [*found, Sign("script", 0, len(draft.text))] if other_script(source.text, draft.text) else found


def other_script(source: str, draft: str) -> bool:
    """Is one text in traditional characters and the other in simplified ones?"""
    if TRADITIONAL.isdisjoint(source[:SAMPLE]) and TRADITIONAL.isdisjoint(draft[:SAMPLE]):
        return False
    (was_old, was_new), (is_old, is_new) = _script(source), _script(draft)
    return (was_old and is_new) or (was_new and is_old)


def _script(text: str) -> tuple[bool, bool]:
    """Is a text in traditional characters, is it in simplified ones?"""
    signs = set(text[:SAMPLE])
    old, new = len(TRADITIONAL & signs), len(SIMPLIFIED & signs)
    return old >= SCRIPT and old > new, new >= SCRIPT and new > old


def _wordings(source: str, draft: Tokens, gaps: Sequence[Gap]) -> list[Sign]:
    """Refusals and prefaces at the ends of the draft, where it says something that the source does not."""
    text, size = draft.text, len(draft.text)
    zones = []
    # A token is at least one code point, so that a zone holds at most EDGE of them.
    if any(g.new >= TOLD and g.c < EDGE for g in gaps):
        zones.append((0, text[:EDGE]))
    if size > EDGE and any(g.new >= TOLD and g.d > len(draft) - EDGE for g in gaps):
        zones.append((size - EDGE, text[size - EDGE :]))
    found = []
    for kind, pattern in (("refusal", REFUSAL), ("preface", PREFACE)):
        for offset, part in zones:
            m = pattern.search(part)
            if m and not _said(m[0], source):
                line = part.find("\n", m.end())
                found.append(Sign(kind, offset + m.start(), offset + (len(part) if line < 0 else line)))
                break
    return found


def _echo(source: str, draft: str) -> list[Sign]:
    m = ECHO.search(draft) if any(c in draft for c in "<`[#") else None
    return [Sign("echo", m.start(), m.end())] if m and m[0] not in source else []


def _said(words: str, source: str) -> bool:
    """Does the source speak that way itself, however it is punctuated and if a letter or two were misheard?"""
    from rapidfuzz import fuzz  # late: few drafts speak of their work

    words, source = _letters(words), _letters(source)
    return words in source or (len(source) >= len(words) and fuzz.partial_ratio(words, source) >= NEARLY)


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _language(source: Tokens, draft: Tokens, gaps: Sequence[Gap]) -> list[Sign]:
    same = len(draft) - sum(g.d - g.c for g in gaps)
    if min(len(source), len(draft)) < ENOUGH_TOKENS or same > SAME_LANGUAGE * len(draft):
        return []
    here, there = _han_share(source), _han_share(draft)
    if (here >= MOSTLY_HAN and there <= HARDLY_HAN) or (here <= HARDLY_HAN and there >= MOSTLY_HAN):
        return [Sign("language", 0, len(draft.text))]
    return []


def _han_share(tokens: Tokens) -> float:
    return 1 - len(_HAN.sub("", tokens.code)) / len(tokens)
