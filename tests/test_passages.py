"""Passages: they tile the text, hold the budget, end in good places, and an edit moves only its neighbours."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.passages import LEAST_SHARE, SHORT_TURN, Region, regions, split
from rewriter.records import Passage
from rewriter.tokens import TokenCounter, counter_for

COUNTER = counter_for("")


def cut(
    text: str, budget: int = 60, counter: TokenCounter = COUNTER, where: list[Region] | None = None
) -> list[Passage]:
    return split(text, budget=budget, counter=counter, regions=where)


# --- tiling and budget -----------------------------------------------------------------------------------------------

PARTS = (
    *"我们的缓存，。！？、；：\n .!?,;abZ09\t",
    *(
        "今天讲分布式系统的缓存",
        "and so it goes on",
        "\r\n\r\n",
        "Mr. Smith ",
        "e.g. ",
        "“好的。”",
        "3.14",
        "\ud800",
        "\udc00",
    ),
    *(
        "e\u0301",
        "👨\u200d👩\u200d👧",
        "\u200b",
        "\u3000",
        "ก็",
        "한국어",
        "日本語です。",
        "x" * 300,
        "啊" * 200,
        "\u0301" * 40,
    ),
)
texts = st.lists(st.sampled_from(PARTS), max_size=60).map("".join) | st.text(max_size=200)


@settings(max_examples=300, deadline=None)
@given(texts, st.sampled_from([12, 24, 60, 250]), st.booleans())
def test_passages_tile_the_text_within_the_budget(text: str, budget: int, exact: bool) -> None:
    counter = COUNTER if exact else TokenCounter(None)
    passages = cut(text, budget, counter)
    if not text.strip():
        assert passages == []
        return
    assert "".join(p.text for p in passages) == text
    assert [p.index for p in passages] == list(range(len(passages)))
    assert all(p.text == text[p.start : p.end] for p in passages)
    assert all(a.end == b.start for a, b in pairwise(passages))
    for p in passages:
        assert p.text.strip()
        assert p.tokens <= budget or len(p.text.strip()) <= 1, p


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=8))
def test_regions_are_tiled_each_by_itself(text: str, edges: list[int]) -> None:
    inner = sorted({min(e, len(text)) for e in edges})
    where = [Region(start=a, end=b, speaker=str(i)) for i, (a, b) in enumerate(pairwise(inner)) if i % 2 == 0]
    passages = cut(text, 24, where=where)
    for region in where:
        own = [p for p in passages if p.speaker == region.speaker]
        whole = text[region.start : region.end]
        assert "".join(p.text for p in own) == (whole if whole.strip() else "")


@pytest.mark.parametrize("budget", [1, 2, 3, 7])
def test_a_budget_too_small_for_a_character_ends(budget: int) -> None:
    text = "龘靐齉爩 ok 👨\u200d👩\u200d👧。" * 5
    assert "".join(p.text for p in cut(text, budget)) == text


@pytest.mark.parametrize("text", ["\n" * 9000 + "好。" + "\n" * 9000 + "再见。" + " " * 9000, "a" + "\n \t" * 5000])
def test_pages_of_white_space_are_no_passages(text: str) -> None:
    passages = cut(text)
    assert len(passages) <= 2
    assert "".join(p.text for p in passages) == text
    assert all(p.text.strip() for p in passages)


def test_nothing_to_say_has_no_passage() -> None:
    assert cut("") == cut(" \n\u3000\n") == []


# --- places ----------------------------------------------------------------------------------------------------------


def talk(sentences: int, seed: int = 7, lang: str = "zh") -> str:
    """A text of sentences that all differ, in paragraphs of about five."""
    rng = random.Random(seed)
    subjects = ("缓存", "队列", "调度器", "日志", "索引", "网关", "模型", "数据库", "前端", "编译器")
    doings = (
        "昨天改了一版",
        "要先预热",
        "在高峰时会变慢",
        "比去年快了不少",
        "还没有写测试",
        "应该拆成两层",
        "需要重新估算",
    )
    ends = ("大家可以记一下", "这一点很要紧", "后面再细说", "我们已经试过了", "原因有好几个")
    if lang == "en":
        subjects = ("the cache", "the queue", "the scheduler", "the log", "the index", "the gateway", "the compiler")
        doings = ("was changed yesterday", "has to warm up first", "slows down at noon", "is faster than last year")
        ends = ("please write that down", "that matters a lot", "more on that later", "we have tried it already")
    out = []
    for i in range(sentences):
        s, d, e = rng.choice(subjects), rng.choice(doings), rng.choice(ends)
        end = "\n\n" if rng.random() < 0.2 else " " if lang == "en" else ""
        out.append(f"{s}{i}号{d}，{e}。{end}" if lang == "zh" else f"Number {i} of {s} {d}, {e}.{end}")
    return "".join(out)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_passages_end_where_sentences_do_and_are_well_filled(lang: str) -> None:
    passages = cut(talk(600, lang=lang), 120)
    assert all(p.text.rstrip().endswith(("。", ".")) for p in passages)
    assert all(p.tokens >= LEAST_SHARE * 120 for p in passages)
    assert sum(p.tokens for p in passages) / len(passages) > 0.7 * 120


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_tokens_are_those_of_the_passage(lang: str) -> None:
    """A space between sentences is counted by itself, though it shares a token with the word behind it."""
    for p in cut(talk(600, lang=lang), 120):
        assert COUNTER.count(p.text) <= p.tokens <= COUNTER.count(p.text) + p.text.count(". ")


def test_a_clause_that_fits_is_not_cut_inside() -> None:
    """Clauses of 0.5 to 0.9 budgets among short ones."""
    rng = random.Random(5)
    clauses = [
        "".join(rng.sample("缓存队列调度日志索引网关模型数据前端编译系统配置检查", rng.choice([4, 9, 22])))
        for _ in range(300)
    ]
    counts = [COUNTER.count(c + "，") for c in clauses]
    budget = int(max(counts) / 0.9)
    assert any(budget / 2 < n < budget for n in counts)
    assert all(p.text.endswith(("，", "。")) for p in cut("，".join(clauses) + "。", budget))


def test_a_long_sentence_is_cut_at_its_clauses() -> None:
    text = "，".join(f"第{i}个环节需要单独的配置和检查" for i in range(80)) + "。"
    assert all(p.text.endswith(("，", "。")) for p in cut(text))


def test_words_stay_whole_where_nothing_else_parts_them() -> None:
    text = " ".join(
        random.Random(3).choice(["alpha", "beta", "gamma-delta", "it's", "unquestionably"]) for _ in range(900)
    )
    assert all(p.text.endswith(" ") for p in cut(text)[:-1])


def test_accents_and_joined_emoji_stay_whole() -> None:
    for whole in ("e\u0301", "👨\u200d👩\u200d👧", "❤\ufe0f"):
        for p in cut(whole * 500, 24):
            assert not unicodedata.combining(p.text[0]) and p.text[0] not in "\u200d\ufe0f" and p.text[-1] != "\u200d"


@pytest.mark.parametrize(
    "text", ["It costs 3.14 dollars at St. John's, says Mr. Bean of J. R. Ltd. today. ", "他说：“好的。”然后走了。"]
)
def test_a_full_stop_that_ends_nothing(text: str) -> None:
    for p in cut(text * 40, 40):
        assert not re.search(r"(3\.|St\. ?|Mr\. ?|J\. ?|R\. ?|。)$", p.text.rstrip(" ")) or p.text.endswith("走了。"), (
            p.text
        )


@pytest.mark.parametrize(
    "label", ["Speaker {}: 00:{:02}:16", "**Speaker {}** [00:{:02}:16]:", "王老师{}：", "Speaker {}:"]
)
def test_a_speakers_line_stays_with_what_follows(label: str) -> None:
    turns = [f"{label.format(i % 3, i % 60)}\n\n{talk(5, seed=i, lang='en').strip()}\n\n" for i in range(60)]
    last_lines = [p.text.rstrip().rsplit("\n", 1)[-1] for p in cut("".join(turns), 120)]
    assert all(line.endswith(".") for line in last_lines)


# --- edits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lang", "sentence"), [("zh", "这里我想多补充一句话。"), ("en", "Let me add one more remark. ")]
)
def test_an_edit_moves_only_its_neighbours(lang: str, sentence: str) -> None:
    text = talk(1200, lang=lang)
    before = [p.text.strip() for p in cut(text, 120)]
    ends = [m.end() for m in re.finditer(r"[。.]\s*", text)]
    lost = []
    for k in range(30):
        at = ends[(2 * k + 1) * len(ends) // 60]
        after = {p.text.strip() for p in cut(text[:at] + sentence + text[at:], 120)}
        lost.append(sum(p not in after for p in before))
    assert sum(lost) / len(lost) <= 2
    assert max(lost) / len(before) <= 0.05


def test_a_deleted_sentence_moves_only_its_neighbours() -> None:
    text = talk(1200)
    before = [p.text.strip() for p in cut(text, 120)]
    ends = [m.end() for m in re.finditer(r"。\s*", text)]
    for k in range(50, 1150, 100):
        after = {p.text.strip() for p in cut(text[: ends[k]] + text[ends[k + 1] :], 120)}
        assert sum(p not in after for p in before) / len(before) <= 0.05


# --- speakers --------------------------------------------------------------------------------------------------------

turns_of = st.lists(st.tuples(st.sampled_from(["A", "B", "C", None]), st.integers(1, 120)), min_size=1, max_size=12)


@settings(deadline=None)
@given(turns_of)
def test_no_passage_holds_long_turns_of_two_speakers(turns: list[tuple[str | None, int]]) -> None:
    text, spans = "", []
    for speaker, length in turns:
        spans.append((len(text), len(text) + length, speaker))
        text += "话" * length + "\n"
    passages = split(text, budget=250, counter=COUNTER, regions=regions(text, spans))
    for p in passages:
        inside = [(e - s, who) for s, e, who in spans if s < p.end and e > p.start]
        assert len({who for length, who in inside if length > SHORT_TURN}) <= 1
        assert p.speaker is None or {who for _, who in inside} == {p.speaker}


def test_short_turns_share_a_passage() -> None:
    text = "你来吗？\n来。\n那走吧。"
    spans = [(0, 4, "A"), (5, 7, "B"), (8, 12, "A")]
    assert regions(text, spans) == [Region(start=0, end=12, speaker=None)]


def test_regions_do_not_join_over_what_stands_between() -> None:
    text = "第一段\n# 标题\n第二段"
    assert len(regions(text, [(0, 3, None), (9, 12, None)])) == 2


# --- hostile texts ---------------------------------------------------------------------------------------------------

UNITS = ("a", "啊", "嗯，", "呃。", " x", "\n-", "。", "\u0301", "👨\u200d👩", "A. ", "的,", "第1行\n")


@pytest.mark.parametrize("unit", UNITS, ids=[repr(u) for u in UNITS])
def test_a_megabyte_of_one_thing_takes_seconds(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    begin = time.perf_counter()
    passages = cut(text, 250)
    assert time.perf_counter() - begin < 60
    assert "".join(p.text for p in passages) == text
    assert max(p.tokens for p in passages) <= 250
