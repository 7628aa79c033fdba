"""Load a style's prompt files and fill them strictly into the messages of one model call.

A style is a markdown file with YAML front matter and `# sections`; what it does not say itself it takes from
`turn.<language>.md` and `repair.<language>.md`. Messages come with the part that never changes first (system text and
examples), so that a provider's or llama.cpp's prefix cache hits, then the one user turn that holds the passage,
between markers made from the passage itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from rewriter.checks.policies import POLICIES
from rewriter.errors import PromptError, StyleError
from rewriter.paragraphs import without_labels
from rewriter.records import Finding, Record

Messages = tuple[dict[str, str], ...]

# The language of a prompt file that serves every language without a file of its own.
NEUTRAL = "any"

# Tokens of a passage when the embedded model rewrites: the smallest budget at which it does not go on by itself where a
# passage stops; the table is in docs/styles.md.
EMBEDDED_BUDGET = 100
# The same for a model behind an endpoint. Each passage carries the prompt (about 700 tokens, too few for providers to
# cache): at 250 tokens a character costs a third more of them, at 800 a third less, and more is lost where a passage is
# kept. benchmarks/rivals_runs.py counts them.
ENDPOINT_BUDGET = 400

# Code points of what was said before that a prompt may carry: two Chinese sentences. More costs input tokens on every
# call and gives a weak model more that it may copy into its answer.
CONTEXT_LIMIT = 160

# Findings named in a repair turn, heaviest first. Asked for more at once, a weak model mends none of them.
FINDINGS_LIMIT = 6

# Code points of one quotation in a repair turn. A lost stretch has to be shown whole to be put back; only an answer
# that ran away is longer than this.
QUOTE_LIMIT = 200

_FRONT_KEYS = {"style", "language", "policy", "description"}
_EXAMPLE_PARTS = {"terms", "before", "passage", "rewrite"}

# Section -> (variables it must hold, variables it may hold besides).
_SECTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "system": (frozenset(), frozenset()),
    "alias": (frozenset({"form", "canonical"}), frozenset({"note"})),
    "likely": (frozenset({"form", "canonical"}), frozenset({"note"})),
    "sound": (frozenset({"form", "canonical"}), frozenset({"note"})),
    "canonical": (frozenset({"canonical"}), frozenset({"note"})),
    "note": (frozenset({"note"}), frozenset()),
    "terms": (frozenset({"list"}), frozenset()),
    "before": (frozenset({"context"}), frozenset()),
    "turn": (frozenset({"terms", "before", "passage"}), frozenset({"open", "close"})),
    "lost": (frozenset({"source"}), frozenset()),
    "invented": (frozenset({"draft"}), frozenset()),
    "changed": (frozenset({"source", "draft"}), frozenset()),
    "other": (frozenset({"message"}), frozenset()),
    "repair": (frozenset({"findings"}), frozenset({"passage", "open", "close"})),
}

_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_HEADING = re.compile(r"^# (\S.*)$", re.MULTILINE)
_ARROW = re.compile(r"(.*?)(->|=>|~>|$)(.*)", re.DOTALL)  # an example's term: misheard so, likely so, or it sounds so
_SUBHEADING = re.compile(r"^## (\S.*)$", re.MULTILINE)
_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_OPEN = re.compile(r"<<<([0-9a-f]{8})>>>")


class Hint(Protocol):
    """A glossary term that occurs in a passage, in `forms` as they stand there.

    `how` is canonical (already spelt so), alias (a known mishearing) or sound (only sounds alike, so it may be wrong;
    where it is `likely`, it hardly ever is).
    """

    @property
    def canonical(self) -> str: ...
    @property
    def forms(self) -> Sequence[str]: ...
    @property
    def how(self) -> str: ...
    @property
    def likely(self) -> bool: ...
    @property
    def note(self) -> str: ...


class Style(Record):
    """A loaded style. `static` is the part of the messages that is the same for every passage.

    `language` is that of the prompt file (`any` for the neutral one); `policy` names the checker's policy; `digest` is
    the SHA-256 (hex) of the contents of every prompt file the style was made from.
    """

    name: str
    language: str
    policy: str
    description: str
    path: str
    digest: str
    static: tuple[dict[str, str], ...]
    templates: dict[str, str]


class _Term(Record):
    """A hint written in a prompt file's example."""

    canonical: str
    forms: tuple[str, ...]
    how: str = "alias"
    likely: bool = False
    note: str = ""


class _File(Record):
    """A prompt file taken apart: front matter, sections by name, examples as parts by name."""

    path: str
    digest: str
    front: dict[str, str]
    sections: dict[str, str]
    examples: tuple[dict[str, str], ...]


