"""The journal survives being cut anywhere, and two runs cannot share it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewriter.errors import OutputError, UsageError
from rewriter.journal import JOURNAL, Journal, read_journal


def written(folder: Path) -> bytes:
    with Journal(folder) as journal:
        journal.add("start", at="now", settings={"style": "clean"})
        journal.add("passage", file="会议.txt", outcomes=[{"text": "第一段\n第二行"}])
        journal.add("end", exit=0)
    return (folder / JOURNAL).read_bytes()


def test_what_is_added_is_read_back(tmp_path: Path) -> None:
    written(tmp_path)
    events = list(read_journal(tmp_path / JOURNAL))
    assert [e["event"] for e in events] == ["start", "passage", "end"]
    assert events[1]["outcomes"] == [{"text": "第一段\n第二行"}]


@given(cut=st.integers(min_value=0))
def test_a_journal_cut_anywhere_keeps_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    whole = written(folder)
    kept = whole[: cut % (len(whole) + 1)]
    (folder / JOURNAL).write_bytes(kept)
    with Journal(folder) as journal:
        journal.add("start", again=True)
    events = list(read_journal(folder / JOURNAL))
    # A line that lost only its line break is still whole.
    assert len(events) - 1 - kept.count(b"\n") in {0, 1}
    assert events[-1] == {"event": "start", "again": True}


def test_no_journal_is_no_event(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / JOURNAL)) == []


def test_lines_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'\xff\xfe\n[1]\n"x"\n{"no": "event"}\n{"event": "end"}\n')
    assert list(read_journal(tmp_path / JOURNAL)) == [{"event": "end"}]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(UsageError, match="another run is writing"), Journal(tmp_path):
        pytest.fail("two runs at once")
    with Journal(tmp_path) as journal:
        journal.add("start")


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match="-o"), Journal(tmp_path / "file" / "out"):
        pytest.fail("a journal in a file")


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    """Buffered, as the journal is: closing it tries once more what could not be written."""
    with pytest.raises(OutputError, match="No space left"), Journal(tmp_path) as journal:
        assert journal._file is not None
        journal._file.close()
        journal._file = Path("/dev/full").open("wb")  # noqa: SIM115 - the journal closes it
        journal.add("start")
