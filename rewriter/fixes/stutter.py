"""Stutters: a function word said twice without meaning anything by it.

Only words of a closed class count, because doubling means something elsewhere in Chinese (看看, 天天, 研究研究, 好好好,
一个一个) and in English (had had, that that, is is, very very, bye bye). Everything else is left to the model.
"""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit, apart

# Pronouns, demonstratives and connectives that no construction doubles. Left out on purpose: 谢谢, 可以, 是, 对, 的, 了
# (answers, emphasis, or the end of one word and the start of the next).
_ZH = (
    "我们 你们 他们 她们 它们 咱们 大家 这个 那个 这些 那些 这样 那样 "
    "就是 因为 所以 但是 如果 然后 而且 或者 虽然 比如 为了 关于 通过"
)
_ZH_SINGLE = "我 你 他 她 它 这 那"
_EN = (
    "the an we they it you to of in and but if for with this these those or from because our your their at by be "
    "when which what where how"
)

_CHINESE = re.compile(rf"(?<![自本])({'|'.join([*_ZH.split(), *_ZH_SINGLE.split()])})(?: ?\1)+(?![\u4e00-\u9fff]?\1)")
_ENGLISH = re.compile(rf"\b({'|'.join(_EN.split())})(?:,? \1\b)+(?![-'’])", re.IGNORECASE)
_LETTER = re.compile(r"(?<![\w'’.])(I|a)(?:,? \1\b)+(?![-'’.])")


def find(text: str, lang: str) -> list[Edit]:
    """Repeats behind the first occurrence, removed."""
    patterns = [_CHINESE] if lang == "zh" else []
    if lang in {"en", "zh"}:
        patterns += [_ENGLISH, _LETTER]
    edits = [Edit("stutter", m.end(1), m.end(), "") for p in patterns for m in p.finditer(text)]
    return apart(edits)
