"""Candidates for a glossary, found in transcripts and in documents that go with them: slides, lists of people.

Without a model: what sounds alike but is written in several ways is one name (families.py); what stands in a document
and is heard in the transcripts is a term; what is unusual and frequent may be one. Which spelling is right only a
document, a model or a person can say; until then it is the commonest one.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from rewriter.glossary.families import families
from rewriter.glossary.fold import fold
from rewriter.glossary.glossary import Glossary
from rewriter.glossary.linting import ORDINARY
from rewriter.glossary.pinyin import CHINESE
from rewriter.glossary.terms import How, Term
from rewriter.glossary.unusual import Stretch, Stretches, is_clause, names_in, parts, stems, stretches
from rewriter.glossary.words import chinese_cost, latin_cost
from rewriter.records import Record

# Characters of a quoted example on either side.
_AROUND = 14
# A line, cell or item of a document of at most this many Chinese characters, or words, is a name as a whole.
_SHORT_LINE, _FEW_WORDS = 8, 4
# A stretch that is written in one way only is worth a look from this many times on ...
_TIMES = 3
# ... where it stands there this much oftener than ordinary text would have it, in nats (8: three thousand times).
_SURPRISING = 8.0
# Names that nobody vouches for are looked for by sound where they stand there this often themselves: Chinese names are
# short, and something sounds like them everywhere.
_FIRM, _FIRM_LATIN = 3, 2
# Of what is written in one way only, the first forty or so are names and terms for the most part.
MOST_ONCE = 40
_ITEM = re.compile(r"[^\n\r\t|，。；：、！？,;:!?()（）《》“”\"\[\]<>*#`=]+")
_BULLET = re.compile(r"^\s*(?:[-•·]|\d+[.)、])?\s*|\s+$")
# A full stop that ends a sentence or a line, and is no part of a name as those of Inc. and U.S. are.
_FULL_STOP = re.compile(r"(?<!\.)(?<!\.[^\W\d])(?<!\b(?:Co|Jr|Sr))(?<!\b(?:Inc|Ltd))(?<!\bCorp)\.$")
_CHINESE_ENDS = re.compile(f"^{CHINESE.pattern}|{CHINESE.pattern}$")

Origin = Literal["document", "glossary", "transcripts", "model", "correction"]


class Document(NamedTuple):
    """A text and the name it goes by in examples. `times`: where each cue of a timed file begins, and its second."""

    name: str
    text: str
    times: tuple[tuple[int, float], ...] = ()

    def place(self, at: int) -> str:
        """Where text[at] stands, for a person: file and line, or the cue's time."""
        number = bisect_right(self.times, at, key=lambda time: time[0])
        if not number:
            line = self.text.count("\n", 0, at) + 1
            return f"{self.name}:{line}"
        minutes, seconds = divmod(int(self.times[number - 1][1]), 60)
        return f"{self.name} at {minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


class Form(Record):
    """A way a term is written: how often in all, and the first place, quoted, as file:line or with a time."""

    text: str
    count: int
    example: str
    where: str


class Suggestion(Record):
    """A term that a glossary may want: how often it is spelt so, and otherwise in `forms`, the commonest first.

    `origin` says who vouches for the canonical form; `transcripts` means nobody does. `own` is None where the canonical
    form itself stands nowhere; `proposed` is the form that stood in its place before a model was asked.
    """

    canonical: str
    origin: Origin
    proposed: str = ""
    own: Form | None
    forms: tuple[Form, ...] = ()

    @property
    def misheard(self) -> int:
        """How often it stands there in another form."""
        return sum(form.count for form in self.forms)


class _Place(NamedTuple):
    document: Document
    start: int
    end: int
    how: How

    @property
    def form(self) -> str:
        return self.document.text[self.start : self.end]


def suggest(
    transcripts: Sequence[Document],
    *,
    context: Sequence[Document] = (),
    known: Glossary | None = None,
    most: int = MOST_ONCE,
) -> list[Suggestion]:
    """Terms with the ways they are misheard, the oftenest misheard first; then at most `most` of those that are written
    in one way only, the most surprising first.

    Terms of `known` are listed only with forms that they have no alias for.
    """
    known = known or Glossary.empty()
    found = stretches([document.text for document in transcripts])
    named = _named(context, known)
    terms = _with_families(named, families(found), known)
    heard = sorted(_heard(terms, transcripts, named, known), key=lambda one: (-one.misheard, one.canonical))
    listed = _without_repeats([*heard, *_once(found, transcripts)], known)
    several = [one for one in listed if one.forms or one.origin != "transcripts"]
    return [*several, *[one for one in listed if not one.forms and one.origin == "transcripts"][: max(0, most)]]


