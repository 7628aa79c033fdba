"""`rewriter cache ...`: what each command prints, changes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewriter.cache import PassageCache
from rewriter.cli import main
from rewriter.commands.cache import size
from rewriter.records import Answer, Usage

KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with PassageCache("c") as cache:
        usage = Usage(calls=1, input=1_000_000, output=1_000_000)
        cache.put(KEY, Answer(text="关于 Milvus 的", usage=usage), about={"model": "gpt-4.1-mini", "style": "clean"})
        cache.get(KEY)
    return tmp_path / "c"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["cache", *arguments, "--cache", "c"])
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


def test_stats_tell_what_was_saved(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, _ = run(capsys, "stats", "--json")
    stats = json.loads(out)
    assert code == 0 and stats["path"] == str(folder) and stats["entries"] == 1
    assert stats["saved"][0]["output"] == 1_000_000
    assert stats["saved_dollars"]["gpt-4.1-mini"] > 0
    text = run(capsys, "stats", "--text")[1]
    assert "1 hits (disk, gpt-4.1-mini, clean)" in text and "saved with gpt-4.1-mini: $" in text


def test_where_it_is(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert run(capsys, "path") == (0, f"{folder}\n", "")


def test_a_bad_answer_is_found_corrected_released_and_removed(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert run(capsys, "find", "nothing of the kind") == (0, "", "")
    found = json.loads(run(capsys, "find", "Milvus")[1])
    assert found["key"] == KEY and found["about"]["style"] == "clean"
    Path("right.txt").write_text("关于 Milvus 的介绍", encoding="utf-8")
    assert run(capsys, "correct", KEY, "right.txt") == (0, "corrected\n", "")
    assert run(capsys, "clear", "--yes")[1] == "0 entries removed\n"
    with PassageCache(folder) as cache:
        assert cache.get(KEY).text == "关于 Milvus 的介绍"
    assert run(capsys, "pin", KEY, "--off") == (0, "released\n", "")
    assert run(capsys, "pin", KEY) == (0, "pinned\n", "")
    assert run(capsys, "remove", KEY) == (0, "removed\n", "")
    for command in (["remove", KEY], ["pin", KEY], ["correct", KEY, "right.txt"]):
        assert run(capsys, *command) == (1, "there is no such entry\n", "")


@pytest.mark.usefixtures("folder")
def test_a_key_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "remove", "abc")
    assert code == 1 and out == "" and "64 hex digits" in err and "Traceback" not in err


@pytest.mark.usefixtures("folder")
def test_import_tells_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "export", "a.jsonl") == (0, "1 entries written to a.jsonl\n", "")
    with Path("a.jsonl").open("a") as file:
        file.write("broken\n")
    run(capsys, "clear", "--yes")
    code, out, err = run(capsys, "import", "a.jsonl")
    assert (code, out) == (0, "1 entries added\n") and "1 lines" in err


@pytest.mark.parametrize("command", [["stats"], ["verify"], ["prune", "--max-bytes", "1GB"], ["export", "x.jsonl"]])
def test_looking_makes_no_cache(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = run(capsys, *command)
    assert code == 1 and "There is no cache here" in errors and not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("said", "bytes_"), [("0", 0), ("1500", 1500), ("2kb", 2000), ("1.5 MB", 1_500_000), ("3G", 3 * 10**9)]
)
def test_sizes_may_have_units(said: str, bytes_: int) -> None:
    assert size(said) == bytes_


@pytest.mark.parametrize("said", ["", "GB", "1 XB", "-5", "1e9", "ten"])
def test_what_is_no_size_is_said(said: str, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, _, errors = run(capsys, "prune", f"--max-bytes={said}")
    assert code == 2 and "is no size" in errors


def test_prune_counts_passages_too(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with PassageCache("c") as cache:
        cache.remember("ab" * 32, "嗯今天讲渡口。", "今天讲渡口。", Answer(text="今天讲渡口。"))
    assert run(capsys, "prune", "--max-bytes", "0")[1] == "2 entries and passages removed\n"