# --- styles ----------------------------------------------------------------------------------------------------------


def styles() -> tuple[str, ...]:
    """The names of the styles that come with the package, in alphabetical order."""
    names = {p.name.split(".")[0] for p in _folder().glob("*.*.md")}
    return tuple(sorted(names - {"turn", "repair"}))


def load_style(name_or_path: str, lang: str) -> Style:
    """The style of that name in that language, or a user's own style from a prompt file.

    `lang` is a language tag such as zh, zh-Hant or en; a language without a prompt file gets the neutral one. What
    ends in .md or holds a path separator is a path, and its front matter then gives language and policy. Raises
    StyleError for an unknown style or a file that cannot be used, PromptError for a missing or unknown variable.
    """
    if name_or_path.endswith(".md") or "/" in name_or_path or "\\" in name_or_path:
        return _own_style(Path(name_or_path).expanduser())
    if name_or_path not in styles():
        raise StyleError(
            f"there is no style {name_or_path!r}.",
            remedy=f"Known are: {', '.join(styles())}; a style of your own is named by its path, ending in .md.",
        )
    return _assemble(_read(_file_for(name_or_path, _primary(lang))))


def _own_style(path: Path) -> Style:
    if not path.is_file():
        raise StyleError(
            "there is no such prompt file.",
            where=str(path),
            remedy=f"Give the path of one, or one of the styles {', '.join(styles())}.",
        )
    return _assemble(_read(path))


def _folder() -> Path:
    return Path(str(files("rewriter.prompts")))


def _primary(lang: str) -> str:
    """The primary subtag of a language tag: zh of zh-Hant, en of en_US."""
    return re.split(r"[-_]", lang.strip().lower())[0]


def _file_for(kind: str, lang: str) -> Path:
    own = _folder() / f"{kind}.{lang}.md"
    return own if own.is_file() else _folder() / f"{kind}.{NEUTRAL}.md"


def _assemble(file: _File) -> Style:
    """A style from its file and, for the sections it leaves out, the shared files of its language."""
    front = _front(file)
    shared = [_read(_file_for(kind, _primary(front["language"]))) for kind in ("turn", "repair")]
    templates: dict[str, str] = {}
    for source in (*shared, file):
        for name, text in source.sections.items():
            _check_variables(source.path, name, text)
            templates[name] = text
    system = templates.pop("system", "")
    if not system:
        raise StyleError("the prompt file has no text under `# system`.", where=file.path, remedy=_SEE_DOCS)
    return Style(
        name=front["style"],
        language=front["language"],
        policy=front["policy"],
        description=front.get("description", ""),
        path=file.path,
        digest=hashlib.sha256("".join(f.digest for f in (*shared, file)).encode()).hexdigest(),
        static=({"role": "system", "content": system}, *_example_turns(file, templates)),
        templates=templates,
    )


def _front(file: _File) -> dict[str, str]:
    missing = sorted({"style", "language", "policy"} - set(file.front))
    unknown = sorted(set(file.front) - _FRONT_KEYS)
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown keys: {', '.join(unknown)}"
        raise StyleError(f"the front matter {what}.", where=file.path, remedy=_SEE_DOCS)
    if file.front["policy"] not in POLICIES:
        raise StyleError(
            f"there is no checker policy {file.front['policy']!r}.",
            where=file.path,
            remedy=f"Known are: {', '.join(sorted(POLICIES))}.",
        )
    return file.front


def _example_turns(file: _File, templates: Mapping[str, str]) -> list[dict[str, str]]:
    turns = []
    for example in file.examples:
        if lacking := sorted({"passage", "rewrite"} - set(example)):
            raise StyleError(f"an example has no {' and no '.join(lacking)}.", where=file.path, remedy=_SEE_DOCS)
        terms = [_term(line, file.path) for line in example.get("terms", "").splitlines() if line.strip()]
        user = _user_turn(templates, example["passage"], terms, example.get("before", ""))
        turns += [{"role": "user", "content": user}, {"role": "assistant", "content": example["rewrite"]}]
    return turns


def _term(line: str, path: str) -> _Term:
    """A line of an example: `- form, form -> canonical`, `- form => canonical` where that is most likely meant, or
    `- form ~> canonical` where it only sounds so."""
    forms, arrow, canonical = _ARROW.fullmatch(line.strip().removeprefix("- ")).groups()  # type: ignore[union-attr]
    if not arrow or not canonical.strip():
        remedy = "Write `- form, form -> canonical`, `=>` where that is likely meant, `~>` where it only sounds so."
        raise StyleError(f"{line!r} is no term of an example.", where=path, remedy=remedy)
    return _Term(
        canonical=canonical.strip(),
        forms=tuple(f.strip() for f in forms.split(",") if f.strip()),
        how="alias" if arrow == "->" else "sound",
        likely=arrow == "=>",
    )


