"""Glossary files to entries that know their file and line: YAML, JSON, CSV, TSV and plain lines."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rewriter.errors import EncodingError
from rewriter.glossary.terms import LintMessage

if TYPE_CHECKING:
    import yaml

FIELDS = ("canonical", "aliases", "language", "note", "certain", "protect", "case", "tags")
_LISTS = frozenset({"aliases", "tags"})
_FLAGS = frozenset({"certain", "protect", "case"})
_YES = frozenset({"true", "yes", "on", "y", "1", "是"})
_NO = frozenset({"false", "no", "off", "n", "0", "否", ""})
# In a cell of a table, where a comma would need quoting.
_CELL = re.compile(r"[|;；]")
# In a plain line. 、 is how Chinese lists are written.
_COMMA = re.compile(r"[,，、]")
_COLON = re.compile(r":\s|：|:$")
_ESCAPED = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|.)")


# YAML takes it for a letter, so that the line becomes a name.
_WIDE_COLON = re.compile(rf"(?:{'|'.join((*FIELDS, 'terms'))})\s*：")
_TO_YAML = "its colon is full width (：); YAML takes only a plain one with a space behind it (: )."


class Entry(NamedTuple):
    """A term as one file states it: only the fields that are given there."""

    fields: dict[str, Any]
    file: str
    line: int


class Bad(Exception):
    """Something wrong at a place of the file that is read, line 0 for the file itself; `read` makes a remark of it."""

    def __init__(self, message: str, line: int = 1, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column


Problems = list[LintMessage]
_Found = Iterator[tuple[dict[str, Any] | Bad, int]]


def read(path: Path, problems: Problems) -> list[Entry]:
    """The entries of a file, in order. What is wrong with it goes to `problems`; what is right is still returned."""
    from rewriter.formats.encoding import decode

    name = str(path)
    entries: list[Entry] = []
    try:
        reader = _reader(path)
        text = decode(path.read_bytes(), name=name).text
        for found, line in reader(text):
            if isinstance(found, Bad):
                problems.append(_remark(name, found))
            else:
                entries.append(Entry(found, name, line))
    except Bad as bad:
        problems.append(_remark(name, bad))
    except EncodingError as error:
        problems.append(_remark(name, Bad(error.what, line=0)))
    except OSError as error:
        problems.append(_remark(name, Bad(f"cannot be read: {error.strerror or error}.", line=0)))
    return entries


def _remark(name: str, bad: Bad) -> LintMessage:
    return LintMessage(level="error", file=name, line=bad.line, column=bad.column, message=str(bad))


def _reader(path: Path) -> Callable[[str], _Found]:
    readers: dict[str, Callable[[str], _Found]] = {
        ".yaml": _yaml,
        ".yml": _yaml,
        ".json": _json,
        ".csv": lambda text: _table(text, ","),
        ".tsv": lambda text: _table(text, "\t"),
        ".txt": _lines,
        "": _lines,
    }
    if (suffix := path.suffix.lower()) not in readers:
        known = ", ".join(s for s in readers if s)
        raise Bad(f"a glossary cannot be a {suffix} file; it is one of {known}.")
    return readers[suffix]


# --- YAML and JSON ---------------------------------------------------------------------------------------------------
# Nodes rather than loaded values: they know their lines, and `NO`, `1e3` and `3.10` stay the names they are.


def _json(text: str) -> _Found:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise Bad(f"not valid JSON: {error.msg}.", error.lineno, error.colno) from error
    except RecursionError as error:
        raise Bad("not a glossary: nested too deeply.") from error
    # JSON is YAML but for tabs, which cannot stand raw in its strings, and for characters escaped in two halves.
    yield from _yaml(_ESCAPED.sub(_join, text.replace("\t", " ")))


def _join(escape: re.Match[str]) -> str:
    if not escape[1]:
        return escape[0]
    high, low = int(escape[1], 16), int(escape[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _yaml(text: str) -> _Found:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        for near in (line, line - 1):  # the parser notices it where the next line begins
            if wide := _WIDE_COLON.search("".join(text.splitlines()[near - 1 : near])):
                raise Bad(f"not valid YAML: {_TO_YAML}", near, wide.start() + 1) from error
        raise Bad(f"not valid YAML: {error.problem or error.context}.", line, column) from error
    except yaml.YAMLError as error:
        raise Bad(f"not valid YAML: {str(error).splitlines()[0]}.") from error
    except RecursionError as error:
        raise Bad("not a glossary: nested too deeply.") from error
    if root is not None:
        yield from _within(len(text), _root(root))


def _within(room: int, found: _Found) -> _Found:
    """Nothing more once there is more than `room` characters could list: then anchors repeat a list without end."""
    for fields, line in found:
        if not isinstance(fields, Bad):
            room -= sum(len(fields.get(name, ())) for name in _LISTS)
        if room < 0:
            raise Bad("not a glossary: its anchors repeat more than it is long.", line)
        yield fields, line


def _root(root: yaml.Node) -> _Found:
    import yaml

    if not isinstance(root, yaml.MappingNode):
        if isinstance(root, yaml.ScalarNode) and "：" in str(root.value):
            raise Bad(f"not a glossary: {_TO_YAML}", *_at(root))
        raise Bad("not a glossary: it begins with `terms:` and a list, or maps each term to its aliases.", *_at(root))
    listed = [value for key, value in root.value if key.value == "terms" and not isinstance(value, yaml.MappingNode)]
    if not listed:
        yield from _mapping(root)
        return
    for key, _ in root.value:
        if key.value not in {"terms", "$schema"}:
            yield Bad(f"unknown field {key.value!r} beside `terms`.", *_at(key)), _line(key)
    if len(twice := [key for key, _ in root.value if key.value == "terms"]) > 1:
        yield Bad(f"`terms` is given twice; first in line {_line(twice[0])}.", *_at(twice[1])), _line(twice[1])
    if isinstance(listed[0], yaml.SequenceNode):
        for node in listed[0].value:
            yield _guarded(_listed, node), _line(node)
    elif _text(listed[0]):
        raise Bad("`terms` is a list of terms.", *_at(listed[0]))


def _mapping(root: yaml.MappingNode) -> _Found:
    for key, value in root.value:
        if key.value != "$schema":
            yield _guarded(partial(_mapped, key), value), _line(key)


def _guarded(build: Callable[[Any], dict[str, Any]], node: yaml.Node) -> dict[str, Any] | Bad:
    try:
        return build(node)
    except Bad as bad:
        return bad


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(node: yaml.Node) -> tuple[int, int]:
    """Line and column, from 1."""
    return _line(node), int(node.start_mark.column) + 1


def _listed(node: yaml.Node) -> dict[str, Any]:
    """An item of `terms`: a mapping of fields, or a bare name."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        if _WIDE_COLON.match(str(node.value)):
            raise Bad(f"{str(node.value)[:40]!r} is no name: {_TO_YAML}", *_at(node))
        return {"canonical": _text(node)}
    return _fields(node)


