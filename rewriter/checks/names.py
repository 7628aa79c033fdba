"""Words replaced by others: a name that became another name, against a word that was corrected or said better.

Words that sound alike are the same word heard differently. Of the rest only what bears a name is certain: editors
replace words by synonyms all the time, but nobody's name by somebody else's.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from rapidfuzz.distance import Levenshtein

from rewriter.checks import sound, unusual
from rewriter.checks.disfluency import EN_DISCOURSE, EN_LIGHT
from rewriter.checks.find import FLOOR, LIGHT_WEIGHT, Gap, Segment, bracketed, weight_of
from rewriter.checks.normalise import NUMBER, Tokens

# Tokens of a replaced run that can be told to be another word, of one in which Latin names are looked for, and of one
# that a name may have taken the place of.
LONGEST_CHANGE = 8
LONGEST_LATIN = 4
LONGEST_PUT_IN = 2
# Content characters that the heaviest word on either side must have.
NAMED_WEIGHT = 0.6
# From this likeness of letters or sound (Levenshtein, 0 to 1) a Latin name is another one misheard. Of human
# corrections of names 4 % lie below, of exchanged names 92 %; likeness by common letters in order, as for whole runs,
# separates worse (China and Michael: 0.5), and so does Jaro-Winkler.
NAME_LIKE = 0.3
# The same where either has more than so many letters: beside a long word a short one has a few of its letters by
# chance, and a misheard long name keeps more of its sound (three in a hundred exchanged names more are found).
LONG_NAME, LONG_NAME_LIKE = 8, 0.41
# The same where the recogniser wrote no name and may have misheard one badly.
UNNAMED_LIKE = 0.2
UNNAMED_ALIKE = 0.3
# From this likeness of sound a word that is in no list of usual words was misheard and not replaced.
UNUSUAL_ALIKE = 0.55
# The same for a word that became the same other word several times.
AGAIN_ALIKE = 0.5
# Tokens to the next gap from which a change stands alone: a recogniser's errors come in clusters.
CALM = 3
# Tokens on either side in which a word may have moved: two that changed places were both kept.
MOVED_NEAR = 30
# Characters of the shortest and the longest name in the list.
SHORTEST_NAME, LONGEST_NAME = 2, 5
# Share of the replaced run that a name must fill: an editor's new clause may hold one by chance.
NAME_SHARE = 0.5
# A certain name, and a word that is a name or an ordinary word.
NAME, DOUBTFUL = 2, 1
# What stands before the first word of a sentence.
_BEGINS = '.!?。！？\n"“'
# Content characters of the shortest institution's name, or rest of one, that is told when it is put in. Of 1,600
# Chinese human rewrites none puts one in; 内政部 and its like stand for a pronoun now and then.
SHORTEST_INSTITUTION = 5
_INSTITUTION_WORDS = (
    "研究院 研究所 公司 大学 医院 学院 银行 集团 委员会 协会 中心 基金会 出版社 实验室 办公室 学会 组织 部 局"
)
# Characters of clauses, which no such name has.
_CLAUSES = frozenset("的了是在把被这那我你他")
_INSTITUTIONS = tuple(_INSTITUTION_WORDS.split())
# What may stand in the place of a term that was left out, in content characters (一些, 那个).
STUMP = 1.5
_TITLES = "先生|女士|小姐|老师|教授|律师|医生|主任|经理|院长|部长|局长"
_TITLED = re.compile(f"[\u4e00-\u9fff](?:{_TITLES})")
_TITLE_ENDS = frozenset(title[-1] for title in _TITLES.split("|"))


@lru_cache(maxsize=1)
def _list() -> tuple[frozenset[str], frozenset[str]]:
    text = resources.files("rewriter.checks").joinpath("names.json").read_text(encoding="utf-8")
    data = json.loads(text)
    return frozenset(data["names"].split()), frozenset(data["doubtful"].split())


def grade(word: str) -> int:
    """Is a Chinese word a name? NAME, DOUBTFUL or 0."""
    names, doubtful = _list()
    if word in names:
        return NAME
    if word in doubtful:
        return DOUBTFUL
    return NAME if word[-1] in _TITLE_ENDS and _TITLED.fullmatch(word) else 0


def changed(gaps: Sequence[Gap], source: Tokens, draft: Tokens, terms: frozenset[str] = frozenset()) -> list[Segment]:
    """Runs replaced by others that neither look nor sound like them: "term" where a name became another.

    Other words replaced so are "changed", which warns in most policies: without knowing what words mean, a slip and a
    synonym look the same. `terms` are certain names: a glossary's, folded.
    """
    found = []
    times = Counter((source.code[g.a : g.b], draft.code[g.c : g.d]) for g in gaps if g.b > g.a and g.d > g.c)
    for k, g in enumerate(gaps):
        if g.b == g.a or g.d == g.c or max(g.b - g.a, g.d - g.c) > LONGEST_CHANGE:
            continue
        old, new = source.forms[g.a : g.b], draft.forms[g.c : g.d]
        if g.alike >= sound.ALIKE and min(new) >= "\u0250":
            continue  # heard differently, and no name in Latin letters
        words = [[weight_of(f) for f in side if f[0] != NUMBER] for side in (old, new)]
        light = min(max(w, default=0.0) for w in words) < NAMED_WEIGHT
        if light and (len(old) + len(new) > SHORTEST_NAME or min(old + new) < "\u3400"):
            continue  # but 中, grammar elsewhere, may be all that went of 中国
        weight = min(sum(map(weight_of, old)), sum(map(weight_of, new)))
        term = _term(g, source, draft, distance(gaps, k), terms)
        again = times[source.code[g.a : g.b], draft.code[g.c : g.d]] > 1
        if not term and (_unusual(g, source, draft) or (again and _throughout(g, source, draft))):
            term = g.span
        if term:
            found.append(Segment("term", max(weight, FLOOR), *term))
        elif not light and g.alike < sound.ALIKE and not set(old) & set(new) and sum(map(len, words)) == len(old + new):
            found.append(Segment("changed", weight, *g.span))
    return found


def _term(g: Gap, source: Tokens, draft: Tokens, calm: int, terms: frozenset[str]) -> tuple[int, int, int, int] | None:
    """The tokens of the name that went and of the one that came, if names were exchanged here."""
    whole = (g.a, g.b, g.c, g.d)
    latin = any(f < "\u0250" for f in draft.forms[g.c : g.d])
    if latin and _latin_exchanged(g, source, draft, terms):
        return whole
    if g.alike >= sound.ALIKE:
        return None
    if not latin and "".join(draft.forms[g.c : g.d]) in terms:
        return whole  # a name of the glossary, where nothing like it was said
    if latin and _put_in(g, source, draft, calm):
        return whole
    if min(g.b - g.a, g.d - g.c) < SHORTEST_NAME:
        return _one_character(g, source, draft)
    return whole if _exchanged(g, source, draft) else None


def _unusual(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Did a word that can only be a name go for one that sounds otherwise, or come for one?

    In Chinese a surname with its given name, on either side; in Latin letters one word in no list of usual words, for
    which a name came. Of several words together a recogniser may have made anything.
    """
    old, new = source.forms[g.a : g.b], draft.forms[g.c : g.d]
    if min(old + new) >= "\u3400":
        built = unusual.person("".join(old)) or unusual.person("".join(new))
        return built and g.alike < sound.ALIKE and _other_words(old, new)
    if len(old) > 1 or len(new) > LONGEST_PUT_IN or not unusual.latin_name(old[0]):
        return False
    return g.alike < UNUSUAL_ALIKE and _capital(g, draft) and not _shortened(old[0], "".join(new))


