"""Runs as rough users start them: names that hold anything, folders in folders, files of all kinds, disks that fill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faulty_server import FaultyServer
from rewriter.cli import main
from rewriter.errors import CacheError
from rewriter.money import prices
from talks import missing, talk

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an empty folder `in`."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(caught.value.code or 0), out, err


def rewrite(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """As a user's shell does it: with a standard output that takes UTF-8 and nothing else."""
    command = [sys.executable, "-m", "rewriter.cli", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = ["with space.txt", "two\nlines.txt", "smile😀.txt", "turn\u202eed.txt", "[a]*.txt", "-o.txt", "esc\x1b[31m.txt"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.txt")


def test_any_name_is_rewritten_resumed_and_shown(folder: Path) -> None:
    for name in [*NAMES, NOT_UTF8]:
        (folder / "in" / name).write_text(talk(4), encoding="utf-8")
    for again in (False, True):
        done = rewrite("rewrite", "in", "-o", "out")
        assert done.returncode == 0, done.stderr.decode()
        assert b"\x1b" not in done.stdout + done.stderr and "\u202e" not in (done.stdout + done.stderr).decode()
        assert (b"finished by an earlier run" in done.stderr) is again
    for name in [*NAMES, NOT_UTF8]:
        assert missing(4, (folder / "out" / name).read_text(encoding="utf-8")) == []
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    assert {r["file"] for r in summary["reports"]} == {*NAMES, NOT_UTF8}
    printed = rewrite("rewrite", "in", "-o", "out", "--json").stdout
    assert {r["file"] for r in json.loads(printed.decode())["reports"]} == {*NAMES, NOT_UTF8}


def test_passages_of_a_name_that_is_no_utf8_are_taken_from_the_journal(
    folder: Path, server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in" / NOT_UTF8).write_text(talk(24), encoding="utf-8")
    assert run(capsys, "rewrite", "in", "-o", "out", "--no-cache", "-q")[0] == 0
    asked = len(server.requests)
    (folder / "out" / NOT_UTF8).unlink()
    assert run(capsys, "rewrite", "in", "-o", "out", "--no-cache", "-q")[0] == 0
    assert len(server.requests) == asked > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["x" * 5000, "-o", "out"], 1, "File name too long"),
        (["in/a.txt", "-o", "x" * 300], 1, "File name too long"),
        (["", "-o", "out"], 2, "empty name"),
    ],
)
def test_a_name_that_can_be_none_is_one_sentence(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    got, _, err = run(capsys, "rewrite", *arguments)
    assert got == code and says in err and len(err) < 500


# --- folders in folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["in", "in/**/*.txt"])
def test_results_inside_the_input_folder_are_no_inputs(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/day").mkdir()
    for name in ("a.txt", "day/a.txt"):
        Path("in", name).write_text(talk(4), encoding="utf-8")
    for out in ("in/out", "in/out", "in/day/again"):
        code, said, _ = run(capsys, "rewrite", given, "-o", out)
        assert code == 0 and "2 file(s)" in said
    assert json.loads(run(capsys, "estimate", given, "--json")[1])["files"] == 2
    assert "2 file(s)" in run(capsys, "rewrite", "in/out", "-o", "twice")[1]  # named itself, it is an input


@pytest.mark.parametrize("given", [["in"], ["in/a.txt", "in/a.md"]])
def test_two_inputs_never_end_in_one_file(
    given: list[str], capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    for name in ("a.txt", "a.md"):
        Path("in", name).write_text(talk(4), encoding="utf-8")
    code, _, err = run(capsys, "rewrite", *given, "-o", "out", "--to", "txt")
    assert code == 2 and "a.txt" in err and "a.md" in err and server.requests == [] and not Path("out").exists()
    assert run(capsys, "rewrite", *given, "-o", "out")[0] == 0


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repair", "live"], "--repair is for --engine provider-batch"),
        (["--poll", "5", "--engine", "ray"], "--poll is for --engine provider-batch"),
        (["--workers", "2"], "--workers is for --engine ray"),
        (["--base-url", ""], "base_url is an empty text"),
        (["--style", "nice"], "no style 'nice'"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_made(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    code, _, err = run(capsys, "rewrite", "in", "-o", "out", *arguments)
    assert code == 2 and says in err and server.requests == [] and not Path("out").exists()


@pytest.mark.parametrize("command", [["rewrite", "in", "-o", "out"], ["estimate", "in"]])
def test_a_broken_price_table_is_told_before_anything_is_asked(
    command: list[str], capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    Path("rewriter.toml").write_text("prices.m = {input = 'free', output = 1}\n")
    prices.cache_clear()
    code, _, err = run(capsys, *command)
    prices.cache_clear()
    assert code == 2 and "input = 'free'" in err and server.requests == [] and not Path("out").exists()


def test_a_log_that_cannot_be_written_is_one_sentence_and_hinders_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    code, _, err = run(capsys, "rewrite", "in", "-o", "out", "-q", "--log-file", "/dev/full")
    assert code == 0 and err.count("No space left") == 1 and Path("out/a.txt").exists()


# --- money, stopped and gone on --------------------------------------------------------------------------------------


def charged(server: FaultyServer) -> dict[str, int]:
    account = server.account
    return {"calls": account.calls, "input": account.input, "cached": account.cached, "output": account.output}


def told(out: str) -> dict[str, Any]:
    return dict(json.loads(Path(out, "summary.json").read_text(encoding="utf-8")))


def look(capsys: pytest.CaptureFixture[str], out: str) -> dict[str, Any]:
    return dict(json.loads(run(capsys, "status", out, "--json")[1]))


def test_the_spend_is_the_servers_account_at_every_stop(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of stopped runs too, and of answers whose passages were not finished when the budget ended."""
    for n in range(3):
        Path(f"in/{n}.txt").write_text(talk(24, first=100 * n), encoding="utf-8")
    stops = 0
    with FaultyServer(rate=0.4, faults=("gutted", "number")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        while True:
            code, out, _ = run(capsys, "rewrite", "in", "-o", "out", "--budget", "60", "--max-tokens", "9000", "-q")
            summary, status = told("out"), look(capsys, "out")
            assert summary["spent"] == status["spent"] == {"m": charged(server)}
            assert summary["usage"] == status["usage"] == charged(server)
            assert f"{server.account.input} in, {server.account.output} out" in out
            if code != 5:
                break
            stops += 1
            assert "--max-tokens" in status["why"] and status["state"] == "stopped"
    assert code in {0, 3} and stops > 3 and summary["files"] == 3
    assert sum(r["usage"]["calls"] for r in summary["reports"]) <= summary["usage"]["calls"]


def test_what_was_paid_under_other_settings_is_in_the_spend(
    capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    Path("in/a.txt").write_text(talk(24), encoding="utf-8")
    for style in ("clean", "correct", "clean"):
        assert run(capsys, "rewrite", "in", "-o", "out", "--style", style, "--similar", "off", "-q")[0] == 0
    summary = told("out")
    assert summary["spent"] == {"m": charged(server)} and summary["calls_now"] == 0
    assert summary["reports"][0]["usage"]["calls"] == 0  # the last version came from the cache


def test_a_run_that_failed_tells_its_spend_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/a.txt").write_text(talk(60), encoding="utf-8")
    with FaultyServer(key_lives=6) as server:
        arguments = ["--base-url", server.base_url, "--concurrency", "2", "--budget", "60", "-q"]
        code, _, err = run(capsys, "rewrite", "in", "-o", "out", *arguments)
        status = look(capsys, "out")
    assert code == 1 and status["spent"] == {"m": charged(server)}
    assert (status["state"], status["exit"]) == ("stopped", 1) and status["why"] in err
    assert "does not accept the key" in run(capsys, "status", "out")[1]


@pytest.mark.slow
def test_the_spend_of_a_killed_run_lacks_only_what_was_in_flight(server: FaultyServer) -> None:
    Path("in/a.txt").write_text(talk(120), encoding="utf-8")
    server.delay, concurrency, kills = 0.05, 2, 4
    command = [sys.executable, "-m", "rewriter.cli", "rewrite", "in", "-o", "out", "-q", "--budget", "60"]
    for n in range(kills):
        process = subprocess.Popen([*command, "--concurrency", str(concurrency)])
        while len(server.requests) < 8 * (n + 1) and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.wait()
    server.delay = 0
    assert subprocess.run(command, check=False).returncode == 0
    lost = server.account.calls - told("out")["usage"]["calls"]
    assert 0 <= lost <= kills * concurrency


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_is_of_the_last_commands_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(3):
        Path(f"in/{n}.txt").write_text(talk(8, first=100 * n), encoding="utf-8")
    run(capsys, "rewrite", "in", "-o", "out", "-q")
    whole = look(capsys, "out")
    assert (whole["files_done"], whole["files"], whole["passages_in_all"]) == (3, 3, sum(whole["passages"].values()))
    run(capsys, "rewrite", "in/1.txt", "-o", "out", "-q")
    one = look(capsys, "out")
    assert (one["files_done"], one["files"], one["state"]) == (1, 1, "finished")
    assert one["passages_in_all"] == sum(one["passages"].values()) == sum(whole["passages"].values()) // 3
    Path("in/1.txt").write_text(talk(9, first=500), encoding="utf-8")
    run(capsys, "rewrite", "in", "-o", "out", "-q")
    again = look(capsys, "out")
    assert (again["files_done"], again["files"], again["passages_in_all"]) == (3, 3, sum(again["passages"].values()))


def test_status_of_a_stopped_run_counts_the_files_to_come_and_nothing_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for n in range(4):
        Path(f"in/{n}.txt").write_text(talk(24, first=100 * n), encoding="utf-8")
    options = ["--budget", "60", "--max-tokens", "4000", "-q", "--concurrency", "2"]
    for style in ("clean", "formal"):
        assert run(capsys, "rewrite", "in", "-o", "out", *options, "--style", style)[0] == 5
        found = look(capsys, "out")
        assert 0 < sum(found["passages"].values()) < 10 and 40 < found["passages_in_all"] < 60


def test_status_reads_what_is_left_of_a_journal(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/a.txt").write_text(talk(24), encoding="utf-8")
    run(capsys, "rewrite", "in", "-o", "out", "-q")
    journal = Path("out/run.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    assert look(capsys, "out")["state"] == "stopped"
    journal.write_bytes(b"")
    assert run(capsys, "status", "out")[0] == 1


# --- bad files among good ones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["estimate", "in"], ["rewrite", "in", "-o", "out", "--dry-run"]])
def test_an_estimate_goes_past_a_file_that_cannot_be_read(
    command: list[str], capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    Path("in/a.txt").write_text(talk(24), encoding="utf-8")
    Path("in/bin.txt").write_bytes(bytes(range(256)))
    Path("in/empty.txt").write_bytes(b"")
    code, out, err = run(capsys, *command)
    assert code == 1 and out.startswith("1 file(s)") and "bin.txt" in err and "empty.txt" in err
    code, out, _ = run(capsys, *command, "--json")
    plan = json.loads(out)
    assert code == 1 and plan["files"] == 1 and plan["passages"] > 0 and len(plan["failed"]) == 2
    assert run(capsys, "rewrite", "in", "-o", "out", "-q")[0] == 1
    assert len(server.requests) == plan["passages"]


def test_a_stopped_run_says_how_many_files_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(3):
        Path(f"in/{n}.txt").write_text(talk(24, first=100 * n), encoding="utf-8")
    code, out, _ = run(capsys, "rewrite", "in", "-o", "out", "--max-tokens", "2000", "-q")
    assert code == 5 and out.startswith("0 file(s), 3 unfinished, passages: none\n")


def test_a_providers_words_and_the_remedy_are_two_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    with FaultyServer(rate=1.0, faults=("429_quota",)) as server:
        _, _, err = run(capsys, "rewrite", "in", "-o", "out", "-q", "--base-url", server.base_url)
    assert "You exceeded your current quota. Add credit" in err


# --- what is printed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reader", "says"), [("| head -c 0", ""), ("> /dev/full", "No space left on device")])
@pytest.mark.parametrize("more", ["", "--json", "--report"])
def test_a_run_whose_summary_nobody_takes_is_done_all_the_same(reader: str, says: str, more: str) -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    command = f"{sys.executable} -m rewriter.cli rewrite in -o out -q {more} {reader}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr.decode()
    assert (says in done.stderr.decode()) if says else (done.stderr == b"")


def test_an_output_that_cannot_be_written_is_one_sentence() -> None:
    Path("in/a.txt").write_text(talk(4), encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m rewriter.cli estimate in > /dev/full"], capture_output=True, check=False
    )
    assert done.returncode == 1 and done.stderr == b"rewriter: the output cannot be written: No space left on device.\n"


def test_an_estimate_makes_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/a.txt").write_text(talk(24), encoding="utf-8")
    for command in (["estimate", "in"], ["rewrite", "in", "-o", "out", "--dry-run"]):
        assert run(capsys, *command, "--cache", "cache")[0] == 0
    assert sorted(p.name for p in folder.rglob("*")) == ["a.txt", "in"]
    run(capsys, "rewrite", "in", "-o", "out", "--cache", "cache", "-q")
    assert json.loads(run(capsys, "estimate", "in", "--cache", "cache", "--json")[1])["cached"] > 0


@pytest.mark.parametrize("given", ["in", "in/**/*.txt", "in/**", "*/**/[a-z].txt"])
def test_links_that_lead_in_circles_are_not_followed(given: str) -> None:
    Path("in/deep").mkdir()
    for name in ("a.txt", "deep/b.txt"):
        Path("in", name).write_text(talk(4), encoding="utf-8")
    Path("in/self").symlink_to(".")
    Path("in/deep/up").symlink_to("..")
    Path("in/loop.txt").symlink_to("loop.txt")
    command = [sys.executable, "-m", "rewriter.cli", "estimate", given, "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert done.returncode == 0 and json.loads(done.stdout)["files"] == 2


def test_what_a_full_cache_says_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise CacheError("An answer could not be stored (disk is full).")

    monkeypatch.setattr("rewriter.cache.PassageCache.aput", full)
    Path("in/a.txt").write_text(talk(60), encoding="utf-8")
    code, _, err = run(capsys, "rewrite", "in", "-o", "out", "-q", "--budget", "60")
    assert code == 0 and err.count("disk is full") == 1 and missing(60, Path("out/a.txt").read_text()) == []
