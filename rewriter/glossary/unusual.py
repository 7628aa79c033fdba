"""What of transcripts may be a name or a term: stretches that are no ordinary words, counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from rewriter.glossary.fold import fold, simplified
from rewriter.glossary.latin import PREDICTED
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.words import ENDINGS, UNKNOWN_WORD, Reading, chinese_cost, latin_cost

# A clause that stands there word for word more often than this is a recogniser's loop, or a phrase; more of them tell
# nothing of names.
_REPEATS = 2
# Chinese terms of two to six characters. Longer ones are found by their parts.
_SHORTEST, _LONGEST = 2, 6
# A Chinese term neither begins nor ends with a word of two characters or more as frequent as this (nats; 8.5 is one
# in 5,000): 我们, 现在, 没有. Single characters go by the list below: 中, 大 and 小 are as frequent, and begin names.
# Names that begin with one of these (用友, 有道) are found where the list of words has them.
_FUNCTION = 8.5
PARTICLES = frozenset(
    "的了是在就也都和与或而但把被让请从对给跟很太更最还又再才只不没会要说去做到用有我你他她它们这那哪谁什么怎些着过吗呢吧啊嘛呀哦嗯呃"
)
# Words that speech is full of, and the newspapers behind the list of words are not.
_SPOKEN = frozenset(
    """
    就是 的话 当中 里面 里边 上面 下面 而言 接下来 这块 那块 这边 那边 这样子 然后 其实 所以 因为 一下 之后 之前
    来讲 来说 来看 方面 角度 东西 多个 某种 某个 前段时间 实际上 基本上 等等 相当于 比如 比如说 包括 还有 以及
    感谢 谢谢 有请 各位 本身 整个 非常 另外 掌声 的时候 过程 层面 一年 简单
    """.split()  # noqa: SIM905 (a list of sixty quoted words is harder to read)
)
# Nor do they hold one of these as a word.
_NEVER = frozenset("的了是吗呢吧啊嘛我你他她它这那")
# Words of Latin letters: at most three in a row make a name.
_WORDS = 3
# Of words in a row, one at least is rarer than this (nats; 10 is one in 22,000), or has a capital inside a clause.
_PLAIN = 10.0
# Names neither begin nor end with words more frequent than this in small letters (8 is one in 3,000): the, of, like.
_COMMON = 8.0
# More frequent ones hold sentences together (6.6 is one in 700): and, in, any.
_GRAMMAR = 6.6
# What words such as don't, I'm, they're cost; the list of words has none with an apostrophe.
_CONTRACTED = 6.0
_CLAUSE = re.compile(r"[^。！？；，、：\n.!?;,:]+(?:[.,](?=\S)[^。！？；，、：\n.!?;,:]+)*")
_NAME = re.compile(r"[A-Za-z\u00c0-\u024f][\w'’+#.-]*[\w+#]|[A-Za-z\u00c0-\u024f]", re.ASCII)
_JOINTS = re.compile(r"[\s\-_.'’]")
# In a document: addresses, whose parts are no names, and what is joined to one (Quillbase's, Quillbase-based).
_ADDRESS = re.compile(r"\S*(?:://|www\.|@|\w[/_]\w)\S*", re.ASCII)
_JOINED = re.compile(r"['’]s\b|(?<=\w)-(?=[a-z])")
# Where a sentence ends.
_SENTENCE = re.compile(r"[。！？；!?;]|\.(?=\s|$)")
# Words written as only names are: PostgreSQL, RLlib, iPhone. Of abbreviations those of so many letters, as ONNX.
_INNER_CAPITAL = re.compile(r"(?=.*[a-z])\w+[A-Z]", re.ASCII)
_ABBREVIATION, _LONG_ABBREVIATION = re.compile(r"([A-Z]+)s?", re.ASCII), 4
# A line with a larger share of capitalised words is a heading.
_HEADING = 2 / 3
# What begins a sentence has a capital anyway; with one of these endings it is a rare word rather than a name.
_DERIVED = re.compile(r"(?:[ai]ble|al|ed|ics?|ing|ism|ists?|ity|ive|less|ly|ness|ous|s|[ts]ion)$")


@dataclass
class Stretch:
    """A way something is written: how often, and where first (number of the text, and offset in code points).

    `usual` is what it costs as ordinary text, in nats; `spellings` counts the letter cases and widths it stands in.
    """

    usual: float
    place: tuple[int, int]
    count: int = 0
    spellings: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The commonest spelling."""
        return max(self.spellings, key=lambda spelling: self.spellings[spelling])

    @property
    def first(self) -> str:
        """The spelling at its first place."""
        return next(iter(self.spellings))


