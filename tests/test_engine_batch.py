"""The provider-batch engine against a real server: same output, and nothing bought twice, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_server import BatchServer, wrong
from faulty_server import Messages, light_edit, passage_between_markers, spoil
from rewriter.api import Rewriter
from rewriter.engines import open_engine
from rewriter.engines.batch import MOST_TRIES, BatchEngine
from rewriter.engines.batch_files import Note, RequestFile
from rewriter.engines.batch_log import Batch, BatchLog
from rewriter.errors import ModelConfigError, ModelUnavailable, OutputError, RewriterError, UsageError
from rewriter.estimate import estimate
from rewriter.formats import discover
from rewriter.model.retry import RetryPolicy
from rewriter.progress import Plain
from rewriter.records import Usage
from rewriter.run import Run
from rewriter.status import lines, status
from talks import talk

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "rewriter.cli", "rewrite"]
KEY = "key-of-the-provider-0123456789"
MODEL = "gpt-4.1-mini"  # a name with a price


async def at_once(seconds: float) -> None:
    """In place of waiting."""


def fallible(messages: Messages) -> str:
    """A model that guts long passages now and then, and gets numbers of some wrong: repairs, stretches and halves."""
    passage = passage_between_markers(messages)
    good, chance = light_edit(passage), hashlib.sha256(passage.encode()).digest()[0] % 3
    if chance == 0 and len(passage) > 120:
        return spoil("gutted", good, messages)
    return spoil("number", good, messages) if chance == 1 and len(passage) > 60 else good


def folder_of(tmp_path: Path, files: int = 2, sentences: int = 24) -> Path:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for n in range(files):
        text = talk(sentences).replace("号", f"号（第{n + 1}天）")
        (folder / f"{n:03}.txt").write_text(text, encoding="utf-8")
    return folder


def go(server: BatchServer, source: Path, out: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    """A run in this process; it waits nowhere. The local engine with engine="local"."""
    settings = {"model": MODEL, "budget": 120, "poll": 0.01, "engine": "provider-batch", "similar": "off", **options}
    settings.setdefault("cache", f"{out}-cache")

    async def run() -> tuple[int, dict[str, Any]]:
        async with Rewriter(base_url=server.base_url, **settings) as rewriter:
            rounds = None
            if settings["engine"] != "local":
                rounds = rewriter.asker = BatchEngine(rewriter, RetryPolicy(sleep=at_once))
            shown = Plain(rewriter.choice, quiet=True)
            one = Run(rewriter, discover([str(source)]), out, shown, rounds=rounds)
            return await one.execute(), one.last_summary

    return asyncio.run(run())


def outputs(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.glob("*.txt"))}


def tokens(spent: dict[str, dict[str, int]]) -> Counter[str]:
    return Counter({k: sum(u[k] for u in spent.values()) for k in ("input", "output")})


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer(rewrite=fallible) as running:
        yield running


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, Any]]:
    """What the local engine makes of the same folder."""
    folder = tmp_path_factory.mktemp("local")
    with BatchServer(rewrite=fallible) as other:
        _, summary = go(other, folder_of(folder), folder / "local", engine="local")
    return outputs(folder / "local"), summary


Expected = tuple[dict[str, bytes], dict[str, Any]]


# --- the same as the local engine ------------------------------------------------------------------------------------


def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    """Closing a file tries once more what could not be written, and must not hide the sentence."""

    def full() -> Any:
        return Path("/dev/full").open("wb")

    log = BatchLog(tmp_path / "batches.jsonl")
    log.close()
    log._file = full()
    with pytest.raises(OutputError, match="No space left"):
        log.add("end")
    log.close()
    file = RequestFile(tmp_path, "m")
    file._lines.close()
    file._keys.close()
    file._lines, file._keys = full(), full()
    file.add(b"{}", Note("key", "mark", "prompt"), Usage())
    with pytest.raises(OutputError, match="No space left"):
        file.close("settings")
    file.discard()


def test_same_output_at_half_the_price(server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    code, summary = go(server, folder_of(tmp_path), tmp_path / "out")
    files, local = expected
    assert outputs(tmp_path / "out") == files != {}
    assert (code, summary["passages"]) == (local["exit"], local["passages"]) and summary["passages"]["repaired"] > 5
    assert tokens(summary["spent"]) == tokens(local["spent"]) == tokens(summary["spent_now"])
    assert summary["saved"] == {} and summary["calls_now"] == local["calls_now"]
    assert summary["cost"] < local["cost"] * 0.52  # all but the one request that is asked first, live
    assert len(server.chats) == 1 and max(server.submitted().values()) == 1
    assert server.files == {} and not (tmp_path / "out" / "batches").exists()  # nothing is left lying about


def test_repairs_of_one_passage_go_together(server: BatchServer, tmp_path: Path) -> None:
    """First drafts, then repairs (whole, or several clauses at once), then both halves: three batches."""
    go(server, folder_of(tmp_path, sentences=48), tmp_path / "out")
    assert [len(job.lines) > 5 for job in server.begun()] == [True, True, True]


def test_repairs_live(server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    _, summary = go(server, folder_of(tmp_path), tmp_path / "out", repair="live")
    files, local = expected
    assert outputs(tmp_path / "out") == files and tokens(summary["spent"]) == tokens(local["spent"])
    assert len(server.begun()) == 1
    assert sum(server.executed.values()) + len(server.chats) == local["calls_now"]


def test_status_tells_how_batches_stand(server: BatchServer, tmp_path: Path) -> None:
    """Killed while the provider works, and after the same command has ended."""
    out = tmp_path / "out"
    gate = server.hold("look:before", 0)
    process = start(server, folder_of(tmp_path), out)
    assert gate.reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gate.open()
    stopped = status(out)
    assert stopped.state == "stopped" and stopped.batches["with_provider"] == 1
    assert stopped.batches["requests_open"] > 5 and stopped.batches["collected"] == 0
    assert "1 with the provider" in "\n".join(lines(stopped))
    process = start(server, folder_of(tmp_path), out)
    process.communicate(timeout=60)
    done = status(out)
    assert done.state == "finished" and done.batches["requests_open"] == done.batches["waiting"] == 0
    assert done.batches["answered"] == sum(server.executed.values()) and done.batches["collected"] == 3


def test_an_estimate_has_the_price_of_batches(tmp_path: Path) -> None:
    sources = discover([str(folder_of(tmp_path))])
    with BatchServer() as server:
        calls, batch = (
            estimate(Rewriter(base_url=server.base_url, model=MODEL, use_cache=False, engine=engine), sources)
            for engine in ("local", "provider-batch")
        )
    assert batch["batch"] and not calls["batch"] and batch["input"] == calls["input"]
    assert batch["cost"] == pytest.approx(calls["cost"] / 2, abs=2e-6) and batch["cost_most"] < calls["cost_most"]


@pytest.mark.parametrize("similar", ["off", "verified"])
def test_near_passages_are_replayed_as_they_are_locally(similar: str, tmp_path: Path) -> None:
    """Talks of the day before are in the cache; a few words differ today."""
    before, today = tmp_path / "before", tmp_path / "today"
    for folder, word in ((before, "旧报纸"), (today, "新报纸")):
        folder.mkdir()
        (folder / "talk.txt").write_text(talk(60).replace("照片", word), encoding="utf-8")
    with BatchServer() as server:
        go(server, before, tmp_path / "first", engine="local", similar=similar, cache=str(tmp_path / "c1"))
        shutil.copytree(tmp_path / "c1", tmp_path / "c2")
        _, local = go(server, today, tmp_path / "a", engine="local", similar=similar, cache=str(tmp_path / "c1"))
        _, batch = go(server, today, tmp_path / "b", similar=similar, cache=str(tmp_path / "c2"))
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b") != {}
    assert local["passages"] == batch["passages"] and (local["passages"]["replayed"] > 0) == (similar == "verified")


def test_a_stronger_model_has_batches_of_its_own(tmp_path: Path) -> None:
    def rewrite(messages: Messages) -> str:
        good = light_edit(passage_between_markers(messages))
        return spoil("gutted", good, messages)

    options = {"stronger": "gpt-4.1", "ladder": {"repairs": 0, "halves": False}}
    with BatchServer(rewrite=rewrite) as server:
        _, local = go(server, folder_of(tmp_path), tmp_path / "local", engine="local", **options)
        server.chats.clear()
        _, summary = go(server, folder_of(tmp_path), tmp_path / "out", **options)
    assert set(summary["spent"]) == {MODEL, f"{MODEL}@batch", "gpt-4.1", "gpt-4.1@batch"}
    assert tokens(summary["spent"]) == tokens(local["spent"])
    assert [body["model"] for body in server.chats] == [MODEL, "gpt-4.1"]  # each is asked once, live, before a batch


def test_what_stands_in_two_files_is_bought_and_booked_once(server: BatchServer, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, files=1)
    shutil.copy(folder / "000.txt", folder / "001.txt")
    _, summary = go(server, folder, tmp_path / "out")
    assert tokens(summary["spent"]) == server.charged == tokens(summary["saved"])
    assert max(server.submitted().values()) == 1


def test_a_second_run_costs_nothing(server: BatchServer, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    cache = str(tmp_path / "cache")
    _, first = go(server, folder, tmp_path / "out", cache=cache)
    asked = server.requests.copy()
    _, again = go(server, folder, tmp_path / "out", cache=cache)
    _, other = go(server, folder, tmp_path / "other", cache=cache)
    assert server.requests == asked
    assert again["spent"] == first["spent"] and again["spent_now"] == {}
    assert other["spent"] == {} and tokens(other["saved"]) == tokens(first["spent"])


# --- killed ----------------------------------------------------------------------------------------------------------

MOMENTS = [
    ("upload:before", 0),
    ("upload:after", 0),
    ("create:before", 0),
    ("create:after", 0),
    ("look:before", 1),
    ("content:middle", 0),
    ("content:middle", 1),
    ("delete:before", 0),
    ("delete:after", 1),
    ("create:after", 1),
    ("upload:after", 2),
]


def start(server: BatchServer, source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = [str(source), "-o", str(out), "--cache", f"{out}-cache", "--budget", "120", "--similar", "off"]
    model = ["--model", MODEL, "--base-url", server.base_url, "--engine", "provider-batch", "--poll", "0.1"]
    return subprocess.Popen(
        [*COMMAND, *arguments, *model, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OPENAI_API_KEY": KEY},
    )


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "skip"), MOMENTS)
def test_killed_at_a_certain_moment(moment: str, skip: int, tmp_path: Path, expected: Expected) -> None:
    files, local = expected
    out = tmp_path / "out"
    with BatchServer(rewrite=fallible, api_key=KEY) as server:
        gate = server.hold(moment, skip)
        process = start(server, folder_of(tmp_path), out)
        assert gate.reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        gate.open()
        process = start(server, folder_of(tmp_path), out)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == local["exit"], errors.decode()
        assert outputs(out) == files
        assert set(server.submitted().values()) == {1} == set(server.executed.values())
        assert len({json.dumps(chat) for chat in server.chats}) == len(server.chats) <= 2  # a probe in each execution
        summary = json.loads((out / "summary.json").read_text())
        assert tokens(summary["spent"]) == server.charged == tokens(local["spent"])
        assert server.files == {} and not (out / "batches").exists()


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path, expected: Expected) -> None:
    files, local = expected
    out = tmp_path / "out"
    with BatchServer(rewrite=fallible, api_key=KEY) as server:
        for moment in (
            "upload:after",
            "create:after",
            "look:before",
            "content:middle",
            "create:before",
            "delete:after",
        ):
            server.gates.clear()
            gate = server.hold(moment)
            process = start(server, folder_of(tmp_path), out)
            while not gate.reached.wait(0.1) and process.poll() is None:
                pass
            process.send_signal(signal.SIGKILL)
            process.communicate()
            gate.open()
        server.gates.clear()
        process = start(server, folder_of(tmp_path), out)
        process.communicate(timeout=60)
        assert process.returncode == local["exit"] and outputs(out) == files
        assert set(server.submitted().values()) == {1} == set(server.executed.values())
        assert tokens(json.loads((out / "summary.json").read_text())["spent"]) == server.charged


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_by_chance_at_a_provider_that_fails_by_chance(seed: int, tmp_path: Path, expected: Expected) -> None:
    """Kills, refused calls, lost answers of calls, failed lines, expired batches: the output is what it would be."""
    chance, out = random.Random(seed), tmp_path / "out"
    with BatchServer(rewrite=fallible, api_key=KEY, most_requests=chance.choice([9, 14, 50])) as server:
        server.fates = [chance.choice(["completed", "completed", "expired", "cancelled"]) for _ in range(8)]
        server.line_faults = lambda key, time: chance.choice([*FAULTS.values(), *[None] * 16]) if not time else None
        for endpoint in ("upload", "create", "look", "content", "list", "list_files"):
            server.http[endpoint] = [chance.choice([None, None, 500, "lost"]) for _ in range(6)]
        for _ in range(5):
            process = start(server, folder_of(tmp_path), out)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.8, 4.0))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start(server, folder_of(tmp_path), out)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == expected[1]["exit"], errors.decode()
        assert outputs(out) == expected[0]
        assert set(server.executed.values()) == {1}  # nothing was paid for twice
        assert len({json.dumps(chat) for chat in server.chats}) == len(server.chats)
        assert tokens(json.loads((out / "summary.json").read_text())["spent"]) == server.charged


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_provider_works(number: int, tmp_path: Path, expected: Expected) -> None:
    out = tmp_path / "out"
    with BatchServer(rewrite=fallible, api_key=KEY) as server:
        gate = server.hold("finish")
        process = start(server, folder_of(tmp_path), out, "--log-file", str(tmp_path / "log"))
        while server.requests["look"] < 3:
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        said = errors.decode()
        assert process.returncode == 130 and "Traceback" not in said
        assert "the provider still works on 1 batch, and the same command collects the answers" in said
        gate.open()
        process = start(server, folder_of(tmp_path), out, "--log-file", str(tmp_path / "log"))
        process.communicate(timeout=60)
        assert outputs(out) == expected[0] and set(server.submitted().values()) == {1}
    logged = (tmp_path / "log").read_text(encoding="utf-8") + (out / "batches.jsonl").read_text(encoding="utf-8")
    assert "batch_submitted" in logged and "batch_collected" in logged
    assert KEY not in logged and "号" not in logged and "\\u" not in logged  # neither the key nor anybody's text


# --- what becomes of a batch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fates",
    [
        ["expired"],
        ["expired", "expired"],
        ["cancelled"],
        ["missing"],
        ["truncated"],
        ["lost"],
        ["failed:server_error"],
        ["completed", "expired"],
        ["completed", "truncated", "cancelled"],
    ],
    ids=",".join,
)
@pytest.mark.parametrize("repair", ["batch", "live"])
def test_what_a_batch_left_unanswered_is_asked_again(
    fates: list[str], repair: str, server: BatchServer, tmp_path: Path, expected: Expected
) -> None:
    server.fates = list(fates)
    code, summary = go(server, folder_of(tmp_path), tmp_path / "out", repair=repair)
    assert code == expected[1]["exit"] and outputs(tmp_path / "out") == expected[0]
    assert summary["passages"] == expected[1]["passages"]
    lost = {"truncated": 1, "missing": 1}  # answers that were made and never arrived
    allowed = sum(lost.get(fate, 0) for fate in fates)
    assert sum(n - 1 for n in server.executed.values()) <= allowed


FAULTS: dict[str, Any] = {
    "status 500": (500, "server_error", "The server had an error."),
    "status 429": (429, "rate_limit_exceeded", "Rate limit reached."),
    "error": "error",
    "rubbish": "rubbish",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_failed_is_asked_again(fault: str, server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    server.line_faults = lambda key, time: FAULTS[fault] if time == 0 and key[0] in "01234" else None
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert outputs(tmp_path / "out") == expected[0]
    assert 2 in server.tried.values() and set(server.executed.values()) == {1}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_always_fails_leaves_its_passage_as_it_was(fault: str, tmp_path: Path) -> None:
    """And the same command tries it again, once more three times."""
    bad: list[str] = []

    def faults(key: str, time: int) -> Any:
        bad.extend([key] if len(bad) < 2 else [])
        return FAULTS[fault] if key in bad else None

    with BatchServer() as server:
        server.line_faults = faults
        code, summary = go(server, folder_of(tmp_path), tmp_path / "out")
        assert code == 3 and summary["passages"]["kept"] == 2
        assert {server.tried[key] for key in bad} == {MOST_TRIES}
        kept = [o for o in journalled(tmp_path / "out") if o["status"] == "kept"]
        assert kept[0]["unanswered"] and kept[0]["reason"].startswith(f"no answer: asked in {MOST_TRIES} batches")
        server.line_faults = lambda key, time: None
        code, summary = go(server, folder_of(tmp_path), tmp_path / "out")
        assert code == 0 and summary["passages"]["kept"] == 0
        # one of them is the second execution's first request, which is asked live
        assert {server.tried[key] for key in bad} == {MOST_TRIES, MOST_TRIES + 1} and len(server.chats) == 2
        assert set(server.executed.values()) == {1}


def journalled(out: Path) -> list[dict[str, Any]]:
    events = map(json.loads, (out / "run.jsonl").read_text(encoding="utf-8").splitlines())
    return [event["outcome"] for event in events if event["event"] == "outcome"]


def test_a_provider_that_answers_nothing_at_all_ends_the_run(server: BatchServer, tmp_path: Path) -> None:
    server.line_faults = lambda key, time: FAULTS["status 500"]
    with pytest.raises(ModelUnavailable, match="3 batches gave not a single answer; the last: status 500"):
        go(server, folder_of(tmp_path), tmp_path / "out")
    assert set(server.tried.values()) == {MOST_TRIES}
    server.line_faults = lambda key, time: None
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert len(outputs(tmp_path / "out")) == 2


def test_a_filtered_passage_is_its_own_matter(tmp_path: Path) -> None:
    bad: list[str] = []

    def faults(key: str, time: int) -> Any:
        bad[:] = bad or [key]
        return (400, "content_filter", "The prompt was filtered.") if key == bad[0] else None

    with BatchServer() as server:
        server.line_faults = faults
        code, summary = go(server, folder_of(tmp_path), tmp_path / "out", ladder={"repairs": 0, "halves": False})
        assert (code, summary["passages"]["kept"], server.tried[bad[0]]) == (3, 1, 1)
        assert not any(o["unanswered"] for o in journalled(tmp_path / "out"))


@pytest.mark.parametrize(
    ("status", "code", "message", "said"),
    [
        (404, "model_not_found", "The model does not exist", "no model 'gpt-4.1-mini' here"),
        (400, "context_length_exceeded", "maximum context length is 4096", "smaller --budget"),
        (401, "invalid_api_key", "Incorrect API key", "does not accept the key"),
        (429, "insufficient_quota", "You exceeded your quota", "no credit left"),
    ],
)
def test_what_no_asking_mends_stops_the_run_and_nothing_is_lost(
    status: int, code: str, message: str, said: str, server: BatchServer, tmp_path: Path, expected: Expected
) -> None:
    bad: list[str] = []

    def faults(key: str, time: int) -> Any:
        bad[:] = bad or [key]
        return (status, code, message) if key == bad[0] and time == 0 else None

    server.line_faults = faults
    with pytest.raises(ModelConfigError, match=re.escape(said)):
        go(server, folder_of(tmp_path), tmp_path / "out")
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert outputs(tmp_path / "out") == expected[0]
    assert set(server.executed.values()) == {1}  # the others' answers were kept


def test_a_batch_that_is_refused_stops_the_run(server: BatchServer, tmp_path: Path) -> None:
    server.fates = ["failed:billing_hard_limit_reached"]
    with pytest.raises(ModelConfigError, match="refused a batch: It was not begun: billing_hard_limit_reached"):
        go(server, folder_of(tmp_path), tmp_path / "out")
    code, _ = go(server, folder_of(tmp_path), tmp_path / "out")
    assert code in {0, 3} and set(server.executed.values()) == {1}


def looked_at(server: BatchServer) -> None:
    while not server.requests["look"]:
        time.sleep(0.01)


def test_batches_of_other_settings_are_not_waited_for(server: BatchServer, tmp_path: Path) -> None:
    """Ordered, stopped by the budget of patience, and then another style was wanted."""
    server.fates = ["stuck"]

    async def impatient() -> None:
        settings = {"model": MODEL, "budget": 120, "engine": "provider-batch", "poll": 0.01}
        async with Rewriter(base_url=server.base_url, cache=str(tmp_path / "out-cache"), **settings) as rewriter:
            engine = rewriter.asker = BatchEngine(rewriter)
            sources, shown = discover([str(folder_of(tmp_path))]), Plain(rewriter.choice, quiet=True)
            run = Run(rewriter, sources, tmp_path / "out", shown, rounds=engine)
            task = asyncio.create_task(run.execute())
            await asyncio.to_thread(looked_at, server)
            run.interrupt()
            assert await task == 130

    asyncio.run(impatient())
    _, summary = go(server, folder_of(tmp_path), tmp_path / "out", style="correct")
    assert len(outputs(tmp_path / "out")) == 2
    assert any("still works on 1 batch of an earlier command" in notice for notice in summary["notices"])


# --- trouble on the way ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [500, 503, 429, "lost"])
@pytest.mark.parametrize("endpoint", ["upload", "create", "look", "content", "delete"])
def test_a_fault_on_the_way_changes_nothing(
    fault: Any, endpoint: str, server: BatchServer, tmp_path: Path, expected: Expected
) -> None:
    server.http[endpoint] = ["cut" if (endpoint, fault) == ("content", "lost") else fault]
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert server.http[endpoint] == []
    assert outputs(tmp_path / "out") == expected[0]
    assert set(server.submitted().values()) == {1} == set(server.executed.values())
    assert server.files == {}


def test_an_outage_of_lists_is_not_taken_for_nothing_there(server: BatchServer, tmp_path: Path) -> None:
    """The batch was begun, its answer lost, and the list fails too: only when it answers is the next step taken."""
    server.http["create"], server.http["list"] = ["lost"], [500, 502, 503]
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert set(server.submitted().values()) == {1} and server.http["list"] == []


def test_a_provider_without_lists_is_gone_on_with(server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    server.http["create"], server.http["list"] = [503], [404]
    go(server, folder_of(tmp_path), tmp_path / "out")
    assert outputs(tmp_path / "out") == expected[0]


@pytest.mark.parametrize(
    "limits",
    [{"most_requests": 7}, {"enqueued": 8_000}, {"most_bytes": 40_000}, {"most_requests": 7, "enqueued": 6_000}],
    ids=str,
)
def test_a_provider_s_limits_are_learnt(limits: dict[str, int], tmp_path: Path, expected: Expected) -> None:
    with BatchServer(rewrite=fallible, **limits) as server:
        go(server, folder_of(tmp_path), tmp_path / "out")
    assert outputs(tmp_path / "out") == expected[0]
    assert set(server.submitted().values()) == {1} == set(server.executed.values())
    assert len(server.begun()) > 4 and server.files == {}


def test_room_is_waited_for_while_others_are_under_way(
    tmp_path: Path, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches of a round, room for one: the second waits, uncut and not sent a second time."""
    monkeypatch.setattr("rewriter.engines.batch_files.MOST_REQUESTS", 20)
    with BatchServer(rewrite=fallible, enqueued=11_000) as server:
        go(server, folder_of(tmp_path), tmp_path / "out")
    assert outputs(tmp_path / "out") == expected[0]
    refused = [job for job in server.batches.values() if job.fate == "failed:token_limit_exceeded"]
    assert refused and set(server.submitted().values()) == {1}


