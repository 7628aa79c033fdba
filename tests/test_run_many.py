"""Many files in one run: shared calls, budget, signals, and what is seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faulty_server import FaultyServer
from rewriter.api import Rewriter
from rewriter.errors import InputError, UsageError
from rewriter.formats import discover
from rewriter.journal import read_journal
from rewriter.past import Past
from rewriter.progress import Plain
from rewriter.run import Run
from talks import missing, talk

COMMAND = [sys.executable, "-m", "rewriter.cli", "rewrite"]


def folder_of(tmp_path: Path, files: int, sentences: int) -> Path:
    """Talks that differ: no passage of one stands in another."""
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(files):
        text = talk(sentences).replace("号", f"号（第{n + 1}天）")
        (folder / f"{n:03}.txt").write_text(text, encoding="utf-8")
    return folder


def go(server: FaultyServer, source: Path, out: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    async def run() -> tuple[int, dict[str, Any]]:
        options.setdefault("cache", str(out.parent / "cache"))
        async with Rewriter(base_url=server.base_url, **{"model": "m", **options}) as rewriter:
            run = Run(rewriter, discover([str(source)]), out, Plain(rewriter.choice, quiet=True))
            return await run.execute(), run.last_summary

    return asyncio.run(run())


def outputs(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.glob("*.txt"))}


# --- one limit for all files -----------------------------------------------------------------------------------------


def test_small_files_fill_the_calls_allowed(tmp_path: Path) -> None:
    """Forty files of one passage each: sixteen calls at once, not one file after the other."""
    with FaultyServer(delay=0.5) as server:
        code, summary = go(server, folder_of(tmp_path, 40, 2), tmp_path / "out", concurrency=16)
        assert (code, summary["files"], server.most_at_once) == (0, 40, 16)
    assert [r["file"] for r in summary["reports"]] == [f"{n:03}.txt" for n in range(40)]


def test_a_slow_file_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    """The first passage of the first file fails once and waits a second; what comes after it does not."""
    finished: list[str] = []

    class Shown(Plain):
        def done(self, report: dict[str, Any], size: int) -> None:
            finished.append(report["file"])

    async def run(server: FaultyServer) -> None:
        async with Rewriter(base_url=server.base_url, model="m", concurrency=4, use_cache=False) as rewriter:
            sources = discover([str(folder_of(tmp_path, 12, 4))])
            assert await Run(rewriter, sources, tmp_path / "out", Shown(rewriter.choice, quiet=True)).execute() == 0

    with FaultyServer(script=["500"]) as server:
        asyncio.run(run(server))
    assert len(finished) == 12 and finished[-1] == "000.txt"


@pytest.mark.parametrize("concurrency", [1, 3, 32])
def test_the_output_does_not_depend_on_how_many_calls_there_are(concurrency: int, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 6, 12)
    with FaultyServer() as server:
        go(server, folder, tmp_path / "a", concurrency=8, cache=str(tmp_path / "c1"))
        go(server, folder, tmp_path / "b", concurrency=concurrency, cache=str(tmp_path / "c2"))
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b") != {}


# --- money -----------------------------------------------------------------------------------------------------------


def test_a_budget_in_tokens_stops_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path, 8, 8), tmp_path / "out"
    with FaultyServer() as server:
        _, whole = go(server, folder, tmp_path / "whole", cache=str(tmp_path / "c1"), similar="off")
        tokens = whole["usage"]["input"] + whole["usage"]["output"]
        limit, rounds, spent = tokens // 3, 0, 0
        code = 5
        while code == 5:
            code, summary = go(server, folder, out, max_tokens=limit, concurrency=3, similar="off")
            now = sum(u["input"] + u["output"] for u in summary["spent_now"].values())
            assert now <= limit * 1.02
            if code == 5:
                assert "--max-tokens" in summary["stopped"] and summary["unfinished"] > 0
                assert now > limit * 0.5  # it did work for the money
            spent, rounds = spent + now, rounds + 1
    assert 3 <= rounds <= 6 and code == 0
    assert spent == tokens  # nothing was paid for twice
    assert outputs(out) == outputs(tmp_path / "whole")


def test_a_budget_in_dollars(tmp_path: Path) -> None:
    with FaultyServer() as server:
        code, summary = go(server, folder_of(tmp_path, 6, 8), tmp_path / "out", model="gpt-4.1-mini", max_cost=0.001)
    assert code == 5 and 0 < summary["cost_now"] <= 0.001
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["stopped"].startswith("stopped by --max-cost")


def test_a_budget_in_dollars_needs_a_price(tmp_path: Path) -> None:
    with FaultyServer() as server, pytest.raises(UsageError, match=r'price of nobody.*\[prices."nobody"\]'):
        go(server, folder_of(tmp_path, 1, 4), tmp_path / "out", model="nobody", max_cost=1.0)
    assert server.requests == []


def test_what_was_spent_is_told_by_model_and_file_and_what_the_cache_saved(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2, 8)
    with FaultyServer(script=["gutted"] * 400) as server:
        options = {"model": "gpt-4.1-mini", "stronger": "gpt-4.1"}
        _, summary = go(server, folder, tmp_path / "out", **options)
        asked = list(server.requests)
        _, again = go(server, folder, tmp_path / "again", **options)
        assert len(server.requests) == len(asked) and again["cost"] == 0
    calls = {m: sum(r.body["model"] == m for r in asked) for m in ("gpt-4.1", "gpt-4.1-mini")}
    assert {m: u["calls"] for m, u in summary["spent"].items()} == calls
    assert summary["spent"] == summary["spent_now"]
    prices = {"gpt-4.1-mini": (0.4, 0.1, 1.6), "gpt-4.1": (2.0, 0.5, 8.0)}  # dollars a million: fresh, cached, output
    dollars = 0.0
    for model, (fresh, cached, output) in prices.items():
        used = summary["spent"][model]
        dollars += (used["input"] - used["cached"]) * fresh + used["cached"] * cached + used["output"] * output
    assert summary["cost"] == pytest.approx(dollars / 1e6, abs=2e-6)
    assert sum(r["usage"]["calls"] for r in summary["reports"]) == len(asked)
    assert again["saved"] == summary["spent"] and again["cost_saved"] == summary["cost"]


# --- signals ---------------------------------------------------------------------------------------------------------


def start(server: FaultyServer, source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = [str(source), "-o", str(out), "--model", "m", "--base-url", server.base_url]
    arguments += ["--cache", str(out.parent / "cache"), "--concurrency", "3", "--budget", "60", *more]
    environment = {**os.environ, "OPENAI_API_KEY": "sk-none-at-all"}
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "script"),
    [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGINT, ["gutted", None, None, None] * 10)],
)
def test_a_signal_lets_the_calls_under_way_finish(
    number: signal.Signals, script: list[str | None], tmp_path: Path
) -> None:
    """Also where another passage's draft is rejected meanwhile, and its next call may not be made any more."""
    folder, out = folder_of(tmp_path, 6, 24), tmp_path / "out"
    with FaultyServer(delay=0.4, script=script) as server:
        process = start(server, folder, out)
        wait_for(lambda: len(server.requests) >= 6)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        asked = len(server.requests)
        assert process.returncode == 130 and b"Traceback" not in said and b"the same command continues" in said
        summary = json.loads((out / "summary.json").read_text())
        assert summary["exit"] == 130 and summary["spent_now"]["m"]["calls"] == asked  # all that was asked was kept
        assert summary["calls_now"] == asked  # and what waited in line was not made
        server.delay = 0.0
        server.script.clear()  # where calls go out in another order, a passage may meet three bad drafts
        again = start(server, folder, out)
        again.communicate()
        assert again.returncode == 0
        assert len(server.answered_twice()) == 0
    for path in sorted(out.glob("*.txt")):
        assert missing(24, path.read_text(encoding="utf-8").replace(f"（第{int(path.stem) + 1}天）", "")) == []


