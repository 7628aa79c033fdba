"""Talks written for the tests: every sentence carries a number of its own, so that a lost one can be named."""

from __future__ import annotations

import re

_PLACES = ["码头", "粮仓", "戏院", "书店", "车站", "茶馆", "渡口", "学堂", "布店", "钟楼"]
_THINGS = ["木箱", "账本", "照片", "铜锁", "石碑", "旧报纸", "茶壶", "渔网", "算盘", "门牌"]


def sentence(n: int) -> str:
    """One noisy sentence about item n, with a filler, a stutter and a negation."""
    place, thing = _PLACES[n % 10], _THINGS[n // 10 % 10]
    return f"嗯第{1000 + n}号{thing}是在{place}找到的，我们我们没有把它卖掉，登记的人一共写了{n + 17}行字。"


def talk(sentences: int, per_paragraph: int = 4, *, first: int = 0) -> str:
    """A talk of so many sentences, the first of them about item `first`."""
    said = [sentence(n) for n in range(first, first + sentences)]
    groups = [said[i : i + per_paragraph] for i in range(0, sentences, per_paragraph)]
    return "\n\n".join("".join(group) for group in groups) + "\n"


def missing(sentences: int, text: str, *, first: int = 0) -> list[int]:
    """Items whose number, thing, place, negation or count are not in the text in this order."""
    return [n for n in range(first, first + sentences) if not re.search(_pattern(n), text)]


def _pattern(n: int) -> str:
    return (
        f"第{1000 + n}号{_THINGS[n // 10 % 10]}是在{_PLACES[n % 10]}找到的，我们(?:我们)?没有把它卖掉，"
        f"登记的人一共写了{n + 17}行字"
    )
