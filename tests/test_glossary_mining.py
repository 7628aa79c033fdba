"""Candidates from transcripts and documents, aliases from corrections, and the file a person reviews."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import GlossaryError, InputError, OutputError
from rewriter.glossary import Glossary, lint
from rewriter.glossary.learning import learn
from rewriter.glossary.mining import Document, Form, Suggestion, quoted, suggest
from rewriter.glossary.naming import Messages, named
from rewriter.glossary.proposing import documents_of, learn_from_files, suggest_from, write_new
from rewriter.glossary.unusual import names_in, same_word, stretches
from rewriter.glossary.writing import to_yaml

CASES = Path(__file__).parent / "cases"


def load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text(encoding="utf-8"))]


def ways(suggestions: list[Suggestion]) -> list[list[str]]:
    return [[one.canonical, *(form.text for form in one.forms)] for one in suggestions if one.forms]


@pytest.mark.parametrize("case", load("glossary_mining.json"))
def test_mining(case: dict[str, Any]) -> None:
    context = [Document("slides.md", case["context"])] if "context" in case else []
    found = suggest([Document("talk.txt", case["text"])], context=context)
    assert sorted([names[0], *sorted(names[1:])] for names in ways(found)) == sorted(
        [names[0], *sorted(names[1:])] for names in case["families"]
    )
    if "once" in case:
        assert [one.canonical for one in found if not one.forms] == case["once"]


TALK = "云汐平台很稳定。后来云西平台升级了，云昔平台又坏了一次，今天云汐平台恢复了，云汐平台。"


def test_a_document_says_which_spelling_is_right() -> None:
    [found] = suggest([Document("talk.txt", TALK)], context=[Document("people.txt", "云昔\n")])
    assert (found.canonical, found.origin) == ("云昔", "document")
    assert found.own is not None
    assert found.own.count == 1
    assert [(form.text, form.count) for form in found.forms] == [("云汐", 3), ("云西", 1)]


def test_what_the_glossary_knows_is_left_out() -> None:
    known = Glossary.from_terms([{"canonical": "云汐", "aliases": ["云西"]}, "Velomir"])
    [found] = suggest([Document("talk.txt", TALK + "Velomir, Velomir, Velomir")], known=known)
    assert (found.canonical, found.origin, [form.text for form in found.forms]) == ("云汐", "glossary", ["云昔"])
    whole = Glossary.from_terms([{"canonical": "云汐", "aliases": ["云西", "云昔"]}])
    assert suggest([Document("talk.txt", TALK)], known=whole) == []


def test_a_family_with_a_known_alias_belongs_to_its_term() -> None:
    known = Glossary.from_terms([{"canonical": "Velomir", "aliases": ["云西"]}])
    found = suggest([Document("talk.txt", TALK)], known=known)
    assert [(one.canonical, one.origin, [form.text for form in one.forms]) for one in found] == [
        ("Velomir", "glossary", ["云汐", "云昔"])
    ]


def test_names_of_a_document_within_each_other() -> None:
    context = [Document("slides", "霁川\n霁川档案馆\n")]
    found = suggest([Document("t", "季川档案馆很好，季川档案馆。季川也有，霁川档案馆")], context=context)
    assert ways(found) == [["霁川档案馆", "季川档案馆"], ["霁川", "季川"]]


def test_forms_are_counted_over_all_transcripts_and_quoted_where_they_first_stand() -> None:
    files = [Document("a.txt", "开场。\n云汐平台好。云汐平台稳。云西平台"), Document("b.txt", "云西平台，云汐平台")]
    [found] = suggest(files)
    assert found.own == Form(text="云汐", count=3, example="开场。 [云汐]平台好。云汐平台稳。云西平台", where="a.txt:2")
    assert [(form.text, form.count, form.where) for form in found.forms] == [("云西", 2, "a.txt:2")]


def test_at_most_so_many_that_are_written_in_one_way() -> None:
    text = "。".join(
        f"{name}{verb}" for name in ("鎏金匣", "Quillbase", "霁川绘梦") for verb in ("很好", "坏了", "来了")
    )
    assert len(suggest([Document("t", text)])) == 3
    assert [one.canonical for one in suggest([Document("t", text)], most=1)] == ["霁川绘梦"]
    assert suggest([Document("t", text)], most=0) == []


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("cluster", "clusters", True),
        ("scale", "scaling", True),
        ("open api", "open-api", True),
        ("deep learning", "deep learning ai", True),
        ("quillbase", "quilbase", False),
        ("云汐", "云西", False),
    ],
)
def test_same_word(left: str, right: str, same: bool) -> None:
    assert same_word(left, right) == same_word(right, left) == same


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("Today we look at MindLoom, OpenQL and QLlib in production.", ["MindLoom", "OpenQL", "QLlib"]),
        ("MindLoom is a framework. It was made by Zentrix.", ["MindLoom", "Zentrix"]),
        ("We asked Hanna Vestergaard and others from Zentrix Labs to show it.", ["Hanna Vestergaard", "Zentrix Labs"]),
        ("Quillbase's speed, and a Quillbase-based service", ["Quillbase", "Quillbase"]),
        ("我们对比了 MindLoom 和 pgloom 的速度", ["MindLoom", "pgloom"]),
        ("本次演讲介绍Open QLib框架，它支持训练", ["Open QLib"]),
        ("export it to QNNX and run it on a GPU with our LLMs", ["QNNX"]),
        ("Robustness and reproducibility matter", []),
        ("We All Love Big Models In The Cloud Today", []),
        ("A Short History Of MindLoom And Zentrix For Everyone", ["MindLoom", "Zentrix"]),
        ("AN INTRODUCTION TO QUILLBASE", []),
        ("see https://quillbase.example/MindLoom or src/MindLoom, and mail Hanna@Zentrix.example", []),
        ("I'm sure that it's what we've said, e.g. in the U.S. in May", []),
        ("", []),
    ],
)
def test_names_in_running_lines(document: str, names: list[str]) -> None:
    assert list(names_in(document)) == names


@pytest.mark.parametrize(
    ("line", "canonical"),
    [
        ("Quillbase.", "Quillbase"),
        ("Quillbase Inc.", "Quillbase Inc."),
        ("Quillbase U.S.", "Quillbase U.S."),
        ("Quillbase v2.0.", "Quillbase v2.0"),
        ("- Quillbase", "Quillbase"),
    ],
)
def test_a_full_stop_at_the_end_of_a_line(line: str, canonical: str) -> None:
    found = suggest([Document("t", canonical)], context=[Document("slides", f"{line}\n")])
    assert canonical in [one.canonical for one in found if one.origin == "document"]
    assert not any(one.canonical == f"{canonical}." for one in found)


@given(st.text("云汐Quilbase MindLoom.-'@/_，。\n1", max_size=60))
def test_names_of_a_document_stand_in_it(document: str) -> None:
    assert all(name in document for name in names_in(document))


@given(st.text("云汐西平台我们的abc -Quil。，\n很好", max_size=80))
def test_stretches_stand_where_they_say(text: str) -> None:
    found = stretches([text])
    for key, stretch in (*found.chinese.items(), *found.latin.items()):
        assert stretch.place[0] == 0
        assert text[stretch.place[1] :].startswith(stretch.first)
        assert (
            1
            <= stretch.count
            == sum(stretch.spellings.values())
            <= len(re.findall(f"(?={re.escape(key)})", text.lower()))
        )


def test_hostile_texts_take_bounded_time() -> None:
    """A bound against blow-up only: over twenty times what it takes."""
    begin = time.perf_counter()
    for unit in ("云西云汐", "Quillbase Quilbase ", "哈", "a b c "):
        suggest([Document("t", unit * (20_000 // len(unit)))])
    assert time.perf_counter() - begin < 60


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", load("glossary_learning.json"))
def test_learning(case: dict[str, Any]) -> None:
    known = Glossary.from_terms(case.get("known", []))
    found = learn(Document("a", case["source"]), Document("b", case["corrected"]), known=known)
    assert {one.canonical: [form.text for form in one.forms] for one in found} == case["learnt"]
    assert all(one.origin == "correction" for one in found)


def test_corrections_are_counted() -> None:
    source = Document("a", "云西好。云西稳。云昔快。云西")
    [found] = learn(source, Document("b", source.text.replace("云西", "云汐").replace("云昔", "云汐")))
    assert [(form.text, form.count, form.where) for form in found.forms] == [("云西", 3, "a:1"), ("云昔", 1, "a:1")]


@settings(max_examples=50)
@given(st.text("云汐西平台我们abcQuil 。，\n", max_size=60), st.text("云汐西平台我们abcQuil 。，\n", max_size=60))
def test_learnt_forms_stand_in_the_texts(source: str, corrected: str) -> None:
    for one in learn(Document("a", source), Document("b", corrected)):
        assert one.canonical in corrected
        assert all(form.text in " ".join(source.split()) for form in one.forms)


# --- the file --------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6), st.text(max_size=30))
def test_the_file_is_a_glossary_whatever_stands_in_it(names: list[str], example: str) -> None:
    names = list(dict.fromkeys(" ".join(name.split()) for name in names))
    names = [n for n in names if n and all(c.isprintable() for c in n)]
    if len({n.casefold() for n in names}) < len(names) or len(names) < 2:
        return
    forms = tuple(Form(text=name, count=1, example=example, where="x") for name in names[1:])
    one = Suggestion(canonical=names[0], origin="transcripts", own=None, forms=forms)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.yaml"
        path.write_text(to_yaml([one]), encoding="utf-8")
        [term] = Glossary.load(path).terms
    assert (term.canonical, list(term.aliases)) == (names[0], names[1:])


def test_what_is_written_in_one_way_is_commented_out(tmp_path: Path) -> None:
    path = tmp_path / "found.yaml"
    path.write_text(to_yaml(suggest([Document("t", "鎏金匣是新的，我们买了鎏金匣，鎏金匣很好用。")])), encoding="utf-8")
    assert Glossary.load(path).terms == ()
    assert [m.message for m in lint(path)] == ["there are no terms in it."]
    opened = path.read_text(encoding="utf-8").replace("terms: []", "terms:").replace("#  - ", "  - ")
    path.write_text(opened, encoding="utf-8")
    assert [term.canonical for term in Glossary.load(path).terms] == ["鎏金匣"]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talks").mkdir()
    Path("talks/one.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n云汐平台好\n", encoding="utf-8")
    Path("talks/two.txt").write_text("云汐平台稳，云西平台坏了，云汐平台", encoding="utf-8")
    Path("people.csv").write_text("name,role\n云西,host\n", encoding="utf-8")
    [found] = suggest_from(documents_of(["talks"], pytest.fail)[0], context=["people.csv"])
    assert (found.canonical, found.forms[0].text, found.forms[0].count) == ("云西", "云汐", 3)
    write_new("found.yaml", [found])
    with pytest.raises(OutputError, match=r"found\.yaml: is there already, and may hold your review"):
        write_new("found.yaml", [])
    assert [term.canonical for term in Glossary.load("found.yaml").terms] == ["云西"]
    Path("fixed.txt").write_text("云汐平台稳，云汐平台坏了，云汐平台", encoding="utf-8")
    assert ways(learn_from_files("talks/two.txt", "fixed.txt")) == [["云汐", "云西"]]
    with pytest.raises(InputError, match=r"absent\.md: no such file"):
        suggest_from(documents_of(["talks"], pytest.fail)[0], context=["absent.md"])
    with pytest.raises(GlossaryError, match=r"absent\.yaml"):
        suggest_from(documents_of(["talks"], pytest.fail)[0], glossary=["absent.yaml"])


def test_a_place_in_a_timed_file_is_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cues = [("00:00:01,000", "云汐平台好"), ("01:02:03,900", "大家看"), ("01:02:05,000", "云西平台坏")]
    for name, wrong in (("heard.srt", "云西"), ("right.srt", "云汐")):
        blocks = (f"{n}\n{at} --> {at}\n{text.replace('云西', wrong)}\n" for n, (at, text) in enumerate(cues, 1))
        Path(name).write_text("\n".join(blocks), encoding="utf-8")
    [learnt] = learn_from_files("heard.srt", "right.srt")
    assert [form.where for form in learnt.forms] == ["heard.srt at 01:02:05"]
    [found] = suggest_from(documents_of(["heard.srt"], pytest.fail)[0], most=0)
    assert found.own is not None
    assert {found.own.where, *(form.where for form in found.forms)} == {
        "heard.srt at 00:00:01",
        "heard.srt at 01:02:05",
    }


def test_files_that_cannot_be_read_do_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("", encoding="utf-8")
    Path("b.txt").write_bytes(b"\0\1\2")
    Path("c.txt").write_text(TALK, encoding="utf-8")
    found, failed = documents_of(["a.txt", "b.txt", "c.txt", "c.txt"], pytest.fail)
    assert [document.name for document in found] == ["c.txt"]
    assert [error.where for error in failed] == ["a.txt", "b.txt"]
    with pytest.raises(InputError, match=r"a\.txt: the file is empty"):
        documents_of(["a.txt", "b.txt"], pytest.fail)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(OutputError, match=r"cannot be written: File name too long\. Name another file\."):
        write_new(f"{'云' * 200}.yaml", [])


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "c.txt").write_text(TALK, encoding="utf-8")
    scandir, told = os.scandir, list[str]()

    def closed(path: str) -> Any:  # root, who may run the tests, can read everything
        if "closed" in Path(path).name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found, failed = documents_of([str(tmp_path)], told.append)
    assert ([Path(document.name).name for document in found], failed) == (["c.txt"], [])
    assert [notice.removeprefix(str(tmp_path / "closed")) for notice in told] == [
        ": left out, for the folder cannot be read."
    ]


def test_a_loop_without_marks_is_read_in_time() -> None:
    """It took four times as long for each doubling: minutes for what a recogniser may well write."""
    began = time.monotonic()
    suggest([Document("talk.txt", "我们就这样说好了" * 40_000)])
    assert time.monotonic() - began < 8


# --- asking a model --------------------------------------------------------------------------------------------------

HEARD = [Document("t", "用graph anna，Graffanah很好，graph anna稳，Graffanah快，graph anna。")]


@pytest.mark.parametrize(
    ("answer", "canonical", "origin", "forms"),
    [
        (" Grafana\n", "Grafana", "model", ["graph anna", "Graffanah"]),
        ("graffanah", "graffanah", "model", ["graph anna"]),
        ("Docker", "graph anna", "transcripts", ["Graffanah"]),
        ("The name is Grafana, a system for showing charts.", "graph anna", "transcripts", ["Graffanah"]),
        ("", "graph anna", "transcripts", ["Graffanah"]),
    ],
)
async def test_the_models_name_counts_where_it_sounds_so(
    answer: str, canonical: str, origin: str, forms: list[str]
) -> None:
    asked: list[Messages] = []

    async def ask(messages: Messages) -> str:
        asked.append(messages)
        return answer

    [found] = [one for one in await named(suggest(HEARD), ask) if one.forms]
    assert (found.canonical, found.origin, [form.text for form in found.forms]) == (canonical, origin, forms)
    assert len(asked) == 1
    assert "graph anna (3): 用[graph anna]" in asked[0][-1]["content"]


@pytest.mark.parametrize(
    ("text", "forms", "answer", "expected"),
    [
        (
            "装的是Post Grey SQL，Post Grey SQL很稳，Postgray SQL也行",
            ["Post Grey", "Postgray"],
            "PostgreSQL",
            {"Post Grey SQL": 2, "Postgray SQL": 1},
        ),
        ("run Prom ethos here, and Prom ethos there", ["ethos"], "Prometheus", {"Prom ethos": 2}),
        (
            "用限量数据库存，限量数据库快，项量数据库慢",
            ["限量数据", "项量数据"],
            "向量数据库",
            {"限量数据库": 2, "项量数据库": 1},
        ),
        ("大家看云西平台，云西平台好，云锡平台新", ["云西", "云锡"], "云汐", {"云西": 2, "云锡": 1}),
        (
            "we use graph anna now, graph anna works, graffanah too",
            ["graph anna", "graffanah"],
            "Grafana",
            {"graph anna": 2, "graffanah": 1},
        ),
        (
            "Post Grey SQL first, then Post Grey alone, and Post Grey SQL",
            ["Post Grey"],
            "PostgreSQL",
            {"Post Grey SQL": 2, "Post Grey": 1},
        ),
        (
            "it is Post Grey. SQL is a language. So is Post Grey, SQL too.",
            ["Post Grey"],
            "PostgreSQL",
            {"Post Grey": 2},
        ),
        ("用的是graph安娜监控，graph安娜好", ["graph"], "Grafana", {"graph安娜": 2}),
        (
            "他在清和社区做事，清和社区很大，青河社区远",
            ["和社区", "河社区"],
            "青禾社区",
            {"清和社区": 2, "青河社区": 1},
        ),
        (
            "Post Grey\nSQL is it, Post-Grey-SQL",
            ["Post Grey", "Post-Grey"],
            "PostgreSQL",
            {"Post Grey SQL": 1, "Post-Grey-SQL": 1},
        ),
    ],
    ids=[
        "right",
        "left",
        "Chinese",
        "a word of its own",
        "nothing beside",
        "places differ",
        "marks between",
        "Chinese behind Latin",
        "Chinese before",
        "lines and hyphens between",
    ],
)
async def test_a_form_takes_in_what_belongs_to_the_name(
    text: str, forms: list[str], answer: str, expected: dict[str, int]
) -> None:
    async def ask(messages: Messages) -> str:
        return answer

    document = Document("t", text)
    found = [quoted(document, text.index(form), text.index(form) + len(form), text.count(form)) for form in forms]
    one = Suggestion(canonical=forms[0], origin="transcripts", own=found[0], forms=tuple(found[1:] or found))
    [done] = await named([one], ask, [document])
    assert done.canonical == answer and {form.text: form.count for form in done.forms} == expected


@pytest.mark.parametrize(
    ("forms", "answer", "taken"),
    [
        ({"graph anna": 3, "Graffanah": 2}, "Grafana", True),
        ({"graph anna": 3, "Graffanah": 2}, "unknown", False),
        ({"Anona": 3, "Unnown": 2}, "Unknown.", False),
        ({"未织": 3, "味知": 2}, "未知", False),
        ({"graph anna": 3, "Graffanah": 2, "Quillbase": 1}, "Grafana", False),
        ({"霁川和": 3, "季川和": 2}, "霁川和挑战", False),
        ({"霁禾川": 3, "季禾川": 2}, "几和川", False),
        ({"Opan": 3, "Oppen": 2}, "open", False),
        ({"华威": 3, "花为": 1}, "华为", True),
        ({"陈晓敏": 3, "陈小敏": 2, "陈小民": 1}, "陈小敏", False),
        ({"陳曉敏": 3, "陳小敏": 2, "陳小民": 1}, "陳小敏", False),
        ({"Zelwick": 5, "Selwyn": 2, "Zelwik": 1}, "Selwyn", False),
        ({"Open Q": 5, "open AI": 2, "Open QL": 2}, "OpenAI", False),
        ({"Mine Doom": 4, "MindLoom": 2, "Mind Loam": 1}, "MindLoom", True),
        ({"Mules": 3, "Mulez": 1, "Mewls": 1}, "Milvus", False),
        ({"霁川": 3, "季川": 1}, "季川", False),
        ({"霁川": 1, "季川": 1}, "季川", True),
        ({"霁川": 3, "季川": 2}, "季川", True),
        ({"engine axe": 3, "engine ex": 2}, "Nginx", True),
        ({"jankins": 2, "Jen kins": 1}, "Jenkins", True),
        ({"qllib": 4, "QLIB": 1}, "QLlib", True),
    ],
)
async def test_when_an_answer_is_believed(forms: dict[str, int], answer: str, taken: bool) -> None:
    async def ask(messages: Messages) -> str:
        return answer

    own, *others = (Form(text=text, count=count, example=f"[{text}]", where="t:1") for text, count in forms.items())
    one = Suggestion(canonical=own.text, origin="transcripts", own=own, forms=tuple(others))
    [done] = await named([one], ask)
    if taken:
        assert (done.canonical, done.origin, done.proposed) == (answer, "model", own.text)
        assert f"# the model's spelling; first proposed: {own.text}\n" in to_yaml([done])
    else:
        assert done == one


async def test_the_same_form_in_two_letter_cases_is_one() -> None:
    async def ask(messages: Messages) -> str:
        return "Grafana"

    document = Document("t", "Graph anna works, graph anna too, and graffanah")
    found = [quoted(document, 0, 10, 2), quoted(document, 38, 47, 1)]
    [done] = await named(
        [Suggestion(canonical="Graph anna", origin="transcripts", own=found[0], forms=(found[1],))], ask, [document]
    )
    assert {form.text: form.count for form in done.forms} == {"Graph anna": 2, "graffanah": 1}


async def test_what_a_document_vouches_for_is_not_asked() -> None:
    async def ask(messages: Messages) -> str:
        raise AssertionError(messages)

    found = suggest(HEARD, context=[Document("slides", "Grafana\n")])
    assert await named(found, ask) == found
