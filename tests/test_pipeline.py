"""The ladder with scripted answers, and what holds whatever a model answers: nothing lost, nothing written twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter import formats
from rewriter.api import assemble
from rewriter.errors import ModelUnavailable, RewriterError
from rewriter.glossary import Glossary
from rewriter.pieces import account
from rewriter.pipeline import Ask, How, Means, check_seam, judge, keep, rewrite_passage
from rewriter.prompting import load_style, passage_of
from rewriter.records import Answer, Outcome, Request, Usage
from rewriter.settings import Ladder
from rewriter.tokens import counter_for
from rewriter.work import Work, prepare

COUNTER = counter_for("")
SOURCE = "嗯水泵昨天夜里坏了，维修师傅从隔壁县城连夜赶来，今天早上已经恢复供水。下周还要再检查一次阀门。"
GOOD = "水泵昨天夜里坏了，维修师傅从隔壁县城连夜赶来，今天早上已经恢复供水。下周还要再检查一次阀门。"
GUTTED = "水泵昨天夜里坏了，今天早上已经恢复供水。"


class Script:
    """Answers in turn, each a text or an Answer; a function answers from the request."""

    def __init__(self, *answers: str | Answer | Callable[[str], str], how: How = "asked") -> None:
        self.answers, self.how = list(answers), how
        self.requests: list[Request] = []

    async def __call__(self, request: Request, rung: str) -> tuple[Answer, How]:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(passage_of(request.messages))
        if isinstance(answer, str):
            answer = Answer(text=answer, usage=Usage(calls=1, input=10, output=5))
        return answer, self.how


def means(ask: Ask, *, stronger: Ask | None = None, ladder: Ladder | None = None, **options: Any) -> Means:
    return Means(
        style=load_style("clean", "zh"),
        language="zh",
        glossary=options.pop("glossary", Glossary.empty()),
        counter=COUNTER,
        model="m",
        ask=ask,
        ladder=ladder or Ladder(),
        stronger=("big", stronger) if stronger else None,
    )


def work_on(text: str, *, budget: int = 200, name: str = "talk.txt", glossary: Glossary | None = None) -> Work:
    transcript = formats.read_bytes(text.encode("utf-8"), name=name)
    return prepare(
        transcript,
        policy="clean",
        language="zh",
        glossary=glossary or Glossary.empty(),
        counter=COUNTER,
        budget=budget,
    )


def one(script: Script, *, text: str = SOURCE, **options: Any) -> list[Outcome]:
    work = work_on(text)
    assert len(work.passages) == 1
    return asyncio.run(rewrite_passage(work, work.passages[0], means(script, **options)))


# --- the ladder ------------------------------------------------------------------------------------------------------


def test_a_good_draft_ships_at_once() -> None:
    [outcome] = one(Script(GOOD))
    assert (outcome.status, outcome.text, outcome.ladder) == ("rewritten", GOOD, ("ask",))
    assert outcome.usage == Usage(calls=1, input=10, output=5)


def test_a_stored_answer_costs_nothing() -> None:
    [outcome] = one(Script(GOOD, how="stored"))
    assert (outcome.status, outcome.usage, outcome.from_cache) == ("cached", Usage(), 1)


def test_the_repair_turn_names_what_was_lost() -> None:
    script = Script(GUTTED, GOOD)
    [outcome] = one(script)
    assert (outcome.status, outcome.text, outcome.ladder) == ("repaired", GOOD, ("ask", "repair"))
    assert outcome.usage.calls == 2
    asked, again = (request.messages for request in script.requests)
    assert again[: len(asked)] == asked
    assert again[-2] == {"role": "assistant", "content": GUTTED}
    assert "维修师傅从隔壁县城连夜赶来" in again[-1]["content"]


def test_then_the_passage_is_cut_in_two() -> None:
    script = Script(GUTTED, GUTTED, lambda passage: passage)
    first, second = one(script)
    assert (first.part, second.part) == ("a", "b")
    assert first.text + second.text == GOOD
    assert first.ladder == ("ask", "repair", "half", "ask")
    assert second.ladder == ("half", "ask")
    assert first.usage.calls + second.usage.calls == 4


def test_then_the_stronger_model_is_asked() -> None:
    weak, strong = Script(GUTTED), Script(GOOD)
    [outcome] = one(weak, stronger=strong, ladder=Ladder(halves=False))
    assert (outcome.status, outcome.text) == ("repaired", GOOD)
    assert outcome.ladder == ("ask", "repair", "stronger")
    assert [r.model for r in strong.requests] == ["big"]
    assert len(strong.requests[0].messages) == len(weak.requests[0].messages)  # asked afresh, not mid-quarrel


def test_in_the_end_the_source_stands() -> None:
    [outcome] = one(Script("这一天的天气很好，大家都去河边野餐了。"), ladder=Ladder(halves=False))
    assert (outcome.status, outcome.text) == ("kept", outcome.source)
    assert outcome.source == GOOD  # with its fix: the filler is gone
    assert outcome.rejected == "这一天的天气很好，大家都去河边野餐了。"
    assert outcome.reason


def test_a_rejected_half_is_kept_alone() -> None:
    def answer(passage: str) -> str:
        return passage if "水泵" not in passage else "水泵。"

    first, second = one(Script(answer))
    assert (first.status, second.status) == ("kept", "repaired")
    assert first.text + second.text == GOOD


@pytest.mark.parametrize("finish", ["length"])
def test_an_answer_cut_short_is_not_argued_with(finish: str) -> None:
    script = Script(Answer(text=GOOD[:20], finish=finish), lambda passage: passage)
    outcomes = one(script)
    assert [o.ladder for o in outcomes] == [("ask", "half", "ask"), ("half", "ask")]
    assert "".join(o.text for o in outcomes) == GOOD


def test_an_answer_that_keeps_to_no_limit_is_cut() -> None:
    outcomes = one(Script("这一天的天气很好，大家都去河边野餐了。" * 100_000))
    assert [o.status for o in outcomes] == ["kept", "kept"]
    assert all(len(o.rejected or "") < 50_000 for o in outcomes)


INVENTED = "接下来我们请下一位嘉宾上台，他会介绍公司明年在海外市场的扩张计划。"


@pytest.mark.parametrize("answer", [GOOD + INVENTED, GOOD + GOOD, INVENTED + GOOD, GOOD * 9])
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_what_was_not_said_is_taken_out_without_a_call(answer: str, finish: str) -> None:
    script = Script(Answer(text=answer, finish=finish))
    [outcome] = one(script, ladder=Ladder(repairs=0, halves=False))
    assert (outcome.status, outcome.text, outcome.ladder) == ("repaired", GOOD, ("ask", "repair"))
    assert len(script.requests) == 1


def test_halves_are_mended_so_too() -> None:
    def answer(passage: str) -> str:
        return "水泵。" if len(passage) == len(GOOD) else passage + INVENTED

    outcomes = one(Script(answer), ladder=Ladder(repairs=0))
    assert [o.ladder for o in outcomes] == [("ask", "half", "ask", "repair"), ("half", "ask", "repair")]
    assert "".join(o.text for o in outcomes) == GOOD


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   \n",
        "抱歉，我无法处理这段内容。",
        "<think>这段话要改",
        GOOD.replace("下周", "上周五"),
        GOOD.replace("已经恢复", "没有恢复"),
        "The pump broke last night and the water is back this morning.",
    ],
)
def test_a_bad_draft_never_ships(answer: str) -> None:
    outcomes = one(Script(answer), ladder=Ladder(halves=False))
    assert [o.status for o in outcomes] == ["kept"]
    assert outcomes[0].text == GOOD


@pytest.mark.parametrize(
    "answer", [f"```\n{GOOD}\n```", f"以下是修改后的文本：\n{GOOD}", f"<think>想一想</think>{GOOD}", f"“{GOOD}”"]
)
def test_what_is_certainly_wrapping_comes_off(answer: str) -> None:
    [outcome] = one(Script(answer))
    assert (outcome.status, outcome.text) == ("rewritten", GOOD)


def test_a_rewritten_context_comes_off() -> None:
    """A small model rewrites what it was shown of the text before; the passage's own rewrite is behind it."""
    before = "去年三月份我们开始试用 Wisper，就是那个开源的语音识别模型，一开始呢效果不太好，"
    work = work_on(before + "因为老人家讲的是本地话，夹着普通话，错误率大概在百分之二十八左右。", budget=40)
    second = work.passages[1]
    echoed = "去年三月份我们开始试用Whisper，就是那个开源的语音识别模型，一开始效果不太好。" + second.text
    [outcome] = asyncio.run(
        rewrite_passage(work, second, means(Script(echoed), ladder=Ladder(repairs=0, halves=False)))
    )
    assert (outcome.status, outcome.text) == ("rewritten", second.text)


