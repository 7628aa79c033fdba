"""Fixes: what each repairs and what it must leave alone, and what holds for any text."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rewriter import formats
from rewriter.fixes import FixedText, apply, detect_language, fix, revert
from rewriter.glossary import Glossary
from rewriter.pieces import pieces
from rewriter.records import Fix, Hit, Transcript
from rewriter.tokens import counter_for
from rewriter.work import Work, prepare

CASES = Path(__file__).parent / "cases"


def load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text(encoding="utf-8"))]


def names(fixed: FixedText) -> set[str]:
    return {name for f in fixed.fixes for name in f.name.split("+")}


# --- cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", load("fixes.json"))
def test_repairs(case: dict[str, Any]) -> None:
    fixed = fix(case["text"], lang=case["lang"], style="clean")
    assert fixed.text == case["fixed"]
    assert sorted(names(fixed)) == case["fixes"]


@pytest.mark.parametrize("case", load("fixes_negative.json"))
def test_leaves_alone(case: dict[str, Any]) -> None:
    fixed = fix(case["text"], lang=case["lang"], style="clean")
    assert fixed.text == case["text"], fixed.fixes


@pytest.mark.parametrize("case", [*load("fixes.json"), *load("fixes_negative.json")])
def test_the_verbatim_style_keeps_hesitation(case: dict[str, Any]) -> None:
    fixed = fix(case["text"], lang=case["lang"], style="correct")
    assert names(fixed) <= {"loop", "width", "space", "linebreak"}


def test_timed_lines_are_not_joined() -> None:
    text = "The cache keeps every answer it was given, so that\nthe second run of the same talk asks nothing,\nfree."
    assert names(fix(text, lang="en", style="clean")) == {"linebreak"}
    assert fix(text, lang="en", style="clean", join_lines=False).fixes == ()


def test_a_loop_says_what_was_repeated_and_how_often() -> None:
    clause = "这一页我们先跳过去"
    fixed = fix("开始。" + f"{clause}，" * 1245 + "结束。", lang="zh", style="correct")
    assert fixed.text == f"开始。{clause}，结束。"
    (only,) = fixed.fixes
    assert (only.name, only.count, only.after) == ("loop", 1245, "")
    assert clause in only.note and "1245" in only.note


@pytest.mark.parametrize(
    ("clause", "most"),
    [
        ("是", 19),
        ("好的", 9),
        ("今天下雨", 5),
        ("今天一定会下雨", 3),
        ("no", 19),
        ("overnight", 9),
        ("thank you so much", 5),
        ("没问题", 9),
    ],
)
def test_how_often_is_a_loop(clause: str, most: int) -> None:
    def fixed(times: int) -> FixedText:
        return fix(f"{clause}, " * times + "end", lang="und", style="correct")

    assert fixed(most).fixes == ()
    assert [f.count for f in fixed(most + 1).fixes] == [most + 1]


def test_a_half_written_last_repeat_stays() -> None:
    text = "我们下一页再说，" * 5 + "我们下一"
    assert fix(text, lang="zh", style="clean").text == "我们下一页再说，我们下一"


# --- aliases ---------------------------------------------------------------------------------------------------------


def test_certain_aliases_take_their_canonical_form() -> None:
    text = "我们用飞讲训练，飞角也行"
    hits = [
        Hit(start=3, end=5, canonical="飞桨", how="alias", certain=True),
        Hit(start=8, end=10, canonical="飞桨", how="alias", certain=False),
    ]
    fixed = fix(text, lang="zh", style="correct", hits=hits)
    assert fixed.text == "我们用飞桨训练，飞角也行"
    assert fixed.fixes == (Fix(name="alias", start=3, end=5, before="飞讲", after="飞桨"),)


def test_overlapping_aliases_are_made_once() -> None:
    hits = [Hit(start=a, end=b, canonical="ABC", how="alias", certain=True) for a, b in ((0, 2), (1, 3))]
    assert fix("abcd", lang="en", style="clean", hits=hits).text == "ABCcd"


def test_an_alias_beside_another_repair() -> None:
    hits = [Hit(start=3, end=5, canonical="飞桨", how="alias", certain=True)]
    fixed = fix("我们呃飞讲呃,好", lang="zh", style="clean", hits=hits)
    assert fixed.text == "我们飞桨，好"
    assert names(fixed) == {"alias", "filler", "width"}
    assert apply(fixed.source, fixed.fixes) == fixed.text


# --- properties ------------------------------------------------------------------------------------------------------

PARTS = (
    *"我你他她它这那呃嗯额啊的是好，。！？、 \n,.!?;a",
    *(
        "我们",
        "大家",
        "这个",
        "就是",
        "因为",
        "打呃",
        "下周再讲，",
        "the ",
        "The ",
        "I ",
        "a ",
        "we ",
        "and, ",
        "uh ",
        "Uh, ",
    ),
    *(
        "um",
        "uh huh",
        "  ",
        "\u3000",
        "\u200b",
        "\u00a0",
        "ＡＢ",
        "１２",
        "10²",
        "\ud800",
        "e\u0301",
        "👨\u200d👩",
        "\r\n",
        "“呃”",
        "……",
    ),
    *(
        "今天讲缓存，" * 4,
        "对，" * 5,
        "İ",
        "ß",
        "ﬁ",
        "\t",
        "- x",
        "the second line of a wrapped text, which goes on and\n" * 3,
    ),
)
texts = st.lists(st.sampled_from(PARTS), max_size=40).map("".join) | st.text(max_size=60)
languages = st.sampled_from(["zh", "en", "ja", "und"])
styles = st.sampled_from(["correct", "clean", "formal"])


@settings(deadline=None)
@given(texts, languages, styles)
def test_fixes_are_flat_and_reversible(text: str, lang: str, style: str) -> None:
    fixed = fix(text, lang=lang, style=style)
    assert apply(text, fixed.fixes) == fixed.text
    assert revert(fixed.text, fixed.fixes) == text
    assert all(f.before == text[f.start : f.end] != f.after for f in fixed.fixes)
    assert all(a.end <= b.start for a, b in pairwise(fixed.fixes))


@settings(max_examples=300, deadline=None)
@given(texts, languages, styles, st.booleans())
@example("这这个这个", "zh", "clean", True)
@example("他，呃。嗯，我们呃我们", "zh", "clean", True)
def test_a_fixed_text_needs_no_fix(text: str, lang: str, style: str, join: bool) -> None:
    once = fix(text, lang=lang, style=style, join_lines=join)
    assert fix(once.text, lang=lang, style=style, join_lines=join).fixes == ()


@settings(deadline=None)
@given(texts, languages)
def test_offsets_map_both_ways(text: str, lang: str) -> None:
    fixed = fix(text, lang=lang, style="clean")
    there = [fixed.to_fixed(i) for i in range(len(text) + 1)]
    back = [fixed.to_source(i) for i in range(len(fixed.text) + 1)]
    assert there == sorted(there) and back == sorted(back)
    assert there[-1] == len(fixed.text) and back[-1] == len(text)
    inside = {i for f in fixed.fixes for i in range(f.start, f.end)}
    for i in range(len(text)):
        if i not in inside:
            assert fixed.text[there[i]] == text[i]
            assert back[there[i]] == i


@settings(deadline=None)
@given(texts, languages, st.data())
def test_a_span_of_the_text_finds_its_source(text: str, lang: str, data: st.DataObject) -> None:
    fixed = fix(text, lang=lang, style="clean")
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(fixed.text))] * 2)))
    a, b = fixed.to_source_span(start, end)
    assert 0 <= a <= b <= len(text)
    overlapping = [f for f in fixed.fixes if f.start < b and f.end > a]
    assert all(a <= f.start and f.end <= b for f in overlapping)
    # What the span holds, and nothing but fixes around it, is in the source span.
    local = [f.model_copy(update={"start": f.start - a, "end": f.end - a}) for f in overlapping]
    assert fixed.text[start:end] in apply(text[a:b], local)


@settings(deadline=None)
@given(texts, texts, st.data())
def test_protected_spans_stay(text: str, inner: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    whole = text[:at] + inner + text[at:]
    fixed = fix(whole, lang="zh", style="clean", protect=[(at, at + len(inner))] if inner else [])
    start = fixed.to_fixed(at)
    assert not any(f.start < at + len(inner) and f.end > at for f in fixed.fixes if inner)
    assert fixed.text[start : start + len(inner)] == inner or not inner


@settings(deadline=None)
@given(st.text(alphabet="我们呃，对 的the\n", max_size=200))
def test_nothing_but_fillers_and_repeats_is_removed(text: str) -> None:
    fixed = fix(text, lang="zh", style="clean")
    removed = "".join(f.before for f in fixed.fixes if not f.after)
    assert set(removed) <= set(text)
    letters = {c for c in text if c.isalnum()} - {"呃"}
    assert {c for c in fixed.text if c.isalnum()} - {"呃"} == letters


def test_a_fix_of_another_text_is_refused() -> None:
    fixed = fix("然后，呃，我们看", lang="zh", style="clean")
    with pytest.raises(ValueError, match="does not belong"):
        apply("另外一段文字在这里", fixed.fixes)


# --- hostile texts ---------------------------------------------------------------------------------------------------

MEGABYTE = 1_000_000
UNITS = (
    "a",
    "啊",
    "呃",
    "嗯，",
    " ",
    "\n",
    "，",
    "我们",
    "the ",
    "uh, ",
    "好的,",
    "\u3000",
    "。呃 uh, ",
    "那我我",
    "“呃”",
    "\r\n",
    ".",
    "x\n",
)


@pytest.mark.parametrize("unit", UNITS, ids=[repr(u) for u in UNITS])
def test_a_megabyte_of_one_thing_takes_seconds(unit: str) -> None:
    text = unit * (MEGABYTE // len(unit))
    begin = time.perf_counter()
    fixed = fix(text, lang="zh", style="clean")
    assert time.perf_counter() - begin < 60
    assert apply(text, fixed.fixes) == fixed.text


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"第 {i} 行，呃，的文字" for i in range(100_000)),
        "我们这一页先跳过去，" * 100_000,
        "\n".join(f"line {i} of a text, wrapped at a width that is always the same" for i in range(20_000)),
    ],
    ids=["short lines", "a long loop", "one long block"],
)
def test_large_texts_take_seconds(text: str) -> None:
    begin = time.perf_counter()
    fixed = fix(text, lang="zh", style="clean", protect=[(i, i + 2) for i in range(0, len(text), 200)])
    assert time.perf_counter() - begin < 60
    assert revert(fixed.text, fixed.fixes) == text


# --- through the pipeline: timed text and markdown -------------------------------------------------------------------


def made_ready(name: str, data: str) -> tuple[Transcript, Work]:
    transcript = formats.read_bytes(data.encode(), name=name)
    language = detect_language(transcript.text)
    counter = counter_for("")
    work = prepare(
        transcript, policy="clean", language=language, glossary=Glossary.load(()), counter=counter, budget=250
    )
    return transcript, work


def cues(*lines: str) -> str:
    return "".join(
        f"{i}\n00:{i // 60:02}:{i % 60:02},000 --> 00:{i // 60:02}:{i % 60:02},900\n{line}\n\n"
        for i, line in enumerate(lines, 1)
    )


def test_a_loop_over_cues_empties_them_and_keeps_their_count_and_times() -> None:
    source = cues("大家好，今天讲缓存。", *["请不吝点赞订阅转发"] * 40, "我们开始。")
    transcript, work = made_ready("talk.srt", source)
    assert work.fixed.text == "大家好，今天讲缓存。\n请不吝点赞订阅转发\n我们开始。"
    assert [f.count for f in work.fixed.fixes] == [40]
    written = formats.write(transcript, pieces(work, ()))
    again = formats.read_bytes(written, name="talk.srt")
    assert written.decode().count("-->") == 42
    assert [line for line in written.decode().splitlines() if "-->" in line] == [
        line for line in source.splitlines() if "-->" in line
    ]
    assert again.text == work.fixed.text


def test_a_loop_in_the_middle_of_cues_keeps_the_words_around_it() -> None:
    parts = ["那我们看下一页，现在", *["先看这边的图，现在先看", "这边的图，现在"] * 5, "结束了。"]
    transcript, work = made_ready("talk.srt", cues(*parts))
    again = formats.read_bytes(formats.write(transcript, pieces(work, ())), name="talk.srt")
    assert len(parts) == formats.write(transcript, pieces(work, ())).decode().count("-->")
    assert again.text.startswith("那我们看下一页") and again.text.endswith("结束了。")


def test_every_cue_of_a_loop_keeps_its_times_in_json() -> None:
    segments = [{"id": i, "start": float(i), "end": i + 0.9, "text": " and so it goes on"} for i in range(12)]
    data = json.dumps({"language": "en", "text": " and so it goes on" * 12, "segments": segments})
    transcript, work = made_ready("talk.json", data)
    written = json.loads(formats.write(transcript, pieces(work, ())))
    assert [(s["id"], s["start"], s["end"]) for s in written["segments"]] == [(i, float(i), i + 0.9) for i in range(12)]
    assert "".join(s["text"] for s in written["segments"]).strip() == "and so it goes on"


def test_a_filler_that_is_a_whole_cue_stays() -> None:
    transcript, work = made_ready("talk.srt", cues("你来吗？", "呃。", "呃，那走吧。"))
    assert work.fixed.text == "你来吗？\n呃。\n那走吧。"
    again = formats.read_bytes(formats.write(transcript, pieces(work, ())), name="talk.srt")
    assert [again.text[s.start : s.end] for s in again.segments] == ["你来吗？", "呃。", "那走吧。"]


def test_markdown_is_fixed_in_its_paragraphs_only() -> None:
    parts = (
        "# 呃，标题,一\n\n我们我们先看，呃，缓存。\n\n```\nuh  the the\n```\n\n- 呃，列表,一\n\n",
        "再看`呃,呃`和[呃,呃](http://a.b/呃,呃)，呃，这样写就可以了，不用改。\n",
    )
    source = "".join(parts)
    transcript, work = made_ready("talk.md", source)
    written = formats.write(transcript, pieces(work, ())).decode()
    assert written == source.replace("我们我们先看，呃，", "我们先看，").replace("，呃，这样", "，这样")


# --- language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("我们今天讲缓存", "zh"),
        ("我们用 Kubernetes 和 Kafka 来部署 microservices 这样", "zh"),
        ("So this is what we are going to do with it today", "en"),
        ("Das ist ein Beispiel für einen Text, der nicht englisch ist", "und"),
        ("今日はキャッシュについて話します", "ja"),
        ("오늘은 캐시에 대해 이야기합니다", "ko"),
        ("12:30 … 45", "und"),
        ("", "und"),
        ("We talk about 缓存 in this one, and that is all that we do in it", "en"),
    ],
)
def test_language_by_script(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_language_is_told_from_all_parts_of_a_text() -> None:
    assert detect_language("Title of the talk and so on\n" * 10 + "我们今天讲缓存。" * 5000) == "zh"