@pytest.mark.slow
def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    with FaultyServer(delay=20.0) as server:
        process = start(server, folder_of(tmp_path, 2, 8), tmp_path / "out")
        wait_for(lambda: server.under_way > 0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # it waits for the calls under way
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=10)
    assert time.monotonic() - began < 5 and process.returncode == 130
    assert b"Traceback" not in said and b"interrupted" in said


# --- seen from outside -----------------------------------------------------------------------------------------------


def test_the_log_tells_what_happened_and_no_text_and_no_secret(tmp_path: Path) -> None:
    key = "sk-proj-Qwe123Rty456Uio789Pas"
    log = tmp_path / "log.jsonl"
    with FaultyServer(script=["500", "gutted", "gutted"]) as server:
        arguments = [
            str(folder_of(tmp_path, 2, 4)),
            "-o",
            str(tmp_path / "out"),
            "--model",
            "m",
            "--log-file",
            str(log),
        ]
        environment = {**os.environ, "OPENAI_API_KEY": key, "OPENAI_BASE_URL": server.base_url}
        subprocess.run([*COMMAND, *arguments, "-q"], env=environment, check=False, capture_output=True)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    kinds = [x["event"] for x in lines]
    assert kinds[0] == "run_start" and kinds[-1] == "run_end"
    assert kinds.count("file_start") == kinds.count("file_end") == 2
    assert all({"at", "level"} <= set(x) for x in lines)
    text = log.read_text(encoding="utf-8")
    assert key not in text and "没有把它卖掉" not in text