# --- what documents and glossaries vouch for -------------------------------------------------------------------------


def _named(context: Sequence[Document], known: Glossary) -> dict[str, Origin]:
    named: dict[str, Origin] = dict.fromkeys(known.canonicals(), "glossary")
    folded = {fold(name) for name in named}
    for name in _of_documents(context):
        if fold(name) not in folded:
            folded.add(fold(name))
            named[name] = "document"
    return named


def _of_documents(context: Sequence[Document]) -> Iterator[str]:
    """Short lines and items as a whole, names in running lines, and what is unusual and stands there twice."""
    for document in context:
        for item in _ITEM.findall(document.text):
            line = " ".join(_BULLET.sub("", item).split())
            name = _FULL_STOP.sub("", line)
            if is_clause(name, stopped=name != line):
                continue
            chinese = CHINESE.search(name)
            if 1 < (len(name) if chinese else len(name.split()) + 1) <= (_SHORT_LINE if chinese else _FEW_WORDS + 1):
                yield from () if is_plain(name) else (name,)
        yield from (name for name in names_in(document.text) if not is_plain(name))
    found = stretches([document.text for document in context])
    for stretch in (*found.chinese.values(), *found.latin.values()):
        if stretch.count > 1 and not is_plain(stretch.text):
            yield stretch.text


def is_plain(name: str) -> bool:
    """Whether a name is a word of the language, or nothing but marks and digits."""
    low = fold(name)
    return not re.search(r"[^\W\d_]{2}", name) or min(chinese_cost(low), latin_cost(low)) <= ORDINARY


# --- what is written in several ways ---------------------------------------------------------------------------------


def _with_families(named: Mapping[str, Origin], found: Sequence[Sequence[str]], known: Glossary) -> list[Term]:
    """Named terms, with the forms of families that sound like them, and the other families as terms of their own."""
    heard = Glossary.from_terms(named)
    homes = {fold(alias): name for alias, name in known.aliases().items()} | {fold(name): name for name in named}
    taken = set(homes)
    aliases: dict[str, list[str]] = {name: [] for name in named}
    for forms in found:
        texts = [form for form in forms if fold(form) not in taken]
        taken.update(map(fold, texts))
        home = next((homes[fold(form)] for form in forms if fold(form) in homes), None) or _home(heard, forms)
        if home is not None:
            aliases[home].extend(texts)
        elif len(texts) > 1:
            aliases[texts[0]] = texts[1:]
    return [Term(canonical=name, aliases=tuple(others)) for name, others in aliases.items()]


def _home(named: Glossary, forms: Iterable[str]) -> str | None:
    """The named term that one of the forms sounds like, as a whole."""
    for form in forms:
        for hit in named.match(form):
            if hit.end - hit.start == len(form):
                return hit.canonical
    return None


def _heard(
    terms: Sequence[Term], transcripts: Sequence[Document], named: Mapping[str, Origin], known: Glossary
) -> Iterator[Suggestion]:
    """The terms with all places where they stand or sound alike, found as any glossary's are."""
    listed = {fold(alias) for alias in known.aliases()}
    for term, forms in _places(terms, transcripts, named).items():
        origin = named.get(term, "transcripts")
        name = term if origin != "transcripts" else _commonest(term, forms)
        own = forms.pop(fold(name), [])
        new = (places for form, places in forms.items() if form not in listed and _counts(places, name, origin, own))
        others = sorted(map(_form, new), key=lambda form: (-form.count, form.text))
        if others or (own and origin == "document"):
            yield Suggestion(canonical=name, origin=origin, own=_form(own) if own else None, forms=tuple(others))


def _commonest(name: str, forms: Mapping[str, Sequence[_Place]]) -> str:
    """The form that a family goes by: its commonest, or one found only by its sound that is commoner."""
    heard = [form for form, places in forms.items() if places[0].how == "sound" and not is_plain(form)]
    most = max(heard, key=lambda form: len(forms[form]), default="")
    return " ".join(forms[most][0].form.split()) if len(forms.get(most, ())) > len(forms.get(fold(name), ())) else name


def _counts(places: Sequence[_Place], name: str, origin: Origin, own: Sequence[_Place]) -> bool:
    """Whether a form is worth showing: it was found among the families, or sounds like a name that is firm.

    An ordinary word that sounds like a vouched name is shown where it stands there often; for others never.
    """
    if places[0].how == "alias":
        return True
    plain = is_plain(places[0].form)
    if origin != "transcripts":
        return not plain or len(places) >= _FIRM
    return not plain and not is_plain(name) and len(own) >= (_FIRM if CHINESE.search(name) else _FIRM_LATIN)


