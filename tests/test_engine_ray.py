"""The Ray engine on a real cluster of two nodes, on this machine: same output, and what is lost costs time only."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_server import FaultyServer
from rewriter.api import Rewriter
from rewriter.engines import open_engine
from rewriter.engines.ray import RayPlace
from rewriter.errors import UsageError
from rewriter.formats import discover
from rewriter.journal import read_journal
from rewriter.progress import Plain
from rewriter.run import Run
from talks import talk

ray = pytest.importorskip("ray", reason="the ray extra is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONCURRENCY = 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU; what the tests take away is put back."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    size = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args=size)
    made.add_node(**size)
    yield made
    made.shutdown()


def folder_of(tmp_path: Path, files: int, sentences: int) -> Path:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for n in range(files):
        text = talk(sentences).replace("号", f"号（第{n + 1}天）")
        (folder / f"{n:03}.txt").write_text(text, encoding="utf-8")
    return folder


def go(
    server: FaultyServer, folder: Path, out: Path, meanwhile: Callable[[RayPlace], None] | None = None, **options: Any
) -> tuple[int, dict[str, Any]]:
    async def run() -> tuple[int, dict[str, Any]]:
        settings = {"concurrency": CONCURRENCY, "similar": "off", "budget": 60, "cache": str(out) + "-cache"}
        async with Rewriter(base_url=server.base_url, **{"model": "m", **settings, **options}) as rewriter:
            await open_engine(rewriter)
            if meanwhile is not None:
                assert isinstance(rewriter.place, RayPlace)
                threading.Thread(target=meanwhile, args=(rewriter.place,), daemon=True).start()
            run = Run(rewriter, discover([str(folder)]), out, Plain(rewriter.choice, quiet=True))
            return await run.execute(), run.last_summary

    return asyncio.run(run())


def outputs(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.glob("*.txt"))}


def after(server: FaultyServer, requests: int) -> None:
    while len(server.requests) < requests:
        time.sleep(0.02)


def test_a_worker_and_then_a_node_are_killed(cluster: Any, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 6, 40)
    with FaultyServer(delay=0.15) as server:
        go(server, folder, tmp_path / "local")
        alone = len(server.requests)
        killed: list[str] = []

        def kill(place: RayPlace) -> None:
            after(server, alone + 20)
            process = asyncio.run(_process_of(place))
            os.kill(process, signal.SIGKILL)
            killed.append("worker")
            after(server, alone + 60)
            node = next(n for n in cluster.list_all_nodes() if n is not cluster.head_node)
            cluster.remove_node(node, allow_graceful=False)
            killed.append("node")

        glossary = tmp_path / "terms.yaml"
        glossary.write_text("terms:\n  - {canonical: 渡口, aliases: [度口], certain: true}\n", encoding="utf-8")
        code, summary = go(
            server, folder, tmp_path / "ray", kill, engine="ray", address=cluster.address, glossary=str(glossary)
        )
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        asked = len(server.requests) - alone
    assert killed == ["worker", "node"] and code == 0
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "local") != {}
    assert asked <= alone + 2 * CONCURRENCY  # the answers in flight at the two deaths
    assert asked <= summary["calls_now"] <= asked + 2 * CONCURRENCY  # some died before they were sent


async def _process_of(place: RayPlace) -> int:
    return int(await place.workers[-1].process.remote())


def test_a_killed_run_has_paid_for_what_workers_were_answered(cluster: Any, tmp_path: Path) -> None:
    """Every draft is rejected, so that no passage is finished when the run is killed; then the same command goes on."""
    folder, out = folder_of(tmp_path, 2, 12), tmp_path / "ray"
    with FaultyServer(delay=0.4, script=["gutted"] * 30) as server:
        options = ["--engine", "ray", "--address", cluster.address, "--base-url", server.base_url, "--model", "m"]
        options += ["--concurrency", "6", "--budget", "60", "--cache", str(tmp_path / "cache"), "-o", str(out)]
        command = [sys.executable, "-m", "rewriter", "rewrite", str(folder), *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        after(server, 13)
        answered = len(server.requests) - server.under_way
        time.sleep(0.2)  # the answers' way, of which one is in flight for each call at most
        process.kill()
        process.communicate()
        paid = [event for event in read_journal(out / "run.jsonl") if event["event"] == "paid"]
        assert not any(event["event"] == "passage" for event in read_journal(out / "run.jsonl"))
        assert len(paid) >= answered >= 6
        assert all(event["model"] == "m" and event["usage"]["input"] for event in paid)
        server.delay = 0.0
        code, summary = go(server, folder, out, engine="ray", address=cluster.address, cache=str(tmp_path / "cache"))
    assert code in {0, 3}  # stored answers are judged again, and rejected again
    calls = summary["spent"]["m"]["calls"]
    assert len(server.requests) - CONCURRENCY <= calls <= len(server.requests)


def test_workers_send_the_spans_of_their_calls(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the otel extra is not installed")
    from span_receiver import SpanReceiver

    with FaultyServer() as server, SpanReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        options = ["--engine", "ray", "--address", cluster.address, "--base-url", server.base_url, "--model", "m"]
        arguments = [str(folder_of(tmp_path, 2, 8)), "-o", str(tmp_path / "out"), "--no-cache", "--budget", "60"]
        subprocess.run([sys.executable, "-m", "rewriter", "rewrite", *arguments, *options], check=True)
        asked = len(server.requests)
    passages = {span.id for span in receiver.named("passage")}
    tries = {span.id: span.parent for span in receiver.named("ask")}
    assert len(receiver.named("chat m")) == asked > 4 and {c.parent for c in receiver.named("chat m")} == set(tries)
    assert set(tries.values()) == passages and len({span.trace for span in receiver.spans}) == 1


SIGNALLED = """
import os, ray, signal
real = ray.init
def init(*given, **named):
    if {moment!r} == "in":
        os.kill(os.getpid(), signal.SIGTERM)  # Ray's handler is another's already
    real(*given, **named)
    os.kill(os.getpid(), signal.SIGTERM)