def test_a_log_that_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with FaultyServer() as server:
        arguments = [str(folder_of(tmp_path, 1, 4)), "-o", str(tmp_path / "out"), "--model", "m"]
        environment = {**os.environ, "OPENAI_API_KEY": "x", "OPENAI_BASE_URL": server.base_url}
        done = subprocess.run(
            [*COMMAND, *arguments, "--log-file", str(tmp_path / "file" / "log")],
            env=environment,
            check=False,
            capture_output=True,
        )
    assert done.returncode == 1 and b"--log-file" in done.stderr and server.requests == []


def test_the_log_tells_what_ended_a_run(tmp_path: Path) -> None:
    """To a file, or to standard error with everything else off."""
    arguments = [str(folder_of(tmp_path, 1, 4)), "-o", str(tmp_path / "out"), "--model", "m", "-q", "--no-cache"]
    with FaultyServer(api_key="another") as server:
        environment = {**os.environ, "OPENAI_API_KEY": "sk-none-at-all", "OPENAI_BASE_URL": server.base_url}
        for log in (str(tmp_path / "log"), "-"):
            command = [*COMMAND, *arguments, "--log-file", log]
            done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
            assert done.returncode == 1
            said = done.stderr if log == "-" else Path(log).read_text(encoding="utf-8")
            last = [json.loads(line) for line in said.splitlines() if line.startswith("{")][-1]
            assert (last["event"], last["level"], last["exit"]) == ("run_failed", "error", 1)
            assert last["why"] and last["why"] in done.stderr and "sk-none-at-all" not in said
    assert not Path("-").exists()


def test_a_run_that_waits_for_its_endpoint_says_so_once_for_each_cause(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2, 24)
    with FaultyServer(script=["500", "500", "reset_mid", "500"]) as server:
        process = start(server, folder, tmp_path / "out", "--no-cache")
        _, said = process.communicate(timeout=60)
    told = [line for line in said.decode().splitlines() if line.startswith("A call failed: ")]
    assert process.returncode == 0 and len(told) == 2 and sum("status 500" in line for line in told) == 1
    with FaultyServer(script=["500"]) as server:
        process = start(server, folder, tmp_path / "quiet", "--no-cache", "-q")
        assert process.communicate(timeout=60)[1] == b""


