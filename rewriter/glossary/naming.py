"""Asking a model, once for each family of forms, which name they are. What it says counts only where it sounds so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rewriter.glossary.beside import alike
from rewriter.glossary.fold import fold
from rewriter.glossary.mining import Form, Suggestion

Messages = tuple[dict[str, str], ...]
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


async def named(suggestions: Sequence[Suggestion], ask: Ask) -> list[Suggestion]:
    """The suggestions, with the model's spelling where nobody vouches for one and its answer sounds like the forms."""
    return list(await asyncio.gather(*(_named(one, ask) for one in suggestions)))


async def _named(one: Suggestion, ask: Ask) -> Suggestion:
    if one.origin != "transcripts" or not one.forms:
        return one
    answer = " ".join((await ask(messages(one))).split())
    forms = [*([one.own] if one.own else []), *one.forms]
    if not 1 < len(answer) <= _LONGEST or not any(alike(form.text, answer) is not None for form in forms):
        return one
    own = next((form for form in forms if fold(form.text) == fold(answer)), None)
    others = sorted((form for form in forms if form is not own), key=lambda form: -form.count)
    return Suggestion(canonical=answer, origin="model", own=own, forms=tuple(others))


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
