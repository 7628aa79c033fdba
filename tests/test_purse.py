"""A budget is spent on calls, not on what calls might have taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faulty_server import FaultyServer
from rewriter.api import Rewriter
from rewriter.errors import BudgetExceeded
from rewriter.formats import discover
from rewriter.progress import Plain
from rewriter.purse import Purse
from rewriter.records import Usage
from rewriter.run import Run
from talks import talk

CHOICE = Rewriter(base_url="http://127.0.0.1:9", model="gpt-4.1-mini", use_cache=False).choice


def call(tokens: int) -> Usage:
    return Usage(calls=1, input=tokens)


def test_a_call_waits_for_room_that_others_hold_and_may_give_back() -> None:
    async def go() -> list[str]:
        purse, told = Purse(most_tokens=100), []
        first = await purse.room_for("m", call(90), CHOICE)

        async def second() -> None:
            account = await purse.room_for("m", call(50), CHOICE)
            told.append("second")
            account.pay(call(50))
            purse.close(account)

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        told.append("first")
        first.pay(call(30))
        purse.close(first)
        await waiting
        with pytest.raises(BudgetExceeded):
            await purse.room_for("m", call(50), CHOICE)
        return told

    assert asyncio.run(go()) == ["first", "second"]


def test_a_budget_below_one_call_says_so_for_the_same_command_would_not_get_on() -> None:
    with pytest.raises(BudgetExceeded, match=r"--max-tokens 40 is too little .* 50 tokens.*Give more"):
        Purse(most_tokens=40).book("gpt-4.1-mini", call(50), CHOICE)
    with pytest.raises(BudgetExceeded, match=r"--max-cost 1e-05 is too little .* \$0.000020"):
        Purse(most_cost=0.00001).book("gpt-4.1-mini", call(50), CHOICE)
    purse = Purse(most_tokens=70)
    account = purse.book("gpt-4.1-mini", call(50), CHOICE)
    with pytest.raises(BudgetExceeded, match="The same command continues"):
        purse.book("gpt-4.1-mini", call(50), CHOICE)
    account.pay(call(50))
    purse.close(account)
    with pytest.raises(BudgetExceeded, match="The same command continues"):
        purse.book("gpt-4.1-mini", call(50), CHOICE)


def test_nobody_waits_for_what_a_batch_has_ordered() -> None:
    async def go() -> None:
        purse = Purse(most_tokens=100)
        purse.book("m", call(90), CHOICE)
        with pytest.raises(BudgetExceeded):
            await purse.room_for("m", call(50), CHOICE)

    asyncio.run(go())


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_small_budget_is_used_though_many_calls_are_made_at_once(tmp_path: Path, share: float) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(8):
        (folder / f"{n}.txt").write_text(talk(30 + n), encoding="utf-8")

    async def run(server: FaultyServer, out: str, **options: int) -> dict[str, float]:
        async with Rewriter(
            base_url=server.base_url, model="m", use_cache=False, concurrency=32, **options
        ) as rewriter:
            done = Run(rewriter, discover([str(folder)]), tmp_path / out, Plain(rewriter.choice, quiet=True))
            code = await done.execute()
            spent = sum(u["input"] + u["output"] for u in done.last_summary["spent_now"].values())
            return {"code": code, "spent": spent}

    with FaultyServer(delay=0.02) as server:
        whole = asyncio.run(run(server, "whole"))["spent"]
        budget = int(whole * share)
        found = asyncio.run(run(server, "less", max_tokens=budget))
    assert found["code"] == 5
    assert 0.9 * budget - whole / 30 <= found["spent"] <= budget * 1.02
