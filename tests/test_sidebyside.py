"""The terminal's view of a comparison: rows tile both texts, marks stand where the findings are, nothing escapes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rewriter
from rewriter.checking import check_files
from rewriter.report.sidebyside import Comparison, rows, show, visible
from talks import talk

SOURCE = "水泵昨天夜里坏了，维修师傅从隔壁县城连夜赶来，今天早上已经恢复供水。下周还要再检查一次阀门。\n" * 3
LOST = SOURCE.replace("维修师傅从隔壁县城连夜赶来，", "", 1)


def compare(source: str, rewrite: str) -> Comparison:
    return Comparison(source=source, rewrite=rewrite, verdict=rewriter.check(source, rewrite))


PIECES = st.lists(
    st.sampled_from(
        ["果园今年收成不错，", "苹果主要卖到南方。", "The kiln cools for two days. ", "没有三十七座桥", "\n", "嗯"]
    ),
    max_size=30,
).map("".join)


@given(PIECES, PIECES)
@settings(max_examples=80, deadline=None)
def test_rows_tile_both_texts_and_hold_each_finding_once(source: str, rewrite: str) -> None:
    compared = compare(source, rewrite)
    found = rows(compared)
    for spans, text in (([r.source for r in found], source), ([r.rewrite for r in found], rewrite)):
        assert spans[0][0] == 0 and spans[-1][1] == len(text)
        assert all(a[1] == b[0] for a, b in pairwise(spans))
    held = [f for r in found for f in r.findings]
    assert sorted(map(str, held)) == sorted(map(str, compared.verdict.findings))
    for row in found:
        for finding in row.findings:
            at, span = (finding.source, row.source) if finding.source else (finding.draft, row.rewrite)
            assert at is None or span[0] <= at[0] <= span[1]


def test_what_was_lost_is_marked_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    show(compare(SOURCE, LOST), color="never")
    shown = capsys.readouterr().out
    assert shown.count("[-") == 1 and "lost: «维修师傅从隔壁县城连夜赶来»" in shown
    assert shown.splitlines()[-1].startswith("rejected, score")
    assert shown.count("character ") == 1  # only the row with the finding
    show(compare(SOURCE, LOST), everything=True, color="never")
    assert capsys.readouterr().out.count("character ") == len(rows(compare(SOURCE, LOST))) > 1


@pytest.mark.parametrize(("color", "escapes"), [("always", True), ("never", False), ("auto", False)])
def test_colour_is_a_choice(color: str, escapes: bool, capsys: pytest.CaptureFixture[str]) -> None:
    show(compare(SOURCE, LOST), color=color)
    assert ("\x1b[" in capsys.readouterr().out) is escapes


@pytest.mark.parametrize("columns", ["40", "61", "200"])
def test_wide_characters_keep_the_columns_straight(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", columns)
    show(compare(SOURCE, LOST), everything=True, color="never")
    assert all(cell_len(line) <= int(columns) for line in capsys.readouterr().out.splitlines())


def test_a_transcript_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = (
        "看这里\x1b[31m红色\x1b]0;title\x07，[bold]标签[/bold]\u202e倒过来\x9b2J，果园今年收成不错，苹果主要卖到南方。"
    )
    show(compare(hostile, "看这里。"), color="never")
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert "[bold]" in shown
    assert visible("a\tb\nc\ud800") == "a b\nc�"


CUES = (
    "1\n00:00:01,000 --> 00:00:02,000\n果园今年收成不错，\n\n"
    "2\n00:00:02,000 --> 00:00:04,000\n苹果和梨子主要卖到南方的三个大城市。\n"
)


@pytest.mark.parametrize(
    ("rewrite", "accepted", "says"),
    [
        (CUES, True, ""),
        (CUES.replace("不错，", "很不错，"), True, ""),
        (
            CUES.replace("00:00:04,000", "00:00:05,000"),
            False,
            "times of cue 2 differ: 2.0 to 4.0 s became 2.0 to 5.0 s",
        ),
        (CUES[: CUES.index("\n\n2\n") + 1], False, "cues: 2 in the source, 1 in the rewrite"),
        (CUES.replace("苹果和梨子主要卖到南方的三个大城市", "没了"), False, "三个大城市"),
    ],
)
def test_subtitles_are_judged_with_their_times(rewrite: str, accepted: bool, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(CUES, encoding="utf-8")
    (tmp_path / "b.srt").write_text(rewrite, encoding="utf-8")
    verdict = check_files(str(tmp_path / "a.srt"), str(tmp_path / "b.srt")).verdict
    assert verdict.accepted is accepted
    assert says in " ".join(f.message for f in verdict.findings)


def test_a_long_document_is_shown_by_its_rows() -> None:
    source = talk(1500)
    compared = compare(source, source.replace("第1700号", "第1790号"))
    found = rows(compared)
    assert len(source) > 60_000 and not compared.verdict.accepted
    with_findings = [r for r in found if r.findings]
    assert len(with_findings) == 1 and "第1700号" in source[slice(*with_findings[0].source)]


def test_a_loop_said_once_is_no_loss_and_spans_stay_true(tmp_path: Path) -> None:
    loop = "我们把窗户关上，" * 300
    source = talk(20) + loop + "后来雨就停了，大家一起去晒谷场收拾那些没有淋湿的稻草。\n" + talk(20)
    rewrite = source.replace(loop, "我们把窗户关上。").replace("大家一起去晒谷场收拾那些没有淋湿的稻草", "")
    (tmp_path / "a.txt").write_text(source, encoding="utf-8")
    (tmp_path / "b.txt").write_text(source.replace(loop, "我们把窗户关上。"), encoding="utf-8")
    (tmp_path / "c.txt").write_text(rewrite, encoding="utf-8")
    assert check_files(str(tmp_path / "a.txt"), str(tmp_path / "b.txt")).verdict.accepted
    verdict = check_files(str(tmp_path / "a.txt"), str(tmp_path / "c.txt")).verdict
    [lost] = [f for f in verdict.findings if f.severity == "reject"]
    assert lost.source is not None and "晒谷场" in source[slice(*lost.source)]
