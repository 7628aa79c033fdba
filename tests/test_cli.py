"""The command line as users meet it: exit codes, one clear sentence for each mistake, machine-readable answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faulty_server import FaultyServer
from rewriter.cli import cli, main
from talks import missing, talk

SECRET = "sk-proj-Zyx987Wvu654Tsr321Qpo"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one good transcript and many things that are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWRITER_MODELS", str(tmp_path / "no-models"))
    files = {
        "talk.txt": talk(12).encode(),
        "empty.txt": b"",
        "blank.txt": b" \n\n ",
        "half.txt": b"\xff\xfe\x00\xd8\x00",
        "binary.txt": bytes(range(256)) * 8,
        "bad.srt": b"1\n00:00:99 --> x\nfoo\n",
        "cut.json": b'{"segments": [',
        "odd.json": b'{"a": 1}',
        "paper.pdf": b"%PDF-1.7",
        "bare": b"text",
        "open.yaml": b"terms:\n  - canonical: [a\n",
        "twice.yaml": b"terms:\n- {canonical: A, aliases: [x]}\n- {canonical: B, aliases: [x]}\n",
        "pairs.jsonl": b'{"id": 1, "source": "a", "rewrite": "a"}\nnot json\n',
        "style.md": b"---\nstyle: mine\nlanguage: zh\npolicy: clean\n---\n# system\nWrite {{foo}}.\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "nothing").mkdir()
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


# What a user may get wrong: arguments, exit code, and what the sentence must name.
MISTAKES = [
    ("rewrite nowhere.txt -o out", 1, ["nowhere.txt", "no such file"]),
    ("rewrite nothing -o out", 1, ["nothing", "no transcripts", ".srt"]),
    ("rewrite *.docx -o out", 1, ["*.docx", "nothing matches"]),
    ("rewrite paper.pdf -o out", 1, ["paper.pdf", "unknown format", ".txt"]),
    ("rewrite bare -o out", 1, ["bare", "without a suffix"]),
    ("rewrite empty.txt -o out", 1, ["empty.txt", "empty"]),
    ("rewrite blank.txt -o out", 1, ["blank.txt", "empty"]),
    ("rewrite half.txt -o out", 1, ["half.txt", "UTF-16"]),
    ("rewrite binary.txt -o out", 1, ["binary.txt", "not text"]),
    ("rewrite bad.srt -o out", 1, ["bad.srt", "line 2"]),
    ("rewrite cut.json -o out", 1, ["cut.json", "JSON"]),
    ("rewrite odd.json -o out", 1, ["odd.json", "segments"]),
    ("rewrite talk.txt -o out -g open.yaml", 2, ["open.yaml", "3:1"]),
    ("rewrite talk.txt -o out -g twice.yaml", 2, ["twice.yaml", "'x'"]),
    ("rewrite talk.txt -o out -g nowhere.yaml", 2, ["nowhere.yaml", "No such file"]),
    ("rewrite talk.txt -o out --style nice", 2, ["'nice'", "clean, correct, formal"]),
    ("rewrite talk.txt -o out --style style.md", 2, ["style.md", "foo"]),
    ("rewrite talk.txt -o out --budget 3", 2, ["budget", "16"]),
    ("rewrite talk.txt -o out --budget many", 2, ["--budget"]),
    ("rewrite talk.txt -o out --to pdf", 2, ["'pdf'", "srt"]),
    ("rewrite talk.txt -o out --to srt", 1, ["talk.txt", "times"]),
    ("rewrite talk.txt -o talk.txt", 1, ["talk.txt: this is a file", "-o"]),
    ("rewrite talk.txt -o talk.txt/out/x", 1, ["rewriter: talk.txt: this is a file", "-o"]),
    ("rewrite talk.txt -o out --log-file talk.txt/log", 1, ["rewriter: talk.txt: this is a file", "--log-file"]),
    ("rewrite talk.txt -o out --log-file=", 2, ["--log-file has an empty name"]),
    ("rewrite talk.txt -o out --log-file talk.txt", 2, ["talk.txt: this is a file, and no log"]),
    ("rewrite talk.txt --out=", 2, ["-o has an empty name"]),
    ("status talk.txt", 1, ["talk.txt: there is no run"]),
    ("rewrite talk.txt -o .", 2, ["overwrite its own input"]),
    ("rewrite talk.txt -o out --base-url nonsense", 1, ["base URL", "http://"]),
    ("rewrite talk.txt -o out --cache talk.txt", 1, ["talk.txt", "--cache"]),
    ("rewrite talk.txt", 2, ["--out"]),
    ("rewrite -o out", 2, ["INPUT"]),
    ("rewrite talk.txt -o out --colour red", 2, ["--colour"]),
    ("check talk.txt", 2, ["SOURCE and REWRITE"]),
    ("check talk.txt nowhere.txt", 1, ["nowhere.txt"]),
    ("check talk.txt talk.txt --policy soft", 2, ["'soft'", "balanced"]),
    ("check --jsonl pairs.jsonl --json", 1, ["pairs.jsonl", "line 2", "JSON"]),
    ("check --jsonl nowhere.jsonl", 1, ["nowhere.jsonl"]),
    ("split nowhere.txt", 1, ["nowhere.txt"]),
    ("estimate empty.txt", 1, ["empty.txt"]),
    ("glossary match talk.txt --glossary open.yaml", 2, ["open.yaml"]),
    ("cache stats --cache talk.txt", 1, ["talk.txt"]),
    ("cache import nowhere.jsonl", 1, ["nowhere.jsonl"]),
    ("cache prune", 2, ["--max-bytes"]),
    ("local serve --model nowhere.gguf", 1, ["nowhere.gguf"]),
    ("frobnicate", 2, ["frobnicate"]),
]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("line", "code", "says"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_one_clear_sentence(
    line: str, code: int, says: list[str], capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    got, _, err = run(capsys, *line.split())
    assert got == code
    assert "Traceback" not in err
    assert all(word in err for word in says), err
    assert server.requests == []  # nothing is paid for before the mistake is seen
    assert Path("talk.txt").read_bytes() == talk(12).encode()


def test_without_a_model_the_three_ways_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "rewrite", "talk.txt", "-o", "out")
    assert code == 1
    for way in ("rewriter local pull", "OPENAI_API_KEY", "--base-url"):
        assert way in err


@pytest.mark.parametrize("url", [f"http://user:{SECRET}@127.0.0.1:9/v1", "http://127.0.0.1:9/v1"])
def test_no_secret_is_shown(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from rewriter.model import client
    from rewriter.model.retry import RetryPolicy

    monkeypatch.setattr(client, "RetryPolicy", lambda: RetryPolicy(attempts=1))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    code, out, err = run(capsys, "rewrite", "talk.txt", "-o", "out", "--base-url", url, "--model", "m")
    assert code == 1 and "127.0.0.1:9" in err
    left = "".join(p.read_text(errors="replace") for p in Path().rglob("*") if p.is_file())
    assert SECRET not in out + err + left


@pytest.mark.usefixtures("server")
def test_rewrite_prints_where_the_result_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "rewrite", "talk.txt", "-o", "out")
    assert code == 0 and out.splitlines()[-1] == str(Path("out") / "talk.txt")
    assert "talk.txt: " in err
    code, out, err = run(capsys, "rewrite", "talk.txt", "-o", "out", "--json")
    assert json.loads(out)["reports"][0]["resumed"] and err == ""


@pytest.mark.usefixtures("server")
def test_dry_run_writes_and_asks_nothing(capsys: pytest.CaptureFixture[str], server: FaultyServer) -> None:
    code, out, _ = run(capsys, "rewrite", "talk.txt", "-o", "out", "--dry-run")
    assert code == 0 and "1 file(s)" in out and not Path("out").exists() and server.requests == []


def test_standard_input_is_a_transcript(server: FaultyServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rewriter.cli", "rewrite", "-", "-o", "out", "-q"],
        input=talk(4).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert missing(4, Path("out/stdin.txt").read_text(encoding="utf-8")) == []


# Sends this process a signal when a module is about to be imported.
AT_AN_IMPORT = """
import importlib.abc, os, signal, sys
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Hook())
from rewriter.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize(
    "module", ["click", "rewriter.commands.rewriting", "rewriter.api", "rewriter.run", "rewriter.report.page"]
)
def test_a_signal_ends_it_with_its_own_code_from_the_first_import_to_the_last(
    server: FaultyServer, module: str, number: signal.Signals
) -> None:
    """Before the command line is loaded, while a run's modules are, and when the run is over and its page is made."""
    code = AT_AN_IMPORT.format(module=module, number=int(number))
    command = [sys.executable, "-c", code, "rewrite", "talk.txt", "-o", "out", "-q", "--report"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
    assert "rewriter: interrupted" in done.stderr
    assert Path("out/summary.json").exists() == (module == "rewriter.report.page")


def test_a_signal_that_is_ignored_stays_so(server: FaultyServer) -> None:
    """As nohup and a shell's background have it."""
    code = AT_AN_IMPORT.format(module="rewriter.commands.rewriting", number=int(signal.SIGTERM))
    ignoring = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{code}"
    command = [sys.executable, "-c", ignoring, "rewrite", "talk.txt", "-o", "out", "-q"]
    assert subprocess.run(command, check=False).returncode == 0


def test_estimate_counts_what_a_run_then_asks(capsys: pytest.CaptureFixture[str], server: FaultyServer) -> None:
    before = json.loads(run(capsys, "estimate", "talk.txt", "--json")[1])
    run(capsys, "rewrite", "talk.txt", "-o", "out", "-q")
    assert before["passages"] == len(server.requests) and before["cached"] == 0 and before["input"] > 0
    after = json.loads(run(capsys, "estimate", "talk.txt", "--json")[1])
    assert (after["cached"], after["input"], after["output"]) == (before["passages"], 0, 0)
    assert before["cost"] is None and "no price for m" in run(capsys, "estimate", "talk.txt")[1]


def test_a_long_estimate_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rewriter.progress.PLAIN_EVERY", 0.0)
    Path("other.txt").write_text(talk(2), encoding="utf-8")
    code, out, err = run(capsys, "estimate", "talk.txt", "other.txt", "--json")
    assert code == 0 and json.loads(out)["files"] == 2 and err == "0/2 files\n1/2 files\n"


def test_a_log_is_appended_to(capsys: pytest.CaptureFixture[str], server: FaultyServer) -> None:
    Path("log").touch()  # as a tool that rotates logs leaves it
    for _ in range(2):
        run(capsys, "rewrite", "talk.txt", "-o", "out", "-q", "--log-file", "log")
    lines = [json.loads(line)["event"] for line in Path("log").read_text(encoding="utf-8").splitlines()]
    assert lines.count("run_start") == lines.count("run_end") == 2
    assert run(capsys, "rewrite", "talk.txt", "-o", "out", "-q", "--log-file", "out/run.jsonl")[0] == 2


def test_split_covers_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    got = json.loads(run(capsys, "split", "talk.txt", "--json", "--budget", "60")[1])
    text = talk(12)
    assert "".join(text[p["start"] : p["end"]] for p in got["passages"]) == text
    assert all(p["tokens"] <= got["budget"] == 60 for p in got["passages"])


@pytest.mark.parametrize(("edit", "code"), [(("嗯", ""), 0), (("没有把它卖掉", "把它卖掉了"), 4)])
def test_check_says_so_by_its_exit_code(edit: tuple[str, str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.txt").write_text(talk(12).replace(*edit), encoding="utf-8")
    assert run(capsys, "check", "talk.txt", "new.txt")[0] == code
    got, out, _ = run(capsys, "check", "talk.txt", "new.txt", "--json")
    verdict = json.loads(out)
    assert got == code and verdict["accepted"] is (code == 0)
    for finding in verdict["findings"]:
        if finding["source"]:
            assert talk(12)[slice(*finding["source"])] == finding["source_text"]


def test_check_of_pairs_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [
        {"id": "good", "source": "三点开会，别迟到。", "rewrite": "三点开会，别迟到。", "lang": "zh"},
        {"id": "bad", "source": "三点开会，别迟到。", "rewrite": "三点开会，迟到。"},
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n")
    code, out, _ = run(capsys, "check", "--jsonl", "pairs.jsonl", "--json")
    verdicts = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [(v["id"], v["accepted"]) for v in verdicts] == [("good", True), ("bad", False)]
    assert set(verdicts[0]) == {"id", "accepted", "score", "findings"}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_pairs_come_from_standard_input_too(mark: bytes) -> None:
    pairs = [{"id": n, "source": "三点开会，别迟到。", "rewrite": "三点开会，别迟到。"} for n in range(300)]
    given = mark + "\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs).encode()
    command = [sys.executable, "-m", "rewriter", "check", "--jsonl", "-", "--json"]
    done = subprocess.run(command, input=given, capture_output=True, check=True)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(300))
    bad = subprocess.run(command, input=b"{}\n", capture_output=True, check=False)
    assert bad.returncode == 1 and bad.stderr.startswith(b"rewriter: -, line 1: ")


def test_many_pairs_are_judged_side_by_side_and_printed_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [
        {"id": n, "source": f"第{n}座桥不能走车。", "rewrite": f"第{n}座桥{'不' if n % 3 else ''}能走车。"}
        for n in range(700)
    ]
    Path("many.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n")
    code, out, _ = run(capsys, "check", "--jsonl", "many.jsonl", "--json")
    verdicts = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [v["id"] for v in verdicts] == list(range(700))
    assert [v["accepted"] for v in verdicts] == [n % 3 > 0 for n in range(700)]
    Path("many.jsonl").write_text("\n".join([*map(json.dumps, pairs), "not json"]) + "\n")
    code, _, err = run(capsys, "check", "--jsonl", "many.jsonl", "--json")
    assert code == 1 and "many.jsonl, line 701" in err and "Each line is" in err


@pytest.mark.usefixtures("server")
def test_the_cache_can_be_moved(capsys: pytest.CaptureFixture[str], server: FaultyServer) -> None:
    run(capsys, "rewrite", "talk.txt", "-o", "out", "-q", "--cache", "one")
    stats = json.loads(run(capsys, "cache", "stats", "--cache", "one")[1])
    assert stats["entries"] == len(server.requests)
    run(capsys, "cache", "export", "answers.jsonl", "--cache", "one")
    assert f"{stats['entries']} entries added" in run(capsys, "cache", "import", "answers.jsonl", "--cache", "two")[1]
    asked = len(server.requests)
    run(capsys, "rewrite", "talk.txt", "-o", "again", "-q", "--cache", "two")
    assert len(server.requests) == asked
    assert Path("again/talk.txt").read_bytes() == Path("out/talk.txt").read_bytes()
    assert run(capsys, "cache", "verify", "--cache", "two")[0] == 0
    assert "entries removed" in run(capsys, "cache", "clear", "--yes", "--cache", "two")[1]


@pytest.mark.usefixtures("server")
def test_a_damaged_cache_is_set_aside_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "rewrite", "talk.txt", "-o", "out", "-q", "--cache", "one")
    database = next(Path("one").glob("*.db"))
    database.write_bytes(b"no database at all" * 1000)
    code, _, err = run(capsys, "rewrite", "talk.txt", "-o", "again", "-q", "--cache", "one")
    assert code == 0 and "set aside" in err
    assert Path("again/talk.txt").read_bytes() == Path("out/talk.txt").read_bytes()


def every_command() -> list[list[str]]:
    found: list[list[str]] = [[]]
    for name, command in sorted(cli.commands.items()):
        found.append([name])
        found += [[name, sub] for sub in sorted(getattr(command, "commands", {}))]
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    groups = {(), ("cache",), ("glossary",), ("local",)}
    assert tuple(command) in groups or f"rewriter {' '.join(command)}" in out.partition("Example")[2]
