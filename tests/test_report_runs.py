"""A run's folder read back: every word and every fix of real runs, however they ended."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reported import ENGLISH, GLOSSARY, TALK, Editor, conversation, make_run, subtitles
from rewriter.errors import InputError
from rewriter.fixes import apply
from rewriter.records import STATUSES
from rewriter.report.page import page
from rewriter.report.runs import RunView, read_run
from rewriter.report.totals import retention, totals

CUES = ["水位涨了三米。", "桥没有断，只是摇了一下。", "嗯我们我们明天再去看。"]
TURNS = [("主持人", "请问你们那里下雨了吗"), ("站长", "没有下雨，但是风很大，嗯大概七级"), ("主持人", "好的谢谢")]
FILES = {"talk.txt": TALK, "ridge.txt": ENGLISH, "cues.srt": subtitles(CUES), "calls.json": conversation(TURNS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of four files: one passage of the talk is kept, one repaired, a name of the glossary missed."""
    home = tmp_path_factory.mktemp("run")
    (home / "terms.yaml").write_text(GLOSSARY, encoding="utf-8")
    editor = Editor(always=["最喜欢"], once=["旧手机"], says={"奥伯西迪恩": "黑曜石笔记"})
    yield make_run(home, FILES, editor, "--glossary", str(home / "terms.yaml"), "--budget", "120")


@pytest.fixture
def run(folder: Path) -> RunView:
    return read_run(folder)


def words(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_everything_that_was_heard_is_in_the_passages(run: RunView) -> None:
    heard = {f.name: words("".join(p.heard for p in f.passages)) for f in run.files}
    assert heard["talk.txt"] == words(TALK)
    assert heard["ridge.txt"] == words(ENGLISH)
    assert heard["cues.srt"] == words("".join(CUES))
    assert heard["calls.json"] == words("".join(said for _, said in TURNS))


def test_every_fix_is_with_one_passage(run: RunView) -> None:
    for file in run.files:
        placed = [p.fix for passage in file.passages for p in passage.fixes]
        assert tuple(placed) == file.fixes
        for passage in file.passages:
            for at in passage.fixes:
                assert passage.outcome.source[at.start : at.end] in ("", at.fix.after)
    talk = next(f for f in run.files if f.name == "talk.txt")
    assert {f.name for f in talk.fixes} >= {"loop", "stutter", "filler", "alias"}
    assert "海鸥飞过来了，后面" in apply(TALK, talk.fixes)


def test_outcomes_and_why(run: RunView) -> None:
    kept = [p for _, p in run.passages if p.outcome.status == "kept"]
    assert len(kept) == 1 and "最喜欢" in kept[0].outcome.text
    assert kept[0].rejected_rows() and not kept[0].verdict.accepted
    assert any(run_.finding == 0 for row in kept[0].rejected_rows() for run_ in row.source)
    assert all(run_.kind in {"same", "fix"} for row in kept[0].rows() for run_ in (*row.source, *row.result))
    repaired = [p for _, p in run.passages if p.outcome.status == "repaired"]
    assert any("旧手机" in p.outcome.text and p.rejected_rows() == [] for p in repaired)


def test_times_and_speakers(run: RunView) -> None:
    files = {f.name: f for f in run.files}
    cues, calls = files["cues.srt"], files["calls.json"]
    assert [s.begin for p in (0, 8, 25) if (s := cues.segment_at(p))] == [0.0, 4.0, 8.0]
    assert (cues.passages[0].begin, cues.passages[-1].finish) == (0.0, 12.0)
    spoken = [
        (segment.begin, segment.speaker)
        for passage in calls.passages
        for segment in calls.spoken(passage, passage.rows())
        if segment
    ]
    assert spoken == [(0.0, "主持人"), (6.0, "站长"), (12.0, "主持人")]
    assert calls.passages[0].speaker == "主持人, 站长"
    assert files["talk.txt"].segment_at(3) is None and files["talk.txt"].passages[0].begin is None


def test_the_figures_are_those_of_the_run(run: RunView) -> None:
    counted, summary = totals(run), run.summary
    assert counted.passages == summary["passages"]
    assert counted.usage.model_dump() == summary["usage"]
    assert counted.cost == summary["cost"]
    assert {n: t.model_dump(exclude={"fixed"}) for n, t in counted.terms.items() if n != "Obsidian"} == summary["terms"]
    assert counted.terms["Obsidian"].fixed == 1
    assert counted.terms["渔光小学"].missed == 1 and counted.terms["黑曜石笔记"].applied == 1
    assert [(loop.file, loop.times) for loop in counted.loops] == [("talk.txt", 8)]
    assert counted.findings["lost"].rejected >= 1 and counted.findings["glossary"].shipped == 1
    assert counted.files == 4 and counted.failed == counted.unfinished == 0
    assert counted.talk == 30.0
    reported = [r["fixes"] for r in summary["reports"]]
    for name, count in counted.fixes.items():
        assert count.times == sum(r.get(name, 0) for r in reported)


def test_retention_counts_what_the_model_left_out_and_no_fix(run: RunView) -> None:
    for _, passage in run.passages:
        share = retention(passage.rejected_rows() or passage.rows())
        assert share < 0.8 if passage.outcome.status == "kept" else share > 0.9


def test_only_the_files_asked_for(folder: Path) -> None:
    assert [f.name for f in read_run(folder, only=["cues.srt"]).files] == ["cues.srt"]
    with pytest.raises(InputError, match=r"no file 'other\.txt'.*It has: .*cues\.srt"):
        read_run(folder, only=["other.txt"])


def test_too_many_passages_are_refused_with_a_remedy(folder: Path) -> None:
    count = sum(len(f.passages) for f in read_run(folder).files)
    assert len(read_run(folder, most=count).files) == 4
    with pytest.raises(InputError, match=r"more than 3 passages.*--file"):
        read_run(folder, most=3)
    assert len(read_run(folder, most=3, only=["cues.srt"]).files) == 1


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run here: run\.jsonl is missing"):
        read_run(tmp_path)


def test_a_run_that_was_killed_anywhere_can_be_looked_at(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "run.jsonl").read_bytes()
    names = {f.name for f in read_run(folder).files}
    seen = set()
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / "run.jsonl").write_bytes(whole[:cut])
        run = read_run(tmp_path)
        assert {f.name for f in run.files} <= names and run.summary == {}
        counted = totals(run)
        assert sum(counted.passages.values()) == sum(len(f.passages) for f in run.files)
        seen.add((counted.unfinished > 0, sum(f.finished for f in run.files)))
        assert "<main>" in page(run)
    assert {(True, done) for done in range(4)} <= seen


