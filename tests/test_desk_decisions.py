"""Decisions about passages: nothing is lost to a kill or a full disk, and they find their passage again."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import OutputError, UsageError
from rewriter.report.desk.decisions import (
    NOTHING,
    REVIEW,
    Decision,
    Review,
    State,
    passage_ids,
    read_decisions,
    replay,
)


def decision(kind: str, text: str = "", **more: Any) -> Decision:
    return Decision.model_validate({"passage": "p", "kind": kind, "file": "会议.txt", "text": text} | more)


def state_of(*decisions: Decision) -> State:
    return replay(decisions).get("p", NOTHING)


@pytest.mark.parametrize(
    ("kinds", "standing", "settled"),
    [
        ("", None, False),
        ("accept", "1", True),
        ("accept edit", "2", True),
        ("edit restore draft", "3", True),
        ("asked", "1", False),  # a new answer stands at once, and wants a look
        ("accept asked", "2", False),
        ("asked done", "2", True),
        ("accept undo", None, False),
        ("accept edit undo", "1", True),
        ("accept edit undo undo", None, False),
        ("accept undo undo undo edit", "4+", True),  # undoing nothing is nothing
        ("edit asked undo", "1", True),
    ],
)
def test_what_counts_after_some_decisions(kinds: str, standing: str | None, settled: bool) -> None:
    made = [decision(kind, str(n)) for n, kind in enumerate(kinds.split(), 1)]
    state = state_of(*made)
    expected = "5" if standing == "4+" else standing
    assert (state.standing.text if state.standing else None) == expected
    assert state.settled is settled


def test_an_answer_the_guard_rejected_is_offered_and_does_not_stand() -> None:
    bad = decision("asked", "短了", accepted=False)
    state = state_of(decision("edit", "写好的"), bad)
    assert state.standing and state.standing.text == "写好的"
    assert state.offered and state.offered.text == "短了" and not state.settled
    assert state.after(decision("draft", "短了")).standing == decision("draft", "短了")
    assert state.after(decision("done", "写好的")).offered is None


_KINDS = st.sampled_from(["accept", "restore", "draft", "edit", "asked", "done", "undo"])


@given(kinds=st.lists(_KINDS, max_size=30))
def test_every_step_can_be_undone_to_the_beginning(kinds: list[str]) -> None:
    made = [decision(kind, str(n)) for n, kind in enumerate(kinds)]
    state = state_of(*made)
    before = [state_of(*made[:n]) for n in range(len(made) + 1)]
    while state.decisions:
        assert state in before
        state = state.after(decision("undo"))
    assert state == NOTHING


# --- passages --------------------------------------------------------------------------------------------------------


@given(
    texts=st.lists(st.sampled_from(["甲", "乙", "丙"]), max_size=12),
    other=st.lists(st.sampled_from(["x", "y"]), max_size=6),
    data=st.data(),
)
def test_a_passage_keeps_its_name_whatever_other_text_comes_or_goes(
    texts: list[str], other: list[str], data: st.DataObject
) -> None:
    names = passage_ids(("a.txt", text) for text in texts)
    assert len(set(names)) == len(texts)
    mixed = list(texts)
    for text in other:
        mixed.insert(data.draw(st.integers(0, len(mixed))), text)
    again = passage_ids(("a.txt", text) for text in mixed)
    assert [name for name, text in zip(again, mixed, strict=True) if text not in other] == names
    assert not set(passage_ids(("b.txt", text) for text in texts)) & set(names)


# --- on the disk -----------------------------------------------------------------------------------------------------


def test_decisions_are_read_back(tmp_path: Path) -> None:
    with Review(tmp_path) as review:
        review.add(decision("edit", "第一行\n第二行\u2028\ud800"))
        review.add(decision("done", "第二版"))
        kept = review.states
    assert [d.text for d in read_decisions(tmp_path / REVIEW)] == ["第一行\n第二行\u2028\ud800", "第二版"]
    with Review(tmp_path) as review:
        assert review.states == kept
        assert all(d.at.endswith("+00:00") for d in review.state("p").decisions)


@settings(max_examples=60)
@given(cut=st.integers(min_value=0))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with Review(folder) as review:
        for n in range(4):
            review.add(decision("edit", f"第{n}次"))
    whole = (folder / REVIEW).read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    (folder / REVIEW).write_bytes(kept)
    with Review(folder) as review:
        review.add(decision("done", "定稿"))
    texts = [d.text for d in read_decisions(folder / REVIEW)]
    assert texts[-1] == "定稿"
    # A line that lost only its line break is still whole.
    assert texts[:-1] == [f"第{n}次" for n in range(len(texts) - 1)]
    assert len(texts) - 1 - kept.count(b"\n") in {0, 1}


def test_lines_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    strange = b'\xff\xfe\n[1]\n{"passage":"p","kind":"burn","file":"f"}\n{"passage":"p"}\n'
    (tmp_path / REVIEW).write_bytes(strange)
    assert list(read_decisions(tmp_path / REVIEW)) == []


def test_two_desks_cannot_share_a_run(tmp_path: Path) -> None:
    with Review(tmp_path), pytest.raises(UsageError, match="another review desk"), Review(tmp_path):
        pytest.fail("two desks at once")
    with Review(tmp_path) as review:
        review.add(decision("accept"))


def test_a_folder_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match="cannot be written"), Review(tmp_path / "file"):
        pytest.fail("a review in a file")


def test_a_full_disk_decides_nothing(tmp_path: Path) -> None:
    """The file may not grow past a limit that falls into the second line: the first stays, the second never was."""
    with Review(tmp_path) as review:
        review.add(decision("edit", "留下"))
        size = (tmp_path / REVIEW).stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        try:
            with pytest.raises(OutputError, match="could not be kept"):
                review.add(decision("edit", "装不下" * 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert [d.text for d in review.state("p").decisions] == ["留下"]
        assert (tmp_path / REVIEW).stat().st_size == size
        review.add(decision("done", "留下"))
    assert [d.kind for d in read_decisions(tmp_path / REVIEW)] == ["edit", "done"]


_WRITER = """
import sys
from pathlib import Path
from rewriter.report.desk.decisions import Decision, Review
with Review(Path(sys.argv[1])) as review:
    n = 0
    while True:
        review.add(Decision(passage=f"p{n % 7}", kind="edit", file="f", text=f"text {n}"))
        print(n, flush=True)
        n += 1
"""


@pytest.mark.parametrize("after", [1, 23, 80])
def test_whatever_was_confirmed_survives_a_kill(tmp_path: Path, after: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        confirmed = -1
        for line in process.stdout:
            confirmed = int(line)
            if confirmed == after:
                process.send_signal(signal.SIGKILL)
    found = [d.text for d in read_decisions(tmp_path / REVIEW)]
    assert found == [f"text {n}" for n in range(len(found))]
    assert len(found) > confirmed >= after
    with Review(tmp_path) as review:  # the lock went with the process
        assert sum(len(s.decisions) for s in review.states.values()) == len(found)
