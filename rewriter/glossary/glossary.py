"""The glossary as the other rooms see it: load it, ask where its terms occur, and whether a rewrite applied them."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from rewriter.errors import GlossaryError
from rewriter.glossary.exact import Exact, Place
from rewriter.glossary.hints import MAX_TERMS, MAX_TOKENS, hints
from rewriter.glossary.linting import doubts
from rewriter.glossary.merging import merge
from rewriter.glossary.reading import Entry, Problems, read
from rewriter.glossary.sound import LIKELY, Offer, Sound
from rewriter.glossary.store import Kept, keep, load, place_of
from rewriter.glossary.table import Table
from rewriter.glossary.terms import Applied, LintMessage, Term, TermHint
from rewriter.records import Hit

if TYPE_CHECKING:
    from rewriter.processes import Compute

Paths = Sequence[Path | str] | Path | str

# Texts whose matches are held: more than a run has passages in the making.
MATCHES_HELD = 4096


class Occurring:
    """Part of a glossary, as the guard takes it."""

    def __init__(self, aliases: Mapping[str, str], canonicals: Collection[str]) -> None:
        self._aliases, self._canonicals = aliases, canonicals

    def aliases(self) -> Mapping[str, str]:
        """Misheard form to canonical form."""
        return self._aliases

    def canonicals(self) -> Collection[str]:
        """Canonical forms."""
        return self._canonicals


class Glossary:
    """An immutable set of terms; its indexes are built when they are first needed."""

    def __init__(self, terms: Iterable[Term] = ()) -> None:
        self._table = Table.of(terms)
        self._kept: Kept | None = None
        self._files: tuple[str, ...] = ()  # it was loaded from
        self._held: OrderedDict[tuple[str, bool], tuple[Hit, ...]] = OrderedDict()

    @classmethod
    def empty(cls) -> Glossary:
        """A glossary without terms."""
        return cls()

    @classmethod
    def load(cls, paths: Paths) -> Glossary:
        """Read and merge glossary files; later ones win. The built indexes of big ones are kept on disk.

        Raises GlossaryError naming file and line of the first thing wrong.
        """
        place = place_of(_listed(paths))
        if place is not None and (kept := load(place)) is not None:
            glossary = cls._of(kept)
        else:
            problems: Problems = []
            terms = merge(_entries(paths, problems), problems)
            _raise_first(problems)
            glossary = cls(terms)
            if place is not None:
                keep(place, Kept(glossary._table, glossary._exact, glossary._sound.to_parts(), glossary.digest))
        glossary._files = tuple(map(str, _listed(paths)))
        return glossary

    @classmethod
    def _of(cls, kept: Kept) -> Glossary:
        glossary = cls()
        glossary._table, glossary._kept = kept.table, kept
        return glossary

    @classmethod
    def from_terms(cls, terms: Iterable[Term | Mapping[str, object] | str]) -> Glossary:
        """A glossary of Terms, of mappings with their fields, or of bare canonical forms.

        Raises GlossaryError where they contradict each other, and pydantic's ValidationError for a malformed mapping.
        """
        made = [
            t if isinstance(t, Term) else Term.model_validate({"canonical": t} if isinstance(t, str) else t)
            for t in terms
        ]
        problems: Problems = []
        entries = [Entry(term.model_dump(), "terms", number) for number, term in enumerate(made, 1)]
        merged = merge(entries, problems)
        _raise_first(problems)
        return cls(merged)

    @property
    def has_protected(self) -> bool:
        """Whether a term is protected."""
        return bool(self._table.protect)

    def match(self, text: str, *, sound: bool = True) -> list[Hit]:
        """Every place where a term, or a way it is misheard, occurs, in order; spans are code points of `text`."""
        return list(self._matched(text, sound)) if len(self) else []

    async def listen(self, text: str, compute: Compute) -> None:
        """Have the terms of a text found by `compute`, by sound too, and hold them until they are asked for.

        Only a glossary that was loaded from files can be had elsewhere too; any other finds them when it is asked.
        """
        if self._files and len(self) and (text, True) not in self._held:
            _known[self.digest] = self
            self._hold((text, True), await compute(_heard, self._files, self.digest, text))

    def _matched(self, text: str, sound: bool) -> tuple[Hit, ...]:
        """A passage is looked through for its prompt, and again when its rewrite is there."""
        found = self._held.get((text, sound))
        return self._hold((text, sound), self._match(text, sound)) if found is None else found

    def _hold(self, asked: tuple[str, bool], found: tuple[Hit, ...]) -> tuple[Hit, ...]:
        self._held[asked] = found
        if len(self._held) > MATCHES_HELD:
            with suppress(KeyError):  # another thread was faster
                self._held.popitem(last=False)
        return found

    def _match(self, text: str, sound: bool) -> tuple[Hit, ...]:
        hits = [self._hit(place) for place in self._exact.places(text)]
        if sound:
            offers = self._sound.offers(text, [(hit.start, hit.end) for hit in hits])
            hits.extend(map(self._offered, offers))
        return tuple(sorted(hits, key=lambda hit: (hit.start, hit.end)))

    def certain_hits(self, text: str) -> list[Hit]:
        """The aliases that may be replaced without asking."""
        return [hit for hit in self.match(text, sound=False) if hit.certain]

    def for_prompt(self, text: str, *, limit_terms: int = MAX_TERMS, limit_tokens: int = MAX_TOKENS) -> list[TermHint]:
        """What a model should know about a passage's terms: only those that occur in it, the doubtful ones first kept.

        At most `limit_terms` hints of roughly `limit_tokens` tokens together, in order of appearance.
        """
        return hints(text, self.match(text), limit_terms=limit_terms, limit_tokens=limit_tokens)

    def applied(self, source: str, rewrite: str) -> Applied:
        """A rewrite, certain aliases that still stand in it replaced, and how each term that occurs was dealt with."""
        from rewriter.glossary.reporting import findings, mended, report

        text, fixes = mended(rewrite, self.certain_hits(rewrite))
        said = report(self.match(source), self.match(text, sound=False), source, text)
        return Applied(text=text, fixes=fixes, report=said, findings=findings(said, text))

    def within(self, *texts: str) -> Occurring:
        """The terms and aliases that stand in the texts, for the guard: of a big glossary hardly any do."""
        found = [(text[hit.start : hit.end], hit) for text in texts for hit in self.match(text, sound=False)]
        return Occurring(
            {form: hit.canonical for form, hit in found if hit.how == "alias"},
            frozenset(hit.canonical for _, hit in found),
        )

    def aliases(self) -> Mapping[str, str]:
        """Misheard form to canonical form."""
        return self._aliases

    def canonicals(self) -> Collection[str]:
        """Every canonical form, in order."""
        return self._canonicals

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the terms and all their fields; the order of the terms does not count."""
        if self._kept:
            return self._kept.digest
        rows = sorted(json.dumps(term.model_dump(), ensure_ascii=False, sort_keys=True) for term in self.terms)
        return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms, in order."""
        return self._table.terms

    def __len__(self) -> int:
        return len(self._table)

    @cached_property
    def _aliases(self) -> dict[str, str]:
        table = self._table
        return {
            spelling: table.canonical(owner)
            for number, (spelling, owner) in enumerate(zip(table.spellings, table.owners, strict=True))
            if number != table.first[owner]
        }

    @cached_property
    def _canonicals(self) -> dict[str, None]:
        return dict.fromkeys(self._table.canonicals)

    @cached_property
    def _exact(self) -> Exact:
        return self._kept.exact if self._kept else Exact.build(self._table)

    @cached_property
    def _sound(self) -> Sound:
        return Sound.from_parts(self._table, self._kept.sound) if self._kept else Sound.build(self._table)

    def _offered(self, offer: Offer) -> Hit:
        return Hit.model_construct(
            start=offer.start,
            end=offer.end,
            canonical=self._table.canonical(offer.term),
            how="sound",
            score=offer.score,
            certain=False,
            likely=offer.odds >= LIKELY,
            note=self._table.note(offer.term),
        )

    def _hit(self, place: Place) -> Hit:
        return Hit.model_construct(
            start=place.start,
            end=place.end,
            canonical=self._table.canonical(place.term),
            how="canonical" if place.own else "alias",
            score=1.0,
            certain=place.term in self._table.certain and not place.own,
            likely=False,
            note=self._table.note(place.term),
        )


def _heard(files: tuple[str, ...], digest: str, text: str) -> tuple[Hit, ...]:
    """What the glossary of these files has in a text. Raises GlossaryError where they are others by now."""
    glossary = _known.get(digest) or _loaded(files)
    if glossary.digest != digest:
        raise GlossaryError("was changed while it was in use.", where=", ".join(files), remedy="Start again.")
    return glossary._match(text, sound=True)


# Glossaries in use in this process, by digest; another process loads its own.
_known: WeakValueDictionary[str, Glossary] = WeakValueDictionary()
_loaded = lru_cache(maxsize=1)(Glossary.load)


def lint(paths: Paths) -> list[LintMessage]:
    """What is wrong (error) or doubtful (warning) in glossary files, in order of file and line."""
    problems: Problems = []
    entries = list(_entries(paths, problems))
    problems.extend(_empty(paths, problems, entries))
    terms = merge(entries, problems)
    problems.extend(doubts(entries))
    if not any(problem.level == "error" for problem in problems):
        problems.extend(_never_found(entries, Glossary(terms)))
    order = {str(path): number for number, path in enumerate(_listed(paths))}
    return sorted(problems, key=lambda m: (order.get(m.file, 0), m.line, m.column, m.level, m.message))


def _never_found(entries: Iterable[Entry], glossary: Glossary) -> Iterator[LintMessage]:
    """Aliases in which a protected name stands: that is found there, and nothing is read into its place."""
    if not glossary.has_protected:
        return
    for entry in entries:
        for alias in entry.fields.get("aliases", ()):
            hits = glossary.match(alias, sound=False)
            if hits and not any((hit.start, hit.end) == (0, len(alias)) for hit in hits):
                message = (
                    f"the alias {alias!r} of {entry.fields['canonical']!r} is never found:"
                    f" {hits[0].canonical!r}, which is protected, stands in it."
                )
                yield LintMessage(level="warning", file=entry.file, line=entry.line, message=message)


def schema() -> str:
    """The JSON schema of glossary files in YAML and JSON."""
    return resources.files("rewriter.glossary").joinpath("schema.json").read_text(encoding="utf-8")


def _listed(paths: Paths) -> list[Path]:
    """The files in order; one that is named twice counts where it is named last."""
    named = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    return list(dict.fromkeys(reversed(named)))[::-1]


def _entries(paths: Paths, problems: Problems) -> Iterable[Entry]:
    for path in _listed(paths):
        yield from read(path, problems)


def _empty(paths: Paths, problems: Problems, entries: Iterable[Entry]) -> Iterable[LintMessage]:
    said = {message.file for message in problems} | {entry.file for entry in entries}
    for path in map(str, _listed(paths)):
        if path not in said:
            yield LintMessage(level="warning", file=path, line=0, message="there are no terms in it.")


def _raise_first(problems: Problems) -> None:
    errors = [message for message in problems if message.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more: `rewriter glossary lint` shows all.)" if len(errors) > 1 else ""
        remedy = "Correct it there." if errors[0].line else "Check that file."
        raise GlossaryError(errors[0].message, where=errors[0].where, remedy=remedy + more)
