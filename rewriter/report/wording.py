"""What a report says in words: outcomes, findings and fixes explained to someone who has not read the documentation."""

from __future__ import annotations

from rewriter.records import Status
from rewriter.report.totals import Totals

# Outcome: its name on the page, and what it means.
STATUSES: dict[Status, tuple[str, str]] = {
    "rewritten": ("rewritten", "the model's draft passed the check"),
    "cached": ("from cache", "a stored answer passed the check; nothing was paid"),
    "replayed": ("replayed", "the rewrite of a near passage was carried over and passed the check; nothing was paid"),
    "repaired": ("repaired", "a first draft was turned down; a later one passed the check"),
    "kept": ("kept", "no draft passed the check, so the source stands as it was said"),
}

# Kind of a finding: what it means. The guard's page of the documentation has the same table.
FINDINGS: dict[str, str] = {
    "lost": "said in the source, missing from the draft",
    "invented": "in the draft, never said",
    "duplicate": "said once, written twice",
    "number": "a number lost, changed or put in",
    "negation": "a denial lost or put in",
    "contrary": "a word became its contrary",
    "term": "a name became another word, or a word a name",
    "changed": "words replaced by others that do not sound alike",
    "refusal": "the model refused or asked back instead of rewriting",
    "preface": "the model talks about its own work",
    "echo": "pieces of the prompt, or markup",
    "language": "written in another language than the source",
    "script": "traditional characters for simplified, or back",
    "question": "asked in the source, stated in the draft",
    "untouched": "came back letter for letter; perhaps nothing needed a change",
    "glossary": "a name of the glossary was left as it was heard, or stands where nothing like it was said",
    "cues": "times of subtitles differ",
}

# Kinds whose messages only quote; the others' messages say what they mean themselves.
QUOTING = ("lost", "number", "negation", "contrary", "term", "changed")

# Name of a fix: what it does.
FIXES: dict[str, str] = {
    "loop": "a recogniser's loop said once",
    "stutter": "a word said twice by accident",
    "filler": "um, 嗯 and the like",
    "alias": "a name of the glossary put right",
    "width": "full-width letters and digits",
    "space": "white space",
    "linebreak": "lines that broke inside a sentence",
}

# Step of a passage's way: its name on the page, and what happened there.
STEPS: dict[str, tuple[str, str]] = {
    "ask": ("asked", "the model was asked"),
    "repair": ("asked again", "asked again, with what was wrong named"),
    "half": ("halved", "cut in two, each half asked by itself"),
    "stronger": ("stronger model", "the stronger model was asked"),
    "replay": ("replayed", "carried over from a near passage"),
}


def headline(totals: Totals, attention: int) -> str:
    """A run in two sentences; `attention` is how many passages have something to look at."""
    count, kept = sum(totals.passages.values()), totals.passages["kept"]
    if not count:
        return "No passage has been rewritten yet."
    first = f"{_number(count - kept)} of {_passages(count)} rewritten" if kept else f"All {_passages(count)} rewritten"
    if kept:
        first += f", {_number(kept)} kept as {'it was' if kept == 1 else 'they were'} said"
    if totals.failed:
        first += f"; {_number(totals.failed)} file{'s' if totals.failed > 1 else ''} could not be read"
    if not attention:
        return f"{first}. The guard saw nothing to look at."
    return f"{first}. {_number(attention)} {'has' if attention == 1 else 'have'} something to look at."


def _passages(count: int) -> str:
    return "1 passage" if count == 1 else f"{_number(count)} passages"


def _number(value: int) -> str:
    return f"{value:,}"


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 1:02:03."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def dollars(amount: float | None) -> str:
    """$0.0123, with four digits below a dollar; a dash where the price is not known."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"
