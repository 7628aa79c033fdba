"""Words that only a name can be: in no list of usual words, and written, or built, like a name.

The list of names (`names.json`) knows who is known. A neighbour, a colleague, a product of last spring is in no list;
but their names are in no list of usual words either, and a word that a recogniser wrote for another, or that an editor
puts for one, nearly always is: recognisers write words they have learnt.
"""

from __future__ import annotations

from functools import lru_cache

# The surnames that nine in ten Chinese bear.
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭"
    "陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严欧莫孔向常"
)
# Characters of a Chinese person's name, surname and all.
SHORTEST_PERSON, LONGEST_PERSON = 2, 3
# Letters of the shortest word that can be a name.
SHORTEST_LATIN = 2


# Cost (see `rewriter.glossary.words`, where the costs are) up to which a doubled character is a word that writers use:
# 试试 costs 11.5, 步步 12.5.
USUAL = 12.0


@lru_cache(maxsize=16384)
def latin_name(form: str) -> bool:
    """Is a word in Latin letters, in lower case, in no list of usual words?"""
    from rewriter.glossary.words import UNKNOWN_WORD, latin_cost  # late: few comparisons need the list

    return len(form) >= SHORTEST_LATIN and form < "\u0250" and form.isalpha() and latin_cost(form) >= UNKNOWN_WORD


@lru_cache(maxsize=16384)
def person(run: str) -> bool:
    """Is a run of Chinese characters, simplified, a surname and what makes no usual word with it (唐凤)?"""
    from rewriter.glossary.words import chinese_cost

    built = run[0] in SURNAMES and SHORTEST_PERSON <= len(run) <= LONGEST_PERSON
    return built and chinese_cost(run) == float("inf")


def usual(run: str) -> bool:
    """Is a run of Chinese characters a word that writers use?"""
    from rewriter.glossary.words import chinese_cost

    return chinese_cost(run) <= USUAL
