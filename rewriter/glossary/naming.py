"""Asking a model, once for each family of forms, which name they are. What it says counts only where it sounds so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from rewriter.checks.unusual import person
from rewriter.glossary.beside import GENEROUS, MARKS, TOKEN, alike
from rewriter.glossary.fold import cuts_word, fold, narrow, simplified
from rewriter.glossary.mining import Document, Form, Suggestion, quoted
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.sound import PER_SYLLABLE
from rewriter.glossary.unusual import PARTICLES
from rewriter.glossary.words import Reading, chinese_cost, latin_cost

Messages = tuple[dict[str, str], ...]
# Transcripts, and their texts as they are compared.
Folded = Sequence[tuple[Document, str]]
# Asks a model; returns its answer's text.
Ask = Callable[[Messages], Awaitable[str]]

# An example of a name that is not known is left out: a small model then says `unknown` to names that it knows.
_TASK = (
    "A speech recogniser wrote one name in several wrong ways. Say how the name is really written. "
    "Answer with the name alone: no explanation, no quotes. If you do not know it, answer: unknown.\n"
    "语音识别把同一个名称写成了几种样子。请写出它的正确写法，只回答名称本身；不知道就回答 unknown。"
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
# What a model says where it does not know, or has been told to say.
_UNKNOWN = frozenset({"unknown", "not known", "i don't know", "n/a", "none", "未知", "不知道", "不清楚", "无法确定"})
# How much further the other forms may sound from an answer than from the commonest form, in nats for each syllable on
# the average. An answer that stands in the transcripts is one of several mishearings as likely as not, so the others
# must speak for it as well; one that does not is knowledge of the model's: a name may be further from what recognisers
# make of it than those are from each other.
_FURTHER, _MUCH_FURTHER = 0.3, 2.0
# An answer that is a word this frequent (nats; 10 is one in 22,000) is no name.
_FREQUENT = 10.0


async def named(suggestions: Sequence[Suggestion], ask: Ask, transcripts: Sequence[Document] = ()) -> list[Suggestion]:
    """The suggestions, with the model's spelling where nobody vouches for one and its answer can be believed.

    Where the name is of more than a form, as PostgreSQL is of the `Post Grey` in `Post Grey SQL`, the form becomes what
    stands in the transcripts.
    """
    folded = [(document, fold(document.text)) for document in transcripts]  # once for all forms
    return list(await asyncio.gather(*(_named(one, ask, folded) for one in suggestions)))


async def _named(one: Suggestion, ask: Ask, transcripts: Folded) -> Suggestion:
    if one.origin != "transcripts" or not one.forms:
        return one
    answer = " ".join((await ask(messages(one))).split())
    if not 1 < len(answer) <= _LONGEST or answer == one.canonical or fold(answer.rstrip(".。")) in _UNKNOWN:
        return one
    forms = _once(
        [w for form in (*([one.own] if one.own else []), *one.forms) for w in _whole(form, answer, transcripts)]
    )
    if fold(answer) != fold(one.canonical) and not _believed(answer, one, forms):
        return one
    own = next((form for form in forms if fold(form.text) == fold(answer)), None)
    others = sorted((form for form in forms if form is not own), key=lambda form: -form.count)
    return Suggestion(canonical=answer, origin="model", proposed=one.canonical, own=own, forms=tuple(others))


def _believed(answer: str, one: Suggestion, forms: Sequence[Form]) -> bool:
    """Whether an answer is a name that all forms may be mishearings of, and no worse a guess than the commonest one.

    A form that stands there once, where the commonest stands there oftener, is believed only for what a third one says.
    Persons' names are left: many characters sound the same, and which of them a person bears no model can know.
    """
    if any(alike(form.text, answer) is None for form in forms):
        return False
    if person(simplified(answer)) or _everyday(answer, one.canonical):
        return False
    others = [form.text for form in forms if _bare(form.text) not in {_bare(answer), _bare(one.canonical)}]
    own = next((form for form in forms if fold(form.text) == fold(answer)), None)
    if own is not None and own.count == 1 and not others:
        return one.own is None or one.own.count == 1
    stands = any(_bare(form.text) == _bare(answer) for form in forms)
    return _further(answer, one.canonical, others) <= (_FURTHER if stands else _MUCH_FURTHER)


def _everyday(answer: str, first: str) -> bool:
    """Whether an answer is a frequent word, or a phrase with a particle that the first form has not."""
    low = simplified(fold(answer))
    if min(latin_cost(low), chinese_cost(low)) < _FREQUENT:
        return True
    words = pairwise(Reading(low).breaks()) if CHINESE.fullmatch(low) else ()
    return any(low[a:b] in PARTICLES and low[a:b] not in simplified(first) for a, b in words)


def _bare(form: str) -> str:
    return MARKS.sub("", fold(form))


def _further(answer: str, first: str, others: Sequence[str]) -> float:
    """How much further other forms sound from an answer than from the first form, in nats for each syllable."""
    more = (_apart(other, answer) - _apart(other, first) for other in others)
    return sum(more) / len(others) if others else 0.0


def _apart(seen: str, name: str) -> float:
    found = alike(seen, name)
    return GENEROUS * PER_SYLLABLE if found is None else found


def _once(forms: Sequence[Form]) -> list[Form]:
    """Two forms may be parts of one: what both became counts once."""
    return list({form.text: form for form in sorted(forms, key=lambda form: form.count)}.values())


def _whole(form: Form, name: str, transcripts: Folded) -> Sequence[Form]:
    """The places of a form, each with those neighbours that make it sound most like the name, as forms."""
    found: dict[str, list[tuple[Document, int, int]]] = {}
    for document, folded in transcripts:
        for place in _places(document.text, folded, fold(form.text)):
            start, end = _nearest(document.text, *place, name)
            found.setdefault(fold(" ".join(document.text[start:end].split())), []).append((document, start, end))
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
