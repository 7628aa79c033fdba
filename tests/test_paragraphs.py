"""Paragraphs: as a model is shown them, and as the rewrite has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewriter import checks
from rewriter.api import Rewriter
from rewriter.formats import read_bytes
from rewriter.paragraphs import are_loose, shown, with_paragraphs, without_labels
from rewriter.pipeline import first_request

PIECES = (
    "今天先讲渡口的事，去年水位低了两米，船靠不上岸",
    "所以我们把栈桥往外接了一段，用的是旧木料，省了",
    "不少钱，不过今年春天又坏了，这次是水泵，修了三",
    "天才修好，那接下来呢要说的是灯，灯是村里自己装",
    "的，电线从学校拉过来，晚上能亮到十点，学生放学",
    "走那条路就不怕了，最后感谢大家，感谢老周把钥匙",
    "借给我们，也感谢县里来的师傅，他们连夜赶过来的",
    "没有要一分钱，好，谢谢，下面请水务站的老吴讲话",
)
LOOSE = "\n\n".join(f"{piece}。" for piece in PIECES)


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        (LOOSE, True),
        (f"# 一次会议\n\n{LOOSE}\n\n{LOOSE}\n\n{LOOSE}", True),
        (LOOSE.replace("修好，", "修好。").replace("坏了，", "坏了。"), False),
        ("\n\n".join(PIECES), False),
        ("\n\n".join(f"{piece}。" for piece in PIECES[:5]), False),
        ("\n\n".join(f"The boat was late on day {n}." for n in range(20)), False),
        ("", False),
    ],
    ids=["by length", "with a title", "sentences inside", "no stops", "too few to tell", "English", "nothing"],
)
def test_paragraphs_that_were_broken_by_length_are_told(text: str, loose: bool) -> None:
    assert are_loose(text) is loose


@pytest.mark.parametrize(
    ("text", "loose", "expected"),
    [
        ("下面有请。\n\n水务站的老吴讲话。", True, "下面有请，水务站的老吴讲话。"),
        ("下面有请。\n\n水务站的老吴讲话。", False, "下面有请。水务站的老吴讲话。"),
        ("修了三\n\n天才好", False, "修了三\n\n天才好"),
        ("水泵坏了，\n\n修了三天。", True, "水泵坏了，修了三天。"),
        ("The pump broke.\n\nIt is mended.", False, "The pump broke. It is mended."),
        ("用的是 pump，\n\npro 那一款", False, "用的是 pump，pro 那一款"),
        ("他讲完了。\n\n老周：钥匙在我这里。", True, "他讲完了。\n\n老周：钥匙在我这里。"),
        ("# 第一讲\n\n今天讲渡口。", True, "# 第一讲\n\n今天讲渡口。"),
        ("要带三样：\n\n- 木料\n\n- 水泵", True, "要带三样：\n\n- 木料\n\n- 水泵"),
        ("一行。\n下一行。", True, "一行。\n下一行。"),
        ("\n\n好。\n\n", True, "\n\n好。\n\n"),
        ("", True, ""),
    ],
)
def test_a_model_is_shown_speech_in_one_paragraph(text: str, loose: bool, expected: str) -> None:
    assert shown(text, loose=loose) == expected


TURNS = """Speaker 0: 00:00:00

So who keeps the key of the pump house?

Speaker 1: 00:00:04

Old Zhou.
He has had it since spring.

[00:00:09] 主持人

那谁来修呢？

发言人2  2024-05-06 10:00:12

