"""Whole runs against a real server on loopback: outputs, journal, resume, and a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_server import LIVABLE, FaultyServer, Messages, light_edit, passage_between_markers
from rewriter.api import Rewriter
from rewriter.errors import ModelConfigError, ModelUnavailable, UsageError
from rewriter.formats import discover
from rewriter.journal import read_journal
from rewriter.model import client
from rewriter.model.retry import RetryPolicy
from rewriter.progress import Plain
from rewriter.run import Run
from talks import missing, sentence, talk

KEY = "sk-proj-Qwe123Rty456Uio789Pas"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry policy of a user in a hurry, so that no test waits for seconds."""
    monkeypatch.setattr(client, "RetryPolicy", lambda: RetryPolicy(attempts=2, first=0.01, longest=0.02, jitter=0.0))


def go(
    server: FaultyServer, source: Path, out: Path, *, to: str | None = None, **options: Any
) -> tuple[int, dict[str, Any], list[str]]:
    """One run: exit code, summary, and the notes shown."""
    notes: list[str] = []

    class Shown(Plain):
        def note(self, text: str) -> None:
            notes.append(text)

    async def run() -> tuple[int, dict[str, Any]]:
        options.setdefault("cache", str(out.parent / "cache"))
        async with Rewriter(base_url=server.base_url, model="m", **options) as rewriter:
            run = Run(rewriter, discover([str(source)]), out, Shown(rewriter.choice, quiet=True), to=to)
            return await run.execute(), run.last_summary

    code, summary = asyncio.run(run())
    return code, summary, notes


def events(out: Path, kind: str) -> list[dict[str, Any]]:
    return [e for e in read_journal(out / "run.jsonl") if e["event"] == kind]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "talk.txt"
    path.write_text(talk(24), encoding="utf-8")
    return path


