"""Suggestions as a glossary file that a person reviews: YAML with counts and a quoted example beside each form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from rewriter.glossary.mining import Form, Suggestion

_HEAD = """\
# Suggestions: look at each term, correct `canonical` where it is wrong, delete what is no term, and keep the rest.
# Behind each form: how often it stands there, and the first place. [..] marks the form.
"""
_ONCE = """\

# Written in one way only, and more often than ordinary words are. Uncomment what is a name, and correct it where it is
# misheard every time: its other mishearings are then found by sound.
"""
_SAYS = {
    "document": "stands in the documents you gave",
    "glossary": "in your glossary; these forms are new",
    "correction": "from your corrections",
    "model": "the model's spelling",
    "transcripts": "the commonest form; is it right?",
}
# What YAML reads as the text it is: letters and Chinese, inner spaces and a few marks, no word with another meaning.
_SAFE = re.compile(r"(?!(?:null|true|false|yes|no|on|off|[yn~])$)[^\W\d_](?:[\w +./-]*[\w+])?", re.IGNORECASE)
# Control characters that YAML forbids, and those that would end the remark they stand in.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def to_yaml(suggestions: Sequence[Suggestion]) -> str:
    """A glossary file: terms with several forms as they are, the others as remarks."""
    several = [one for one in suggestions if one.forms or one.origin != "transcripts"]
    once = [one for one in suggestions if not one.forms and one.origin == "transcripts"]
    lines = [_HEAD, "terms:" if several else "terms: []"]
    for one in several:
        lines.extend(_term(one))
    if once:
        lines.append(_ONCE.rstrip("\n"))
        lines.extend(f"#  - canonical: {word(one.canonical)}{_remark(one.own)}" for one in once)
    return "\n".join(lines) + "\n"


def _term(one: Suggestion) -> Iterable[str]:
    before = f"; first proposed: {_UNFIT.sub(' ', one.proposed)}" if one.proposed else ""
    yield f"  # {_SAYS[one.origin]}{before}"
    nowhere = "  # stands nowhere itself" if one.own is None and one.origin != "correction" else ""
    yield f"  - canonical: {word(one.canonical)}{_remark(one.own)}{nowhere}"
    if one.forms:
        yield "    aliases:"
        yield from (f"      - {word(form.text)}{_remark(form)}" for form in one.forms)


def _remark(form: Form | None) -> str:
    return f"  # {form.count}x, {form.where}: {_UNFIT.sub(' ', form.example)}" if form else ""


def unfit(text: str) -> str:
    """The first character of a text that cannot stand in a glossary file, or nothing."""
    found = _UNFIT.search(text)
    return found[0] if found else ""


def word(text: str) -> str:
    """A text as YAML reads it back: plain where that is safe, else in quotes."""
    text = _UNFIT.sub(" ", text)
    return text if _SAFE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