县里来的师傅"""


@pytest.mark.parametrize(
    ("line", "is_label"),
    [
        ("Speaker 1: 00:02:07", True),
        ("发言人1   00:02:07", True),
        ("老周(00:12:33)：", True),
        ("[00:02:07]", True),
        ("00:00:01,000 --> 00:00:05,000", True),
        ("Dr. Smith [00:01:02]", True),
        ("老周 2023-10-01 10:30:20", True),
        ("主持人：", True),
        ("老周：", False),  # may be how a thought begins: 他说：
        ("Speaker 1: the pump broke at 10:30", False),
        ("水泵 10:30 就坏了", False),
        ("The pump broke.", False),
        ("1. 10:30", False),
    ],
)
def test_lines_that_only_say_who_speaks_are_told(line: str, is_label: bool) -> None:
    text = f"水泵坏了。\n{line}\n修了三天。"
    assert (without_labels(text) == "水泵坏了。\n修了三天。") is is_label


def test_a_model_is_not_shown_who_speaks_and_the_rewrite_says_it() -> None:
    asked = shown(TURNS, loose=False)
    assert asked == (
        "So who keeps the key of the pump house?\nOld Zhou.\nHe has had it since spring.\n那谁来修呢？\n县里来的师傅"
    )
    assert with_paragraphs(asked, TURNS) == TURNS
    said = asked.replace("\n", " ").replace("So who", "Who")
    rewrite = with_paragraphs(said, TURNS)
    assert rewrite == TURNS.replace("So who", "Who").replace("Zhou.\nHe", "Zhou. He")
    assert checks.check(TURNS, rewrite).accepted


def test_where_a_turn_cannot_be_placed_its_line_is_missed_by_the_guard() -> None:
    rewrite = with_paragraphs(
        "Old Zhou keeps the key and he has had it since spring",
        "Old Zhou keeps the key\n\nSpeaker 1: 00:02:07\n\nand he has had it since spring",
    )
    assert "Speaker" not in rewrite


@pytest.mark.parametrize("text", ["Speaker 1: 00:02:07", "\n\n00:01:02\n\n", "", "\n"])
def test_where_nothing_else_is_said_it_is_shown(text: str) -> None:
    assert shown(text, loose=False) == text and with_paragraphs(text, text) == text


@given(
    st.lists(
        st.sampled_from(["Speaker 1: 00:00:0{}", "00:1{}", "主持人：", "水泵坏了。", "It broke.", "修了\n三天，", ""]),
        max_size=8,
    )
)
def test_who_speaks_is_put_back_where_it_stood(lines: list[str]) -> None:
    text = "\n\n".join(line.format(n) for n, line in enumerate(lines))
    assert with_paragraphs(without_labels(text), text) == text


@given(st.lists(st.text("水泵，。！ \n#-:：ab1.", max_size=8), max_size=8), st.booleans())
def test_what_is_shown_says_the_same(parts: list[str], loose: bool) -> None:
    text = "\n\n".join(parts)
    new = shown(text, loose=loose)
    assert "".join(filter(str.isalnum, new)) == "".join(filter(str.isalnum, text))
    assert shown(new, loose=False) == shown(shown(new, loose=False), loose=False)


def test_the_request_shows_one_paragraph_and_the_guard_sees_the_source() -> None:
    rewriter = Rewriter(base_url="http://127.0.0.1:9", model="m", use_cache=False)
    work = rewriter.prepare(read_bytes(LOOSE.encode(), name="talk.txt", format=None))
    assert work.loose and work.excerpt(work.passages[0]).loose
    asked = first_request(work, work.passages[0], rewriter.means("zh")).messages[-1]["content"]
    assert "靠不上岸，所以我们" in asked and "\n\n" in work.passages[0].text
    assert checks.check(LOOSE, shown(LOOSE, loose=True)).accepted


@pytest.mark.parametrize(
    ("source", "draft", "shipped"),
    [
        ("桥修好了。\n\n船也修好了。", "桥修好了。船也修好了。", "桥修好了。\n\n船也修好了。"),
        ("桥修好了。\n\n船也修好了。", "桥修好了。\n船也修好了。", "桥修好了。\n船也修好了。"),
        ("桥修好了，\n\n船也修好了。", "桥修好了，船也修好了。", "桥修好了，船也修好了。"),
        (
            "嗯桥修好了。\n\n呃船也修好了。\n\n\n灯也亮了。",
            "桥修好了。船也修好了。灯也亮了。",
            "桥修好了。\n\n船也修好了。\n\n\n灯也亮了。",
        ),
        ("桥修好了。\n\n所以船也修好了。", "桥修好了，所以船也修好了。", "桥修好了，所以船也修好了。"),
        ("The bridge is done.\n\nThe boat is too.", "The bridge is done. The boat is too.", None),
    ],
)
def test_paragraphs_stay_where_a_sentence_ends(source: str, draft: str, shipped: str | None) -> None:
    assert with_paragraphs(draft, source) == (source if shipped is None else shipped)
