"""What a rejected draft got wrong is asked for by itself and put where it belongs; what it got right stays."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter import formats
from rewriter.checks import check
from rewriter.glossary import Glossary
from rewriter.model.stretches import LEAST, MANY, MOST, put_back, stretches, without_invented
from rewriter.pipeline import Means, rewrite_passage
from rewriter.prompting import load_style, passage_of
from rewriter.records import Answer, Finding, Outcome, Request, Usage
from rewriter.settings import Ladder
from rewriter.tokens import counter_for
from rewriter.work import prepare

CASES = json.loads((Path(__file__).parent / "cases" / "stretches.json").read_text(encoding="utf-8"))
COUNTER = counter_for("")

CLAUSES = [
    "老船坞的闸门是前年春天换的，",
    "换闸门的师傅姓葛，住在渡口东边。",
    "他带着两个徒弟干了四十天，",
    "中间下过三场大雨。",
    "闸门换好以后，货船可以直接靠岸，",
    "搬运工人不用再趟水卸货了。",
    "今年秋天还要修对岸的仓库，",
    "木料已经从山里运下来了。",
]
SOURCE = "".join(CLAUSES)


def finding(source: tuple[int, int] | None, draft: tuple[int, int] | None = None, severity: Any = "reject") -> Finding:
    return Finding(kind="lost", severity=severity, weight=5.0, source=source, draft=draft, message="m")


def squeezed(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


# --- which stretches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES["rejected"], ids=lambda c: c["why"])
def test_the_guards_findings_become_clauses(case: dict[str, Any]) -> None:
    verdict = check(case["source"], case["draft"])
    assert not verdict.accepted
    spans = stretches(case["source"], case["draft"], verdict.findings)
    assert [case["source"][a:b] for a, b in spans] == case["asked"]


def test_a_warning_is_nothing_to_ask_for() -> None:
    assert stretches(SOURCE, SOURCE, [finding((0, 5), severity="warn")]) == []


def test_a_finding_without_a_place_needs_the_whole() -> None:
    assert stretches(SOURCE, "", [finding((0, 5)), finding(None)]) == []


def test_most_of_a_passage_is_the_passage() -> None:
    half = int(len(SOURCE) * MOST)
    assert stretches(SOURCE, SOURCE, [finding((0, half - 12))])
    assert stretches(SOURCE, SOURCE, [finding((0, half + 12))]) == []


def test_mistakes_everywhere_need_the_whole() -> None:
    source = "".join(f"第{n}号码头停着一条运沙子的旧木船。" for n in "一二三四五六七八九十")
    size = len(source) // 10
    spread = [finding((n * 2 * size + 4, n * 2 * size + 6)) for n in range(MANY + 1)]
    assert len(stretches(source, source, spread[:-1])) == MANY
    assert stretches(source, source, spread) == []


def test_a_short_passage_is_asked_for_whole() -> None:
    text = "".join(CLAUSES[:3])
    assert len(text) < LEAST
    assert stretches(text, text, [finding((0, 5))]) == []


def test_a_clause_of_few_letters_takes_the_next_along() -> None:
    source = "对，是的，" + SOURCE
    assert [source[a:b] for a, b in stretches(source, SOURCE, [finding((0, 1))])] == ["对，是的，" + CLAUSES[0]]
    source = SOURCE + "对，是的。"
    assert [source[a:b] for a, b in stretches(source, SOURCE, [finding((len(SOURCE), len(source)))])] == [
        CLAUSES[-1] + "对，是的。"
    ]


# --- what was not said -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES["taken_out"], ids=lambda c: c["why"])
def test_what_was_not_said_is_taken_out(case: dict[str, str]) -> None:
    verdict = check(case["source"], case["draft"])
    assert not verdict.accepted
    taken = without_invented(case["draft"], verdict.findings)
    assert taken == case["left"]
    assert check(case["source"], taken).accepted


def test_what_was_changed_or_lost_stays_as_it_is() -> None:
    draft = SOURCE.replace("四十天", "六十天").replace(CLAUSES[5], "")
    assert without_invented(draft, check(SOURCE, draft).findings) == draft


@given(
    st.integers(0, len(CLAUSES)), st.sampled_from(["明年村里打算办一个造船学校，", "记者昨天采访了县里的渔业局长。"])
)
@settings(max_examples=20, deadline=None)
def test_a_clause_put_in_anywhere_comes_out(at: int, put_in: str) -> None:
    draft = "".join([*CLAUSES[:at], put_in, *CLAUSES[at:]])
    verdict = check(SOURCE, draft)
    assert not verdict.accepted
    assert squeezed(without_invented(draft, verdict.findings)) == squeezed(SOURCE)


# --- put back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES["put_back"], ids=lambda c: c["why"])
def test_put_back(case: dict[str, Any]) -> None:
    source, spans = case["source"], []
    for part in case["spans"]:
        assert source.count(part) == 1
        spans.append((source.index(part), source.index(part) + len(part)))
    assert put_back(source, case["draft"], spans, case["rewrites"]) == case["whole"]


@given(st.sets(st.integers(0, len(CLAUSES) - 1), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_whatever_was_lost_is_asked_for_and_mends_the_draft(lost: set[int]) -> None:
    """The guard names it, the stretches hold it and little else, and with them put back the draft is better."""
    draft = "".join(clause for n, clause in enumerate(CLAUSES) if n not in lost)
    verdict = check(SOURCE, draft)
    spans = stretches(SOURCE, draft, verdict.findings)
    if not spans:  # most of it is lost
        return
    asked = "".join(SOURCE[a:b] for a, b in spans)
    whole = put_back(SOURCE, draft, spans, [SOURCE[a:b] for a, b in spans])
    light = [n for n in lost if CLAUSES[n] not in asked]  # lost, but too little for the guard to reject
    assert squeezed(whole) == squeezed("".join(clause for n, clause in enumerate(CLAUSES) if n not in light))
    assert len(asked) <= len(SOURCE) * MOST
    mended = check(SOURCE, whole)
    assert mended.accepted or mended.score > verdict.score  # a second loss may be named when the first is gone


@given(st.text("，。,. 甲乙丙丁abc\n0", max_size=160), st.text("，。甲乙 ab\n", max_size=160), st.data())
@settings(max_examples=120, deadline=None)
def test_any_text_any_place(source: str, draft: str, data: st.DataObject) -> None:
    """Spans are in order, apart and inside; putting back neither fails nor loses a rewrite."""
    ends = st.tuples(*[st.integers(0, len(source))] * 2).map(lambda pair: (min(pair), max(pair)))
    found = [finding(span) for span in data.draw(st.lists(ends, max_size=4))]
    spans = stretches(source, draft, found)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges) and all(0 <= a < b <= len(source) for a, b in spans)
    whole = put_back(source, draft, spans, [f"{n}号" for n in range(len(spans))])
    assert all(f"{n}号" in whole for n in range(len(spans)))


# --- in the ladder ---------------------------------------------------------------------------------------------------


class Model:
    """Loses one clause of a whole passage, and makes of a passage named in `parts` what is said there."""

    def __init__(self, lost: int, parts: dict[str, str]) -> None:
        self.lost, self.parts = lost, parts
        self.requests: list[Request] = []

    async def __call__(self, request: Request, rung: str) -> tuple[Answer, bool]:
        self.requests.append(request)
        passage = passage_of(request.messages)
        text = self.parts.get(passage, passage.replace(CLAUSES[self.lost], "").replace("可以直接", "能直接"))
        return Answer(text=text, usage=Usage(calls=1, input=10, output=5)), False


def run(model: Model, ladder: Ladder | None = None) -> list[Outcome]:
    style = load_style("clean", "zh")
    given = {"language": "zh", "glossary": Glossary.empty(), "counter": COUNTER}
    work = prepare(formats.read_bytes(SOURCE.encode(), name="talk.txt"), policy="clean", budget=300, **given)  # type: ignore[arg-type]
    means = Means(style=style, model="m", ask=model, ladder=ladder or Ladder(), **given)  # type: ignore[arg-type]
    return asyncio.run(rewrite_passage(work, work.passages[0], means))


@pytest.mark.parametrize("lost", range(len(CLAUSES)))
def test_the_ladder_asks_for_the_lost_clause_alone(lost: int) -> None:
    model = Model(lost, {CLAUSES[lost]: CLAUSES[lost][:-1] + "。"})
    [outcome] = run(model)
    assert (outcome.status, outcome.ladder) == ("repaired", ("ask", "repair"))
    assert squeezed(outcome.text) == squeezed(SOURCE.replace("可以直接", "能直接") if lost != 4 else SOURCE)
    whole, again = model.requests
    assert passage_of(again.messages) == CLAUSES[lost]
    assert again.messages[:-1] == whole.messages[:-1]  # what a prompt cache holds
    assert CLAUSES[lost - 1] not in again.messages[-1]["content"]  # nothing besides that it could write again
    assert again.parameters["max_tokens"] < whole.parameters["max_tokens"]
    assert outcome.usage == Usage(calls=2, input=20, output=10)


def test_a_clause_lost_again_does_not_ship() -> None:
    model = Model(5, {CLAUSES[5]: "好。"})
    [outcome] = run(model, Ladder(halves=False))
    assert (outcome.status, outcome.ladder, outcome.text) == ("kept", ("ask", "repair"), SOURCE)
    assert CLAUSES[5][:6] in outcome.reason


def test_an_invented_ending_costs_no_call() -> None:
    model = Model(
        0, {SOURCE: SOURCE.replace("可以直接", "能直接") + "明年村里还打算办一个造船学校，请老师傅来教孩子们。"}
    )
    [outcome] = run(model)
    assert (outcome.status, outcome.text) == ("repaired", SOURCE.replace("可以直接", "能直接"))
    assert (len(model.requests), outcome.usage.calls) == (1, 1)


def test_an_invented_ending_of_a_clause_is_taken_out_too() -> None:
    model = Model(1, {CLAUSES[1]: CLAUSES[1] + "明年村里还打算办一个造船学校，请老师傅来教孩子们。"})
    [outcome] = run(model)
    assert (outcome.status, squeezed(outcome.text)) == ("repaired", squeezed(SOURCE.replace("可以直接", "能直接")))
