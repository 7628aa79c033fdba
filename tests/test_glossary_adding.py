"""Terms put into a file that a person keeps: the term is there, and nothing else has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import GlossaryError, OutputError, UsageError
from rewriter.glossary import Glossary, Term
from rewriter.glossary.adding import add_term

KEPT = """\
# 名字，请按字母排序
terms:
  - canonical: Milvus   # 向量数据库
    aliases:
      - MUSE            # 常见
      - Mules
  - canonical: 飞桨
    aliases: [飞讲, "飞角"]   # 还有别的
    certain: true
  - canonical: 智源
    note: 研究院
  - 雅意

# 完
"""


def added(tmp_path: Path, text: str, term: Term, name: str = "terms.yaml") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert add_term(path, term)
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("term", "old", "new"),
    [
        (Term(canonical="Milvus", aliases=("缪斯",)), "      - Mules\n", "      - Mules\n      - 缪斯\n"),
        (Term(canonical="飞桨", aliases=("非讲", "飞角")), '"飞角"]', '"飞角", "非讲"]'),
        (Term(canonical="智源", aliases=("志愿",)), "    note: 研究院\n", "    note: 研究院\n    aliases: [志愿]\n"),
        (Term(canonical="雅意", aliases=("亚裔",)), "  - 雅意\n", "  - canonical: 雅意\n    aliases: [亚裔]\n"),
        (
            Term(canonical="ChatGPT", aliases=("拆GPT", "yes"), certain=True, note="产品: 它"),
            "  - 雅意\n",
            '  - 雅意\n  - canonical: ChatGPT\n    aliases: [拆GPT, "yes"]\n    note: "产品: 它"\n    certain: true\n',
        ),
    ],
    ids=lambda value: value.canonical if isinstance(value, Term) else "",
)
def test_what_a_person_wrote_stays(tmp_path: Path, term: Term, old: str, new: str) -> None:
    assert added(tmp_path, KEPT, term) == KEPT.replace(old, new)


@pytest.mark.parametrize(
    ("name", "text", "new"),
    [
        ("terms.yaml", "", "terms:\n  - canonical: 飞桨\n    aliases: [非讲]\n"),
        ("terms.yaml", "# 空\n", "# 空\nterms:\n  - canonical: 飞桨\n    aliases: [非讲]\n"),
        ("terms.yaml", "terms: []\n", "terms: \n  - canonical: 飞桨\n    aliases: [非讲]\n"),
        ("terms.yaml", "terms:\n", "terms:\n  - canonical: 飞桨\n    aliases: [非讲]\n"),
        ("terms.yaml", "terms:\n- Milvus", "terms:\n- Milvus\n- canonical: 飞桨\n  aliases: [非讲]\n"),
        ("terms.yaml", "terms: [Milvus]\n", 'terms: [Milvus, {"canonical": "飞桨", "aliases": ["非讲"]}]\n'),
        ("terms.yaml", "Milvus: MUSE\n", 'Milvus: MUSE\n飞桨: ["非讲"]\n'),
        ("terms.yaml", "飞桨: 飞讲\n", "飞桨: [飞讲, 非讲]\n"),
        ("terms.yaml", "飞桨:\nMilvus:\n", "飞桨: [非讲]\nMilvus:\n"),
        ("terms.yaml", "飞桨:\n  note: 框架\n", "飞桨:\n  note: 框架\n  aliases: [非讲]\n"),
        ("terms.yaml", "飞桨: [飞讲,\n  飞角,\n]\n", '飞桨: [飞讲,\n  飞角, "非讲"\n]\n'),
        (
            "terms.yaml",
            "terms:\r\n  - Milvus\r\n",
            "terms:\r\n  - Milvus\r\n  - canonical: 飞桨\r\n    aliases: [非讲]\r\n",
        ),
        ("terms.json", '{"terms": ["Milvus"]}', '{"terms": ["Milvus", {"canonical": "飞桨", "aliases": ["非讲"]}]}'),
        ("terms.json", '{"terms": []}', '{"terms": [{"canonical": "飞桨", "aliases": ["非讲"]}]}'),
        ("terms.json", '{"terms": null}', '{"terms": [{"canonical": "飞桨", "aliases": ["非讲"]}]}'),
        ("terms.json", '{"飞桨": "飞讲"}', '{"飞桨": ["飞讲", "非讲"]}'),
        ("terms.json", '{"飞桨": {"aliases": null}}', '{"飞桨": {"aliases": ["非讲"]}}'),
        ("terms.yaml", "terms: ~\n", "terms: \n  - canonical: 飞桨\n    aliases: [非讲]\n"),
        ("terms.yaml", "飞桨: null\n", "飞桨: [非讲]\n"),
        ("terms.json", '{"飞桨": ["飞讲"]}', '{"飞桨": ["飞讲", "非讲"]}'),
        ("terms.json", '{"Milvus": []}', '{"Milvus": [], "飞桨": ["非讲"]}'),
        ("terms.json", '{"飞桨": {"note": "框架"}}', '{"飞桨": {"note": "框架", "aliases": ["非讲"]}}'),
    ],
)
def test_every_way_to_write_a_glossary(tmp_path: Path, name: str, text: str, new: str) -> None:
    assert added(tmp_path, text, Term(canonical="飞桨", aliases=("非讲",)), name) == new


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert add_term(tmp_path / "new" / "terms.json", Term(canonical="飞桨", aliases=("非讲",)))
    assert Glossary.load(tmp_path / "new" / "terms.json").aliases() == {"非讲": "飞桨"}


def test_names_are_tidied(tmp_path: Path) -> None:
    add_term(tmp_path / "t.yaml", Term(canonical=" Open  AI ", aliases=("OpenAI\n", "OpenAI", "", "Open AI")))
    assert (tmp_path / "t.yaml").read_text() == "terms:\n  - canonical: Open AI\n    aliases: [OpenAI]\n"


def test_what_is_known_is_not_added_again(tmp_path: Path) -> None:
    path = tmp_path / "terms.yaml"
    path.write_text(KEPT, encoding="utf-8")
    assert not add_term(path, Term(canonical="Milvus", aliases=("MUSE",)))
    assert path.read_text(encoding="utf-8") == KEPT


@pytest.mark.parametrize(
    ("name", "text", "term", "error", "match"),
    [
        ("t.yaml", KEPT, Term(canonical="缪斯", aliases=("MUSE",)), GlossaryError, "can be only one's"),
        ("t.yaml", "terms: [", Term(canonical="缪斯"), GlossaryError, "t.yaml:.*not valid YAML"),
        ("t.csv", "canonical\n", Term(canonical="缪斯"), UsageError, "YAML or JSON"),
        # An anchor's list is shared: what is added to one term would be added to both.
        (
            "t.yaml",
            "A: &a [x]\nB: {tags: *a}\n",
            Term(canonical="A", aliases=("y",)),
            GlossaryError,
            "no sure place",
        ),
    ],
)
def test_what_cannot_be_added_leaves_the_file_alone(
    tmp_path: Path, name: str, text: str, term: Term, error: type[Exception], match: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=match):
        add_term(path, term)
    assert path.read_text(encoding="utf-8") == text


def test_a_folder_in_the_place_of_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").mkdir()
    with pytest.raises((GlossaryError, OutputError), match="cannot be"):
        add_term(tmp_path / "t.yaml", Term(canonical="飞桨"))


@pytest.mark.parametrize("term", [Term(canonical="a\ufffeb"), Term(canonical="云汐", aliases=("云\0西",))])
def test_a_character_that_no_file_holds_is_named(tmp_path: Path, term: Term) -> None:
    with pytest.raises(
        GlossaryError, match=r"holds a character that no name has, U\+(FFFE|0000)\. Write the term without"
    ):
        add_term(tmp_path / "t.yaml", term)
    assert not (tmp_path / "t.yaml").exists()


def test_a_note_of_two_lines_is_one(tmp_path: Path) -> None:
    add_term(tmp_path / "t.yaml", Term(canonical="云汐", note="a platform\nfor training"))
    assert Glossary.load(tmp_path / "t.yaml").terms[0].note == "a platform for training"


_NAME = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), exclude_characters="\ufeff\ufffe\uffff"
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(names=st.lists(_NAME, min_size=1, max_size=8, unique_by=str.casefold))
def test_whatever_is_added_is_read_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("terms") / "terms.yaml"
    for name in names:
        add_term(path, Term(canonical=name, note=names[0]))
    assert {t.canonical for t in Glossary.load(path).terms} == {" ".join(n.split()) for n in names}
