"""Asking a model, once for each family of forms, which name they are. What it says counts only where it sounds so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from rewriter.glossary.beside import TOKEN, alike
from rewriter.glossary.fold import cuts_word, fold, narrow
from rewriter.glossary.mining import Document, Form, Suggestion, quoted

Messages = tuple[dict[str, str], ...]
# Transcripts, and their texts as they are compared.
Folded = Sequence[tuple[Document, str]]
# Asks a model; returns its answer's text.
Ask = Callable[[Messages], Awaitable[str]]

_TASK = (
    "A speech recogniser wrote one name in several wrong ways. Say how the name is really written. "
    "Answer with the name alone: no explanation, no quotes. If you do not know it, answer with the likeliest form.\n"
    "语音识别把同一个名称写成了几种样子。请写出它的正确写法，只回答名称本身。"
)
_EXAMPLE = (
    "cooper netties (3): we run it on [cooper netties] now\nKuber Nettis (1): the [Kuber Nettis] cluster",
    "Kubernetes",
)
# Forms shown, with an example each: more tell a model nothing new.
_SHOWN = 6
# Characters of a name at most; longer answers are explanations.
_LONGEST = 40
# Words, or Chinese characters, on either side of a form that may belong to the name: recognisers split a name in two or
# three, and the form is one of those.
_MOST_BESIDE = 2
# Code points within which those are looked for: two long words.
_WINDOW = 40
# How much nearer the name a form has to sound with its neighbours than without, in nats for each syllable. What belongs
# to the name makes 2.2 for the SQL of PostgreSQL and 2.9 for the Prom of Prometheus; a word of its own takes a form
# further away (`graph anna now`: 1.6). The bar lies above the small change that a wrong vowel makes.
_NEARER = 0.5


async def named(suggestions: Sequence[Suggestion], ask: Ask, transcripts: Sequence[Document] = ()) -> list[Suggestion]:
    """The suggestions, with the model's spelling where nobody vouches for one and its answer sounds like the forms.

    Where the name is of more than a form, as PostgreSQL is of the `Post Grey` in `Post Grey SQL`, the form becomes what
    stands in the transcripts.
    """
    folded = [(document, fold(document.text)) for document in transcripts]  # once for all forms
    return list(await asyncio.gather(*(_named(one, ask, folded) for one in suggestions)))


async def _named(one: Suggestion, ask: Ask, transcripts: Folded) -> Suggestion:
    if one.origin != "transcripts" or not one.forms:
        return one
    answer = " ".join((await ask(messages(one))).split())
    if not 1 < len(answer) <= _LONGEST:
        return one
    forms = _once(
        [w for form in (*([one.own] if one.own else []), *one.forms) for w in _whole(form, answer, transcripts)]
    )
    if not any(alike(form.text, answer) is not None for form in forms):
        return one
    own = next((form for form in forms if fold(form.text) == fold(answer)), None)
    others = sorted((form for form in forms if form is not own), key=lambda form: -form.count)
    return Suggestion(canonical=answer, origin="model", own=own, forms=tuple(others))


def _once(forms: Sequence[Form]) -> list[Form]:
    """Two forms may be parts of one: what both became counts once."""
    return list({form.text: form for form in sorted(forms, key=lambda form: form.count)}.values())


def _whole(form: Form, name: str, transcripts: Folded) -> Sequence[Form]:
    """The places of a form, each with those neighbours that make it sound most like the name, as forms."""
    found: dict[str, list[tuple[Document, int, int]]] = {}
    for document, folded in transcripts:
        for place in _places(document.text, folded, fold(form.text)):
            start, end = _nearest(document.text, *place, name)
            found.setdefault(" ".join(document.text[start:end].split()), []).append((document, start, end))
    return [quoted(*places[0], len(places)) for places in found.values()] or [form]


def _places(text: str, folded: str, sought: str) -> Iterator[tuple[int, int]]:
    start = folded.find(sought)
    while start >= 0:
        end = start + len(sought)
        if not cuts_word(text, start, end):
            yield start, end
        start = folded.find(sought, end)


def _nearest(text: str, start: int, end: int, name: str) -> tuple[int, int]:
    """What sounds most like the name: text[start:end], or that with its neighbours where they make much of it."""

    def apart(low: int, high: int) -> float:
        found = alike(" ".join(text[low:high].split()), name)
        return math.inf if found is None else found

    before = [(t.end(), t.start()) for t in TOKEN.finditer(text, max(0, start - _WINDOW), start)]
    behind = [(t.start(), t.end()) for t in TOKEN.finditer(text, end, end + _WINDOW)]
    lows, highs = [start, *_reached(start, before[::-1], text)], [end, *_reached(end, behind, text)]
    best = min((apart(low, high), high - low, low, high) for low in lows for high in highs)
    return best[2:] if best[0] + _NEARER <= apart(start, end) else (start, end)


def _reached(at: int, tokens: Iterable[tuple[int, int]], text: str) -> Iterator[int]:
    """The far ends of the next tokens (near end, far end) that follow closely."""
    for (near, far), _ in zip(tokens, range(_MOST_BESIDE), strict=False):
        if narrow(text[min(at, near) : max(at, near)]) not in {"", " ", "-"}:
            return
        yield far
        at = far


def messages(one: Suggestion) -> Messages:
    """What the model is asked about a suggestion."""
    forms = [*([one.own] if one.own else []), *one.forms][:_SHOWN]
    return (
        {"role": "system", "content": _TASK},
        {"role": "user", "content": _EXAMPLE[0]},
        {"role": "assistant", "content": _EXAMPLE[1]},
        {"role": "user", "content": "\n".join(map(_line, forms))},
    )


def _line(form: Form) -> str:
    return f"{form.text} ({form.count}): {form.example}"
