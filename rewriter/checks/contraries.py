"""Words replaced by their contrary, or a day by another day: 下周 became 上周, increased became decreased.

They are as short as a slip and turn what is said around. Editors and recognisers hardly ever put a word's contrary in
its place: of 950 human-edited passages six do, all in the middle of other changes, and then it only warns. What is
compared is the whole of a small gap, so that a character of a longer word that was corrected is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewriter.checks.find import LIGHT_WEIGHT, Gap, Segment, weight_of
from rewriter.checks.names import distance
from rewriter.checks.normalise import Tokens

# Tokens of the longest word in the lists.
LONGEST = 2
WEIGHT = 2.0
# Tokens to the next gap from which a contrary stands alone; before a unit of time (上周, 明年) it need not.
CALM = 2
_TIMES = frozenset("周月年季届期午天日晚早")
# Words of one line exclude each other. Pairs that are often one another's correction are left out: 买 and 卖 sound
# alike, 里 and 外 follow a preposition, 他 and 她 is not to be heard.
_GROUPS = """
昨 今 明
上 下
左 右
东 西 南 北
早 晚
春 夏 秋 冬
增 减
升 降
涨 跌
赢 输
开 关
高 低
男 女
前 后
快 慢
新 旧
已经 没有 尚未
总是 从不 从未
所有 没有
同意 反对
赞成 反对
支持 反对
成功 失败
增加 减少
提高 降低
上升 下降
上午 下午
yesterday today tomorrow
monday tuesday wednesday thursday friday saturday sunday
january february march april june july august september october november december
spring summer autumn winter
morning afternoon evening
left right
north south east west
increase decrease
increased decreased
increasing decreasing
rose fell
rise fall
higher lower
more less
more fewer
before after
always never
all none
win lose
won lost
buy sell
bought sold
open closed
succeeded failed
success failure
agree disagree
agreed refused
last next
hot cold
up down
"""


def _opposed() -> dict[str, set[str]]:
    """Each word and what it must not become."""
    pairs: dict[str, set[str]] = {}
    for line in _GROUPS.split("\n"):
        words = line.split()
        for word in words:
            pairs.setdefault(word, set()).update(w for w in words if w != word)
    return pairs


_OPPOSED = _opposed()
# Months and days that can be nothing else (a march, a may), and the tokens to either side in which one may have moved.
# Of 2,100 human rewrites one leaves one out, with other words.
_DATES = frozenset(
    word for line in _GROUPS.split("\n") if "june" in line or "monday" in line for word in line.split()
) - {"march", "may"}
MOVED_NEAR = 12


def contraries(gaps: Sequence[Gap], source: Tokens, draft: Tokens) -> list[Segment]:
    """Gaps in which a word became its contrary: "contrary", or "contrary?" in the middle of other changes.

    So too where a month or a day of the week went, alone or nearly so.
    """
    found = []
    for k, g in enumerate(gaps):
        if g.b - g.a <= LONGEST and not _DATES.isdisjoint(source.forms[g.a : g.b]):
            near = draft.forms[max(0, g.c - MOVED_NEAR) : g.d + MOVED_NEAR]
            if not _DATES.intersection(source.forms[g.a : g.b]).issubset(near) and not _telling(
                source.forms[g.a : g.b]
            ):
                found.append(Segment("contrary", WEIGHT, g.a, g.b, g.c, g.d))
            continue
        if 0 < g.b - g.a <= LONGEST and 0 < g.d - g.c <= LONGEST:
            old, new = "".join(source.forms[g.a : g.b]), "".join(draft.forms[g.c : g.d])
            if new in _OPPOSED.get(old, ()):
                timed = g.b < len(source) and source.forms[g.b] in _TIMES
                kind = "contrary" if timed or distance(gaps, k) >= CALM else "contrary?"
                found.append(Segment(kind, WEIGHT, g.a, g.b, g.c, g.d))
    return found


def _telling(forms: Sequence[str]) -> bool:
    """Is there a content word beside the month or day? Then a whole stretch was misheard."""
    return any(weight_of(f) > LIGHT_WEIGHT for f in forms if f not in _DATES)
