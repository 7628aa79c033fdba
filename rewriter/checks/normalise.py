"""Text to tokens that can be compared: width, case, script, punctuation, contractions, sounds, numbers taken out.

A token is a Chinese character, a word of a spaced script, or a number as a value. Each is one character of
`Tokens.code`, so that alignment and search run on plain strings. Not NFKC: it would turn 10² into 102.

Invariants: len(code) == len(forms); starts and ends are code points of the text as given, in order.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import resources
from itertools import count
from typing import TypeAlias

from rewriter.checks import numbers
from rewriter.checks.disfluency import EN_SOUNDS, ZH_SOUNDS


def _folding() -> tuple[list[int], frozenset[str], frozenset[str]]:
    """What `fold` makes of each code point below 65,536, one for one so that offsets hold, and the signs of a script.

    Full-width forms become ASCII, curly apostrophes straight, the ideographic space a space, traditional characters
    simplified (by the table of OpenCC), hesitation sounds spaces.
    """
    text = resources.files("rewriter.checks").joinpath("script.json").read_text(encoding="utf-8")
    script = json.loads(text)
    old, new = script["traditional"], script["simplified"]
    table = {ord(a): ord(b) for a, b in zip(old, new, strict=True)}
    table |= {0xFF01 + i: 0x21 + i for i in range(94)} | {0xFF21 + i: 0x61 + i for i in range(26)}
    table |= {0x3000: 0x20, 0x2019: 0x27, 0x2018: 0x27, 0x02BC: 0x27} | {ord(c): 0x20 for c in ZH_SOUNDS}
    # A list is twice as fast to translate by as a dictionary, in which most characters are missed.
    folded = list(range(0x10000))
    for code, new_code in table.items():
        folded[code] = new_code
    # 后, 里, 干 and their like are simplified forms that traditional text uses too: they tell nothing.
    return folded, frozenset(old), frozenset(new) - frozenset(old)


_FOLDED, TRADITIONAL, SIMPLIFIED = _folding()
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts written without spaces are compared character by character.
_UNSPACED = _HAN + "\u3040-\u30ff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_SCALES = "million|billion|trillion|thousand|hundred|[万亿千百]"
_NUMERAL = numbers.ZH_NUMERALS
# Characters that may begin a number. All others are tried first, many at a time: most of a Chinese text is such runs.
_COUNTING = set(_NUMERAL) | set("几")


def _without(first: int, last: int, taken: set[str]) -> str:
    """A range of a character class with some characters left out."""
    cuts = sorted(c for c in map(ord, taken) if first <= c <= last)
    starts, ends = [first, *(c + 1 for c in cuts)], [*(c - 1 for c in cuts), last]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True) if a <= b)


# A run of Chinese characters, each a token, or one token of another kind. `split` gives, by turns, what stands before,
# the run or None, the token or None.
_TOKEN = re.compile(
    rf"([{_without(0x3400, 0x9FFF, _COUNTING)}]+)"
    rf"|([a-z]+(?:'[a-z]+)?(?!'?{_LETTER})"
    rf"|{_LETTER}+(?:'{_LETTER}+)?"
    rf"|\d+(?:[.,:]\d+)*[⁰¹²³⁴-⁹]*(?: ?(?:{_SCALES})(?!{_LETTER})|(?:st|nd|rd|th|s)(?!{_LETTER}))?"
    rf"|几[十百千万亿]+|十几"
    rf"|百分之[{_NUMERAL}]+(?:点[{_NUMERAL}]+)?"
    rf"|(?:[{_NUMERAL.replace('千', '')}]|千(?![克米瓦卡]))+(?:点[{_NUMERAL}]+)?"
    rf"|[{_UNSPACED}])"
)
# What may stand between two tokens: nothing that matters, a mark at which a speaker pauses, one that ends a sentence.
PAUSE, STOP = 1, 2
_PAUSES, _STOPS = re.compile(r"[,，、;；:：…]"), re.compile(r"[.!?。！？\n]")
# Emoji short codes of chat exports (:emoji_1f4d7:) are pictures, not words.
_MARKUP = re.compile(r":[a-z]+_[a-z0-9_]+:")
_SUFFIX = {"re": "are", "ve": "have", "ll": "will", "d": "would", "m": "am"}
_STEMS = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
# Number tokens start with this mark, which no token of a text can.
NUMBER = "#"
# Tokens of a long text: more numbers than this are kept in an array.
MANY = 5000
Numbers: TypeAlias = "list[int] | array[int]"
# Words taken together as one spoken number, so that a text of nothing but numbers stays cheap.
LONGEST_RUN = 24
_NUMERALS_IN_NAMES = tuple((str(value), numeral) for value, numeral in enumerate("零一二三四五六七八九十"))
_PRIVATE_START = 0xF0000
_PRIVATE_SIZE = 0x10FFFD - _PRIVATE_START


class Coder(dict[str, str]):
    """Gives each distinct word a private character; a Chinese character is its own code.

    Beyond 131,000 distinct words some would share a code; no two texts have so many.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next = count()

    def __missing__(self, form: str) -> str:
        is_char = len(form) == 1 and form >= "\u0e00"
        code = form if is_char else chr(_PRIVATE_START + next(self._next) % _PRIVATE_SIZE)
        return self.setdefault(form, code)  # another thread may have been first

    def encode(self, forms: Iterable[str]) -> str:
        """One character per form."""
        return "".join(map(self.__getitem__, forms))