@dataclass
class Stretches:
    """The stretches of some texts by script, keyed as folded; how many places of each kind there were in all."""

    chinese: dict[str, Stretch] = field(default_factory=dict)
    latin: dict[str, Stretch] = field(default_factory=dict)
    chinese_places: int = 0
    latin_places: int = 0
    clauses: list[str] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    @cached_property
    def _joined(self) -> str:
        return "\n".join(self.clauses)

    @cached_property
    def _simple(self) -> str:
        return simplified(self._joined)

    def count(self, part: str) -> int:
        """How often a part of a stretch stands in the texts, loops left out."""
        if part not in self._counts:
            self._counts[part] = self._simple.count(simplified(part))
        return self._counts[part]

    def before(self, part: str) -> str:
        """The Chinese character before the first place of `part`, where it reads as a word of its own."""
        at = self._simple.find(simplified(part))
        return self._single(at - 1) if at > 0 else ""

    def behind(self, part: str) -> str:
        """The Chinese character behind it, likewise."""
        return self._single(self._simple.find(simplified(part)) + len(part))

    def _single(self, at: int) -> str:
        text = self._simple
        char = text[at : at + 1]
        if not CHINESE.match(char) or char in PARTICLES:
            return ""
        start, end = at, at
        while end < len(text) and end - at < _LONGEST and CHINESE.match(text[end]):
            end += 1
        while start and at - start < _LONGEST and CHINESE.match(text[start - 1]):
            start -= 1
        breaks = Reading(text[start:end]).breaks()
        return self._joined[at] if at - start in breaks and at - start + 1 in breaks else ""


def stretches(texts: Sequence[str]) -> Stretches:
    """Every stretch that may be a name, from all texts together."""
    found = Stretches()
    seen: dict[str, int] = {}
    for number, text in enumerate(texts):
        for clause in _CLAUSE.finditer(text):
            seen[clause[0]] = times = seen.get(clause[0], 0) + 1
            if times <= _REPEATS:
                _add_clause(clause[0], (number, clause.start()), found)
    return found


def _add_clause(clause: str, place: tuple[int, int], found: Stretches) -> None:
    number, offset = place
    found.clauses.append(clause)
    for run in CHINESE.finditer(clause):
        found.chinese_places += len(run[0])
        for start, end, cost in _chinese(simplified(run[0])):
            _add(found.chinese, run[0][start:end], cost, (number, offset + run.start() + start))
    names = list(_NAME.finditer(clause))
    found.latin_places += len(names)
    for start, end, cost in _latin(clause, names):
        _add(found.latin, clause[start:end], cost, (number, offset + start))


def _add(kind: dict[str, Stretch], text: str, cost: float, place: tuple[int, int]) -> None:
    stretch = kind.setdefault(fold(text), Stretch(cost, place))
    stretch.count += 1
    stretch.spellings[text] = stretch.spellings.get(text, 0) + 1


def _chinese(run: str) -> Iterator[tuple[int, int, float]]:
    """Spans of whole words, two to six characters, that neither begin nor end with a function word; their costs."""
    reading = Reading(run)
    breaks = reading.breaks()
    plain = {a: _is_plain(run[a:b]) for a, b in pairwise(breaks)}
    ends = {b: plain[a] for a, b in pairwise(breaks)}
    for at, start in enumerate(breaks[:-1]):
        if plain[start]:
            continue
        for word, end in pairwise(breaks[at : at + _LONGEST + 2]):
            if end - start > _LONGEST or run[word:end] in _NEVER:
                break
            if end - start >= _SHORTEST and not ends[end]:
                yield start, end, reading.cost(start, end)


def _is_plain(word: str) -> bool:
    return word in PARTICLES if len(word) == 1 else chinese_cost(word) <= _FUNCTION or word in _SPOKEN


def _latin(clause: str, names: Sequence[re.Match[str]]) -> Iterator[tuple[int, int, float]]:
    """Spans of up to three words with single spaces between, one of them unusual or with a capital; their costs."""
    words = [_Word(name) for name in names]
    for first, begin in enumerate(words):
        if begin.common:
            continue
        for last in range(first, min(first + _WORDS, len(words))):
            row = words[first : last + 1]
            if last > first and clause[row[-2].end : row[-1].start] != " ":
                break
            if not row[-1].common and any(word.marked for word in row):
                rarest = max(word.cost for word in row)
                yield begin.start, row[-1].end, rarest + PREDICTED * (sum(word.cost for word in row) - rarest)


