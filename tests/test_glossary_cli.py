"""The glossary's commands, as its page in docs/ shows them, and their answers for machines."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from rewriter.cli import cli
from rewriter.errors import InputError, OutputError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def said(command: str) -> str:
    """What `rewriter ...` or `cat FILE` prints."""
    program, *arguments = shlex.split(command)
    if program == "cat":
        return Path(arguments[0]).read_text(encoding="utf-8")
    assert program == "rewriter"
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def test_the_page_shows_what_is_printed() -> None:
    """`$ cat FILE` of a file that is not there makes it: the page's own input."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = [
        example for block in blocks for example in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]
    assert len(shown) >= 4
    for command, expected in shown:
        if command.startswith("cat ") and not (path := Path(command.removeprefix("cat "))).exists():
            path.write_text(expected, encoding="utf-8")
        assert said(command) == expected, command


def test_standard_input_is_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("terms.yaml").write_text("terms:\n  - canonical: Grafana\n    aliases: [graph anna]\n", encoding="utf-8")
    typed = "我们用graph anna看监控".encode()
    done = CliRunner().invoke(cli, ["glossary", "match", "-", "-g", "terms.yaml"], input=typed, standalone_mode=False)
    assert done.exception is None and "graph anna -> Grafana" in done.stdout
    done = CliRunner().invoke(cli, ["glossary", "match", "-", "-g", "terms.yaml"], input=b"", standalone_mode=False)
    assert isinstance(done.exception, InputError)


def test_each_place_is_one_line() -> None:
    """Also one that goes on in the next cue."""
    Path("terms.txt").write_text("Grafana: graph anna\n", encoding="utf-8")
    cues = ("1\n00:00:01,000 --> 00:00:02,000\n我们用graph\n", "2\n00:00:02,000 --> 00:00:03,000\nanna 看监控\n")
    Path("talk.srt").write_text("\n".join(cues), encoding="utf-8")
    assert run("glossary", "match", "talk.srt", "-g", "terms.txt").stdout.splitlines() == [
        "       3       13  graph␊anna -> Grafana  (alias, 1.00)"
    ]


def test_context_comes_from_standard_input() -> None:
    """The same found as from a file of it; once only, for it can be read once."""
    names, talk = "Grafana\nPrometheus\n", "examples/talk_zh.txt"
    Path("talk.txt").write_text("我们用graph anna看监控，又用graph anna看日志。" * 3, encoding="utf-8")
    Path("names.txt").write_text(names, encoding="utf-8")
    asked = ["glossary", "suggest", "talk.txt", "--json", "--context"]
    done = CliRunner().invoke(cli, [*asked, "-"], input=names, standalone_mode=False)
    assert done.exception is None and "Grafana" in done.stdout
    assert done.stdout.replace('"-"', '"names.txt"') == run(*asked, "names.txt").stdout
    for twice in (["-", "--context", "-"], [talk, "--context", "-", "--context", "-"]):
        assert isinstance(run("glossary", "suggest", *twice).exception, UsageError)


def test_nothing_found_is_said() -> None:
    Path("talk.txt").write_text("今天天气很好。", encoding="utf-8")
    Path("names.txt").write_text("Grafana\n", encoding="utf-8")
    result = run("glossary", "match", "talk.txt", "-g", "names.txt")
    assert (result.return_value, result.stdout) == (0, "")
    assert result.stderr.startswith("rewriter: no term of the glossary stands here")


def test_the_yaml_of_the_page_is_a_glossary() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"^```yaml\n(terms:.*?)^```$", page, re.MULTILINE | re.DOTALL)):
        Path(f"{number}.yaml").write_text(block, encoding="utf-8")
        assert said(f"rewriter glossary lint {number}.yaml") == "0 remark(s)\n"


def test_lint_exits_with_2_where_something_is_wrong() -> None:
    Path("g.txt").write_text("Velomir\nVelomir\nQuillbase: x\n", encoding="utf-8")
    result = run("glossary", "lint", "g.txt", "--json")
    assert result.return_value == 2
    assert [(m["level"], m["line"]) for m in json.loads(result.stdout)["messages"]] == [("error", 2), ("warning", 3)]


