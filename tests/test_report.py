"""`rewriter report`: the page as a file, the terminal, JSON. What a browser makes of the page is in the next module."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from reported import ATTACKS, ENGLISH, GLOSSARY, TALK, Editor, make_run
from rewriter.commands.report import report
from rewriter.records import Outcome
from rewriter.report import wording
from rewriter.report.page import _embedded, _language, write_report
from rewriter.report.plots import MOST_COLUMNS, strip
from rewriter.report.runs import FileView, PassageView, read_run
from rewriter.report.visible import visible
from talks import talk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    (home / "terms.yaml").write_text(GLOSSARY, encoding="utf-8")
    editor = Editor(always=["最喜欢"], once=["旧手机"], says={"奥伯西迪恩": "黑曜石笔记"})
    files = {"talk.txt": TALK, "ridge.txt": ENGLISH}
    return make_run(home, files, editor, "--glossary", str(home / "terms.yaml"), "--budget", "120")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(a) for a in arguments])


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S
    )
    assert found
    return dict(json.loads(found[1]))


def test_the_page_goes_into_the_runs_folder_or_where_it_is_sent(folder: Path, tmp_path: Path) -> None:
    assert call(folder).output.strip() == str(folder / "report.html")
    assert call(folder, "-o", tmp_path / "page.html").output.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == (folder / "report.html").read_bytes()


def test_the_page_holds_each_passage_once(folder: Path) -> None:
    data, run = data_of(write_report(folder)), read_run(folder)
    assert [name for name, _ in data["files"]] == [f.name for f in run.files]
    assert [lang for _, lang in data["files"]] == ["en", "zh"]
    assert len(data["passages"]) == sum(len(f.passages) for f in run.files)
    for packed, (file, passage) in zip(data["passages"], run.passages, strict=True):
        assert data["files"][packed["f"]][0] == file.name and packed["n"] == passage.number
        assert data["statuses"][packed["s"]][0] == passage.outcome.status
        shown = "".join(run_ if isinstance(run_, str) else run_[1] for row in packed["r"] for run_ in row[1])
        draft = passage.outcome.rejected or passage.outcome.text
        assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", draft)


@pytest.mark.parametrize(
    ("given", "text", "tag"),
    [
        ("", "我們沒有把門關上，後來風就進來了。", "zh-Hant"),
        ("", "我们没有把门关上，后来风就进来了。", "zh"),
        ("", "窓を閉めなかったので、風が入ってきました。", "ja"),
        ("", "창문을 닫지 않아서 바람이 들어왔습니다.", "ko"),
        ("", "لم نغلق الباب فدخلت الريح", ""),
        ("de", "Wir haben die Tür nicht zugemacht.", "de"),
        ('"><script>', "We did not close the door.", ""),
    ],
)
def test_a_file_has_its_languages_letters(given: str, text: str, tag: str) -> None:
    outcome = Outcome(index=0, start=0, end=len(text), status="rewritten", text=text, source=text)
    assert _language(FileView(name="a.txt", passages=(PassageView(1, outcome),), language=given)) == tag


def test_only_named_files_are_shown(folder: Path, tmp_path: Path) -> None:
    assert call(folder, "--file", "ridge.txt", "-o", tmp_path / "p.html").exit_code == 0
    assert [name for name, _ in data_of(tmp_path / "p.html")["files"]] == ["ridge.txt"]
    assert "渔" not in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_style_and_script_are_the_ones_the_page_allows(folder: Path) -> None:
    html = write_report(folder).read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy and policy[1].startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "http:" not in re.sub(r"http://www\.w3\.org/2000/svg|http-equiv", "", html) and "https:" not in html


def test_a_long_talk_makes_a_page_of_at_most_six_times_its_size(tmp_path: Path) -> None:
    text = talk(1200)
    out = make_run(tmp_path, {"long.txt": text}, Editor(always=["第1333号"], once=["第1100号"]), "--budget", "250")
    size = write_report(out).stat().st_size
    assert len(read_run(out).files[0].passages) > 150
    assert size <= 6 * len(text.encode())


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(JSONS | st.lists(st.sampled_from(ATTACKS)))
@settings(max_examples=100, deadline=None)
def test_data_cannot_end_its_element(value: Any) -> None:
    embedded = _embedded(value)
    assert "<" not in embedded and json.loads(embedded) == value


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_nothing_shown_steers_a_terminal_or_a_page(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert shown.count("\n") == text.count("\n")
    assert len(shown) >= len(text)


def test_the_page_says_it_in_words(folder: Path) -> None:
    html = write_report(folder).read_text(encoding="utf-8")
    count = sum(len(f.passages) for f in read_run(folder).files)
    assert f"{count - 1} of {count} passages rewritten, 1 kept as it was said. 2 have something to look at." in html
    assert "recogniser loop: «海鸥飞过来了» stood here 8 times in a row" in html
    assert "渔港小学" in html and "was left as it was heard" in html


def test_every_kind_of_finding_and_fix_is_explained() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (Path(__file__).parents[1] / "rewriter").rglob("*.py"))
    fixes = set(re.findall(r'Edit\(\s*"([a-z]+)"', source)) | {"alias"}
    assert fixes <= set(wording.FIXES)
    guide = (Path(__file__).parents[1] / "docs" / "guard.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([a-z, ]+) \| [a-z]", guide.split("| kind | what it means", 1)[1].split("\n\n")[0], re.M)
    kinds = {kind for cell in table for kind in cell.split(", ")}
    assert len(kinds) > 8 and kinds <= set(wording.FINDINGS)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03"), (86400, "24:00:00")]
)
def test_times(seconds: float, said: str) -> None:
    assert wording.clock(seconds) == said


@pytest.mark.parametrize(("amount", "said"), [(None, "–"), (0.0, "$0.00"), (0.0123, "$0.0123"), (1234.5, "$1,234.50")])
def test_money(amount: float | None, said: str) -> None:
    assert wording.dollars(amount) == said


class Spot:
    """A passage as a strip sees it."""

    def __init__(self, index: int, look: int, kept_share: float, status: Any) -> None:
        self.index, self.look, self.kept_share, self.status = index, look, kept_share, status


@given(
    st.lists(st.tuples(st.sampled_from(["rewritten", "repaired", "kept", "cached"]), st.floats(0, 1)), max_size=1500)
)
@settings(max_examples=60, deadline=None)
def test_a_strip_shows_the_worst_of_every_column(spots: Any) -> None:
    passages = [Spot(i, 2 if s == "kept" else 0, share, s) for i, (s, share) in enumerate(spots)]
    drawn = strip(passages)
    columns = drawn.columns
    assert len(columns) == min(len(passages), MOST_COLUMNS)
    assert [i for c in columns for i in range(c.first, c.last + 1)] == list(range(len(passages)))
    for c in columns:
        inside = passages[c.first : c.last + 1]
        assert (c.status == "kept") is any(p.status == "kept" for p in inside)
        assert c.first <= c.target <= c.last and passages[c.target].look == max(p.look for p in inside)
        assert c.share == min(p.kept_share for p in inside)
    points = [tuple(map(float, p.split(","))) for p in drawn.line.split()]
    assert all(0 <= y <= 100 for _, y in points) and len(points) == 2 * len(columns)


# --- terminal and JSON -----------------------------------------------------------------------------------------------


def test_text_shows_where_to_look_and_all_shows_all(folder: Path) -> None:
    short, everything = call(folder, "--text", "--color", "never").output, call(folder, "--text", "--all").output
    assert "kept as it was said" in short and "[-" in short and "(-" in short
    assert "ridge.txt" not in short and "ridge.txt 1" in everything
    assert "kept as it was said. 2 have something to look at." in " ".join(short.split())
    assert "\x1b[" not in short and "\x1b[" in call(folder, "--text", "--color", "always").output


def test_json_has_figures_and_passages(folder: Path) -> None:
    few, every = (json.loads(call(folder, "--json", *more).output) for more in ((), ("--all",)))
    assert few["totals"] == every["totals"] and few["totals"]["passages"]["kept"] == 1
    assert {p["status"] for p in few["passages"] if not p["findings"]} == set()
    assert len(every["passages"]) > len(few["passages"]) == 2
    assert re.sub(r"\s", "", "".join(p["heard"] for p in every["passages"] if p["file"] == "talk.txt")) == re.sub(
        r"\s", "", TALK
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no run here"),
        (["--file", "other.txt"], "the run has no file 'other.txt'"),
        (["--text", "--json"], "say --text or --json, not both"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: list[str], says: str) -> None:
    done = call(*(arguments if "nowhere" in arguments else [folder, *arguments]))
    assert done.exit_code != 0
    assert says in f"{done.output}{done.exception}"


def test_a_page_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    done = call(folder, "-o", tmp_path / "file" / "page.html")
    assert done.exit_code != 0 and "OutputError" in repr(done.exception)


def test_a_run_of_nothing_makes_a_page(tmp_path: Path) -> None:
    out = make_run(tmp_path, {"empty.txt": "\n"})
    assert "No passage has been rewritten yet." in write_report(out).read_text(encoding="utf-8")
