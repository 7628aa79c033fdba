"""The glossary: files and what is wrong with them, merging, lint, places by letters, hints, reports."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rewriter.errors import GlossaryError
from rewriter.glossary import Glossary, Term, lint
from rewriter.glossary.automaton import Automaton, _Rust
from rewriter.glossary.fold import cuts_word, fold
from rewriter.glossary.reading import FIELDS

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases"


def load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text(encoding="utf-8"))]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def glossary(terms: Any) -> Glossary:
    if isinstance(terms, dict):
        terms = [{"canonical": k, **(v if isinstance(v, dict) else {"aliases": v})} for k, v in terms.items()]
    return Glossary.from_terms(terms)


@pytest.fixture(scope="module", autouse=True)
def _tables_in_memory() -> None:
    """Sounds, phrases and word costs are read from disk when first needed, which counts against no single example."""
    Glossary.from_terms(["重行"]).match("云西")


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", load("glossary_files.json"))
def test_file(case: dict[str, Any], tmp_path: Path) -> None:
    text = case["text"] if "text" in case else case["repeat"][0] * case["repeat"][1]
    path = write(tmp_path, case["file"], text)
    if "terms" in case:
        assert list(Glossary.load(path).terms) == [Term.model_validate(term) for term in case["terms"]]
        assert [m for m in lint(path) if m.level == "error"] == []
        return
    line, column, says = case["error"]
    errors = [m for m in lint(path) if m.level == "error"]
    column = errors[0].column if column is None else column  # where two YAML readers put it differently
    assert [(m.file, m.line, m.column) for m in errors] == [(str(path), line, column)]
    assert says in errors[0].message
    with pytest.raises(GlossaryError) as raised:
        Glossary.load(path)
    assert raised.value.where == f"{path}:{line}" + (f":{column}" if column else "")


def test_a_field_that_is_null_is_not_stated(tmp_path: Path) -> None:
    text = '{"terms": [{"canonical": "Velomir", "aliases": null, "note": null, "certain": null, "tags": null}]}'
    assert Glossary.load(write(tmp_path, "g.json", text)).terms == (Term(canonical="Velomir"),)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    text = "霁川档案馆: 季川档案馆，际川档案馆\n青藤社区口述历史小组: 清腾社区口述历史小组\n"
    (tmp_path / "names.txt").write_bytes(text.encode(encoding))
    assert [t.canonical for t in Glossary.load(tmp_path / "names.txt").terms] == ["霁川档案馆", "青藤社区口述历史小组"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_bytes(b"terms:\n  - \xff\xfe\x00\x81\x00\n")
    with pytest.raises(GlossaryError, match=r"g\.yaml: not text.* Check that file\."):
        Glossary.load(tmp_path / "g.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GlossaryError, match=r"absent\.yaml: cannot be read: No such file.* Check that file\."):
        Glossary.load([write(tmp_path, "g.txt", "Velomir\n"), tmp_path / "absent.yaml"])


def test_what_is_right_beside_what_is_wrong_is_still_looked_at(tmp_path: Path) -> None:
    path = write(
        tmp_path, "g.yaml", "terms:\n  - {canonical: A1, wrong: x}\n  - Velomir\n  - {canonical: B2, case: 3}\n"
    )
    assert [(m.line, m.column) for m in lint(path)] == [(2, 21), (4, 27)]
    with pytest.raises(GlossaryError, match=r"1 more: `rewriter glossary lint` shows all"):
        Glossary.load(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("terms：\n  - Velomir\n", 1),
        ("terms:\n  - canonical：Velomir\n", 2),
        ("terms:\n  - canonical： Velomir\n    aliases: [velo mere]\n", 2),
        ("terms:\n  - canonical: Velomir\n    aliases：[velo mere]\n", 3),
    ],
)
def test_a_full_width_colon_in_yaml_is_named(text: str, line: int, tmp_path: Path) -> None:
    path = write(tmp_path, "g.yaml", text)
    with pytest.raises(GlossaryError, match="its colon is full width") as raised:
        Glossary.load(path)
    assert raised.value.where.startswith(f"{path}:{line}:")


def test_plain_lines_take_full_width_marks(tmp_path: Path) -> None:
    [term] = Glossary.load(write(tmp_path, "g.txt", "云汐：云西，云昔、云希\n")).terms
    assert (term.canonical, term.aliases) == ("云汐", ("云西", "云昔", "云希"))


def test_a_list_that_anchors_repeat_without_end(tmp_path: Path) -> None:
    """A file of 40 kB that stands for nine million aliases."""
    listed = ", ".join(f"x{number}" for number in range(3000))
    terms = "\n".join(f"  - {{canonical: B{number}, aliases: *all}}" for number in range(3000))
    path = write(tmp_path, "g.yaml", f"terms:\n  - {{canonical: Quillbase, aliases: &all [{listed}]}}\n{terms}\n")
    errors = [m for m in lint(path) if m.level == "error"]
    assert errors[-1].message == "not a glossary: its anchors repeat more than it is long."
    assert len(errors) < path.stat().st_size


def test_the_schema_for_editors_says_what_is_read() -> None:
    schema = json.loads((ROOT / "rewriter" / "glossary" / "schema.json").read_text(encoding="utf-8"))
    fields = schema["$defs"]["fields"]["properties"]
    assert set(fields) | {"canonical"} == set(FIELDS) == set(Term.model_fields)
    assert all(field["description"] for field in fields.values())
    flags = {name for name, field in fields.items() if field.get("type") == "boolean"}
    assert flags == {name for name, field in Term.model_fields.items() if field.annotation is bool}
    described = schema["$defs"]["term"]["anyOf"][1]
    assert described["required"] == list(described["properties"]) == ["canonical"]


# What a schema cannot see: syntax, fields and terms given twice, contradictions between terms.
BEYOND_SCHEMA = {"bad yaml", "bad json", "field twice", "a term twice in one file", "nested without end"}
BEYOND_SCHEMA |= {"a term that another replaces without asking", "terms twice", "terms twice in json"}
BEYOND_SCHEMA |= {"json nested without end", "a control character"}


@pytest.mark.parametrize("case", load("glossary_files.json"))
def test_the_schema_and_the_reader_agree(case: dict[str, Any]) -> None:
    if Path(case["file"]).suffix not in {".yaml", ".yml", ".json"} or case["name"] in BEYOND_SCHEMA:
        return
    schema = json.loads((ROOT / "rewriter" / "glossary" / "schema.json").read_text(encoding="utf-8"))
    data = json.loads(case["text"]) if case["file"].endswith("json") else yaml.safe_load(case["text"])
    assert jsonschema.Draft202012Validator(schema).is_valid(data) == ("terms" in case)


# --- merging ---------------------------------------------------------------------------------------------------------


def test_a_later_file_adds_aliases_and_replaces_what_it_states(tmp_path: Path) -> None:
    base = write(
        tmp_path, "base.yaml", "Quillbase: {aliases: [quilt], note: a store, certain: true}\nVelomir: [velo]\n"
    )
    mine = write(tmp_path, "mine.yaml", "Quillbase: {aliases: [Quill Base], note: our store}\n")
    assert Glossary.load([base, mine]).terms == (
        Term(canonical="Quillbase", aliases=("quilt", "Quill Base"), note="our store", certain=True),
        Term(canonical="Velomir", aliases=("velo",)),
    )


def test_an_alias_moves_to_the_term_of_a_later_file(tmp_path: Path) -> None:
    base = write(tmp_path, "base.txt", "Quillbase: quilt, quill base\n")
    mine = write(tmp_path, "mine.txt", "Quiltworks: QUILT\n")
    merged = Glossary.load([base, mine])
    assert merged.aliases() == {"quill base": "Quillbase", "QUILT": "Quiltworks"}
    said = f"{mine}:1: warning: 'QUILT' becomes an alias of 'Quiltworks'; {base}:1 has it for 'Quillbase'."
    assert [str(m) for m in lint([base, mine]) if m.level == "error" or "becomes" in m.message] == [said]


def test_a_file_that_is_named_twice_counts_where_it_is_named_last(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", "Quillbase: {aliases: [quilt], note: a store}\n")
    mine = write(tmp_path, "mine.yaml", "Quillbase: {note: our store}\n")
    assert Glossary.load([base, base]).terms == Glossary.load(base).terms
    assert Glossary.load([base, mine, base]).terms[0].note == "a store"


@pytest.mark.parametrize("name", ["g.yaml", "g.json", "g.csv", "g.txt", "g"])
@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff"])
def test_a_file_without_terms_is_said_to_be_one(name: str, text: str, tmp_path: Path) -> None:
    if name == "g.json":
        text += "{}"
    path = write(tmp_path, name, text)
    assert [str(m) for m in lint(path)] == [f"{path}: warning: there are no terms in it."]
    assert len(Glossary.load(path)) == 0


def test_a_certain_alias_that_another_file_names_as_a_term(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", "Quillbase: {aliases: [Quilt], certain: true}\n")
    mine = write(tmp_path, "mine.txt", "Velomir\nQuilt\n")
    with pytest.raises(
        GlossaryError, match=rf"base\.yaml:1: 'Quilt' would be replaced .* \({re.escape(str(mine))}:2\)"
    ):
        Glossary.load([base, mine])


def test_terms_given_in_python() -> None:
    made = Glossary.from_terms([Term(canonical="Velomir"), {"canonical": "Quillbase", "aliases": ["quilt"]}, "霁川"])
    assert list(made.canonicals()) == ["Velomir", "Quillbase", "霁川"]
    assert len(made) == 3
    with pytest.raises(GlossaryError, match="terms:2: 'Velomir' is given twice"):
        Glossary.from_terms(["Velomir", "Velomir"])


def test_the_digest_knows_every_field_but_no_order() -> None:
    one = Glossary.from_terms([{"canonical": "Velomir", "note": "a"}, "Quillbase"])
    other = Glossary.from_terms(["Quillbase", {"canonical": "Velomir", "note": "a"}])
    changed = Glossary.from_terms(["Quillbase", {"canonical": "Velomir", "note": "b"}])
    assert one.digest == other.digest != changed.digest
    assert Glossary.empty().digest == Glossary().digest


@pytest.mark.parametrize("case", load("glossary_lint.json"))
def test_lint(case: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, "g.yaml" if case.get("yaml") else "g.txt", case["text"])
    said = [str(message).removeprefix(f"{path}:") for message in lint(path)]
    assert len(said) == len(case["says"]), said
    for message, expected in zip(said, case["says"], strict=True):
        assert message.startswith(expected)


# --- places by letters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", load("glossary_exact.json"))
def test_exact(case: dict[str, Any]) -> None:
    text = case["text"]
    hits = glossary(case["terms"]).match(text, sound=False)
    assert [[text[h.start : h.end], h.canonical, h.how] for h in hits] == case["hits"]
    assert all(hit.score == 1.0 for hit in hits)


def test_only_aliases_of_certain_terms_are_replaced_without_asking() -> None:
    terms = glossary({"霁川": {"aliases": ["季川"], "certain": True}, "Velomir": ["velo mere"]})
    text = "季川的velo mere，霁川，及川"
    assert [text[h.start : h.end] for h in terms.certain_hits(text)] == ["季川"]


ALPHABET = "aAb1 -，云汐é\u0301İＡ𠮷"


@given(st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=6), st.text(ALPHABET, max_size=60))
def test_places_are_whole_apart_and_what_they_say(names: list[str], text: str) -> None:
    names = [n for n in dict.fromkeys(" ".join(name.split()) for name in names) if n]
    hits = Glossary.from_terms(names).match(text, sound=False)
    for hit in hits:
        assert fold(text[hit.start : hit.end]) == fold(hit.canonical)
        assert not cuts_word(text, hit.start, hit.end)
    assert all(a.end <= b.start for a, b in pairwise(hits))
    folded = fold(text)
    for name in names:  # whatever is not found overlaps something that is, or cuts a word
        for found in re.finditer(f"(?={re.escape(fold(name))})", folded):
            start, end = found.start(), found.start() + len(name)
            assert cuts_word(text, start, end) or any(h.start < end and start < h.end for h in hits)


@given(st.text(max_size=80))
def test_folding_keeps_every_offset(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


def test_text_with_halves_of_characters() -> None:
    text = "\ud83d云汐\udc00 Velomir"
    assert [text[h.start : h.end] for h in Glossary.from_terms(["云汐", "Velomir"]).match(text)] == ["云汐", "Velomir"]


WORDS = st.lists(st.text("ab云汐é🚀", min_size=1, max_size=3), max_size=8, unique=True)


@given(WORDS, st.text("ab云汐é🚀", max_size=40))
def test_both_automata_find_the_same(words: list[str], text: str) -> None:
    found = Automaton(words)
    assert sorted(found.find(text)) == sorted(
        (at, at + len(word), number)
        for number, word in enumerate(words)
        for at in range(len(text))
        if text.startswith(word, at)
    )
    again = Automaton.from_bytes(found.to_bytes())
    assert sorted(again.find(text)) == sorted(found.find(text))
    if words:
        assert sorted(_Rust(words).find(text)) == sorted(found.find(text))


def test_where_the_first_automaton_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "daachorse", None)
    found = Automaton(["云汐", "汐"])
    assert sorted(found.find("云汐")) == [(0, 2, 0), (1, 2, 1)]
    assert found.to_bytes() == b""


# --- hints -----------------------------------------------------------------------------------------------------------

TERMS = {
    "霁川档案馆": ["季川档案馆"],
    "Quillbase": {"aliases": ["quilt base"], "note": "a store"},
    "Velomir": [],
    "云汐": [],
}


def test_hints_are_the_terms_that_occur_in_order_and_once_each() -> None:
    text = "云西接上quilt base，QUILT BASE写进季川档案馆，Velomir不动，还有Quillbase"
    hints = glossary(TERMS).for_prompt(text)
    assert [(h.canonical, h.forms, h.how, h.note) for h in hints] == [
        ("云汐", ("云西",), "sound", ""),
        ("Quillbase", ("quilt base", "QUILT BASE"), "alias", "a store"),
        ("霁川档案馆", ("季川档案馆",), "alias", ""),
        ("Velomir", ("Velomir",), "canonical", ""),
    ]


@pytest.mark.parametrize(
    ("term", "text", "likely"),
    [
        ("瑞恒医药", "跟锐恒医药的朋友一起看。", True),  # the same syllables, and 锐恒 is no word
        ("PostgreSQL", "都存在post grey SQL里", True),
        ("智源", "我们的志愿是什么", False),  # an everyday word
        ("云汐", "云汐很快", False),  # spelt right: nothing to be likely
    ],
)
def test_a_likeness_that_is_hardly_anything_else_is_likely(term: str, text: str, likely: bool) -> None:
    terms = Glossary.from_terms([term])
    assert any(hit.likely for hit in terms.match(text)) == likely
    assert any(hint.likely for hint in terms.for_prompt(text)) == likely


def test_of_what_sounds_alike_the_likely_is_kept_first() -> None:
    terms = Glossary.from_terms(["会江", "瑞恒医药"])
    text = "会讲，还有锐恒医药。"
    assert {hint.likely for hint in terms.for_prompt(text)} == {False, True}
    assert [hint.canonical for hint in terms.for_prompt(text, limit_terms=1)] == ["瑞恒医药"]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(3, {"云汐", "Quillbase", "霁川档案馆"}), (2, {"Quillbase", "霁川档案馆"}), (0, set())],
)
def test_known_mishearings_outrank_likely_ones_and_those_what_is_right(limit: int, kept: set[str]) -> None:
    text = "云西接上quilt base，写进季川档案馆，Velomir不动"
    assert {h.canonical for h in glossary(TERMS).for_prompt(text, limit_terms=limit)} == kept


def test_hints_stay_within_their_tokens() -> None:
    terms = {f"Quill{i:03}": {"aliases": [f"wrong{i:03}"], "note": "n" * 40} for i in range(100)}
    text = " ".join(f"wrong{i:03}" for i in range(100))
    hints = glossary(terms).for_prompt(text, limit_terms=100, limit_tokens=200)
    assert 5 <= len(hints) <= 10


@given(st.text(ALPHABET + "quiltbase季川档案馆云西", max_size=80))
def test_a_term_that_does_not_occur_changes_no_hint(text: str) -> None:
    more = TERMS | {"永远不出现的名字": ["也不会出现"]}
    assert glossary(more).for_prompt(text) == glossary(TERMS).for_prompt(text)
