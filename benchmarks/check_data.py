"""Makes the two data files of the guard from their public sources; run it only to renew them.

    python benchmarks/check_data.py JIEBA_DICT OPENCC_TS_CHARACTERS

JIEBA_DICT is jieba/dict.txt of jieba 0.42.1 (one word, count and part of speech a line), OPENCC_TS_CHARACTERS is
TSCharacters.txt of OpenCC (a traditional character, a tab, its simplified forms).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rewriter.checks.unusual import SURNAMES

HERE = Path(__file__).parent.parent / "rewriter" / "checks"
# Counted fewer times than this, a person of the dictionary is a guess of its makers (they entered 3 for all words of
# added lists), and there are 40,000 of them. Places, institutions and works are taken however rare: with them 3 in 100
# exchanged names more are found.
FEWEST = 4
LONGEST = 5
# Characters that foreign names are spelled with; a word of three or more with two of them is one (乔布斯).
SPELLING = frozenset(
    "阿艾埃奥巴贝比波伯布查茨达戴丹德迪蒂杜多尔法菲费芬弗夫福盖戈格根古哈汉赫亨霍基吉加贾杰金卡凯柯科克肯库拉莱兰劳勒雷里利丽"
    "列林卢鲁伦罗洛马玛迈曼梅蒙米莫默穆姆纳娜内尼涅纽诺欧帕佩皮普奇乔琼萨塞桑森莎舍史斯塔泰坦汤特提图托瓦威韦维温沃乌西希辛"
    "休雅亚叶伊因尤约扎泽詹芝朱兹佐"
)
# A word of two or three characters that begins with a surname and is as frequent as this is more often no name (明白).
COMMON = 500
# Tagged as places or institutions, and ordinary words all the same: found by reading the thousand most frequent.
_ORDINARY = (
    "东西 城市 入口 南北 西部 北部 市长 外国 爱国 太阳 英雄 哥哥 海洋 湖泊 大桥 高原 上市 建国 美丽 "
    "山区 江湖 大街 王国 开国 城镇 庆典 南路 深度 山脉 回国 治安 新鲜 古城 海峡 冰川 山水 长大 长度 "
    "河口 莫非 普及 商城 内河 古典 阴阳 江山 高山 大海 山坡 上马 太平 福利 日志 云集 青春 山河 神圣 "
    "新建 河水 中断 山洞 都城 关联 海湾 广义 上山 江水 海关 新城 山峰 内城 下山 上台 山寨 契约 入市 "
    "党组织 都市 国际化 广布 古都 诸国 重镇 山口 大山 千古 城堡 交易所 深山 江河 伦理 通讯社 渡江 "
    "大河 大江 治国 天黑 法典 池塘 天桥 社会科学 加盟 建设路 密封 安宁 立马 海滨 莫大 沿河 海滩 西路 "
    "西瓜 贵宾 东路 天文学 沧海 入海 黑马 士大夫 段子 嘉宾 神州 海港 北路 山林 山川 北风 赞美 喜庆 "
    "登极 兴旺 深海 山羊 商业银行 远洋 井口 中堂 深谷 朝野 台风 山岭 余脉 象牙 深水 归国 渡河 河里 "
    "海岛 入门 深渊 土城 河畔 如林 长河 大湖 大城 礼拜 路桥 国民 爱美 自治区 自治州 自治县 三角洲 "
    "河谷 "
)
ORDINARY = frozenset(_ORDINARY.split())
PLACES = frozenset({"ns", "nt", "nrfg"})
NAMES = frozenset({"nr", "nrt", "nz"})


def grade(word: str, count: int, tag: str) -> int:
    """2: a name wherever it stands; 1: the dictionary calls it a name, but it may be an ordinary word; 0: no name."""
    if not 2 <= len(word) <= LONGEST or not all("\u3400" <= c <= "\u9fff" for c in word):
        return 0
    if count < FEWEST and tag not in PLACES | {"nz"}:
        return 0
    if tag in PLACES:
        return 1 if word in ORDINARY else 2
    if tag not in NAMES:
        return 0
    person = tag == "nr" and word[0] in SURNAMES and count < COMMON and len(word) <= 3
    foreign = len(word) > 2 and sum(c in SPELLING for c in word) >= 2
    return 2 if person or foreign or (tag != "nr" and len(word) > 2) else 1


def main(dictionary: str, characters: str) -> None:
    graded: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for line in Path(dictionary).read_text(encoding="utf-8").splitlines():
        word, count, tag = line.split()
        graded[grade(word, int(count), tag)].append(word)
    about = (
        "Names in Chinese, from the dictionary of jieba 0.42.1 (github.com/fxsjy/jieba; MIT licence, Copyright (c) "
        "2013 Sun Junyi), made by benchmarks/check_data.py. names: places, institutions and persons; doubtful: "
        "entries the dictionary calls names that are often ordinary words."
    )
    names = {"about": about, "names": " ".join(sorted(graded[2])), "doubtful": " ".join(sorted(graded[1]))}
    write("names.json", names)
    pairs = {}
    for line in Path(characters).read_text(encoding="utf-8").splitlines():
        old, _, new = line.partition("\t")
        new = new.split(" ")[0].strip()
        if len(old) == len(new) == 1 and old != new and max(old, new) <= "\u9fff":
            pairs[old] = new
    about = (
        "Traditional characters and, in the same order, their simplified forms: TSCharacters of OpenCC "
        "(github.com/BYVoid/OpenCC; Apache-2.0 licence), first form each, made by benchmarks/check_data.py."
    )
    write("script.json", {"about": about, "traditional": "".join(pairs), "simplified": "".join(pairs.values())})


def write(name: str, data: dict[str, str]) -> None:
    (HERE / name).write_text(json.dumps(data, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