def _mapped(key: yaml.Node, value: yaml.Node) -> dict[str, Any]:
    """`canonical: [aliases]`, `canonical: alias`, `canonical:` alone, or `canonical: {fields}`."""
    import yaml

    name = {"canonical": _text(key)}
    if isinstance(value, yaml.MappingNode):
        fields = _fields(value)
        if "canonical" in fields:
            raise Bad("a term that is a key has no field `canonical`.", *_at(value))
        return name | fields
    return name | {"aliases": _list(value)}


def _fields(node: yaml.Node) -> dict[str, Any]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise Bad("a term is a name or a mapping of fields.", *_at(node))
    fields: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in fields:
            raise Bad(f"field {name!r} is given twice.", *_at(key))
        fields[name] = _value(name, key, value)
    return fields


def _value(name: str, key: yaml.Node, node: yaml.Node) -> Any:
    if name not in FIELDS:
        raise Bad(f"unknown field {name!r}; known are {', '.join(FIELDS)}.", *_at(key))
    if name in _LISTS:
        return _list(node)
    return _flag(name, _text(node), *_at(node)) if name in _FLAGS else _text(node)


def _list(node: yaml.Node) -> tuple[str, ...]:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return tuple(_text(item) for item in node.value)
    return (alone,) if (alone := _text(node)) else ()


def _text(node: yaml.Node) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise Bad("text expected, not a list or a mapping.", *_at(node))
    if node.tag.endswith(":null") and not node.style:  # the one parser has no style there, the other an empty one
        return ""
    return _clean(str(node.value))


# --- tables and plain lines ------------------------------------------------------------------------------------------


def _table(text: str, delimiter: str) -> _Found:
    rows = csv.reader(_split(text), delimiter=delimiter, strict=True)
    try:
        header = [_clean(cell).lower() for cell in next(rows, [])]
        if not text.strip():
            return
        _check_header(header)
        line = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                yield _row(header, row, line), line
            line = rows.line_num + 1
    except csv.Error as error:
        raise Bad(f"not a valid table: {error}.", rows.line_num) from error


def _check_header(header: list[str]) -> None:
    if "canonical" not in header:
        named = any("canonical" in name for name in header)
        hint = " Columns are separated by commas in .csv, by tabs in .tsv." if named else ""
        raise Bad(f"the first line of a table names its columns; `canonical` is missing there.{hint}")
    for name in header:
        if name not in FIELDS:
            raise Bad(f"unknown column {name!r}; known are {', '.join(FIELDS)}.")
        if header.count(name) > 1:
            raise Bad(f"column {name!r} stands there twice.")


def _row(header: list[str], row: list[str], line: int) -> dict[str, Any] | Bad:
    if len(row) > len(header):
        return Bad(f"{len(row)} cells in a table of {len(header)} columns; aliases are separated by |.", line)
    try:
        return {name: _cell(name, cell, line) for name, cell in zip(header, row, strict=False) if cell.strip()}
    except Bad as bad:
        return bad


def _cell(name: str, cell: str, line: int) -> Any:
    if name in _LISTS:
        return _parts(_CELL, cell)
    return _flag(name, _clean(cell), line) if name in _FLAGS else _clean(cell)


def _lines(text: str) -> _Found:
    for line, content in enumerate(_split(text), 1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        colon = _COLON.search(content) or re.search(":", content)
        name, rest = (content[: colon.start()], content[colon.end() :]) if colon else (content, "")
        yield {"canonical": _clean(name), "aliases": _parts(_COMMA, rest)}, line


def _split(text: str) -> Iterator[str]:
    """Lines as editors count them: vertical tabs and Unicode's separators, which slides are full of, end none."""
    return iter(io.StringIO(text, newline=""))


def _flag(name: str, text: str, line: int, column: int = 0) -> bool:
    if (low := text.lower()) in _YES:
        return True
    if low in _NO:
        return False
    raise Bad(f"`{name}` is true or false, not {text!r}.", line, column)


def _parts(separator: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(part for raw in separator.split(text) if (part := _clean(raw)))


def _clean(text: str) -> str:
    return " ".join(text.split())