# --- a run and the next one ------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    code, summary, _ = go(server, source, tmp_path / "out")
    text = (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")
    assert code == 0 and missing(24, text) == [] and "嗯" not in text and "我们我们" not in text
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["passages"]["rewritten"] == len(events(tmp_path / "out", "passage")) > 1
    assert sum(summary["characters"].values()) == len(source.read_text(encoding="utf-8"))
    assert summary["usage"]["calls"] == summary["calls_now"] == len(server.requests)
    assert summary["reports"][0]["fixes"] == {"filler": 24, "stutter": 24}
    assert [p.name for p in (tmp_path / "out").glob(".*")] == []


def test_the_same_again_asks_nothing_and_writes_the_same(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    go(server, source, tmp_path / "out")
    first, asked = (tmp_path / "out" / "talk.txt").read_bytes(), len(server.requests)
    code, summary, notes = go(server, source, tmp_path / "out")
    assert (code, summary["calls_now"], len(server.requests), notes) == (0, 0, asked, [])
    assert summary["reports"][0]["resumed"]
    assert (tmp_path / "out" / "talk.txt").read_bytes() == first


def test_an_output_that_was_touched_is_made_again_from_the_journal(
    server: FaultyServer, source: Path, tmp_path: Path
) -> None:
    go(server, source, tmp_path / "out", use_cache=False)
    first, asked = (tmp_path / "out" / "talk.txt").read_bytes(), len(server.requests)
    (tmp_path / "out" / "talk.txt").write_text("spoilt")
    go(server, source, tmp_path / "out", use_cache=False)
    assert (tmp_path / "out" / "talk.txt").read_bytes() == first
    assert len(server.requests) == asked


def test_what_no_run_has_written_is_set_aside(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    """A file of another's in a result's place, and a result edited by hand; what a run wrote gives way."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "talk.txt").write_text("mine")
    _, summary, _ = go(server, source, out)
    assert (out / "talk.txt~").read_text() == "mine" and missing(24, (out / "talk.txt").read_text()) == []
    assert summary["reports"][0]["notes"] == ["a file stood there that no run had left so; it is now talk.txt~"]
    first = (out / "talk.txt").read_text()
    go(server, source, out, style="correct")
    assert sorted(p.name for p in out.glob("talk*")) == ["talk.txt", "talk.txt~"]  # other settings: a run's own
    (out / "talk.txt").write_text(f"{first} by hand")
    go(server, source, out)
    assert (out / "talk.txt~2~").read_text() == f"{first} by hand" and (out / "talk.txt").read_text() == first


def test_a_result_that_the_journal_does_not_tell_of_is_a_runs_own(
    server: FaultyServer, source: Path, tmp_path: Path
) -> None:
    """A kill between a file and its line."""
    out = tmp_path / "out"
    go(server, source, out)
    lines = (out / "run.jsonl").read_bytes().splitlines(keepends=True)
    (out / "run.jsonl").write_bytes(b"".join(line for line in lines if not line.startswith(b'{"event":"file"')))
    _, summary, _ = go(server, source, out)
    assert [p.name for p in out.glob("talk*")] == ["talk.txt"] and summary["reports"][0]["notes"] == []


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_a_torn_journal_is_continued(server: FaultyServer, source: Path, tmp_path: Path, keep: float) -> None:
    """Whatever part of the journal is left, the result is the same, and what it holds is not asked again."""
    out = tmp_path / "out"
    go(server, source, out, use_cache=False)
    first, asked = (out / "talk.txt").read_bytes(), len(server.requests)
    journal = (out / "run.jsonl").read_bytes()
    (out / "run.jsonl").write_bytes(journal[: int(len(journal) * keep)])
    (out / "talk.txt").unlink()
    known = len(events(out, "passage"))
    go(server, source, out, use_cache=False)
    assert (out / "talk.txt").read_bytes() == first
    assert len(server.requests) == asked + asked - known


def test_changed_options_are_named_and_answers_reused(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    go(server, source, tmp_path / "out")
    asked = len(server.requests)
    terms = tmp_path / "terms.yaml"
    terms.write_text("terms:\n  - canonical: 粮仓\n    aliases: [良仓]\n", encoding="utf-8")
    code, _, notes = go(server, source, tmp_path / "out", glossary=str(terms), limit=3)
    assert code == 0
    assert len(notes) == 1 and "glossary" in notes[0] and "limit (was None, now 3)" in notes[0]
    assert len(server.requests) - asked <= 3  # only passages in which the new term stands


@pytest.mark.parametrize("similar", ["off", "verified"])
def test_an_edit_asks_only_where_it_fell(similar: str, server: FaultyServer, source: Path, tmp_path: Path) -> None:
    source.write_text(talk(120), encoding="utf-8")
    go(server, source, tmp_path / "out", similar=similar)
    asked = len(server.requests)
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("第1060号", "昨天说的第1060号"), encoding="utf-8")
    _, summary, _ = go(server, source, tmp_path / "out", similar=similar)
    again, replayed = len(server.requests) - asked, summary["passages"]["replayed"]
    assert 1 <= again + replayed <= 4 < asked
    assert (replayed > 0) is (similar == "verified")
    assert "昨天说的第1060号" in (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")


def test_limit_leaves_the_rest_as_it_was(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    _, summary, _ = go(server, source, tmp_path / "out", limit=1)
    assert summary["passages"]["rewritten"] == 1
    assert summary["characters"]["beyond_limit"] > 0
    assert missing(24, (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")) == []


def test_two_runs_into_one_folder_are_refused(server: FaultyServer, source: Path, tmp_path: Path) -> None:
    from rewriter.journal import Journal

    with Journal(tmp_path / "out"), pytest.raises(UsageError, match="another run"):
        go(server, source, tmp_path / "out")


# --- many files, bad files -------------------------------------------------------------------------------------------


def test_a_bad_file_does_not_hold_up_the_rest(server: FaultyServer, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "day2").mkdir(parents=True)
    (folder / "a.txt").write_text(talk(4), encoding="utf-8")
    (folder / "b.srt").write_text("no subtitle at all", encoding="utf-8")
    (folder / "day2" / "a.txt").write_text(talk(6), encoding="utf-8")
    (folder / "empty.txt").write_text("\n")
    code, summary, notes = go(server, folder, tmp_path / "out")
    assert (code, summary["files"], summary["failed"]) == (1, 2, 2)
    assert any("b.srt" in n for n in notes) and any("empty.txt" in n for n in notes)
    assert missing(6, (tmp_path / "out" / "day2" / "a.txt").read_text(encoding="utf-8")) == []
    assert not (tmp_path / "out" / "b.srt").exists()


def test_an_output_never_overwrites_its_input(server: FaultyServer, source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(UsageError, match="overwrite its own input"):
        go(server, source, source.parent)
    assert source.read_bytes() == before and server.requests == []


SRT = """1
00:00:01,000 --> 00:00:03,500
嗯第一件木箱是在码头找到的，

2
00:00:03,500 --> 00:00:06,000
我们我们没有把它卖掉。

3
00:00:06,500 --> 00:00:09,000
<i>登记的人</i>一共写了十七行字。

4
00:00:09,000 --> 00:00:12,000
后来木箱就放在钟楼的二层，
"""


def test_subtitles_keep_their_cues_and_times(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text(SRT, encoding="utf-8")
    code, _, _ = go(server, tmp_path / "talk.srt", tmp_path / "out")
    lines = (tmp_path / "out" / "talk.srt").read_text(encoding="utf-8").splitlines()
    assert code == 0
    assert [x for x in lines if "-->" in x] == [x for x in SRT.splitlines() if "-->" in x]
    assert "第一件木箱是在码头找到的，" in lines and "我们没有把它卖掉。" in lines
    assert any("<i>登记的人</i>" in x for x in lines)


def test_another_format_out(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text(SRT, encoding="utf-8")
    code, summary, _ = go(server, tmp_path / "talk.srt", tmp_path / "out", to="vtt")
    assert code == 0 and summary["reports"][0]["output"] == "talk.vtt"
    assert (tmp_path / "out" / "talk.vtt").read_text(encoding="utf-8").startswith("WEBVTT")


# --- when the endpoint fails -----------------------------------------------------------------------------------------


def test_a_refused_key_stops_at_once_and_is_not_shown(source: Path, tmp_path: Path) -> None:
    with FaultyServer(api_key="another") as server, pytest.raises(ModelConfigError) as caught:
        go(server, source, tmp_path / "out", api_key=KEY)
    left = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert "key" in str(caught.value) and KEY not in str(caught.value) and KEY.encode() not in left
    assert not (tmp_path / "out" / "talk.txt").exists()


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_is_down_keeps_nothing(source: Path, tmp_path: Path) -> None:
    with FaultyServer(rate=1.0, faults=("503",)) as server, pytest.raises(ModelUnavailable):
        go(server, source, tmp_path / "out")
    assert not (tmp_path / "out" / "talk.txt").exists() and not (tmp_path / "out" / "summary.json").exists()


@pytest.mark.usefixtures("impatient")
def test_a_passage_without_an_answer_is_kept_and_asked_next_time(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with FaultyServer(script=[None, "500", "500"]) as server:
        code, summary, _ = go(server, source, out, concurrency=1, limit=2)
        assert (code, summary["passages"]["kept"], summary["reports"][0]["unanswered"]) == (3, 1, 1)
        assert missing(24, (out / "talk.txt").read_text(encoding="utf-8")) == []
        asked = len(server.requests)
        code, summary, _ = go(server, source, out, concurrency=1, limit=2)
    assert (code, summary["passages"]["kept"], len(server.requests) - asked) == (0, 0, 1)


def test_gutted_answers_are_kept_out(source: Path, tmp_path: Path) -> None:
    with FaultyServer(rate=1.0, faults=("gutted",)) as server:
        code, summary, _ = go(server, source, tmp_path / "out")
    assert code == 3 and summary["passages"]["kept"] > 0
    assert missing(24, (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")) == []
    for event in events(tmp_path / "out", "outcome"):
        outcome = event["outcome"]
        if outcome["status"] == "kept":
            assert outcome["text"] == outcome["source"] and outcome["reason"] and outcome["rejected"] is not None


def test_answers_arrive_in_any_order_and_stand_in_theirs(source: Path, tmp_path: Path) -> None:
    def slow_first(messages: Messages) -> str:
        passage = passage_between_markers(messages)
        time.sleep(0.2 if "第1000号" in passage else 0.0)
        return light_edit(passage)

    with FaultyServer(rewrite=slow_first) as server:
        go(server, source, tmp_path / "out", concurrency=8)
    text = (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")
    places = [text.index(f"第{1000 + n}号") for n in range(24)]
    assert places == sorted(places)


# --- under load and kill -9 ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_hundred_passages_through_a_server_that_misbehaves(tmp_path: Path) -> None:
    """30 % of calls go wrong: 429, 5xx, resets, half JSON, HTML, empty, refusals, gutted, changed and invented text."""
    sentences = 800
    source = tmp_path / "talk.txt"
    source.write_text(talk(sentences), encoding="utf-8")
    with FaultyServer(rate=0.3, seed=7, faults=LIVABLE, retry_after=0.05) as server:
        code, summary, _ = go(server, source, tmp_path / "out", budget=130, concurrency=16)
    text = (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")
    done = sum(summary["passages"].values())
    assert done >= 200 and code in {0, 3}
    assert missing(sentences, text) == []
    assert summary["passages"]["kept"] < done * 0.1
    assert sum(summary["characters"].values()) == len(source.read_text(encoding="utf-8"))
    assert summary["calls_now"] <= len(server.requests)
    faults = {kind: n for kind, n in server.counts.items() if kind != "good"}
    assert sum(faults.values()) > 0.2 * len(server.requests) and len(faults) > 15
    extra = len(text) / len(source.read_text(encoding="utf-8"))
    assert extra < 1.0  # nothing doubled, nothing invented: a light edit only takes away


COMMAND = [sys.executable, "-m", "rewriter.cli", "rewrite"]


def start(server: FaultyServer, source: Path, out: Path, cache: Path, concurrency: int) -> subprocess.Popen[bytes]:
    arguments = [str(source), "-o", str(out), "--model", "m", "--base-url", server.base_url, "--cache", str(cache)]
    return subprocess.Popen(
        [*COMMAND, *arguments, "--concurrency", str(concurrency), "--budget", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OPENAI_API_KEY": KEY},
    )


@pytest.mark.slow
def test_killed_at_ten_moments_and_resumed(tmp_path: Path) -> None:
    """The final bytes are those of an uninterrupted run; only answers in flight at a kill are asked again."""
    source, concurrency = tmp_path / "talk.txt", 2
    source.write_text(talk(240), encoding="utf-8")
    with FaultyServer() as server:
        whole = start(server, source, tmp_path / "whole", tmp_path / "c0", 8)
        whole.communicate()
        assert whole.returncode == 0
        alone = len(server.requests)
    expected = (tmp_path / "whole" / "talk.txt").read_bytes()
    chance, kills = random.Random(11), 0
    with FaultyServer(delay=0.02) as server:
        for _ in range(10):
            process = start(server, source, tmp_path / "out", tmp_path / "c1", concurrency)
            time.sleep(chance.uniform(0.4, 1.4))
            if process.poll() is None:
                kills += 1
                process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start(server, source, tmp_path / "out", tmp_path / "c1", 8)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        assert (tmp_path / "out" / "talk.txt").read_bytes() == expected
        assert kills > 0
        assert len(server.requests) <= alone + kills * concurrency
        assert len(server.answered_twice()) <= kills * concurrency


@pytest.mark.slow
def test_an_interrupt_is_one_sentence_and_resumable(tmp_path: Path) -> None:
    source = tmp_path / "talk.txt"
    source.write_text(talk(120), encoding="utf-8")
    with FaultyServer(delay=0.1) as server:
        process = start(server, source, tmp_path / "out", tmp_path / "cache", 2)
        while len(server.requests) < 4:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        said = errors.decode()
        assert process.returncode == 130 and "the same command continues" in said and "Traceback" not in said
        assert not (tmp_path / "out" / "talk.txt").exists()
        process = start(server, source, tmp_path / "out", tmp_path / "cache", 8)
        process.communicate()
        assert process.returncode == 0
    assert missing(120, (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")) == []


def test_the_talk_can_be_found_wanting() -> None:
    """The measure of loss used here sees a lost sentence, a lost negation and a changed number."""
    text = talk(5)
    assert missing(5, text) == []
    assert missing(5, text.replace(sentence(2), "")) == [2]
    assert missing(5, text.replace("没有", "", 1)) == [0]
    assert missing(5, text.replace("写了20行", "写了21行")) == [3]