# --- before anything is sent -----------------------------------------------------------------------------------------


def test_the_first_request_finds_out_what_is_wrong(tmp_path: Path) -> None:
    with BatchServer(models=["another"]) as server:
        with pytest.raises(ModelConfigError, match=r"no model 'gpt-4\.1-mini'|does not serve|does not exist"):
            go(server, folder_of(tmp_path), tmp_path / "out")
        assert server.files == {} and server.requests["upload"] == 0


def test_parameters_are_those_that_the_model_takes(tmp_path: Path) -> None:
    def refuse(body: dict[str, Any]) -> dict[str, Any] | None:
        for name in ("temperature", "max_tokens"):
            if name in body:
                return wrong(f"Unsupported parameter: {name}", "unsupported_parameter", name)
        return None

    with BatchServer() as server:
        server.chat_refusal = refuse
        assert go(server, folder_of(tmp_path), tmp_path / "out")[0] == 0
        names = {name for job in server.begun() for line in job.lines for name in line["body"]}
    assert names == {"model", "messages", "max_completion_tokens"}


def test_an_endpoint_without_batches(tmp_path: Path) -> None:
    said = r"no batch interface.*without --engine"
    with BatchServer(without_batches=True) as server, pytest.raises(ModelConfigError, match=said):
        go(server, folder_of(tmp_path), tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"use_cache": False}, "need the cache"), ({"refresh": True}, "empty folder with --cache")],
)
def test_what_does_not_go_with_batches_is_said(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with Rewriter(
            base_url="http://127.0.0.1:9/v1", model="m", engine="provider-batch", **options
        ) as rewriter:
            await open_engine(rewriter)

    with pytest.raises(UsageError, match=said):
        asyncio.run(run())


# --- money -----------------------------------------------------------------------------------------------------------


def test_a_budget_holds_when_batches_are_ordered(server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    files, local = expected
    whole = sum(tokens(local["spent"]).values())
    limit, spent, code = whole // 3, 0, 5
    for _ in range(8):
        code, summary = go(server, folder_of(tmp_path), tmp_path / "out", max_tokens=limit)
        now = sum(tokens(summary["spent_now"]).values())
        spent += now
        assert now <= limit * 1.02
        if code != 5:
            break
        assert "--max-tokens" in summary["stopped"] and now > limit * 0.3
    assert code == local["exit"] and outputs(tmp_path / "out") == files
    assert spent == whole and set(server.executed.values()) == {1}


def test_a_budget_in_dollars_is_at_the_batch_price(server: BatchServer, tmp_path: Path, expected: Expected) -> None:
    """Enough for a run at half the price, and not at the full one."""
    dollars = expected[1]["cost"] * 0.9
    code, summary = go(server, folder_of(tmp_path), tmp_path / "out", max_cost=dollars)
    assert code == expected[1]["exit"] and summary["cost"] < dollars
    code, _ = go(server, folder_of(tmp_path), tmp_path / "local", max_cost=dollars, engine="local")
    assert code == 5


# --- other inputs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_standard_input_and_quiet(server: BatchServer, tmp_path: Path) -> None:
    arguments = ["-", "-o", str(tmp_path / "out"), "--engine", "provider-batch", "--poll", "0.05", "-q"]
    done = subprocess.run(
        [*COMMAND, *arguments, "--model", MODEL, "--base-url", server.base_url, "--cache", str(tmp_path / "cache")],
        input=talk(12).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 3} and done.stderr == b""
    assert len(list((tmp_path / "out").glob("*.txt"))) == 1 and server.begun()


def test_files_that_cannot_be_read_are_reported_and_the_rest_goes_on(server: BatchServer, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "bad.json").write_text("{", encoding="utf-8")
    code, summary = go(server, folder, tmp_path / "out")
    assert code == 1 and summary["failed"] == 1 and len(outputs(tmp_path / "out")) == 2


def test_an_answer_that_is_gone_from_the_cache_is_not_bought_for_ever(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWRITER_CACHE_SIZE", "2000")
    with pytest.raises((RewriterError, AssertionError)) as caught:
        go(server, folder_of(tmp_path), tmp_path / "out")
    assert "REWRITER_CACHE_SIZE" in str(caught.value)
    assert max(server.submitted().values()) <= MOST_TRIES


# --- the record ------------------------------------------------------------------------------------------------------


def batch(n: int) -> Batch:
    return Batch(token=f"{n:016x}", model="m", requests=4, size=9, expected=Usage(input=8), settings="s", at=1.0)


Step = Callable[[BatchLog, Batch], Any]
STEPS: dict[str, Step] = {
    "uploaded": lambda log, b: log.uploaded(b, f"file-{b.token}"),
    "submitted": lambda log, b: log.submitted(b, f"batch-{b.token}"),
    "refused": lambda log, b: log.refused(b, "no room"),
    "dropped": lambda log, b: log.dropped(b),
    "collected": lambda log, b: log.collected(b, 3, Usage(calls=3), {"status 500": ["k" + b.token]}, ["file-x"]),
    "split": lambda log, b: log.split(b, [batch(int(b.token, 16) * 2 + 10), batch(int(b.token, 16) * 2 + 11)]),
}


def state(log: BatchLog) -> Any:
    return log.out, log.batches, log.tries, log.failures, log.uncleaned, log.answered


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*STEPS, "end", "written"])), max_size=12), st.data())
def test_a_record_torn_at_any_byte_is_one_of_the_states_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "batches.jsonl"
    log = BatchLog(path)
    states = [(path.stat().st_size, json.dumps(state(log), default=str))]
    for number, step in steps:
        if step == "end":
            log.add("end")
        elif step == "written" and batch(number).token not in log.batches:
            log.written(batch(number))
        elif step in STEPS and (known := log.batches.get(batch(number).token)):
            STEPS[step](log, known)
        states.append((path.stat().st_size, json.dumps(state(log), default=str)))
    log.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(states[0][0], len(whole)))
    path.write_bytes(whole[:cut])
    again = BatchLog(path)
    # a last line that lacks only its end of line is whole
    wanted = [said for size, said in states if size <= cut + 1][-1]
    assert json.dumps(state(again), default=str) == wanted
    again.add("end")
    again.close()
    third = BatchLog(path)
    third.close()
    assert state(third) == state(again)


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_s_commands_run(server: BatchServer, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (rewriter .*)$", page, flags=re.MULTILINE)
    folder = folder_of(tmp_path)
    shutil.copytree(folder, tmp_path / "lectures")
    shutil.copy(ROOT / "examples" / "glossary.yaml", tmp_path / "terms.yaml")
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
    assert lines
    for line in lines:
        arguments = shlex.split(line.partition(" # ")[0])[1:]
        done = subprocess.run(
            [sys.executable, "-m", "rewriter.cli", *arguments, *(["--poll", "0.1"] if "--engine" in arguments else [])],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode in {0, 3}, (line, done.stderr.decode())
    assert server.begun()