class _Word:
    """A word of Latin letters in a clause; `marked` where it is rare or has a capital, as names are."""

    def __init__(self, match: re.Match[str]) -> None:
        self.start, self.end = match.span()
        self.cost = _word_cost(match[0])
        capital = match[0] != match[0].lower()
        self.common = self.cost < _COMMON and not (capital and self.start)
        self.marked = not self.common and (self.cost >= _PLAIN or (capital and self.start > 0))


def names_in(document: str) -> Iterator[str]:
    """Names of Latin letters in the running lines of a document, which has them as they are spelt.

    A name is a row of capitalised words of which one is in no list, or is written as only names are; in Chinese lines
    also a word in small letters that is in no list.
    """
    for line in document.splitlines():
        for sentence in _SENTENCE.split(_JOINED.sub(" , ", _ADDRESS.sub(" , ", line))):
            words = list(_NAME.finditer(sentence))
            chinese = bool(CHINESE.search(sentence))
            capitals = sum(word[0][0].isupper() for word in words)
            if chinese or capitals <= _HEADING * len(words):
                yield from _rows(sentence, words, chinese)
            elif sentence.upper() != sentence:  # a heading: capitals there say nothing
                yield from (word[0] for word in words if _is_name(word[0]))


def _rows(sentence: str, words: Sequence[re.Match[str]], chinese: bool) -> Iterator[str]:
    """Capitalised words with single spaces between, of which one is a name by itself."""
    row: list[re.Match[str]] = []
    for word in words:
        if row and not (sentence[row[-1].end() : word.start()] == " " and word[0] != word[0].lower()):
            yield from _row(sentence, row)
            row = []
        first = not chinese and not row and word is words[0]
        if _is_name(word[0], first=first) or (word[0] != word[0].lower() and not first):
            row.append(word)
        elif chinese and _unlisted(word[0]):
            yield word[0]
    yield from _row(sentence, row)


def _row(sentence: str, row: Sequence[re.Match[str]]) -> Iterator[str]:
    if any(_is_name(word[0]) for word in row):
        yield sentence[row[0].start() : row[-1].end()]


def _is_name(word: str, *, first: bool = False) -> bool:
    """Whether a word is a name by itself; `first` where its capital is that of the sentence."""
    if short := _ABBREVIATION.fullmatch(word):
        return len(short[1]) >= _LONG_ABBREVIATION and _unlisted(word)
    if any(_INNER_CAPITAL.match(part) for part in word.split("-")):
        return True
    return word[0].isupper() and word != word.upper() and _unlisted(word) and not (first and _DERIVED.search(word))


def _unlisted(word: str) -> bool:
    return len(word) > 2 and _word_cost(word) >= UNKNOWN_WORD


def is_clause(words: str, *, stopped: bool) -> bool:
    """Whether several words of Latin letters are a sentence or part of one rather than a name: `and a key in`.

    `stopped` where a full stop follows; then a frequent word at the beginning is enough: `We use Quillbase.`
    """
    row = _NAME.findall(words)
    small = any(word == word.lower() and _word_cost(word) < _GRAMMAR for word in (*row[:1], *row[-1:]))
    return len(row) > 1 and (small or (stopped and _word_cost(row[0]) < _COMMON))


def _word_cost(word: str) -> float:
    """The cost of the commonest form of a word: `clusters` costs what `cluster` does."""
    low = word.lower().replace("’", "'")
    if "'" in low and not low.endswith("'s"):
        return _CONTRACTED
    stem = ENDINGS.sub("", low)
    return min(map(latin_cost, {low, stem, f"{stem}e"} - {"", "e"}))


def same_word(left: str, right: str) -> bool:
    """Whether two folded forms are one word in two endings, differ in spaces and hyphens only, or one holds the other's
    words."""
    return f" {left} " in f" {right} " or f" {right} " in f" {left} " or bool(stems(left) & stems(right))


def stems(form: str) -> set[str]:
    """A folded form without spaces and marks, and with the usual English endings taken off: equal where words are."""
    word = _JOINTS.sub("", form)
    stem = ENDINGS.sub("", word)
    return {word, *((stem, stem.removesuffix("e"), f"{stem}e") if len(stem) >= 3 else ())}


def parts(form: str) -> set[str]:
    """All shorter stretches within a form of at least two characters."""
    size = len(form)
    return {form[a:b] for a in range(size) for b in range(a + 2, size + 1) if b - a < size}
