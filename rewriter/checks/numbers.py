"""Numbers as values: 三千五百万, 3500万, 35,000,000 and thirty-five million are one number.

A value is a plain decimal string ("35000000", "0.5"). Percent signs and units stay outside: 百分之五 and 5% are both 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache

DIGITS = {
    c: i
    for i, group in enumerate(("零〇○", "一壹", "二两兩贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for c in group
}
SMALL_UNITS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
BIG_UNITS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
ZH_NUMERALS = "".join([*DIGITS, *SMALL_UNITS, *BIG_UNITS])
_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth"
ORDINALS = {word: i for i, word in enumerate(_ORDINAL_WORDS.split(), 1)}
WORD_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "k": 10**3}
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
EN_VALUES = {word: i for i, word in enumerate(_UNITS.split())} | {
    word: 10 * i for i, word in enumerate(_TENS.split(), 2)
}
EN_VALUES |= {word[:-1] + "ies": value for word, value in EN_VALUES.items() if value >= 20}
EN_NUMBER_WORDS = frozenset(EN_VALUES) | frozenset(WORD_SCALES) - {"k"}
# Longer digit strings are compared as they are: the cost of arithmetic on them would not be bounded.
LONGEST_VALUE = 40
_ORDINAL_SUFFIX = re.compile("(?<=[0-9])(?:st|nd|rd|th|s)$")
# Numerals that are words, not amounts: ten parts = very, ten thousand and one = in case.
_NOT_NUMBERS = "万一 一一 千万 百万一 十 千 百 万 亿 零 万万 一二 三三两两 二三 二八 一百一"
NOT_NUMBERS = frozenset(_NOT_NUMBERS.split())


def plain(value: Decimal) -> str:
    """The value without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=8192)
def chinese(text: str) -> str | None:
    """The value of a Chinese numeral such as 三千五百万, 二零二三, 三点五; None where it is no number."""
    text = text.removeprefix("百分之")
    if text in NOT_NUMBERS or len(text) > LONGEST_VALUE:
        return None
    whole, _, fraction = text.partition("点")
    value = _chinese_whole(whole)
    if fraction[1:] and fraction[-1] in BIG_UNITS and all(c in DIGITS for c in fraction[:-1]):
        decimals = "".join(str(DIGITS[c]) for c in fraction[:-1])
        return plain(Decimal(f"{value}.{decimals}") * BIG_UNITS[fraction[-1]])  # 一点五万
    if any(c in SMALL_UNITS for c in fraction):
        return f"{value}:{_chinese_whole(fraction).zfill(2)}"  # a time: 五点二十五
    if fraction:
        return f"{value}.{''.join(str(DIGITS[c]) for c in fraction if c in DIGITS)}".rstrip("0").rstrip(".")
    return value


def _chinese_whole(text: str) -> str:
    if not any(c in SMALL_UNITS or c in BIG_UNITS for c in text):
        return "".join(str(DIGITS[c]) for c in text).lstrip("0") or "0"
    total = section = digit = 0
    last = 1
    for c in text:
        if c in DIGITS:
            if digit and last == 10:  # 六十三四万 is written 63-4万
                section, digit = section + digit, 0
                section *= 10
            digit = digit * 10 + DIGITS[c] if digit else DIGITS[c]
            last = 1 if DIGITS[c] == 0 else last
        elif c in SMALL_UNITS:
            section += (digit or 1) * SMALL_UNITS[c]
            last, digit = SMALL_UNITS[c], 0
        else:
            part = section + digit or 1
            # 万 after 亿 scales its own part only; 亿 after 万 scales all before it.
            below = total >= BIG_UNITS[c] * 10**4
            total = total + part * BIG_UNITS[c] if below else (total + section + digit or 1) * BIG_UNITS[c]
            last, section, digit = BIG_UNITS[c], 0, 0
    # 三万五 means 35,000: a last digit straight after a unit counts in tenths of it.
    tail = digit * last // 10 if digit and last > 10 and text[-2] not in DIGITS else digit
    return str(total + section + tail)


@lru_cache(maxsize=8192)
def written(text: str) -> str:
    """The value of digits as written, with or without a scale: 35,000,000, 3.5, 3500万, 3.5 million, 10:30."""
    digits = _ORDINAL_SUFFIX.sub("", text)
    scale = 1
    for unit, size in (*BIG_UNITS.items(), *SMALL_UNITS.items(), *WORD_SCALES.items()):
        if digits.endswith(unit) and digits != unit:
            digits = digits[: -len(unit)].rstrip()
            scale *= size
            break
    digits = digits.replace(",", "") if ":" not in digits else digits
    if len(digits) > LONGEST_VALUE or digits.count(".") > 1 or ":" in digits:
        return digits.lstrip("0") or "0"
    try:
        return plain(Decimal(digits) * scale)
    except InvalidOperation:
        return digits


def english(words: Sequence[str]) -> list[str]:
    """The values of a run of number words or digits: ["twenty", "twenty", "one"] is ["2021"].

    "point" makes what follows a fraction, up to a scale: nine point nine million is 9900000.
    """
    if "double" in words:
        pairs = zip(["", *words], words, strict=False)
        words = [w for before, word in pairs if word != "double" for w in [word] * (2 if before == "double" else 1)]
    if "point" in words:
        return _decimal(words)
    values: list[tuple[int, bool]] = []
    total = current = 0
    fresh = True
    for word in words:
        if word in WORD_SCALES:
            scale = WORD_SCALES[word]
            if scale == 100:
                current = (current or 1) * 100
            else:
                total, current = total + (current or 1) * scale, 0
            fresh = False
            continue
        value = int(word) if word.isdigit() else EN_VALUES.get(word, ORDINALS.get(word))
        if value is None:
            continue
        if fresh or not _fits(current, value):
            if not fresh:
                values.append((total + current, total == 0))
            total, current, fresh = 0, value, False
        else:
            current += value
    if not fresh:
        values.append((total + current, total == 0))
    return _years(values)


def _decimal(words: Sequence[str]) -> list[str]:
    at = words.index("point")
    tail = list(words[at + 1 :])
    scale = 1
    while tail and tail[-1] in WORD_SCALES:
        scale *= WORD_SCALES[tail.pop()]
    whole = english(words[:at]) if at else ["0"]
    fraction = "".join(_digits(word) for word in tail)
    if not whole or not fraction.isdigit() or len(fraction) > LONGEST_VALUE:
        return whole
    return [*whole[:-1], plain(Decimal(f"{whole[-1]}.{fraction}") * scale)]


def _digits(word: str) -> str:
    return word if word.isdigit() else str(EN_VALUES.get(word, ""))


def _fits(current: int, value: int) -> bool:
    """Can `value` be added as the next smaller part: twenty + one, three hundred + twelve, thousand + five."""
    if current == 0:
        return True
    if current % 100 == 0:
        return True
    return current % 10 == 0 and current % 100 >= 20 and 0 < value < 10


def _years(values: list[tuple[int, bool]]) -> list[str]:
    """Two-digit halves that make a year are joined: nineteen ninety is 1990."""
    out: list[str] = []
    i = 0
    while i < len(values):
        a = values[i][0]
        if i + 1 < len(values) and 10 <= a <= 29 and 10 <= values[i + 1][0] <= 99:
            out.append(str(a * 100 + values[i + 1][0]))
            i += 2
        else:
            out.append(str(a))
            i += 1
    return out