def _places(
    terms: Sequence[Term], transcripts: Sequence[Document], named: Collection[str]
) -> dict[str, dict[str, list[_Place]]]:
    """Places by term and by folded form; what somebody vouches for comes before guesses.

    A glossary offers terms with aliases more sparingly by sound; here the aliases are guesses, so what sounds like the
    bare names counts too.
    """
    whole, bare = Glossary.from_terms(terms), Glossary.from_terms(named)
    places: dict[str, dict[str, list[_Place]]] = {}
    homes: dict[str, str] = {}  # a family whose commonest form is part of what a named term was found in, and that term
    for document in transcripts:
        filled: dict[int, str] = {}
        for hit in (*bare.match(document.text), *whole.match(document.text)):
            within = {filled[at] for at in (hit.start, hit.end - 1) if at in filled}
            if within:
                if hit.end - 1 in filled and hit.start in filled:
                    homes.setdefault(hit.canonical, within.pop())
                continue
            filled.update(dict.fromkeys(range(hit.start, hit.end), hit.canonical))
            place = _Place(document, hit.start, hit.end, hit.how)
            places.setdefault(hit.canonical, {}).setdefault(fold(place.form), []).append(place)
    for name, home in homes.items():
        if name not in named and name in places and fold(name) not in places[name]:
            for form, moved in places.pop(name).items():
                places[home].setdefault(form, []).extend(moved)
    return {name: _without_neighbours(forms) for name, forms in places.items()}


def _without_neighbours(forms: dict[str, list[_Place]]) -> dict[str, list[_Place]]:
    """A form in Latin letters with a Chinese character before or behind counts as the form, where that stands alone."""
    joined: dict[str, list[_Place]] = {}
    for form, places in sorted(forms.items(), key=lambda item: len(item[0])):
        core = _CHINESE_ENDS.sub("", form)
        joined.setdefault(core if core in forms else form, []).extend(places)
    return joined


def _form(places: Sequence[_Place]) -> Form:
    document, start, end, _ = places[0]
    return quoted(document, start, end, len(places))


def quoted(document: Document, start: int, end: int, count: int) -> Form:
    """document.text[start:end] as a form that stands there `count` times."""
    text = document.text
    example = f"{text[max(0, start - _AROUND) : start]}[{text[start:end]}]{text[end : end + _AROUND]}"
    spelt = " ".join(text[start:end].split())
    return Form(text=spelt, count=count, example=" ".join(example.split()), where=document.place(start))


# --- what is written in one way only ---------------------------------------------------------------------------------


def _once(found: Stretches, transcripts: Sequence[Document]) -> Iterator[Suggestion]:
    """Stretches far more frequent than in ordinary text, the most surprising first, none inside another."""
    likely = [
        (surprise, stretch)
        for kind, places in ((found.chinese, found.chinese_places), (found.latin, found.latin_places))
        for stretch in kind.values()
        if stretch.count >= _TIMES and (surprise := _surprise(stretch, places)) >= _SURPRISING
    ]
    holders: dict[str, int] = {}  # how often the commonest stretch that holds a form stands there
    for _, stretch in likely:
        for part in parts(stretch.text):
            holders[part] = max(holders.get(part, 0), stretch.count)
    for _, stretch in sorted(likely, key=lambda pair: (-pair[0], pair[1].text)):
        if not is_plain(stretch.text) and 2 * holders.get(stretch.text, 0) <= stretch.count:
            number, start = stretch.place
            own = quoted(transcripts[number], start, start + len(stretch.first), stretch.count)
            yield Suggestion(canonical=stretch.text, origin="transcripts", own=own)


def _surprise(stretch: Stretch, places: int) -> float:
    return stretch.usual - math.log(places / stretch.count)


def _without_repeats(listed: Iterable[Suggestion], known: Glossary) -> list[Suggestion]:
    """Nothing that is written in one way only and is, or holds, what a glossary or another suggestion has already."""
    kept: list[Suggestion] = []
    misheard = {fold(name) for name in (*known.canonicals(), *known.aliases())}
    seen = {stem for name in misheard for stem in stems(name)}
    for one in listed:
        names = {fold(name) for name in (one.canonical, *(form.text for form in one.forms))}
        if one.forms or not (stems(*names) & seen or parts(*names) & misheard):
            seen |= {stem for name in names for stem in stems(name)}
            misheard |= names if one.forms else set()
            kept.append(one)
    return kept
