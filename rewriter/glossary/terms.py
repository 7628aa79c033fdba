"""What a glossary holds and says: terms, hints for a prompt, reports, remarks of lint."""

from __future__ import annotations

from typing import Literal

from rewriter.records import Finding, Fix, Record

How = Literal["canonical", "alias", "sound"]


class Term(Record):
    """How something is written, and the ways it is misheard.

    `certain` replaces an alias without asking a model; `protect` lets nothing else be read into a place where the
    canonical form stands; `case` matches letters in the case they are written in. `language` and `tags` are for people
    and tools, `note` is shown to the model.
    """

    canonical: str
    aliases: tuple[str, ...] = ()
    language: str = ""
    note: str = ""
    certain: bool = False
    protect: bool = False
    case: bool = False
    tags: tuple[str, ...] = ()


class TermHint(Record):
    """A term that occurs in a passage, in `forms` as they stand there, in order of appearance.

    `how` is canonical (spelt so already), alias (a known mishearing) or sound (sounds alike, so it may be meant; where
    it is `likely`, hardly anything else is).
    """

    canonical: str
    forms: tuple[str, ...]
    how: How
    likely: bool = False
    note: str = ""


class TermUse(Record):
    """A term and the places where it counts: `spans` are code points of the text that the report names."""

    canonical: str
    forms: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    certain: bool = False


class TermReport(Record):
    """What became of the glossary in a rewrite.

    `applied`: heard as something else in the source (its spans), canonical in the rewrite. `missed`: an alias that
    still stands in the rewrite (its spans). `invented`: a canonical form in the rewrite (its spans) where nothing like
    it was said.
    """

    applied: tuple[TermUse, ...] = ()
    missed: tuple[TermUse, ...] = ()
    invented: tuple[TermUse, ...] = ()


class Applied(Record):
    """A rewrite after the glossary has been over it.

    `text` is what ships, with what `fixes` replaced (spans of the rewrite as it came); `report` is on `text`, and
    `findings` are warnings made of it, whose draft spans are those of `text`.
    """

    text: str
    fixes: tuple[Fix, ...] = ()
    report: TermReport = TermReport()
    findings: tuple[Finding, ...] = ()


class LintMessage(Record):
    """Something wrong (error) or doubtful (warning) in a glossary file; lines and columns from 1 (0: not known)."""

    level: Literal["error", "warning"]
    file: str
    line: int
    message: str
    column: int = 0

    @property
    def where(self) -> str:
        """file:line:column as far as they are known."""
        return ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])

    def __str__(self) -> str:
        return f"{self.where}: {self.level}: {self.message}"