def test_no_endpoint_is_no_outcome() -> None:
    async def down(request: Request, rung: str) -> tuple[Answer, How]:
        raise ModelUnavailable("connection refused")

    work = work_on(SOURCE)
    with pytest.raises(ModelUnavailable):
        asyncio.run(rewrite_passage(work, work.passages[0], means(down)))
    kept = keep(work, work.passages[0], ModelUnavailable("connection refused"))
    assert (kept.status, kept.text, kept.unanswered) == ("kept", GOOD, True)
    assert "connection refused" in kept.reason


def test_terms_that_occur_are_in_the_prompt_and_no_others() -> None:
    terms = Glossary.from_terms(
        [{"canonical": "Kubernetes", "aliases": ["酷伯内提斯"]}, {"canonical": "Prometheus", "aliases": ["普罗米"]}]
    )
    script = Script("这套系统跑在 Kubernetes 上面，每天重启两次。")
    [outcome] = one(script, text="这套系统跑在酷伯内提斯上面，每天重启两次。", glossary=terms)
    assert outcome.status == "rewritten"
    content = script.requests[0].messages[-1]["content"]
    assert "Kubernetes" in content and "Prometheus" not in content


def test_certain_aliases_that_a_draft_brings_back_are_mended_and_terms_counted() -> None:
    terms = Glossary.from_terms(
        [
            {"canonical": "Kubernetes", "aliases": ["酷伯内提斯"], "certain": True},
            {"canonical": "云汐", "aliases": ["云西"]},
            {"canonical": "雾凇", "aliases": ["物送"]},
        ]
    )
    script = Script("这套系统跑在酷伯内提斯上面，用的是云汐，监控叫物送。")
    [outcome] = one(script, text="这套系统跑在酷伯内提斯上面，用的是云西，监控叫物送。", glossary=terms)
    assert outcome.text == "这套系统跑在Kubernetes上面，用的是云汐，监控叫物送。"
    counted = {name: count.model_dump(exclude_defaults=True) for name, count in outcome.terms.items()}
    assert counted == {"Kubernetes": {"applied": 1}, "云汐": {"applied": 1}, "雾凇": {"missed": 1}}
    assert any("物送" in f.message and f.kind == "glossary" for f in outcome.findings)


