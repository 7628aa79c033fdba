"""A term, or a new mishearing of one, put into a glossary file that a person keeps: everything else stays as it is.

The file's text is spliced where the YAML parser says its parts begin and end, so that comments, order and quotes
survive; a library that loads and dumps would write somebody's file anew. The result is read back before it is written:
it must hold the old terms and the new one, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from rewriter.atomic import write_whole
from rewriter.errors import GlossaryError, UsageError
from rewriter.glossary.merging import merge
from rewriter.glossary.reading import Problems, read
from rewriter.glossary.terms import Term
from rewriter.glossary.writing import unfit, word

if TYPE_CHECKING:
    import yaml

SUFFIXES = (".yaml", ".yml", ".json")
_BY_HAND = "Add the term to the file by hand."
_LEAVE = "Write the term without it."


class _Splice(NamedTuple):
    """text[start:end] becomes `new`."""

    start: int
    end: int
    new: str


def add_term(path: Path, term: Term) -> bool:
    """Add a term to a glossary file in YAML or JSON, or new aliases to a term that is there; make the file if need be.

    Of a term that is there only aliases are added. Returns whether the file changed. Raises UsageError for another kind
    of file, GlossaryError where the file is wrong or the term contradicts it, OutputError where it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "terms can be added to a YAML or JSON file only.",
            where=str(path),
            remedy="Name a .yaml file with --glossary; it is read after the others.",
        )
    term = _tidy(term)
    text = _text(path)
    old = {t.canonical: t for t in _terms(path, text)}
    merged = _joined(old.get(term.canonical), term)
    if merged == old.get(term.canonical):
        return False
    new = _added(text, term, path.suffix.lower() == ".json")
    found = {t.canonical: t for t in _terms(path, new)}
    if found != {**old, term.canonical: merged}:
        raise GlossaryError("its layout leaves no sure place for a term.", where=str(path), remedy=_BY_HAND)
    write_whole(path, new.encode())
    return True


