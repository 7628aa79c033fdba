"""A file is there whole, or as it was before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rewriter.atomic import need_folder, set_aside, write_whole
from rewriter.errors import OutputError


def test_it_makes_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_whole(target, b"one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["b.txt"]


def test_the_users_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "x", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "talk.txt"
    write_whole(target, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"talk\.txt: cannot be written: No space left on device"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["talk.txt"]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").mkdir()
    with pytest.raises(OutputError):
        write_whole(tmp_path / "talk.txt", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["talk.txt"]


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_bytes(b"words")
    (tmp_path / "gone").symlink_to("nowhere")
    for folder in ("talk.txt", "talk.txt/out", "talk.txt/a/b"):
        with pytest.raises(OutputError) as caught:
            need_folder(tmp_path / folder, "Choose another.")
        assert str(caught.value) == f"{tmp_path}/talk.txt: this is a file, where a folder is needed. Choose another."
    with pytest.raises(OutputError, match="gone: this is a link that leads nowhere"):
        need_folder(tmp_path / "gone" / "out", "Choose another.")
    need_folder(tmp_path, "")
    need_folder(tmp_path / "new" / "newer", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gone", "talk.txt"]


def test_what_is_set_aside_takes_no_others_place(tmp_path: Path) -> None:
    for text in (b"one", b"two", b"three"):
        (tmp_path / "talk.txt").write_bytes(text)
        set_aside(tmp_path / "talk.txt")
    found = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert found == {"talk.txt~": b"one", "talk.txt~2~": b"two", "talk.txt~3~": b"three"}