def test_the_answer_is_bounded_by_the_passage() -> None:
    script = Script(GOOD)
    one(script)
    limit = script.requests[0].parameters["max_tokens"]
    assert COUNTER.count(GOOD) < limit < 200


# --- whatever the model answers --------------------------------------------------------------------------------------

SENTENCES = st.sampled_from(
    [
        "嗯我们先看第一个问题。",
        "我们我们去年一共修了三十七座桥，",
        "其中有两座没有通过验收。",
        "呃这个这个图书馆晚上九点关门，",
        "The archive opens at ten, um, and closes at six. ",
        "所以所以不能把钥匙交给别人！",
        "然后呢，我们继续\n\n",
        "第二段讲的是木船的保养，每年刷一次桐油。\n",
        "对对对，",
        "把灯关掉，把灯关掉，把灯关掉，把灯关掉，把灯关掉，",
        "  ",
        "ＡＢＣ１２３号线",
        "\u200b零宽字符",
    ]
)
TEXTS = st.lists(SENTENCES, min_size=1, max_size=25).map("".join).filter(lambda t: t.strip() != "")


def run_all(work: Work, ask: Ask) -> list[Outcome]:
    async def go() -> list[Outcome]:
        done = []
        for passage in work.passages:
            done += await rewrite_passage(work, passage, means(ask))
        return done

    return asyncio.run(go())


