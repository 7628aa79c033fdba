"""Runs as rough users start them: names that hold anything, folders in folders, files of all kinds, disks that fill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faulty_server import FaultyServer
from rewriter.cli import main
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