def test_match_says_where_in_code_points() -> None:
    Path("talk.txt").write_text("🚀𠮷 我们用graph anna\r\n第二段 云西", encoding="utf-8", newline="")
    Path("g.txt").write_text("Grafana\n云汐\n", encoding="utf-8")
    result = run("glossary", "match", "talk.txt", "-g", "g.txt", "--json")
    text = "🚀𠮷 我们用graph anna\r\n第二段 云西"
    hits = json.loads(result.stdout)["hits"]
    assert [(text[h["start"] : h["end"]], h["canonical"], h["how"]) for h in hits] == [
        ("graph anna", "Grafana", "sound"),
        ("云西", "云汐", "sound"),
    ]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at() -> None:
    Path("empty.txt").write_text("", encoding="utf-8")
    result = run("glossary", "suggest", "examples/talk_zh.txt", "empty.txt", "-o", "found.yaml")
    assert result.return_value == 1
    assert result.stderr == "rewriter: empty.txt: the file is empty. Check that it is the right one.\n"
    assert Path("found.yaml").exists()


def test_a_review_is_seen_before_anything_is_asked_or_read() -> None:
    Path("found.yaml").write_text("terms: []\n", encoding="utf-8")
    for command in (["suggest", "absent.txt", "--ask"], ["learn", "absent.txt", "absent.txt"]):
        result = run("glossary", *command, "-o", "found.yaml")
        assert isinstance(result.exception, OutputError) and "may hold your review" in str(result.exception)


def test_a_model_that_nobody_asks_is_refused() -> None:
    result = run("glossary", "suggest", "examples/talk_zh.txt", "--model", "m")
    assert isinstance(result.exception, UsageError) and "--ask" in str(result.exception)


@pytest.mark.parametrize("corrected", ["我们用graph anna看监控。", "我们"], ids=["the same", "much shorter"])
def test_nothing_learnt_is_said(corrected: str) -> None:
    Path("heard.txt").write_text("我们用graph anna看监控。", encoding="utf-8")
    Path("corrected.txt").write_text(corrected, encoding="utf-8")
    result = run("glossary", "learn", "heard.txt", "corrected.txt", "--json")
    assert result.return_value == 0 and json.loads(result.stdout) == {"suggestions": []}
    assert "no name was corrected" in result.stderr


def test_one_of_two_files_is_standard_input() -> None:
    Path("heard.txt").write_text("我们用graph anna看监控。", encoding="utf-8")
    typed = "我们用 Grafana 看监控。".encode()
    done = CliRunner().invoke(cli, ["glossary", "learn", "heard.txt", "-"], input=typed, standalone_mode=False)
    assert done.exception is None and "canonical: Grafana" in done.stdout
    done = CliRunner().invoke(cli, ["check", "-", "heard.txt"], input=typed, standalone_mode=False)
    assert done.exception is None
    done = CliRunner().invoke(cli, ["split", "-"], input=typed, standalone_mode=False)
    assert done.exception is None and "Grafana" in done.stdout
    for command in (["glossary", "learn"], ["check"]):
        done = CliRunner().invoke(cli, [*command, "-", "-"], input=typed, standalone_mode=False)
        assert "standard input can be read once only" in str(done.exception)


@pytest.mark.parametrize("name", ["found.txt", "found", "found.csv"])
def test_suggestions_go_into_files_that_are_read_as_what_they_are(name: str) -> None:
    result = run("glossary", "suggest", "examples/talk_zh.txt", "-o", name)
    assert isinstance(result.exception, OutputError)
    assert "End the name in .yaml" in str(result.exception)
    assert not Path(name).exists()


def test_fewer_than_no_suggestions_are_none() -> None:
    several, none = (said(f"rewriter glossary suggest examples/talk_zh.txt --most {most}") for most in (-3, 0))
    assert several == none


def test_schema_is_printed_whole() -> None:
    assert json.loads(said("rewriter glossary schema"))["title"].startswith("Glossary")


def test_every_command_of_the_group_shows_an_example() -> None:
    from rewriter.commands.glossary import glossary

    for name in glossary.commands:
        assert f"rewriter glossary {name} " in run("glossary", name, "--help").stdout.replace("\n", " \n")
