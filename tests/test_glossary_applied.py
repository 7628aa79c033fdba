"""After the model: what it made of the glossary's terms, what is mended, what a person is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewriter.glossary import Glossary, TermReport, TermUse
from rewriter.glossary.beside import Beside
from rewriter.glossary.reporting import totals
from rewriter.records import TermCount

CASES = json.loads((Path(__file__).parent / "cases" / "glossary_applied.json").read_text(encoding="utf-8"))


def glossary(terms: dict[str, Any]) -> Glossary:
    listed = [{"canonical": k, **(v if isinstance(v, dict) else {"aliases": v})} for k, v in terms.items()]
    return Glossary.from_terms(listed)


def forms(uses: tuple[TermUse, ...], text: str) -> dict[str, list[str]]:
    return {use.canonical: [text[start:end] for start, end in use.spans] for use in uses}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    done = glossary(case["terms"]).applied(case["source"], case["rewrite"])
    assert done.text == case.get("text", case["rewrite"])
    assert forms(done.report.applied, case["source"]) == case.get("applied", {})
    assert forms(done.report.missed, done.text) == case.get("missed", {})
    assert forms(done.report.invented, done.text) == case.get("invented", {})


def test_what_was_mended_is_a_fix() -> None:
    done = glossary({"云汐": {"aliases": ["云西"], "certain": True}}).applied("云汐", "先说云西，再说云西。")
    assert [(fix.name, fix.start, fix.end, fix.before, fix.after) for fix in done.fixes] == [
        ("alias", 2, 4, "云西", "云汐"),
        ("alias", 7, 9, "云西", "云汐"),
    ]
    assert done.text == "先说云汐，再说云汐。"


def test_what_a_person_is_told() -> None:
    done = glossary({"云汐": ["云西"], "Quillbase": []}).applied("放在云西里", "放在云西 Quillbase 里")
    assert [(f.kind, f.severity, f.draft_text, f.message) for f in done.findings] == [
        ("glossary", "warn", "Quillbase", "'Quillbase' stands where nothing like it was said."),
        ("glossary", "warn", "云西", "'云西' was left as it was heard; the glossary has '云汐'."),
    ]
    assert all(f.draft and done.text[slice(*f.draft)] == f.draft_text for f in done.findings)


def test_reports_add_up() -> None:
    terms = glossary({"云汐": ["云西"], "Quillbase": ["quilt base"]})
    texts = [("云西", "云汐"), ("云西和quilt base", "云汐和 quilt base"), ("早", "早，云汐和云汐")]
    assert totals(terms.applied(*pair).report for pair in texts) == {
        "Quillbase": TermCount(missed=1),
        "云汐": TermCount(applied=2, invented=2),
    }
    assert totals([]) == totals([TermReport()]) == {}


ALPHABET = "云汐西霁季川quiltQ base，。我们"


@given(st.text(ALPHABET, max_size=50), st.text(ALPHABET, max_size=50))
def test_a_report_says_what_stands_there(source: str, rewrite: str) -> None:
    terms = glossary({"云汐": {"aliases": ["云西"], "certain": True}, "霁川": ["季川"], "Quilt": []})
    done = terms.applied(source, rewrite)
    before = {name: sum(h.canonical == name for h in terms.match(source)) for name in terms.canonicals()}
    after = {name: sum(h.canonical == name and h.how == "canonical" for h in terms.match(done.text)) for name in before}
    count = totals([done.report])
    for name, said in before.items():
        one = count.get(name, TermCount())
        assert one.applied + one.invented <= after[name]
        assert one.invented <= max(0, after[name] - said)  # what was said is never called made up
    assert not any(hit.certain for hit in terms.match(done.text))
    assert terms.applied(source, done.text).fixes == ()


@given(st.text(ALPHABET, max_size=40), st.text(ALPHABET, max_size=40), st.data())
def test_both_sides_of_an_alignment(source: str, made: str, data: st.DataObject) -> None:
    beside = Beside(source, made)
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, len(source)))
    low, high = beside.in_made(start, end)
    assert 0 <= low <= high <= len(made)
    same = Beside(source, source)
    if source[start:end].strip(" ，。") and source[start:end].isalpha() and not source.isascii():
        low, high = same.in_made(start, end)
        assert low <= start
        assert high >= end
