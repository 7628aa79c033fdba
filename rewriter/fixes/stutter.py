"""Stutters: a function word said twice without meaning anything by it.

Only words of a closed class count, because doubling means something elsewhere in Chinese (看看, 天天, 研究研究, 好好好,
一个一个) and in English (had had, that that, is is, very very, bye bye). And only where the two cannot belong to two
clauses, which recognisers often write without a comma between: 我喜欢他他不喜欢我, "I told you you were right", "the
one I came for for you". Everything else is left to the model.
"""

from __future__ import annotations

import re

from rewriter.fixes.edits import Edit, apart

# Connectives: they end no clause, so that the second one cannot begin another. Left out on purpose: 通过 (通过通过率),
# 这样 and 那样 (要这样这样, 再那样), 可以, 是, 对 (answers and emphasis), 的, 了 (end of one word, start of the next).
_LINKS = "就是 因为 所以 但是 如果 然后 而且 或者 虽然 比如 为了"
# Demonstratives end a clause now and then (我要这个这个不要), but then the next begins with what is said of them.
_POINTERS = "这个 那个 这些 那些 这 那"
_SAID_OF = re.compile(r"[不很是也都就太没更还最好要行可能]")
# Pronouns are object of one clause and subject of the next so often that they count only where no verb stands before:
# at a clause's start, or after a word that begins one.
_PRONOUNS = "我们 你们 他们 她们 它们 咱们 大家 我 你 他 她 它"
_BEGINS = re.compile(
    r"(?:^|[^\w]|[呢啊吧嘛哈呃嗯哦诶哎唉那但且]|就是|可是|但是|还是|只是|于是|要是|所以|因为|然后|如果|虽然|既然|当然|其实|"
    r"时候?|以后|之后|之前|以前|现在|这里|那里|[今明昨]天|后来|首先|其次|接着|接下来|同时|目前|比如说?|那么)\Z"
)
_CHINESE = re.compile(rf"({'|'.join(f'{_LINKS} {_POINTERS} {_PRONOUNS}'.split())})(?: ?\1)+")
_LOOK_BACK = 3
# 自我我, 忘我我, 刹那那, 支那那: the first is the end of a word. 他他妈的, 她她奶奶: the second begins one.
_ENDS_A_WORD, _BEGINS_A_WORD = frozenset("自本忘小大刹支"), re.compile(r"[妈奶爸娘姥]|那那|这这|你你|我我")

# Articles and connectives end no clause: doubled with or without a comma they are stutters. Left out: prepositions,
# which end clauses ("what we believe in in fact"), it, you, this and these (objects), and what ("you know what what we
# do").
_ENGLISH_LINKS = "the an and but if because or our your their"
# Not with a comma, which may part two clauses ("I don't know where, where is it"; "nor do we, we just ...").
_ENGLISH_SUBJECTS = "we they when which where how"
# "nor do we we just", "so did they they said": the verb before makes the first one the end of a clause.
_INVERTED = re.compile(r"\b(?:do|does|did|are|am|was|were|will|would|can|could|should|have|has|had|than|as) \Z", re.I)
# World War I I think; type a a cell.
_NUMBERED = re.compile(
    r"\b(?:war|part|type|phase|chapter|class|grade|level|volume|act|stage|plan|vitamin|option) \Z", re.I
)
_WORDS = f"{_ENGLISH_LINKS} {_ENGLISH_SUBJECTS}".split()
# Both spellings of each word as plain letters: the engine finds those many times faster than it ignores case.
_ENGLISH = re.compile(
    rf"({'|'.join([*_WORDS, *(w.title() for w in _WORDS), 'I', 'a', 'A'])})(?:,? (?i:\1)\b)+(?![-'’.])"
)


def find(text: str, lang: str) -> list[Edit]:
    """Repeats behind the first occurrence, removed. English stutters are found in Chinese text too."""
    edits = []
    if lang == "zh":
        edits += [Edit("stutter", m.end(1), m.end(), "") for m in _CHINESE.finditer(text) if _is_chinese(text, m)]
    if lang in {"zh", "en"}:
        edits += [Edit("stutter", m.end(1), m.end(), "") for m in _ENGLISH.finditer(text) if _is_english(text, m)]
    return apart(edits)


def _is_chinese(text: str, match: re.Match[str]) -> bool:
    word, start, end = match[1], match.start(), match.end()
    before = text[max(0, start - _LOOK_BACK) : start]
    if (before and before[-1] in _ENDS_A_WORD and len(word) == 1) or _BEGINS_A_WORD.match(text, end):
        return False
    begins = bool(_BEGINS.search(before))
    if word in _PRONOUNS.split():
        return begins
    if word in _POINTERS.split():
        return begins or not _SAID_OF.match(text, end)
    # 就是就是 alone agrees.
    return word != "就是" or not begins or text[end : end + 1].isalnum()


def _is_english(text: str, match: re.Match[str]) -> bool:
    word, start = match[1], match.start()
    before = text[max(0, start - 10) : start]
    if before and (before[-1].isalnum() or before[-1] in "'’.-_"):
        return False
    repeats = match[0][len(word) :]
    if word == "I":
        return set(repeats) == {" ", "I"} and not _INVERTED.search(before) and not _NUMBERED.search(before)
    if repeats.lower() != repeats:  # The The is a name
        return False
    if word in {"a", "A"}:
        return "," not in repeats and not _NUMBERED.search(before)
    if word.lower() in _ENGLISH_LINKS.split():
        return True
    return "," not in repeats and not _INVERTED.search(before)
