"""What is taken off an answer, and what must stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.model.unwrap import unwrap

CASES: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "cases" / "unwrap.json").read_text(encoding="utf-8")
)
LAYERS = [
    "<think>\n好\n</think>\n{}",
    "```\n{}\n```",
    "以下是修改后的文本：\n{}",
    "Here is the corrected transcript:\n\n{}",
    "<<<0a1b2c3d>>>\n{}\n<<</0a1b2c3d>>>",
]
# A said sentence: it begins with a letter and holds nothing that a layer is made of.
SAID = st.text(alphabet="我们先看缓存的设计呢abcdefgh ，。1234", min_size=1, max_size=60).map(
    lambda s: "我们" + s.strip()
)


@pytest.mark.parametrize("case", CASES["certain"], ids=lambda c: c["name"])
def test_taken_off(case: dict[str, Any]) -> None:
    assert unwrap(case["answer"], case["passage"]) == case["text"]


@pytest.mark.parametrize("case", CASES["negative"], ids=lambda c: c["name"])
def test_left_as_it_is(case: dict[str, Any]) -> None:
    assert unwrap(case["answer"], case["passage"]) == case["answer"]


@settings(max_examples=150, deadline=None)
@given(said=SAID, layers=st.lists(st.sampled_from(LAYERS), max_size=3, unique=True))
def test_layers_come_off_in_any_order(said: str, layers: list[str]) -> None:
    answer = said
    for layer in layers:
        answer = layer.format(answer)
    if "<think>" in answer and not answer.startswith("<think>"):
        return  # a think block inside something is no certain case
    assert unwrap(answer, said) == said.strip()


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=200), passage=st.text(max_size=100))
def test_it_adds_nothing(text: str, passage: str) -> None:
    left = iter(text)
    assert all(c in left for c in unwrap(text, passage))


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_the_passage_itself_is_never_cut(text: str) -> None:
    assert unwrap(text, text) == text.strip()


def test_long_answers_take_no_long_time() -> None:
    for text in (
        "<think>" * 50_000,
        "```\n" * 50_000,
        "“" * 200_000,
        "以下是" * 50_000,
        "好的，" * 50_000,
        "<<<" * 50_000,
    ):
        unwrap(text, "我们")
