"""The cache's tiers in whole runs: what an edit costs, what --similar and --refresh do. A real server on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_server import FaultyServer
from rewriter.api import Rewriter
from rewriter.formats import discover
from rewriter.journal import read_journal
from rewriter.progress import Plain
from rewriter.run import Run
from talks import missing, talk

SENTENCES = 40


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def go(server: FaultyServer, folder: Path, text: str, out: str, **options: Any) -> tuple[Counter[str], str, int]:
    """One run over a text: its passages by status, what came out, and how many calls it took."""
    source = folder / "talk.txt"
    source.write_text(text, encoding="utf-8")
    before = len(server.requests)

    async def run() -> None:
        settings = {"cache": str(folder / "cache"), "budget": 100, "model": "m", **options}
        async with Rewriter(base_url=server.base_url, api_key="k", **settings) as rewriter:
            one = Run(rewriter, discover([str(source)]), folder / out, Plain(rewriter.choice, quiet=True))
            assert await one.execute() == 0

    asyncio.run(run())
    summary = json.loads((folder / out / "summary.json").read_text(encoding="utf-8"))
    statuses = Counter({k: v for k, v in summary["passages"].items() if v})
    return statuses, (folder / out / "talk.txt").read_text(encoding="utf-8"), len(server.requests) - before


def test_an_edit_is_replayed_and_the_rest_is_cached(server: FaultyServer, tmp_path: Path) -> None:
    text = talk(SENTENCES)
    first, whole, calls = go(server, tmp_path, text, "one")
    assert first == {"rewritten": calls} and calls > 5 and missing(SENTENCES, whole) == []
    edited = text.replace("第1007号", "第2007号").replace("写了40行", "写了41行")
    second, rewrite, calls = go(server, tmp_path, edited, "two")
    assert calls == 0 and 1 <= second["replayed"] <= 4 and second["cached"] == first["rewritten"] - second["replayed"]
    assert rewrite == whole.replace("第1007号", "第2007号").replace("写了40行", "写了41行")
    events = list(read_journal(tmp_path / "two" / "run.jsonl"))
    replayed = [o for e in events if e["event"] == "passage" for o in e["outcomes"] if o["status"] == "replayed"]
    assert len(replayed) == second["replayed"]
    assert all(o["ladder"] == ["replay"] and o["usage"]["calls"] == 0 for o in replayed)


def test_a_replay_is_judged_and_what_fails_is_asked(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = talk(SENTENCES)
    go(server, tmp_path, text, "one")
    monkeypatch.setattr("rewriter.cache.similar.Similar.candidates", _spoilt("行字", "行字"))
    _, _, calls = go(server, tmp_path, text.replace("第1007号", "第2007号"), "two")
    assert calls == 0
    monkeypatch.setattr("rewriter.cache.similar.Similar.candidates", _spoilt("没有把它卖掉", "把它卖掉"))
    statuses, rewrite, calls = go(server, tmp_path, text.replace("第1009号", "第2009号"), "three")
    assert calls >= 1 and statuses["replayed"] == 0
    assert len(re.findall("没有把它卖掉", rewrite)) == SENTENCES


def _spoilt(old: str, new: str) -> Any:
    """Stored rewrites that were damaged in a way that no seal can see."""
    from rewriter.cache.similar import Similar

    real = Similar.candidates

    def candidates(self: Similar, scope: str, source: str, before: float | None = None) -> Any:
        return [c._replace(rewrite=c.rewrite.replace(old, new)) for c in real(self, scope, source, before)]

    return candidates


@pytest.mark.parametrize(
    "options", [{"similar": "off"}, {"style": "formal"}, {"model": "n"}, {"glossary": "terms.yaml"}]
)
def test_nothing_is_replayed_elsewhere_or_when_off(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("terms.yaml").write_text("terms:\n  - canonical: 木箱\n", encoding="utf-8")
    text = talk(8)
    go(server, tmp_path, text, "one")
    statuses, _, calls = go(server, tmp_path, text.replace("第1003号", "第2003号"), "two", **options)
    assert statuses["replayed"] == 0 and calls >= 1


def test_refresh_asks_for_everything_anew_also_where_a_run_is_finished(server: FaultyServer, tmp_path: Path) -> None:
    text = talk(12)
    _, _, calls = go(server, tmp_path, text, "one")
    assert go(server, tmp_path, text, "one")[2] == 0
    statuses, _, again = go(server, tmp_path, text, "one", refresh=True)
    assert again == calls and statuses == {"rewritten": calls}
    assert go(server, tmp_path, text, "two")[2] == 0


def test_two_runs_are_told_apart_from_what_they_saved(server: FaultyServer, tmp_path: Path) -> None:
    from rewriter.cache import PassageCache

    text = talk(8)
    go(server, tmp_path, text, "one")
    go(server, tmp_path, text.replace("第1003号", "第2003号"), "two")
    with PassageCache(tmp_path / "cache") as cache:
        saved = {row.tier: row for row in cache.stats().saved}
    assert saved["replay"].hits >= 1 and saved["replay"].output > 0 and saved["replay"].style == "clean"


@pytest.mark.slow
def test_the_benchmark_of_edits_runs() -> None:
    root = Path(__file__).parent.parent
    command = [sys.executable, str(root / "benchmarks" / "cache_edits.py"), str(root / "examples" / "talk_zh.txt")]
    done = subprocess.run(
        [*command, "--edits", "4", "--runs", "2", "--budget", "60"], capture_output=True, text=True, check=True
    )
    touched, untouched = re.findall(r"([\d.]+)% of \d+", done.stdout)
    assert float(touched) > 0 and float(untouched) == 100
