"""A rewrite goes back to the cues it came from: every word in its cue, none lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.formats.cues import distribute, join_lines, points, relined

CASES = json.loads((Path(__file__).parent / "cases/formats/cues.json").read_text(encoding="utf-8"))
WORDS = st.text(alphabet="ab C1，。我们的' \n-", max_size=40)


def joined(cues: list[str]) -> tuple[str, list[int]]:
    bounds, at = [], 0
    for cue in cues[:-1]:
        at += len(cue) + 1
        bounds.append(at)
    return "\n".join(cues), bounds


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["why"])
def test_cases(case: dict[str, Any]) -> None:
    source, bounds = joined(case["cues"])
    assert distribute(source, case["rewrite"], bounds) == case["parts"]


@settings(max_examples=200, deadline=None)
@given(cues=st.lists(WORDS, min_size=1, max_size=6), rewrite=WORDS)
def test_nothing_is_lost(cues: list[str], rewrite: str) -> None:
    source, bounds = joined(cues)
    parts = distribute(source, rewrite, bounds)
    assert len(parts) == len(cues)
    assert "".join("".join(parts).split()) == "".join(rewrite.split())


@settings(max_examples=100, deadline=None)
@given(cues=st.lists(st.text(alphabet="我们今天来讲一下", min_size=1, max_size=9), min_size=1, max_size=6))
def test_an_unchanged_text_goes_back_exactly(cues: list[str]) -> None:
    source, bounds = joined(cues)
    assert distribute(source, "".join(cues), bounds) == cues


@settings(max_examples=100, deadline=None)
@given(source=WORDS, rewrite=WORDS, data=st.data())
def test_points_ascend_and_stay_inside(source: str, rewrite: str, data: st.DataObject) -> None:
    bounds = sorted(data.draw(st.lists(st.integers(0, len(source)), max_size=5)))
    found = points(source, rewrite, bounds)
    assert found == sorted(found)
    assert all(0 <= p <= len(rewrite) for p in found)


def test_a_long_text_keeps_its_cues() -> None:
    cues = [f"第{i}句话讲的是事情{i * i}" for i in range(800)]
    source, bounds = joined(cues)
    assert distribute(source, "，".join(cues), bounds) == [f"{c}，" for c in cues[:-1]] + cues[-1:]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("we go\non", "we go on"),
        ("我们\n走", "我们走"),
        ("好。\n\nthen", "好。 then"),
        ("a\n", "a"),
        ("用\nMilvus", "用 Milvus"),
    ],
)
def test_lines_are_joined_as_the_script_wants(text: str, line: str) -> None:
    assert join_lines(text) == line


def test_lines_stay_at_their_words() -> None:
    assert relined("um we go\non now", "We go on now.") == "We go\non now."
    assert relined("one line", "One\nline.") == "One line."
    assert relined("um\nhello", "Hello.") == "Hello."