# --- prompt files ----------------------------------------------------------------------------------------------------

_SEE_DOCS = "docs/styles.md shows a complete prompt file."


def _read(path: Path) -> _File:
    stat = path.stat()
    return _parse(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _parse(path: Path, _mtime: int, _size: int) -> _File:
    """A prompt file taken apart; read again only when its time or size has changed."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise StyleError("the prompt file is not UTF-8.", where=str(path), remedy="Save it as UTF-8.") from None
    match = _FRONT.match(text)
    if match is None:
        raise StyleError(
            "the prompt file does not begin with front matter between two lines `---`.",
            where=str(path),
            remedy=_SEE_DOCS,
        )
    parts = _cut(_HEADING, _COMMENT.sub("", match[2]))
    _check_names("section `# ", [name for name, _ in parts if name != "example"], {"example", *_SECTIONS}, path)
    return _File(
        path=str(path),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        front=_front_matter(match[1], path),
        sections={name: body for name, body in parts if name != "example"},
        examples=tuple(_example(body, path) for name, body in parts if name == "example"),
    )


def _front_matter(text: str, path: Path) -> dict[str, str]:
    import yaml

    try:
        loaded: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise StyleError(f"the front matter is no YAML: {reason}.", where=str(path), remedy=_SEE_DOCS) from None
    if not isinstance(loaded, dict) or not all(isinstance(v, str) for v in loaded.values()):
        raise StyleError("the front matter must be lines of `key: text`.", where=str(path), remedy=_SEE_DOCS)
    return {str(key): value.strip() for key, value in loaded.items()}


def _example(body: str, path: Path) -> dict[str, str]:
    parts = _cut(_SUBHEADING, body)
    _check_names("part `## ", [name for name, _ in parts], _EXAMPLE_PARTS, path)
    return dict(parts)


def _check_names(what: str, names: list[str], known: set[str], path: Path) -> None:
    for name in names:
        listed = f"Known are: {', '.join(sorted(known))}."
        if name not in known:
            raise StyleError(f"there is no {what}{name}`.", where=str(path), remedy=listed)
        if names.count(name) > 1:
            raise StyleError(f"the {what}{name}` stands there twice.", where=str(path), remedy="Keep one of them.")


def _cut(heading: re.Pattern[str], text: str) -> list[tuple[str, str]]:
    """(heading, body) for each heading; text before the first belongs to nobody and is left out."""
    pieces = heading.split(text)
    return [(name.strip(), body.strip("\n")) for name, body in zip(pieces[1::2], pieces[2::2], strict=True)]


def _check_variables(path: str, section: str, text: str) -> None:
    required, optional = _SECTIONS[section]
    used = set(_VARIABLE.findall(text))
    for what, names in (("unknown", used - required - optional), ("missing", required - used)):
        if names:
            listed = ", ".join(f"{{{{{name}}}}}" for name in sorted(names))
            known = ", ".join(f"{{{{{name}}}}}" for name in sorted(required | optional)) or "none"
            raise PromptError(
                f"{what} variable in section `# {section}`: {listed}.",
                where=path,
                remedy=f"The section's variables are: {known}.",
            )


def _fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables filled, in one pass: braces in a value are text.

    A line that is only an empty variable goes, with the line breaks after it or, at the end, before it. Every variable
    was checked on loading.
    """

    def value(match: re.Match[str]) -> str:
        return values[match[1]]

    for name, text in values.items():
        if not text:
            alone = rf"\{{\{{\s*{name}\s*\}}\}}"
            template = re.sub(rf"^{alone}\n+|\n+{alone}\Z", "", template, flags=re.MULTILINE)
    return _VARIABLE.sub(value, template)


# --- messages --------------------------------------------------------------------------------------------------------


def markers(passage: str) -> tuple[str, str]:
    """The marks before and after a passage: made from it, so the same in every request, and nowhere in it."""
    counter = 0
    while True:
        seed = passage if counter == 0 else f"{counter}\0{passage}"
        name = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        if name not in passage:
            return f"<<<{name}>>>", f"<<</{name}>>>"
        counter += 1


def build(style: Style, *, passage: str, hints: Sequence[Hint], context: str) -> Messages:
    """The messages that ask for one passage's rewrite.

    The static part, then one user turn: at most CONTEXT_LIMIT code points of what was said before, the passage between
    its markers, the terms that occur in it (after it, where the embedded model heeds them more). Same arguments, same
    messages.
    """
    content = _user_turn(style.templates, passage, hints, context)
    return (*_copies(style.static), {"role": "user", "content": content})


def repair(style: Style, messages: Sequence[Mapping[str, str]], draft: str, findings: Sequence[Finding]) -> Messages:
    """The conversation, the rejected draft, and a turn that names what is wrong with it, heaviest first.

    Findings that reject are named; where there are none, those that warn. After a blank draft, which endpoints refuse
    as a turn, the reproach joins the last user turn. Of the draft the model sees what it wrote, not the lines that say
    who speaks. Nothing passed in is changed.
    """
    asked, draft = _copies(messages), without_labels(draft)
    passage = passage_of(asked)
    opening, closing = markers(passage)
    turn = _fill(
        style.templates["repair"],
        {
            "findings": "\n".join(_finding_line(style, f) for f in _worst(findings)),
            "passage": _marked(passage),
            "open": opening,
            "close": closing,
        },
    )
    if not draft.strip():
        last = {"role": "user", "content": f"{asked[-1]['content']}\n\n{turn}"}
        return (*asked[:-1], last)
    return (*asked, {"role": "assistant", "content": draft}, {"role": "user", "content": turn})


def passage_of(messages: Sequence[Mapping[str, str]]) -> str:
    """The passage that the messages ask to rewrite; for servers of our own and for tests.

    It is the last text of a user turn between markers that fit it. Raises PromptError where there is none.
    """
    for message in reversed([m for m in messages if m["role"] == "user"]):
        content = message["content"]
        for match in reversed(list(_OPEN.finditer(content))):
            end = content.find(f"\n<<</{match[1]}>>>", match.end())
            inner = content[match.end() + 1 : end]
            if end >= 0 and markers(inner)[0] == match[0]:
                return inner
    raise PromptError("these messages hold no passage between markers.", remedy="Make them with prompting.build().")


def _copies(messages: Iterable[Mapping[str, str]]) -> Messages:
    return tuple(dict(m) for m in messages)


def _marked(passage: str) -> str:
    opening, closing = markers(passage)
    return f"{opening}\n{passage}\n{closing}"


def _user_turn(templates: Mapping[str, str], passage: str, hints: Sequence[Hint], context: str) -> str:
    opening, closing = markers(passage)
    lines = "\n".join(line for hint in hints for line in _term_lines(templates, hint))
    before = context.strip()[-CONTEXT_LIMIT:].strip().replace(opening, "").replace(closing, "")
    return _fill(
        templates["turn"],
        {
            "terms": _fill(templates["terms"], {"list": lines}) if lines else "",
            "before": _fill(templates["before"], {"context": before}) if before else "",
            "passage": _marked(passage),
            "open": opening,
            "close": closing,
        },
    )


def _term_lines(templates: Mapping[str, str], hint: Hint) -> list[str]:
    """A line for each form that is to be changed; a term that only stands there as it should gets one line."""
    note = _fill(templates["note"], {"note": hint.note}) if hint.note else ""
    right = hint.how == "canonical"
    wrong = _in_other_capitals if right else str.__ne__
    forms = [form for form in dict.fromkeys(hint.forms) if wrong(form, hint.canonical)]
    if not forms:
        return [_fill(templates["canonical"], {"canonical": hint.canonical, "note": note})]
    template = templates["likely" if hint.likely else "alias" if right else hint.how]
    return [_fill(template, {"form": form, "canonical": hint.canonical, "note": note}) for form in forms]


def _in_other_capitals(form: str, canonical: str) -> bool:
    """Whether a name stands there in capitals and small letters of its own: rllib for RLlib. The first letter does not
    count, for sentences begin with a capital."""
    return form[1:] != canonical[1:] and form.lower() == canonical.lower()


def _worst(findings: Sequence[Finding]) -> list[Finding]:
    heavy = [f for f in findings if f.severity == "reject"] or list(findings)
    return sorted(heavy, key=lambda f: -f.weight)[:FINDINGS_LIMIT]


def _finding_line(style: Style, finding: Finding) -> str:
    source, draft = _quote(finding.source_text), _quote(finding.draft_text)
    if source and draft:
        return _fill(style.templates["changed"], {"source": source, "draft": draft})
    if source:
        return _fill(style.templates["lost"], {"source": source})
    if draft:
        return _fill(style.templates["invented"], {"draft": draft})
    return _fill(style.templates["other"], {"message": finding.message})


def _quote(text: str) -> str:
    """One line of at most QUOTE_LIMIT code points, its middle left out where it is longer."""
    flat = " ".join(text.split())
    if len(flat) <= QUOTE_LIMIT:
        return flat
    half = QUOTE_LIMIT // 2
    return f"{flat[:half]} … {flat[-half:]}"