_shared: list[Coder] = [Coder()]
# Words in the coder that comparisons share, from which a new one is begun. Which code a word gets changes no verdict:
# codes are only ever compared for equality.
_MOST_CODES = 50_000


def coder() -> Coder:
    """A coder for one comparison: that of the comparisons before it, which knows most words already, or a new one."""
    if len(_shared[0]) > _MOST_CODES:
        _shared[0] = Coder()
    return _shared[0]


@lru_cache(maxsize=4096)
def _break(between: str) -> int:
    return STOP if _STOPS.search(between) else PAUSE if _PAUSES.search(between) else 0


def _from(rising: Sequence[int], value: int, near: int) -> int:
    """`bisect_left`, by steps from a place that is nearly right: a long list is not jumped about in."""
    i = min(near, len(rising))
    while i < len(rising) and rising[i] < value:
        i += 1
    while i and rising[i - 1] >= value:
        i -= 1
    return i


class Tokens:
    """The tokens of one text: `forms`, their `code`, and where each stands (`start`, `end`, `span`)."""

    def __init__(self, text: str, codes: Coder, aliases: Mapping[str, str] | None = None) -> None:
        self.text = text
        self.codes = codes
        folded, self._map = _alias(fold(text), aliases)
        self._pieces = _TOKEN.split(folded)
        raw: list[str] = []
        known = codes.__getitem__  # a character's code is the character: one object for all places where it stands
        for run, word in zip(self._pieces[1::3], self._pieces[2::3], strict=True):
            raw += map(known, run) if run else (word,)
        special = _care(raw)
        if special:
            self.forms, self._first, self._last = _expand(raw, special)
        else:
            self.forms, self._first, self._last = raw, [], []
        self.code = codes.encode(self.forms)

    def __len__(self) -> int:
        return len(self.forms)

    @cached_property
    def _places(self) -> tuple[list[int], list[int]]:
        """The first raw token of each piece and where it starts in the folded text; made when something was found."""
        firsts: list[int] = []
        starts: list[int] = []
        raw = at = 0
        for between, run, word in zip(self._pieces[:-1:3], self._pieces[1::3], self._pieces[2::3], strict=True):
            at += len(between)
            firsts.append(raw)
            starts.append(at)
            raw += len(run) if run else 1
            at += len(run or word)
        return firsts, starts

    def start(self, i: int) -> int:
        """The code point of the text as given where token `i` starts."""
        raw = self._first[i] if self._first else i
        firsts, starts = self._places
        piece = bisect_right(firsts, raw) - 1
        at = starts[piece] + raw - firsts[piece]
        return at if self._map is None else self._map[at]

    def end(self, i: int) -> int:
        """The code point after token `i`."""
        raw = self._last[i] if self._last else i
        firsts, starts = self._places
        piece = bisect_right(firsts, raw) - 1
        word = self._pieces[3 * piece + 2]
        at = starts[piece] + (len(word) if word else raw - firsts[piece] + 1)
        return at if self._map is None else self._map[at - 1] + 1

    @cached_property
    def breaks(self) -> bytes:
        """What stands before each token, and after the last: 0, PAUSE (a clause ends) or STOP (a sentence does).

        Both ends of the text are stops.
        """
        found = bytearray(len(self.forms) + 1)
        first, last = self._first, self._last
        moved = 0  # places by which tokens stand after their raw tokens, as at the last mark
        for between, at in zip(self._pieces[:-1:3], self._places[0], strict=True):
            if between and (mark := _break(between)):
                i = _from(first, at, at + moved) if first else at
                moved = i - at
                if not i or not last or last[i - 1] < at:  # else it stands within a number
                    found[i] = max(found[i], mark)
        found[0] = found[-1] = STOP
        return bytes(found)

    def ends(self, i: int, mark: int) -> bool:
        """Does a sentence end (STOP), or at least a clause (PAUSE), before token `i`? Outside the text, yes."""
        return not 0 < i < len(self.forms) or self.breaks[i] >= mark

    @cached_property
    def letters(self) -> str:
        """`code` with small numbers as Chinese numerals, so that 四川 and 张三 can be looked up."""
        letters = self.code
        for value, numeral in _NUMERALS_IN_NAMES:  # a few searches that find nothing beat one translation
            letters = letters.replace(self.codes[NUMBER + value], numeral)
        return letters

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The code points from token `start` to token `end` (not included)."""
        return (self.start(start), self.end(end - 1))


# A source is judged against several drafts, one after the other. The tokens of this many are kept, 70 bytes for each
# code point, and of none that is longer than so many.
_KEPT, _LONGEST_KEPT = 32, 10_000
_kept: OrderedDict[str, Tokens] = OrderedDict()


def remembered(text: str, codes: Coder) -> Tokens:
    """The tokens of a text, from the last time if it was seen lately."""
    tokens = _kept.get(text)
    if tokens is None or tokens.codes is not codes:
        tokens = Tokens(text, codes)
        if len(text) <= _LONGEST_KEPT:
            _kept[text] = tokens
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
    return tokens


def fold(text: str) -> str:
    """Width, case and script folded, Chinese hesitation sounds blanked; as long as the text, so that offsets hold."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    folded = lower.translate(_FOLDED)
    return _MARKUP.sub(lambda m: " " * len(m[0]), folded) if ":" in folded else folded