ray.init = init
from rewriter.__main__ import main
main()
"""


@pytest.mark.parametrize("moment", ["in", "after"])
def test_a_signal_while_the_cluster_is_joined_ends_it_with_our_code(cluster: Any, tmp_path: Path, moment: str) -> None:
    """Ray would end the process by itself, with a code of its own."""
    with FaultyServer() as server:
        options = ["--engine", "ray", "--address", cluster.address, "--base-url", server.base_url, "--model", "m"]
        arguments = ["rewrite", str(folder_of(tmp_path, 1, 4)), "-o", str(tmp_path / "out"), *options]
        command = [sys.executable, "-c", SIGNALLED.format(moment=moment), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
    assert "rewriter: interrupted" in done.stderr and server.requests == []


def test_one_budget_for_all_workers_and_the_same_command_goes_on(cluster: Any, tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path, 4, 16), tmp_path / "ray"
    with FaultyServer() as server:
        _, whole = go(server, folder, tmp_path / "local")
        tokens = whole["usage"]["input"] + whole["usage"]["output"]
        options = {"engine": "ray", "address": cluster.address, "max_tokens": tokens * 2 // 3}
        spent, code = [], 5
        while code == 5 and len(spent) < 5:
            code, summary = go(server, folder, out, **options)
            spent.append(sum(u["input"] + u["output"] for u in summary["spent_now"].values()))
            assert spent[-1] <= options["max_tokens"] * 1.02
            assert code == 0 or "--max-tokens" in summary["stopped"]
    assert code == 0 and len(spent) > 1 and outputs(out) == outputs(tmp_path / "local")
    assert sum(spent) == tokens


def test_calls_of_all_workers_together_are_limited(cluster: Any, tmp_path: Path) -> None:
    with FaultyServer(delay=0.05) as server:
        go(server, folder_of(tmp_path, 2, 24), tmp_path / "ray", engine="ray", address=cluster.address, concurrency=3)
    assert server.most_at_once == 3


def test_what_the_cluster_cannot_do_is_said(tmp_path: Path) -> None:
    with FaultyServer() as server:
        with pytest.raises(UsageError, match=r"no Ray cluster at 127\.0\.0\.1:9"):
            go(server, folder_of(tmp_path, 1, 4), tmp_path / "out", engine="ray", address="127.0.0.1:9")
        assert server.requests == []


def test_accepted_rewrites_are_kept_for_replays(cluster: Any, tmp_path: Path) -> None:
    """A run on the cluster, a word changed in every file, the cluster again: no call is needed."""
    folder = folder_of(tmp_path, 2, 12)
    with FaultyServer() as server:
        options = {
            "engine": "ray",
            "address": cluster.address,
            "cache": str(tmp_path / "shared"),
            "similar": "verified",
        }
        go(server, folder, tmp_path / "first", **options)
        for path in folder.glob("*.txt"):
            path.write_text(path.read_text(encoding="utf-8").replace("木箱", "木桶", 1), encoding="utf-8")
        asked = len(server.requests)
        _, summary = go(server, folder, tmp_path / "second", **options)
    replayed = summary["passages"]["replayed"]  # the changed passages, and those that have them before them
    assert 2 <= replayed <= 4 and summary["passages"]["cached"] > 2
    assert len(server.requests) == asked
