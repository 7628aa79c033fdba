"""The terminal's view of a comparison: marks stand where the differences are, in columns, and nothing escapes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rewriter
from rewriter.checking import check_files
from rewriter.report.sidebyside import Comparison, show
from rewriter.report.visible import visible
from talks import talk

SOURCE = "水泵昨天夜里坏了，维修师傅从隔壁县城连夜赶来，今天早上已经恢复供水。下周还要再检查一次阀门。\n" * 3
LOST = SOURCE.replace("维修师傅从隔壁县城连夜赶来，", "", 1)


def compare(source: str, rewrite: str) -> Comparison:
    return Comparison(source=source, rewrite=rewrite, verdict=rewriter.check(source, rewrite))


def test_what_was_lost_is_marked_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    show(compare(SOURCE, LOST), color="never")
    shown = capsys.readouterr().out
    assert shown.count("[-") == 1 and "lost: «维修师傅从隔壁县城连夜赶来»" in shown
    assert shown.splitlines()[-1].startswith("rejected, score")
    assert shown.count("character ") == 1  # only the row with the finding
    show(compare(SOURCE, LOST), everything=True, color="never")
    assert capsys.readouterr().out.count("character ") > 1


@pytest.mark.parametrize(
    ("color", "environment", "red"),
    [
        ("always", {}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {}, False),  # this is no terminal
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),  # what is said here and now counts more
    ],
)
def test_colour_is_a_choice(
    color: str,
    environment: dict[str, str],
    red: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    show(compare(SOURCE, LOST), color=color)
    shown = capsys.readouterr().out
    assert bool(re.search("\x1b\\[(?:\\d+;)*31m", shown)) is red
    assert "[-维修师傅" in shown


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


def test_a_long_document_is_shown_by_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    source = talk(1500)
    compared = compare(source, source.replace("第1700号", "第1790号"))
    show(compared, color="never")
    shown = capsys.readouterr().out
    assert len(source) > 60_000 and not compared.verdict.accepted
    assert shown.count("character ") == 1 and "[~1700~]" in shown and "[~1790~]" in shown


def test_each_kind_of_difference_has_a_sign_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        compare("水泵昨天夜里坏了一次，今天早上才修好。", "水泵昨天晚上坏了，今天早上才终于修好。"),
        everything=True,
        color="never",
    )
    shown = "".join(capsys.readouterr().out.split())
    assert "昨天[~夜里~]坏了[-一次-]" in shown and "昨天[~晚上~]坏了" in shown and "{+终于+}" in shown


def test_a_narrow_terminal_shows_one_below_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    show(compare("水泵坏了，今天修好。", "水泵坏了，昨天修好。"), everything=True, color="never")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "水泵坏了，[~今~]天修好。" and lines[2] == "水泵坏了，[~昨~]天修好。"


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