@given(TEXTS, st.integers(16, 120))
@settings(max_examples=60, deadline=None)
def test_a_copying_model_gives_the_fixed_text(text: str, budget: int) -> None:
    """No text is doubled or missing at any seam, whatever fixes lie across it; paragraphs within sentences join."""
    work = work_on(text, budget=budget)
    result = assemble(work, run_all(work, Script(lambda passage: passage)))
    assert "".join(result.text.split()) == "".join(work.fixed.text.split())
    assert sum(result.account.values()) == len(text)


def mangle(passage: str, how: int) -> str:
    ways: Sequence[Callable[[], str]] = (
        lambda: passage,
        lambda: "",
        lambda: passage[: len(passage) // 2],
        lambda: passage + passage,
        lambda: "好的，以下是整理后的内容：",
        lambda: passage.replace("没有", "").replace("不", ""),
        lambda: "今天的天气非常好，我们一起去公园放风筝，然后回家做饭。",
    )
    return ways[how]()


@given(TEXTS, st.integers(16, 120), st.lists(st.integers(0, 6), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_mangling_model_loses_nothing(text: str, budget: int, hows: list[int]) -> None:
    """Each outcome's text is its source or a draft that the guard accepts; the account adds up to the source."""
    turn = iter(range(10**9))
    work = work_on(text, budget=budget)
    outcomes = run_all(work, Script(lambda passage: mangle(passage, hows[next(turn) % len(hows)])))
    for outcome in outcomes:
        if outcome.status == "kept":
            assert outcome.text == outcome.source
        else:
            assert judge(outcome.source, outcome.text, means(Script(""))).accepted
        assert work.fixed.text[slice(*outcome.fixed)] == outcome.source
    result = assemble(work, outcomes)
    assert sum(result.account.values()) == len(text)
    assert all(outcome.text in result.text for outcome in outcomes)


@given(TEXTS, st.integers(16, 60))
@settings(max_examples=40, deadline=None)
def test_halves_tile_their_passage(text: str, budget: int) -> None:
    work = work_on(text, budget=budget)
    turn = iter(range(10**9))
    # Every first and second question is answered with nothing, so that each passage that can be is cut.
    outcomes = run_all(work, Script(lambda passage: "" if next(turn) % 4 < 2 else passage))
    assert assemble(work, outcomes).text == work.fixed.text


# --- seams, account --------------------------------------------------------------------------------------------------


def rewritten(index: int, source: str, text: str, score: float) -> Outcome:
    return Outcome(index=index, start=0, end=len(source), status="rewritten", text=text, source=source, score=score)


def test_a_clause_said_on_both_sides_of_a_seam_is_seen() -> None:
    left = rewritten(0, "果园今年收成不错，苹果主要卖到南方。", "果园今年收成不错，苹果主要卖到南方。", 1.0)
    doubled = "果园今年收成不错，苹果主要卖到南方。明年打算再种两百棵梨树。"
    right = rewritten(1, "明年打算再种两百棵梨树。", doubled, 0.6)
    one, two = check_seam(left, right, means(Script("")))
    assert one is left
    assert (two.status, two.text, two.rejected) == ("kept", right.source, right.text)
    assert "seam" in two.reason


def test_a_clause_moved_over_a_seam_is_no_loss() -> None:
    left = rewritten(0, "果园今年收成不错，苹果", "果园今年收成不错。", 0.9)
    right = rewritten(1, "主要卖到南方。", "苹果主要卖到南方。", 0.9)
    assert check_seam(left, right, means(Script(""))) == (left, right)


def test_what_no_outcome_covers_is_an_error_not_a_loss() -> None:
    work = work_on(SOURCE)
    gap = Work(work.transcript, work.fixed, ())
    with pytest.raises(RewriterError, match="in no passage and no fix"):
        account(gap, [])


def test_context_is_the_end_of_what_was_said() -> None:
    work = work_on("".join(f"第{n}句讲的是第{n}座桥的历史和修缮的经过。" for n in range(40)), budget=60)
    assert len(work.passages) > 3
    assert work.context(work.passages[0]) == ""
    for passage in work.passages[1:]:
        context = work.context(passage)
        assert context and work.fixed.text[: passage.start].rstrip().endswith(context)


def test_headings_and_code_are_carried_through() -> None:
    text = "# 第一章\n\n嗯我们先看缓存，然后再看索引。\n\n```\nx = 1  # 嗯\n```\n\n最后看日志。\n"
    work = work_on(text, name="talk.md")
    result = assemble(work, run_all(work, Script(lambda passage: passage)))
    assert result.text == text.replace("嗯我们", "我们")
    assert result.data.decode() == result.text


@pytest.mark.parametrize("alias", ["酷伯", "Kuber"])
def test_certain_aliases_are_fixed_before_any_call(alias: str) -> None:
    terms = Glossary.from_terms([{"canonical": "Kubernetes", "aliases": [alias], "certain": True}])
    work = work_on(f"我们把服务搬到{alias}上面去。", glossary=terms)
    assert work.fixed.text == "我们把服务搬到Kubernetes上面去。"
    assert [f.name for f in work.fixed.fixes] == ["alias"]


@given(st.text(st.sampled_from("水泵坏了，修好。! \n一二三"), min_size=1, max_size=600), st.integers(20, 60))
@settings(max_examples=60, deadline=None)
def test_a_passage_alone_is_asked_as_it_is_in_its_talk(text: str, budget: int) -> None:
    """What is sent elsewhere has the same text and context, and what comes back lands where it belongs."""
    if not text.strip():
        return
    work = work_on(text, budget=budget)
    for passage in work.passages:
        alone = work.excerpt(passage)
        [same] = alone.passages
        assert alone.context(same) == work.context(passage) and same.text == passage.text
        assert alone.fixed.text[same.start : same.end] == same.text
        there = keep(alone, same, ModelUnavailable("x")), keep(work, passage, ModelUnavailable("x"))
        assert work.placed(passage, [there[0]]) == [there[1]]


def test_what_was_answered_before_the_endpoint_went_is_paid_for() -> None:
    """The first draft came and was rejected; its repair never did."""

    async def go() -> Outcome:
        work, told = work_on(SOURCE), 0

        async def ask(request: Request, rung: str) -> tuple[Answer, How]:
            nonlocal told
            told += 1
            if told > 1:
                raise ModelUnavailable("connection refused")
            return Answer(text=GUTTED, usage=Usage(calls=1, input=10, output=5)), "asked"

        try:
            await rewrite_passage(work, work.passages[0], means(ask))
        except ModelUnavailable as error:
            return keep(work, work.passages[0], error)
        raise AssertionError("the second answer was not asked for")

    outcome = asyncio.run(go())
    assert (outcome.status, outcome.text, outcome.unanswered) == ("kept", GOOD, True)
    assert outcome.usage == Usage(calls=1, input=10, output=5) == outcome.spent["m"]