def _tidy(term: Term) -> Term:
    """Texts as they are read back: single spaces, no alias twice, none that is the term itself.

    Raises GlossaryError where one holds a character that a file cannot hold.
    """
    name, note, *aliases = (" ".join(text.split()) for text in (term.canonical, term.note, *term.aliases))
    if bad := unfit("".join((name, note, *aliases))):
        raise GlossaryError(
            f"it holds a character that no name has, U+{ord(bad):04X}.", where=ascii(name), remedy=_LEAVE
        )
    own = tuple(dict.fromkeys(alias for alias in aliases if alias and alias != name))
    return term.model_copy(update={"canonical": name, "note": note, "aliases": own})


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise GlossaryError("is not UTF-8.", where=str(path), remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise GlossaryError(f"cannot be read: {error.strerror}.", where=str(path), remedy="Check the path.") from None


def _terms(path: Path, text: str) -> list[Term]:
    """The terms of a file that holds this text. Raises GlossaryError for what is wrong in it, by file and line."""
    problems: Problems = []
    with TemporaryDirectory() as folder:
        copy = Path(folder) / f"terms{path.suffix}"
        copy.write_bytes(text.encode() if text.strip() else b"terms: []" if path.suffix != ".json" else b"{}")
        terms = merge(read(copy, problems), problems)
    for problem in problems:
        if problem.level == "error":
            raise GlossaryError(problem.message, where=f"{path}:{problem.line}", remedy="Correct it there.")
    return terms


def _joined(old: Term | None, new: Term) -> Term:
    if old is None:
        return new
    return old.model_copy(update={"aliases": tuple(dict.fromkeys((*old.aliases, *new.aliases)))})


# --- where it goes ---------------------------------------------------------------------------------------------------


def _added(text: str, term: Term, as_json: bool) -> str:
    if not text.strip():
        if as_json:
            return json.dumps({"terms": [_fields(term)]}, ensure_ascii=False, indent=2) + "\n"
        return f"terms:\n{_item(term, '  ')}\n"
    splice = _place(text, term)
    newline = "\r\n" if "\r\n" in text else "\n"
    return text[: splice.start] + splice.new.replace("\n", newline) + text[splice.end :]


def _place(text: str, term: Term) -> _Splice:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root = yaml.compose(text, Loader=loader)
    if root is None:  # comments only
        return _Splice(len(text), len(text), f"{_break(text)}terms:\n{_item(term, '  ')}\n")
    assert isinstance(root, yaml.MappingNode)  # `_terms` has read it
    listed = [value for key, value in root.value if key.value == "terms" and not isinstance(value, yaml.MappingNode)]
    if not listed:
        return _in_mapping(text, root, term)
    if not isinstance(listed[0], yaml.SequenceNode):  # `terms:` alone, or null
        start, end = _index(listed[0].start_mark), _index(listed[0].end_mark)
        return _Splice(start, end, _only(text, term))
    return _in_list(text, listed[0], term)


def _in_list(text: str, terms: yaml.SequenceNode, term: Term) -> _Splice:
    import yaml

    for node in terms.value:
        if isinstance(node, yaml.ScalarNode) and node.value == term.canonical:
            start, end = _index(node.start_mark), _index(node.end_mark)
            if terms.flow_style:
                return _Splice(start, end, json.dumps(_fields(term), ensure_ascii=False))
            name, pad = text[start:end], " " * node.start_mark.column
            return _Splice(start, end, f"canonical: {name}\n{pad}aliases: {_flow(term.aliases)}")
        if isinstance(node, yaml.MappingNode) and _name_of(node) == term.canonical:
            return _in_fields(text, node, term)
    if terms.flow_style:
        at = _index(terms.end_mark) - 1
        if not terms.value:
            return _Splice(_index(terms.start_mark), at + 1, _only(text, term))
        return _in_flow(text, at, json.dumps(_fields(term), ensure_ascii=False))
    pad = " " * _dash(text, terms.value[0])
    return _behind(text, terms.value[-1], _item(term, pad))


def _only(text: str, term: Term) -> str:
    """A list of this one term, behind `terms:`."""
    return f"[{json.dumps(_fields(term), ensure_ascii=False)}]" if _in_braces(text) else f"\n{_item(term, '  ')}"


def _in_mapping(text: str, root: yaml.MappingNode, term: Term) -> _Splice:
    """A file that maps terms to aliases, or to fields."""
    import yaml

    for key, value in root.value:
        if key.value != term.canonical:
            continue
        if isinstance(value, yaml.MappingNode):
            return _in_fields(text, value, term)
        return _in_aliases(text, value, term.aliases)
    fields = {k: v for k, v in _fields(term).items() if k != "canonical"}
    simple = set(fields) <= {"aliases"}
    body = json.dumps(list(term.aliases) if simple else fields, ensure_ascii=False)
    if root.flow_style:
        return _in_flow(text, _index(root.end_mark) - 1, f"{json.dumps(term.canonical, ensure_ascii=False)}: {body}")
    return _behind(text, root.value[-1][1], f"{word(term.canonical)}: {body}")


def _name_of(node: yaml.MappingNode) -> str:
    return next((" ".join(str(value.value).split()) for key, value in node.value if key.value == "canonical"), "")


def _in_fields(text: str, node: yaml.MappingNode, term: Term) -> _Splice:
    """New aliases for a term that is a mapping of fields."""
    for key, value in node.value:
        if key.value == "aliases":
            return _in_aliases(text, value, term.aliases)
    if node.flow_style:
        return _in_flow(text, _index(node.end_mark) - 1, f'"aliases": {_array(term.aliases)}')
    pad = " " * node.value[0][0].start_mark.column
    return _behind(text, node.value[-1][1], f"{pad}aliases: {_flow(term.aliases)}")


def _in_aliases(text: str, node: yaml.Node, aliases: tuple[str, ...]) -> _Splice:
    import yaml

    if not isinstance(node, yaml.SequenceNode):  # one alias, or none
        start, end = _index(node.start_mark), _index(node.end_mark)
        alone = [str(node.value)] if node.value and not node.tag.endswith(":null") else []
        space = "" if start and text[start - 1].isspace() else " "
        together = (*alone, *(a for a in aliases if a not in alone))
        return _Splice(start, end, space + (_array(together) if _in_braces(text) else _flow(together)))
    new = [a for a in aliases if a not in {str(item.value) for item in node.value}]
    if node.flow_style:
        return _in_flow(text, _index(node.end_mark) - 1, ", ".join(json.dumps(a, ensure_ascii=False) for a in new))
    pad = " " * _dash(text, node.value[0])
    return _behind(text, node.value[-1], "\n".join(f"{pad}- {word(a)}" for a in new))


# --- splices ---------------------------------------------------------------------------------------------------------


def _behind(text: str, node: yaml.Node, lines: str) -> _Splice:
    """New lines behind the line on which a node ends."""
    end = text.find("\n", _end(node))
    if end < 0:
        return _Splice(len(text), len(text), f"\n{lines}\n")
    return _Splice(end + 1, end + 1, f"{lines}\n")


def _in_flow(text: str, at: int, new: str) -> _Splice:
    """One more part before the bracket at `at`."""
    before = text[:at].rstrip()
    comma = "" if before[-1:] in "[{," else ", "
    return _Splice(len(before), len(before), f"{comma}{new}" if before[-1:] != "," else f" {new}")


def _end(node: yaml.Node) -> int:
    """Where a node's last character stands; a block's own end mark is behind the comments that follow it."""
    import yaml

    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return max(0, _index(node.end_mark) - 1)


def _dash(text: str, item: yaml.Node) -> int:
    """The column of the dash before an item of a list."""
    start = _index(item.start_mark)
    line = text.rfind("\n", 0, start) + 1
    return text.rfind("-", line, start) - line


def _index(mark: Any) -> int:
    return int(mark.index)


def _in_braces(text: str) -> bool:
    """Whether the file is JSON, or YAML that looks like it: no block of lines can stand there."""
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _break(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"


# --- how it is written -----------------------------------------------------------------------------------------------


def _fields(term: Term) -> dict[str, Any]:
    """What is stated of a term, defaults left out."""
    return term.model_dump(mode="json", exclude_defaults=True)


def _item(term: Term, pad: str) -> str:
    lines = [f"{pad}- canonical: {word(term.canonical)}"]
    for name, value in _fields(term).items():
        if name != "canonical":
            lines.append(f"{pad}  {name}: {_value(value)}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _flow(tuple(value))
    return word(value) if isinstance(value, str) else json.dumps(value)


def _flow(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(word(text) for text in texts) + "]"


def _array(texts: tuple[str, ...]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)