def _shortened(word: str, short: str) -> bool:
    """Is one word short for another (kilowatts, kW): its first letter and more of its letters, in order?"""
    letters = iter(word)
    return word[0] == short[0] and all(c in letters for c in short)


def _throughout(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Is the word, which became the same other word elsewhere too, another word and no grammar?

    An editor varies his words; of 960 human rewrites none has the same exchange twice.
    """
    old, new = source.forms[g.a : g.b], draft.forms[g.c : g.d]
    if min(old + new) >= "\u3400":
        return g.alike < sound.ALIKE and _other_words(old, new)
    telling = max(map(weight_of, old)) > LIGHT_WEIGHT
    return telling and len(old) <= LONGEST_PUT_IN and g.alike < AGAIN_ALIKE and _capital(g, draft)


def _other_words(old: Sequence[str], new: Sequence[str]) -> bool:
    """Are both sides content characters alone, at least two, none of them on both?"""
    long = min(len(old), len(new)) >= SHORTEST_NAME
    return long and set(old).isdisjoint(new) and all(weight_of(f) > LIGHT_WEIGHT for f in (*old, *new))


def _capital(g: Gap, draft: Tokens) -> bool:
    """Is what came written with a capital, and more than grammar?"""
    start, end = draft.span(g.c, g.d)
    telling = any(weight_of(f) > LIGHT_WEIGHT and f < "\u0250" for f in draft.forms[g.c : g.d])
    return telling and any(c.isupper() for c in draft.text[start:end])


def _exchanged(g: Gap, source: Tokens, draft: Tokens) -> bool:
    """Does a Chinese name stand where another word stood, or another word where a name stood?

    A certain name on either side is enough; where the list is not certain, both sides must be in it.
    """
    new = _new_names(draft.letters, g.c, g.d, source.letters, g.a, g.b)
    if new == NAME:
        return True
    old = _new_names(source.letters, g.a, g.b, draft.letters, g.c, g.d)
    return old == NAME or min(new, old) >= DOUBTFUL


def _new_names(code: str, a: int, b: int, other: str, c: int, d: int) -> int:
    """The best grade of a name in code[a:b] that the other side does not have near."""
    best = 0
    shortest = max(SHORTEST_NAME, math.ceil((b - a) * NAME_SHARE))
    for i in range(a, b - shortest + 1):
        for j in range(i + shortest, min(b, i + LONGEST_NAME) + 1):
            found = grade(code[i:j])
            if found > best and code[i:j] not in other[max(0, c - MOVED_NEAR) : d + MOVED_NEAR]:
                best = found
    return best


def _one_character(g: Gap, source: Tokens, draft: Tokens) -> tuple[int, int, int, int] | None:
    """北京 became 南京: where little was replaced, certain names must cover it on both sides."""
    for at in (0, -1):  # the first characters of what was replaced, and the last: 像美国 became 中国
        old = _covering(source.letters, range(g.a, g.b)[at])
        new = _covering(draft.letters, range(g.c, g.d)[at]) if old else None
        if old and new and not (_near(source, *old, draft, g.c, g.d) or _near(draft, *new, source, g.a, g.b)):
            return (*old, *new)
    return None


def _near(here: Tokens, a: int, b: int, there: Tokens, c: int, d: int) -> bool:
    """Does here[a:b] stand near there[c:d] too?"""
    return here.letters[a:b] in there.letters[max(0, c - MOVED_NEAR) : d + MOVED_NEAR]


def _covering(code: str, at: int) -> tuple[int, int] | None:
    """The longest certain name that covers the character at `at`."""
    names = _list()[0]
    for size in range(LONGEST_NAME, SHORTEST_NAME - 1, -1):
        for i in range(max(0, at + 1 - size), min(at, len(code) - size) + 1):
            if code[i : i + size] in names:
                return i, i + size
    return None


def strangers(code: str, a: int, b: int, other: str) -> int:
    """How many certain Chinese names code[a:b] has that stand nowhere on the other side."""
    found = 0
    i = a
    while i < b - 1:
        sizes = range(min(b - i, LONGEST_NAME), SHORTEST_NAME - 1, -1)
        size = next((n for n in sizes if grade(code[i : i + n]) == NAME and code[i : i + n] not in other), 0)
        found += size > 0
        i += size or 1
    return found


def lengthened(gaps: Sequence[Gap], draft: Tokens) -> list[Segment]:
    """An institution's name made longer than it was said: a model that was told the full name writes it out."""
    found = []
    for g in gaps:
        put_in = g.a == g.b and g.new >= SHORTEST_INSTITUTION
        if put_in and draft.code[g.c : g.d].endswith(_INSTITUTIONS) and _CLAUSES.isdisjoint(draft.forms[g.c : g.d]):
            found.append(Segment("invented", g.new, *g.span, "name"))
    return found


def left_out(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Terms of several Latin words that went from among Chinese with next to nothing in their place.

    Of one word there may be a translation beside it; whoever speaks Chinese and says two English ones says a term.
    """
    found = []
    for g in gaps:
        around = source.forms[max(0, g.a - 1) : g.a] + source.forms[g.b : g.b + 1]
        if g.b - g.a < 2 or not around or min(around) < "\u3400":
            continue
        said = [f for f in source.forms[g.a : g.b] if f < "\u0250" and f[0].isalpha() and weight_of(f) >= NAMED_WEIGHT]
        if len(said) < 2 or not set(said).isdisjoint(draft.forms):
            continue
        came = draft.forms[g.c : g.d]
        gone = sum(map(weight_of, came)) <= STUMP and not (came and _has_like("".join(came), ["".join(said)]))
        if gone and not bracketed(Segment("term", 0, *g.span), source):
            found.append(Segment("term", sum(map(weight_of, said)), *g.span))
    return found


def distance(gaps: Sequence[Gap], k: int) -> int:
    """Tokens to the nearest other gap."""
    before = gaps[k].a - gaps[k - 1].b if k else CALM
    after = gaps[k + 1].a - gaps[k].b if k + 1 < len(gaps) else CALM
    return min(before, after)


def _latin_exchanged(g: Gap, source: Tokens, draft: Tokens, terms: frozenset[str]) -> bool:
    """Did a name in Latin letters come, and another go, neither of which has its like on the other side?

    Of a name of the glossary, which the model was offered for its sound, less of it must be heard.
    """
    if max(g.b - g.a, g.d - g.c) > LONGEST_LATIN:
        return False
    old, known = source.forms[g.a : g.b], "".join(draft.forms[g.c : g.d]) in terms
    if known and _has_like("".join(draft.forms[g.c : g.d]), old, NAME_LIKE):
        return False
    came = [r for r in _latin_names(draft, g.c, g.d) if not _has_like(r, old)]
    return bool(came) and any(not _has_like(r, draft.forms[g.c : g.d]) for r in _latin_names(source, g.a, g.b))


def _put_in(g: Gap, source: Tokens, draft: Tokens, distance: int) -> bool:
    """Does a Latin name stand where a word stood that was written like no name and sounds nothing like it?"""
    if max(g.b - g.a, g.d - g.c) > LONGEST_PUT_IN or distance < CALM or g.alike >= UNNAMED_ALIKE:
        return False
    if min(source.forms[g.a], draft.forms[g.c]) >= "\u3400" or not _latin_names(draft, g.c, g.d):
        return False
    return not _has_like("".join(draft.forms[g.c : g.d]), ["".join(source.forms[g.a : g.b])], UNNAMED_LIKE)


def _has_like(name: str, forms: Sequence[str], least: float | None = None) -> bool:
    """Is there a word, or are there two or three together, that are written or sound somewhat like the name?"""
    spoken, letters = sound.of_form(name), sound.spelled(name)
    for i in range(len(forms)):
        for j in range(i + 1, min(len(forms), i + 3) + 1):
            word = "".join(forms[i:j])
            enough = least or (LONG_NAME_LIKE if max(len(name), len(word)) > LONG_NAME else NAME_LIKE)
            if Levenshtein.normalized_similarity(name, word) >= enough:
                return True
            if Levenshtein.normalized_similarity(spoken, sound.of_form(word)) >= enough:
                return True
            # An abbreviation is misheard as a word or the other way round: nearly all of it must be heard.
            if Levenshtein.normalized_similarity(letters, sound.spelled(word)) >= sound.ALIKE:
                return True
    return False


def _latin_names(tokens: Tokens, a: int, b: int) -> list[str]:
    """Words of token[a:b] that are names, those beside each other joined.

    A name is written with a capital that is not a sentence's first letter, or stands alone among Chinese.
    """
    runs: list[str] = []
    last = -2
    for i in range(a, b):
        if tokens.forms[i] < "\u0250" and tokens.forms[i][0].isalpha() and _is_name(tokens, i):
            runs = [*runs[:-1], runs[-1] + tokens.forms[i]] if last == i - 1 else [*runs, tokens.forms[i]]
            last = i
    return runs


def _is_name(tokens: Tokens, i: int) -> bool:
    form = tokens.forms[i]
    if len(form) < SHORTEST_NAME or form in EN_DISCOURSE or form in EN_LIGHT:
        return False
    start, end = tokens.span(i, i + 1)
    word, before = tokens.text[start:end], tokens.text[max(0, start - 3) : start].rstrip(" ")
    first = not before or before[-1] in _BEGINS
    if any(c.isupper() for c in (word[1:] if first else word)):
        return True
    return all(f >= "\u3400" for f in tokens.forms[max(0, i - 1) : i] + tokens.forms[i + 1 : i + 2])