def fold_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """Aliases and their canonical forms, folded: made once for many texts."""
    return {fold(a): fold(c) for a, c in aliases.items() if a.strip() and a != c}


def _alias(folded: str, pairs: Mapping[str, str] | None) -> tuple[str, list[int] | None]:
    """Aliases replaced by their canonical form, with the offset in the text each character came from."""
    hits = [a for a in pairs if a in folded] if pairs else []
    if not pairs or not hits:
        return folded, None
    pattern = re.compile("|".join(_bounded(a) for a in sorted(hits, key=len, reverse=True)))
    out: list[str] = []
    origin: list[int] = []
    at = 0
    for m in pattern.finditer(folded):
        new = pairs[m[0]]
        out += [folded[at : m.start()], new]
        origin += range(at, m.start())
        last = m.end() - 1
        origin += [min(m.start() + i, last) for i in range(len(new) - 1)] + [last]
        at = m.end()
    out.append(folded[at:])
    origin += range(at, len(folded))
    return "".join(out), origin


def _bounded(alias: str) -> str:
    """An alias in Latin letters only matches whole words."""
    left = r"(?<![a-z0-9])" if alias[0].isascii() and alias[0].isalnum() else ""
    right = r"(?![a-z0-9])" if alias[-1].isascii() and alias[-1].isalnum() else ""
    return left + re.escape(alias) + right


# Words seen so far that stand for themselves, and that do not: a text is looked through by two set operations. Emptied
# when they have grown to this many.
_ORDINARY: set[str] = set()
_SPECIAL: set[str] = set()
_MOST_WORDS = 100_000


def _care(raw: list[str]) -> set[str]:
    """The words of a text that do not stand for themselves: numbers, contractions, sounds."""
    words = set(raw)
    new = words - _ORDINARY - _SPECIAL
    if new:
        if len(_ORDINARY) + len(_SPECIAL) > _MOST_WORDS:
            _ORDINARY.clear()
            _SPECIAL.clear()
            new = words
        special = {w for w in new if _special(w)}
        _SPECIAL.update(special)
        _ORDINARY.update(new - special)
    return words & _SPECIAL


