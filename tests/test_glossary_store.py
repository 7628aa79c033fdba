"""Indexes of big glossaries on disk: the same answers, from the same files only, and built anew where damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rewriter.glossary import Glossary, store

SYLLABLES = "雯瑾澜汐禾瑜珩骁晟钰琛璟翊霁岚沅淼焱垚鑫"
TEXT = "有请文锦兰老师，她用quilt base，也用Grafana和graph anna，在雯瑾澜公司。"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REWRITER_CACHE", str(tmp_path / "answers"))
    return tmp_path / "answers-glossaries"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.csv"
    names = [f"{a}{b}{c}" for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES if len({a, b, c}) == 3][:2000]
    rows = [f"{name},,,,,," for name in names]
    rows += ["Quillbase,quilt base|Quill Base,en,a store,yes,,db|store", "Grafana,,,,,yes,", "NeRF,nerf,,,,,"]
    header = "canonical,aliases,language,note,certain,protect,tags\n"
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each time that an index is built."""
    seen: list[str] = []
    for name in ("exact.Exact", "sound.Sound"):
        owner = sys.modules[f"rewriter.glossary.{name.split('.')[0]}"].__dict__[name.split(".")[1]]
        real = owner.build
        monkeypatch.setattr(owner, "build", lambda table, real=real, name=name: seen.append(name) or real(table))
    return seen


def test_the_same_answers_without_building(big: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = built(monkeypatch)
    first = Glossary.load(big)
    assert seen == ["exact.Exact", "sound.Sound"]
    again = Glossary.load(big)
    assert len(again) == len(first) == 2003
    assert again.match(TEXT) == first.match(TEXT)
    assert {hit.how for hit in again.match(TEXT)} == {"canonical", "alias", "sound"}
    assert again.terms == first.terms
    assert again.digest == first.digest == Glossary(first.terms).digest
    assert dict(again.aliases()) == dict(first.aliases())
    assert list(again.canonicals()) == list(first.canonicals())
    assert again.for_prompt(TEXT) == first.for_prompt(TEXT)
    assert seen == ["exact.Exact", "sound.Sound"]
    assert len(list(folder.iterdir())) == 1


def test_a_changed_file_is_another_glossary(big: Path, folder: Path) -> None:
    Glossary.load(big)
    big.write_text(big.read_text(encoding="utf-8").replace("a store", "a database"), encoding="utf-8")
    assert Glossary.load(big).terms[-3].note == "a database"
    assert len(list(folder.iterdir())) == 2


def test_order_of_files_counts(big: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "mine.txt"
    other.write_text("Grafana: quilt base\n", encoding="utf-8")
    assert Glossary.load([big, other]).aliases()["quilt base"] == "Grafana"
    assert Glossary.load([other, big]).aliases()["quilt base"] == "Quillbase"
    assert Glossary.load([big, other]).aliases()["quilt base"] == "Grafana"


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "other", "folder"])
def test_a_damaged_index_is_built_anew(damage: str, big: Path, folder: Path) -> None:
    first = Glossary.load(big).match(TEXT)
    [place] = folder.iterdir()
    data = place.read_bytes()
    if damage == "folder":
        place.unlink()
        place.mkdir()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        place.write_bytes({"short": data[:-10], "flipped": flipped, "empty": b"", "other": b"x" * len(data)}[damage])
    assert store.load(place) is None
    assert Glossary.load(big).match(TEXT) == first
    if damage != "folder":
        assert place.read_bytes() == data


def test_small_glossaries_and_faulty_ones_are_not_kept(big: Path, folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_text("Velomir\n", encoding="utf-8")
    Glossary.load(small)
    big.write_text(big.read_text(encoding="utf-8") + "Quillbase,,,,,,\n", encoding="utf-8")
    with pytest.raises(Exception, match="given twice"):
        Glossary.load(big)
    assert not folder.exists()


def test_a_place_that_cannot_be_written_costs_nothing_but_time(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file-glossaries").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("REWRITER_CACHE", str(tmp_path / "file"))
    assert len(Glossary.load(big)) == len(Glossary.load(big)) == 2003


def test_only_so_many_are_kept(big: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 2)
    for note in ("one", "two", "three"):
        text = big.read_text(encoding="utf-8")
        big.write_text(text + f"New{note},,,,,,\n", encoding="utf-8")
        Glossary.load(big)
    assert len(list(folder.iterdir())) == 2


def test_without_an_automaton_that_can_be_kept(big: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "daachorse", None)
    assert Glossary.load(big).match(TEXT) == Glossary.load(big).match(TEXT) != []
    assert not folder.exists()