def test_files_that_failed_are_named_by_the_status_and_at_the_end_of_many(tmp_path: Path) -> None:
    from rewriter.status import lines, status

    folder, out = folder_of(tmp_path, 2, 4), tmp_path / "out"
    for n in range(10):
        (folder / f"empty{n}.txt").write_text("")
    with FaultyServer() as server:
        process = start(server, folder, out, "-q")
        printed, _ = process.communicate(timeout=60)
    found = status(out)
    assert (process.returncode, found.files_failed, len(found.failures)) == (1, 10, 10)
    assert "the file is empty" in found.failures["empty0.txt"]
    shown = [line for line in lines(found) if line.startswith("failed: ")]
    assert len(shown) == 8 and shown[0].startswith(f"failed: {folder}/empty0.txt: the file is empty")
    assert "... and 2 more that failed: see --json" in lines(found)
    assert (
        f"{folder}/empty0.txt: the file is empty" in printed.decode()
        and "... and 2 more that failed" in printed.decode()
    )


# --- the journal of a large run --------------------------------------------------------------------------------------


def test_the_past_holds_places_and_finds_passages_of_open_and_finished_files(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path, 3, 8), tmp_path / "out"
    with FaultyServer() as server:
        go(server, folder, out, use_cache=False)
    passages = [e for e in read_journal(out / "run.jsonl") if e["event"] == "passage"]
    past = Past.read(out)
    assert set(past.files) == {"000.txt", "001.txt", "002.txt"} and past.since is None
    first = passages[0]
    assert past.passage(first["file"], first["key"]) is None  # finished: nothing is held
    past.reopen(first["file"])
    for event in passages:
        found = past.passage(event["file"], event["key"])
        assert found == (event["outcomes"] if event["file"] == first["file"] else None)


def test_a_damaged_passage_is_asked_again(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path, 1, 24), tmp_path / "out"
    with FaultyServer() as server:
        go(server, folder, out, use_cache=False)
        expected, asked = outputs(out), len(server.requests)
        lines = (out / "run.jsonl").read_bytes().splitlines(keepends=True)
        at = next(n for n, line in enumerate(lines) if line.startswith(b'{"event":"passage"'))
        lines[at] = lines[at][:-40] + b"}\n"
        (out / "run.jsonl").write_bytes(b"".join(x for x in lines if not x.startswith(b'{"event":"file"')))
        go(server, folder, out, use_cache=False)
        assert len(server.requests) == asked + 1 and outputs(out) == expected


@pytest.mark.slow
def test_the_status_of_a_run_that_goes_on_was_stopped_and_is_finished(tmp_path: Path) -> None:
    from rewriter.status import lines, status

    folder, out = folder_of(tmp_path, 6, 24), tmp_path / "out"
    with FaultyServer(delay=0.3) as server:
        process = start(server, folder, out)
        wait_for(lambda: len(server.requests) >= 8)
        going = status(out)
        assert (going.state, going.exit, going.files) == ("running", None, 6)
        assert 0 < sum(going.passages.values()) < going.passages_in_all
        assert going.rate and going.left and any("passages a second" in x for x in lines(going))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        stopped = status(out)
        assert (stopped.state, stopped.exit, stopped.rate) == ("stopped", 130, None)
        assert stopped.usage.calls == len(server.requests)
        server.delay = 0.0
        start(server, folder, out).communicate()
    finished = status(out)
    assert (finished.state, finished.exit, finished.files_done) == ("finished", 0, 6)
    assert sum(finished.passages.values()) == finished.passages_in_all
    assert abs(going.passages_in_all / finished.passages_in_all - 1) < 0.25  # by size, before all files were begun


def test_the_status_of_a_folder_without_a_run(tmp_path: Path) -> None:
    from rewriter.status import status

    with pytest.raises(InputError, match="no run in this folder"):
        status(tmp_path)


@pytest.mark.slow
def test_a_stop_does_not_wait_for_what_the_endpoint_asked_to_wait(tmp_path: Path) -> None:
    """The endpoint wants to be left alone for a minute: calls in line and calls to be tried again end at once."""
    with FaultyServer(rate=1.0, faults=("429_after",), retry_after=60) as server:
        process = start(server, folder_of(tmp_path, 2, 24), tmp_path / "out")
        wait_for(lambda: len(server.requests) >= 3)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 5 and process.returncode == 130 and b"Traceback" not in said
