"""The guard: cases with an opinion, properties that hold for any text, texts made to break it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewriter.checks import POLICIES, check, check_jsonl, checks_version
from rewriter.checks.align import align
from rewriter.checks.disfluency import EN_SOUNDS, ZH_SOUNDS
from rewriter.checks.normalise import Coder, Tokens
from rewriter.errors import InputError, StyleError
from rewriter.glossary import Glossary

CASES = Path(__file__).parent / "cases"


def load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("case", load("checks.json"))
def test_case(case: dict[str, Any]) -> None:
    terms = Glossary.from_terms(case["terms"]).within(case["source"], case["draft"]) if "terms" in case else None
    verdict = check(case["source"], case["draft"], style=case.get("style", "clean"), glossary=terms)
    assert verdict.accepted == case["accepted"], verdict.findings
    if "warns" in case:
        assert case["warns"] in [f.kind for f in verdict.findings if f.severity == "warn"]
    if "kind" in case:
        rejecting = [f for f in verdict.findings if f.severity == "reject"]
        said = [f for f in rejecting if f.kind == case["kind"]]
        assert any(case["says"] in f.source_text + f.draft_text for f in said), rejecting


@pytest.mark.parametrize("case", load("checks_known_failures.json"))
@pytest.mark.xfail(strict=True, reason="the guard knows letters and sounds, not meaning")
def test_known_failure(case: dict[str, Any]) -> None:
    assert check(case["source"], case["draft"]).accepted == case["accepted"]


# Clauses of at least 12 content characters, none of which shares much with another.
CLAUSES = (
    "村口那棵老槐树去年冬天被大雪压断",
    "消防队员凌晨三点赶到化工厂灭火",
    "图书馆新买进一批海洋生物画册供孩子借阅",
    "隔壁裁缝铺老板娘擅长绣牡丹花枕套",
    "气象台预报周末沿海地区会刮八级大风",
    "陶瓷博物馆展出宋代青釉莲瓣碗",
    "养蜂人把蜂箱搬到油菜花田旁边",
    "铁匠用旧钢轨打造园艺剪刀卖给游客",
    "小学生排队领取疫苗接种卡片和糖果",
    "渔民清早驾船出港捕捞鱿鱼带鱼",
    "退休教师坚持每天练习毛笔书法楷体",
    "高原牧场牦牛产奶量比往年减少许多",
)
passages = st.lists(st.sampled_from(CLAUSES), min_size=3, max_size=10, unique=True)
words = st.text(alphabet="天地玄黄宇宙洪荒日月盈昃abcdeXYZ 0123456789，。!?\n", max_size=80)


@settings(max_examples=60, deadline=None)
@given(st.one_of(words, st.text(max_size=60), passages.map("，".join)))
def test_text_is_accepted_against_itself(text: str) -> None:
    verdict = check(text, text)
    assert verdict.accepted
    assert verdict.score == 1.0


@settings(max_examples=60, deadline=None)
@given(passages, st.data())
def test_fillers_and_floor_holders_may_go(clauses: list[str], data: st.DataObject) -> None:
    held = st.sampled_from(["就是说", "然后呢", "你知道吧", "怎么说呢", "那个那个", "对对对"])
    spoken = "，".join(data.draw(held) + c for c in clauses)
    assert check(spoken, "，".join(clauses)).accepted
    assert not check(spoken, "，".join(clauses[1:])).accepted


# Characters that carry meaning; none is a numeral, a negation or grammar.
CONTENT = "山河湖海森林草原沙漠桥梁船帆铁铜银锡钢煤盐糖茶酒米麦豆棉麻丝绸瓷砖瓦墙窗门梯灯烛墨纸笔砚琴鼓牛羊马"
random_clauses = st.lists(st.text(alphabet=CONTENT, min_size=12, max_size=24), min_size=3, max_size=8)


@settings(max_examples=60, deadline=None)
@given(random_clauses, st.data())
def test_removing_any_random_clause_is_rejected(clauses: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(clauses) - 1))
    source = "，".join(clauses)
    draft = "，".join(c for i, c in enumerate(clauses) if i != gone)
    pairs = [clauses[gone][i : i + 2] for i in range(len(clauses[gone]) - 1)]
    assume(not any(pair in draft for pair in pairs) and len(set(pairs)) == len(pairs))
    assert not check(source, draft).accepted
    assert not check(draft, source).accepted or len(clauses[gone]) < 16  # put in, it weighs less


@settings(max_examples=40, deadline=None)
@given(words, words, st.lists(st.text(alphabet="abcdefgh", min_size=3, max_size=9), max_size=40))
def test_verdicts_do_not_depend_on_what_was_judged_before(source: str, draft: str, others: list[str]) -> None:
    before = check(source, draft)
    check(" ".join(others), " ".join(reversed(others)))
    assert check(source, draft) == before
    assert next(iter(check_jsonl([json.dumps({"id": 1, "source": source, "rewrite": draft})])))["score"] == before.score


@settings(max_examples=60, deadline=None)
@given(passages, st.data())
def test_removing_a_clause_is_rejected(clauses: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(clauses) - 1))
    source = "，".join(clauses) + "。"
    draft = "，".join(c for i, c in enumerate(clauses) if i != gone) + "。"
    verdict = check(source, draft)
    assert not verdict.accepted
    assert any(clauses[gone][3:-3] in f.source_text for f in verdict.findings if f.kind == "lost")


@settings(max_examples=60, deadline=None)
@given(passages, st.data())
def test_fillers_change_no_verdict(clauses: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.integers(2, len(clauses)))
    fillers = st.sampled_from(sorted(ZH_SOUNDS) + [f" {w} " for w in sorted(EN_SOUNDS)])
    noisy = "".join(c + data.draw(fillers) + "，" for c in clauses)
    draft = "，".join(clauses[:kept])
    assert check(noisy, draft).accepted == check("，".join(clauses), draft).accepted
    assert check("，".join(clauses), noisy).accepted


@settings(max_examples=60, deadline=None)
@given(passages, st.randoms(use_true_random=False))
def test_punctuation_width_case_and_line_breaks_do_not_matter(clauses: list[str], rng: random.Random) -> None:
    draft = "，".join([*clauses[1:], "Final Report on GPUs"])
    source = "，".join([*clauses, "final report on gpus"])
    wide = draft.translate({ord(c): ord(c) + 0xFEE0 for c in "FinalReportonGPUs"})
    loose = re.sub("，", lambda _: rng.choice("。；\n ！"), wide)
    expected, found = check(source, draft), check(source, loose)
    assert found.accepted == expected.accepted
    assert found.score == pytest.approx(expected.score, abs=0.001)


@settings(max_examples=60, deadline=None)
@given(words, words)
def test_spans_point_at_what_they_name(source: str, draft: str) -> None:
    verdict = check(source, draft, policy="strict")
    assert 0.0 <= verdict.score <= 1.0
    weights = [f.weight for f in verdict.findings]
    assert weights == sorted(weights, reverse=True)
    for f in verdict.findings:
        if f.source and f.source_text:
            assert source[slice(*f.source)] == f.source_text
        if f.draft and f.draft_text:
            assert draft[slice(*f.draft)] == f.draft_text


@settings(max_examples=40, deadline=None)
@given(words, words)
def test_alignment_tiles_both_sides(source: str, draft: str) -> None:
    coder = Coder()
    here, there = Tokens(source, coder), Tokens(draft, coder)
    assert len(here.code) == len(here.forms)
    ends = [here.span(i, i + 1) for i in range(len(here))]
    assert all(0 <= a < b <= len(source) for a, b in ends)
    assert ends == sorted(ends)
    a = c = 0
    for op in align(here.code, there.code):
        assert (op.a, op.c) == (a, c)
        assert not op.equal or here.code[op.a : op.b] == there.code[op.c : op.d]
        a, c = op.b, op.d
    assert (a, c) == (len(here), len(there))


class Listed:
    def aliases(self) -> dict[str, str]:
        return {"小鹰车间": "Falcon", "拆GBT": "ChatGPT"}

    def canonicals(self) -> list[str]:
        return ["Falcon", "ChatGPT"]


def test_alias_and_canonical_are_equal() -> None:
    source = "昨天小鹰车间停电，工程师用拆GBT写了一份停电报告，今天上午寄给总公司。"
    draft = "昨天Falcon停电，工程师用ChatGPT写了一份停电报告，今天上午寄给总公司。"
    verdict = check(source, draft, glossary=Listed())
    assert verdict.accepted
    assert not verdict.findings
    lost = check(source, draft.replace("工程师用ChatGPT写了一份停电报告，", ""), glossary=Listed())
    assert not lost.accepted
    assert all(source[slice(*f.source)] == f.source_text for f in lost.findings if f.source)


def test_strict_is_stricter_than_balanced_than_lenient() -> None:
    source = "我们先检查阀门，再打开水泵，最后记录压力。"
    draft = "我们先检查阀门，最后记录压力。"
    accepted = [check(source, draft, policy=name).accepted for name in ("strict", "balanced", "lenient")]
    assert accepted == sorted(accepted)
    assert accepted[0] is False
    assert accepted[-1] is True


def test_formal_allows_rephrasing_and_still_sees_truncation() -> None:
    source = "这个灯吧它就是有点暗，看书的时候眼睛特别累，所以我想换一个亮一点的，最好还能调颜色的那种。"
    draft = "这盏灯偏暗，看书时眼睛容易疲劳，因此我想换一盏更亮的，最好能够调节颜色。"
    assert check(source, draft, style="formal").accepted
    text = "，".join(CLAUSES)
    assert not check(text, "，".join(CLAUSES[:7]), style="formal").accepted


def test_a_copy_is_worth_a_warning() -> None:
    text = "，".join(CLAUSES[:5])
    verdict = check(text, text)
    assert verdict.accepted
    assert [(f.kind, f.severity) for f in verdict.findings] == [("untouched", "warn")]


def test_moved_clause_is_found_where_it_went() -> None:
    source = "，".join(CLAUSES[:6])
    draft = "，".join([*CLAUSES[1:4], CLAUSES[0], *CLAUSES[4:6]])
    assert check(source, draft).accepted


def test_unknown_policy_is_named() -> None:
    with pytest.raises(StyleError, match="severe"):
        check("a", "a", policy="severe")


def test_every_style_has_a_policy() -> None:
    assert {"strict", "balanced", "lenient", "correct", "clean", "formal"} <= set(POLICIES)


def test_jsonl_keeps_order_and_names_the_bad_line() -> None:
    pairs = [json.dumps({"id": i, "source": c, "rewrite": c}) for i, c in enumerate(CLAUSES[:3])]
    found = list(check_jsonl([*pairs, "", "\n"]))
    assert [v["id"] for v in found] == [0, 1, 2]
    assert set(found[0]) == {"id", "accepted", "score", "findings"}
    for bad in ('{"id": 1', '{"id": 1, "source": "a"}', "[]"):
        with pytest.raises(InputError, match="line 2"):
            list(check_jsonl([pairs[0], bad]))


def test_version_is_steady() -> None:
    assert checks_version() == checks_version()
    assert len(checks_version()) == 16


HOSTILE = {
    "one character": ("我" * 300_000, "我"),
    "one character, other": ("我" * 100_000, "你" * 100_000),
    "one word": ("a" * 1_000_000, "b"),
    "numbers": (" ".join(map(str, range(10_000))), " ".join(map(str, range(1, 10_000)))),
    "number words": ("seven " * 20_000, "eight " * 20_000),
    "numerals": ("三" * 100_000, "四" * 100_000),
    "fillers": ("啊" * 500_000, ""),
    "surrogates": ("\ud800" * 1000, "\udfff" * 1000),
    "combining marks": ("\u0301" * 10_000, "a" + "\u0301" * 10_000),
    "directions": ("\u202eabc\u202d" * 5000, "\u2066אבג\u2069" * 5000),
    "dotted capital i": ("İstanbul " * 1000, "istanbul " * 1000),
    "nothing": ("", "nothing was said, and yet there is text"),
    "white space": (" \n\t" * 10_000, " "),
    "other text": ("".join(map(chr, range(0x4E00, 0x9000))) * 4, "".join(map(chr, range(0x9000, 0x4E00, -1))) * 4),
    "every other character": ("山" * 100_000, "山河" * 50_000),
    "questions": ("谁来？" * 20_000, "谁来。" * 20_000),
    "addresses": ("https://a.example/x " * 5_000, "b " * 5_000),
    "brackets": ("（" * 50_000, "（山" * 20_000),
    "names": ("北京上海" * 20_000, "南京广州" * 20_000),
    "one sentence": ("word " * 40_000, "other " * 40_000),
}


@pytest.mark.timeout(120)  # seconds, on a busy machine; each takes a few at most, and took minutes once
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_soon(name: str) -> None:
    source, draft = HOSTILE[name]
    assert 0.0 <= check(source, draft).score <= 1.0