def _special(word: str) -> bool:
    if word in EN_SOUNDS or word in numbers.EN_NUMBER_WORDS or word in ("cannot", "double"):
        return True
    if word == "一":
        return False  # a number only in a longer one
    if word[0] == "几":
        return len(word) > 1
    return word[0].isdigit() or "'" in word or word[0] in _NUMERAL or word.startswith("百分之")


def _numbers(size: int) -> Numbers:
    """A list for so many numbers; for many an array, which the garbage collector need not look through.

    With lists alone ten times the text took 13 to 14 times as long, with arrays alone short texts took a tenth more.
    """
    return array("l") if size > MANY else []


def _expand(raw: list[str], special: set[str]) -> tuple[list[str], Numbers, Numbers]:
    """Forms with contractions opened, sounds dropped and numbers as values; each with its first and last raw token."""
    forms: list[str] = []
    first = _numbers(len(raw))
    last = _numbers(len(raw))
    done = 0
    for i in [k for k, w in enumerate(raw) if w in special]:
        if i < done:
            continue
        forms += raw[done:i]
        first.extend(range(done, i))
        last.extend(range(done, i))
        done, new, starts, ends = _opened(raw, i)
        forms += new
        first.extend(starts)
        last.extend(ends)
    forms += raw[done:]
    first.extend(range(done, len(raw)))
    last.extend(range(done, len(raw)))
    return forms, first, last


def _opened(raw: list[str], i: int) -> tuple[int, Sequence[str], list[int], list[int]]:
    """What the special word at `i` stands for: the next token to read, forms, and their first and last raw tokens."""
    word = raw[i]
    if word in EN_SOUNDS:
        return i + 1, [], [], []
    follow = raw[i + 1] if i + 1 < len(raw) else ""
    if word == "double" and follow not in numbers.EN_VALUES:
        return i + 1, [word], [i], [i]
    if word == "double" or word in numbers.EN_NUMBER_WORDS or (word.isdigit() and follow == "point"):
        end, values = _number_words(raw, i)
        if len(values) == 1:
            return end, values, [i], [end - 1]
        places = [min(i + k, end - 1) for k in range(len(values))]
        return end, values, places, places
    forms = _forms(word)
    return i + 1, forms, [i] * len(forms), [i] * len(forms)


def _number_words(raw: list[str], start: int) -> tuple[int, list[str]]:
    """The run of English number words from `start`: where it ends, and its values as tokens. A lone "one" is a word."""
    end = start + 1
    while end < len(raw) and end - start < LONGEST_RUN and _continues(raw, end):
        end += 1
    words = raw[start:end]
    if words == ["one"]:
        return end, ["one"]
    if all(w in numbers.WORD_SCALES for w in words):
        return end, [f"{NUMBER}{numbers.WORD_SCALES[w]}" for w in words]
    return end, [NUMBER + v for v in numbers.english(words)]


def _continues(raw: list[str], at: int) -> bool:
    """Does the word go on the number before it? "and" and "point" do between parts, an ordinal after a ten."""
    word, before = raw[at], raw[at - 1]
    follow = raw[at + 1] if at + 1 < len(raw) else ""
    if word == "and":
        return before in numbers.WORD_SCALES and follow in numbers.EN_VALUES
    if word in {"point", "double"}:
        return follow in numbers.EN_VALUES or follow.isdigit()
    if word in numbers.ORDINALS:
        return numbers.EN_VALUES.get(before, 0) >= 20
    return word in numbers.EN_NUMBER_WORDS or (word.isdigit() and before == "point")


@lru_cache(maxsize=4096)
def _forms(word: str) -> tuple[str, ...]:
    """The tokens one raw token stands for."""
    first = word[0]
    if first.isdigit():
        return (NUMBER + numbers.written(word),)
    if first == "几" or word == "十几":
        return (NUMBER + word,)
    if first in _NUMERAL or word.startswith("百分之"):
        if word == "壹":
            return ("一",)
        value = numbers.chinese(word)
        return tuple(word) if value is None else (NUMBER + value,)
    return tuple(_contraction(word))


def _contraction(word: str) -> list[str]:
    if word == "cannot":
        return ["can", "not"]
    stem, _, tail = word.partition("'")
    if tail == "t" and stem.endswith("n"):
        stem = stem[:-1]
        return [_STEMS.get(stem, stem), "not"]
    if tail == "s":
        return [stem]
    return [stem, _SUFFIX.get(tail, tail)]
