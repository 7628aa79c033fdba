"""Rows of differences: nothing of either text goes missing, marks stand where a reader would put them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rewriter
from rewriter.fixes import fix
from rewriter.records import Finding
from rewriter.report.differences import Placed, Row, differences
from talks import talk

PIECES = st.lists(
    st.sampled_from(
        [
            "果园今年收成不错，",
            "苹果主要卖到南方。",
            "The kiln cools for two days. ",
            "没有三十七座桥",
            "\n",
            "嗯",
            "（",
            "“",
            "😀",
        ]
    ),
    max_size=30,
).map("".join)
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.booleans()), max_size=6)


def finding(kind: str, source: Any, draft: Any) -> Finding:
    return Finding(kind=kind, severity="reject", weight=1.0, source=source, draft=draft, message="m")


def said(rows: list[Row], *, side: str, kind: str) -> list[str]:
    return [run.text for row in rows for run in getattr(row, side) if run.kind == kind]


@given(PIECES, PIECES, SPANS)
@settings(max_examples=150, deadline=None)
def test_rows_tile_both_texts_and_name_each_finding_once(source: str, result: str, spans: Any) -> None:
    findings = [finding("lost", *((a, a + n), None)[:: 1 if here else -1]) for a, n, here in spans]
    rows = differences(source, result, findings=findings, terms=["苹果", "kiln"])
    assert "".join(run.text for row in rows for run in row.source) == source
    assert "".join(run.text for row in rows for run in row.result) == result
    for side, text in (([r.source_span for r in rows], source), ([r.result_span for r in rows], result)):
        assert side[0][0] == 0 and side[-1][1] == len(text)
        assert all(a[1] == b[0] for a, b in pairwise(side))
    for row in rows:
        assert "".join(run.text for run in row.source) == source[slice(*row.source_span)]
        assert "".join(run.text for run in row.result) == result[slice(*row.result_span)]
    assert sorted(n for row in rows for n in row.findings) == list(range(len(findings)))


@given(PIECES)
@settings(max_examples=50, deadline=None)
def test_a_text_beside_itself_has_no_differences(text: str) -> None:
    assert all(run.kind == "same" for row in differences(text, text) for run in (*row.source, *row.result))


@given(
    st.lists(
        st.sampled_from(
            [
                "我们我们",
                "然后",
                "嗯，",
                "今天",
                "修桥，",
                "把门关上，把门关上，把门关上，把门关上，",
                "。",
                "呃",
                "the the ",
                "\n",
            ]
        ),
        max_size=25,
    ).map("".join)
)
@settings(max_examples=150, deadline=None)
def test_what_the_recogniser_wrote_can_be_read_off_the_rows(text: str) -> None:
    fixed, shift, placed = fix(text, lang="zh", style="clean"), 0, []
    for f in fixed.fixes:
        placed.append(Placed(f.start + shift, f.start + shift + len(f.after), f))
        shift += len(f.after) - (f.end - f.start)
    runs = [run for row in differences(fixed.text, fixed.text, fixes=placed) for run in row.source]
    assert "".join(run.text for run in runs) == text
    assert "".join(run.after if run.kind == "fix" else run.text for run in runs) == fixed.text


SOURCE = "水泵昨天夜里坏了，维修师傅从隔壁县城连夜赶来，今天早上已经恢复供水。下周还要再检查一次阀门。"


@pytest.mark.parametrize(
    ("result", "lost", "added", "changed"),
    [
        (SOURCE.replace("维修师傅从隔壁县城连夜赶来，", ""), ["维修师傅从隔壁县城连夜赶来"], [], []),
        (SOURCE.replace("，", "。"), [], [], []),  # punctuation is not compared
        (SOURCE.replace("恢复供水", "恢复供水和供电"), [], ["和供电"], []),
        (SOURCE.replace("隔壁", "临近"), [], [], ["隔壁"]),
        (SOURCE.replace("坏了", "坏了两次"), [], ["两次"], []),
    ],
)
def test_words_are_marked(result: str, lost: list[str], added: list[str], changed: list[str]) -> None:
    rows = differences(SOURCE, result)
    assert said(rows, side="source", kind="lost") == lost
    assert said(rows, side="result", kind="added") == added
    assert said(rows, side="source", kind="changed") == changed
    assert (len(said(rows, side="result", kind="changed")) > 0) is bool(changed)


@pytest.mark.parametrize(
    ("source", "result", "lost"),
    [
        ("后来日本对中华，对中国很了解。", "后来日本对中国很了解。", ["对中华，"]),
        ("所以金金牛座的人不是这样。", "所以金牛座的人不是这样。", ["金"]),
        ("他说我们，我们明天再去看。", "他说我们明天再去看。", ["我们，"]),
        ("the plan is to go to go to the sea.", "the plan is to go to the sea.", ["to go "]),
        ("好的好的好的。", "好的。", ["好的好的"]),
    ],
)
def test_a_repeat_is_cut_where_a_reader_would_cut(source: str, result: str, lost: list[str]) -> None:
    [row] = differences(source, result)
    marked = [run.text for run in row.source if run.kind == "lost"]
    assert [m.strip("，, ") for m in marked] == [m.strip("，, ") for m in lost]
    assert source.index(marked[0]) == source.index(lost[0].strip("，, "))


def test_rows_end_with_the_results_sentences() -> None:
    source = "第一件事是修桥第二件事是铺路我们先把桥修好再说第三件事以后再议就这样定了大家回去准备"
    result = "第一件事是修桥，第二件事是铺路。我们先把桥修好再说。第三件事以后再议，就这样定了，大家回去准备。"
    rows = differences(source, result)
    assert ["".join(run.text for run in row.source) for row in rows] == [
        "第一件事是修桥第二件事是铺路",
        "我们先把桥修好再说第三件事以后再议就这样定了大家回去准备",
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            "今天的水位比昨天高了三米!我们今天还是没有打开闸门。",
            ["今天的水位比昨天高了三米!", "我们今天还是没有打开闸门。"],
        ),
        ("Rain fell all day. “Who opened it?” Nobody did, he said.", 3),
        ("页面里写着 <!-- 这里什么都没有 --> 以及 1.5 倍的速度和 a?b=1 这样的地址", 1),
        ("第一段话说完了\n\n第二段。", ["第一段话说完了\n\n", "第二段。"]),
    ],
)
def test_where_a_sentence_ends(text: str, rows: list[str] | int) -> None:
    found = ["".join(run.text for run in row.result) for row in differences(text, text)]
    assert (found if isinstance(rows, list) else len(found)) == rows


def test_a_lost_sentence_stands_in_a_row_with_its_neighbour() -> None:
    source = "水泵昨天夜里又坏了一次。维修师傅从隔壁县城连夜赶来。今天早上已经恢复供水了。"
    rows = differences(source, source.replace("维修师傅从隔壁县城连夜赶来。", ""))
    assert [row.source_span for row in rows] == [(0, 26), (26, len(source))]
    assert said(rows, side="source", kind="lost") == ["维修师傅从隔壁县城连夜赶来"]


def test_a_name_put_right_is_a_term_and_a_capital_a_change() -> None:
    rows = differences("我们用拆GPT写的，还有 whisper 呢", "我们用 ChatGPT 写的，还有 Whisper 呢", terms=["ChatGPT"])
    assert said(rows, side="source", kind="term") == ["拆GPT"]
    assert said(rows, side="result", kind="term") == ["ChatGPT"]
    assert said(rows, side="result", kind="changed") == ["Whisper"]


def test_the_heaviest_finding_covers_a_run_that_two_claim() -> None:
    rows = differences("甲乙丙丁戊己", "甲", findings=[finding("lost", (1, 4), None), finding("lost", (2, 6), None)])
    assert [(run.text, run.finding) for run in rows[0].source] == [("甲", -1), ("乙丙丁", 0), ("戊己", 1)]


def test_the_guards_findings_are_found_in_their_rows() -> None:
    result = SOURCE.replace("维修师傅从隔壁县城连夜赶来，", "").replace("下周", "上周")
    verdict = rewriter.check(SOURCE, result)
    rows = differences(SOURCE, result, findings=verdict.findings)
    assert not verdict.accepted
    for row in rows:
        for number in row.findings:
            assert any(run.finding == number for run in (*row.source, *row.result))


def test_a_long_document_takes_time_in_proportion() -> None:
    source = talk(1500)
    rows = differences(source, source.replace("第1700号", "第1790号"))
    changed = [row for row in rows if any(run.kind != "same" for run in row.source)]
    assert len(source) > 60_000 and len(changed) == 1
    assert "第1700号" in source[slice(*changed[0].source_span)]