def test_an_unfinished_file_says_how_far_it_came(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "run.jsonl").read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b'"event":"passage"' in line and b"talk.txt" in line)
    (tmp_path / "run.jsonl").write_bytes(b"".join(lines[: first + 1]))
    talk = next(f for f in read_run(tmp_path).files if f.name == "talk.txt")
    assert not talk.finished and len({p.outcome.index for p in talk.passages}) == 1 < talk.expected
    assert f"not finished: 1 of {talk.expected} passages" in page(read_run(tmp_path))


def test_a_run_done_again_counts_once(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder.parent, tmp_path / "again")
    before = totals(read_run(folder))
    make_run(
        tmp_path / "again",
        FILES | {"talk.txt": TALK.replace("四十二", "四十三")},
        Editor(says={"奥伯西迪恩": "黑曜石笔记"}),
        *("--glossary", str(tmp_path / "again" / "terms.yaml"), "--budget", "120"),
    )
    after = read_run(tmp_path / "again" / "out")
    assert len(after.files) == 4 and len(after.sessions) == 2
    assert words("".join(p.heard for p in after.files[-1].passages)) in (
        words(TALK.replace("四十二", "四十三")),
        words(TALK),
    )
    talk = next(f for f in after.files if f.name == "talk.txt")
    assert words("".join(p.heard for p in talk.passages)) == words(TALK.replace("四十二", "四十三"))
    assert sum(totals(after).passages.values()) <= sum(before.passages.values()) + 2


def test_a_file_that_failed_is_told(tmp_path: Path) -> None:
    out = make_run(tmp_path, {"good.txt": ENGLISH, "bad.srt": "这不是字幕\x00"})
    run = read_run(out)
    assert {f.name: bool(f.failed) for f in run.files} == {"good.txt": False, "bad.srt": True}
    assert totals(run).failed == 1
    assert "1 file could not be read" in page(run)


def test_entries_of_another_version_are_read(folder: Path, tmp_path: Path) -> None:
    lines = []
    for line in (folder / "run.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "outcome":
            event["outcome"] |= {"colour": "blue"}
        if event["event"] == "file":
            for key in ("fixes_list", "segments", "language", "format", "input"):
                event.pop(key, None)
        lines.append(json.dumps(event, ensure_ascii=False))
    (tmp_path / "run.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    old, new = totals(read_run(tmp_path)), totals(read_run(folder))
    assert old.passages == new.passages and set(old.passages) == set(STATUSES) and old.fixes == {}
