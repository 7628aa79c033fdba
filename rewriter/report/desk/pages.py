"""The desk's pages as HTML: what is known put into words, and words into templates that escape everything."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from rewriter.records import STATUSES, Verdict
from rewriter.report import wording
from rewriter.report.desk.book import Book, Entry
from rewriter.report.desk.decisions import State
from rewriter.report.desk.desk import Desk
from rewriter.report.desk.selection import Choice, chosen, file_key, finding_kinds, neighbours, progress
from rewriter.report.differences import Row, differences
from rewriter.report.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment

# Passages on one page of the list.
PAGE = 100
# Code points of a passage that the list shows.
EXCERPT = 160
# Of what a fix left out (a loop may be 16,000 characters) so many code points are shown.
LONGEST_FIX = 120

# What a decision is called once it is made.
DECIDED = {
    "accept": "result accepted",
    "restore": "source restored",
    "draft": "draft accepted",
    "edit": "edited",
    "asked": "asked again",
    "done": "done",
}
# The keys and what they do, as the help shows them; static/desk.js holds the same.
KEYS = (
    ("a", "accept the result"),
    ("A", "accept it and go to the next open passage"),
    ("r", "restore the source"),
    ("f", "accept the draft that was turned down"),
    ("e", "edit; Ctrl+Enter keeps the edit, Esc leaves the box"),
    ("i", "ask the model again, with an instruction"),
    ("t", "add a term, from what is selected"),
    ("d", "done: what stands is right"),
    ("u", "undo the last step here"),
    ("v", "compare with the next version"),
    ("Space", "play the recording from here, pause"),
    ("j", "next passage of the list"),
    ("k", "previous passage of the list"),
    ("n", "next passage that is open"),
    ("l", "back to the list"),
    ("/", "search in the list"),
    ("?", "these keys"),
)


class Version(NamedTuple):
    """A text that a passage has or had, to be compared with its source."""

    name: str
    label: str
    text: str


class Line(NamedTuple):
    """A passage in the list."""

    entry: Entry
    state: State
    excerpt: str
    remark: str


def list_page(desk: Desk, choice: Choice, page: int, message: str = "") -> str:
    """The list of passages, its filters, and how far the review is."""
    book = desk.book
    found = chosen(book, choice)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(page, 1), pages)
    shown = found[(page - 1) * PAGE : page * PAGE]
    return _render(
        "list.html",
        desk=desk,
        choice=choice,
        lines=[_line(book, entry) for entry in shown],
        count=len(found),
        page=page,
        pages=pages,
        progress=progress(book, book.entries),
        files=_files(book),
        kinds=finding_kinds(book),
        orphans=list(book.orphans()),
        message=message,
    )


def passage_page(desk: Desk, choice: Choice, entry: Entry, wanted: str = "") -> str:
    """One passage: source and text side by side, what the guard says, and everything that can be done."""
    book, state = desk.book, desk.book.state(entry)
    texts = versions(desk, entry)
    version = next((v for v in texts if v.name == wanted), None) or _first_look(entry, state, texts)
    verdict = desk.verdict(entry, version.text)
    back, ahead, still = neighbours(book, choice, entry)
    return _render(
        "passage.html",
        desk=desk,
        choice=choice,
        entry=entry,
        state=state,
        standing=book.standing(entry),
        versions=texts,
        version=version,
        compared=compared(desk, entry, version.text, verdict),
        back=back,
        ahead=ahead,
        still=still,
        before=book.before(entry),
        after=book.after(entry),
        progress=progress(book, book.entries),
        renewed=book.renewed(entry),
        recording=desk.recording(entry),
    )


def compare_part(desk: Desk, entry: Entry, text: str) -> tuple[Verdict, str]:
    """A text beside the source, as a part of the page, with the verdict; for what is being typed."""
    verdict = desk.asker(entry).verdict(entry, text)
    part = _render("compare.html", entry=entry, compared=compared(desk, entry, text, verdict))
    return verdict, part


def terms_page(desk: Desk) -> str:
    """Names that the settled passages correct, to be added to the glossary."""
    known = desk.askers[0].glossary.aliases() if desk.askers else {}
    return _render("terms.html", desk=desk, learned=desk.learned(), known=known)


def _line(book: Book, entry: Entry) -> Line:
    outcome, state = entry.outcome, book.state(entry)
    text = " ".join(book.standing(entry).split())
    excerpt = text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
    if book.renewed(entry):
        remark = "the run has another result now"
    elif outcome.status == "kept":
        remark = outcome.reason
    else:
        remark = outcome.findings[0].message if outcome.findings else ""
    return Line(entry, state, excerpt, remark)


def _files(book: Book) -> list[tuple[str, str]]:
    """Key and label of every file; with several runs the folder's name is in front."""
    found: dict[str, str] = {}
    for entry in book.entries:
        run = f"{book.folders[entry.run].name}/" if len(book.runs) > 1 else ""
        found.setdefault(file_key(entry), f"{run}{entry.file.name}")
    return list(found.items())


def versions(desk: Desk, entry: Entry) -> list[Version]:
    """The texts of a passage that a person may want to see beside its source; what stands comes first."""
    outcome, standing = entry.outcome, desk.book.standing(entry)
    decision = desk.book.state(entry).standing
    label = DECIDED[decision.kind] if decision else "source kept" if outcome.status == "kept" else "the run's result"
    found = [Version("now", f"Stands now: {label}", standing)]
    draft = desk.draft(entry)
    if draft is not None and draft != standing:
        label = "New answer, turned down" if desk.book.state(entry).offered else "Draft that was turned down"
        found.append(Version("draft", label, draft))
    if outcome.text not in {standing, draft} and outcome.status != "kept":
        found.append(Version("run", "The run's result", outcome.text))
    return found


def _first_look(entry: Entry, state: State, texts: list[Version]) -> Version:
    """What is compared unless a version is asked for: for a kept passage, and for an answer that failed, the draft."""
    wanted = state.offered is not None or (entry.outcome.status == "kept" and not state.decisions)
    return next((v for v in texts if v.name == "draft" and wanted), texts[0])


class Compared(NamedTuple):
    """A text in rows beside its source, the verdict on it, and when each row begins (seconds) in a timed file."""

    rows: list[Row]
    verdict: Verdict
    times: list[float | None]


def compared(desk: Desk, entry: Entry, text: str, verdict: Verdict) -> Compared:
    """A text beside the passage's source, with what the verdict names marked in both."""
    terms = {hit.canonical for hit in desk.asker(entry).glossary.match(text, sound=False)}
    source, fixes = entry.outcome.source, entry.view.fixes
    rows = differences(source, text, findings=verdict.findings, fixes=fixes, terms=terms)
    times = entry.file.begins(entry.view, rows) if entry.file.segments else []
    return Compared(rows, verdict, times)


# --- templates -------------------------------------------------------------------------------------------------------


def _render(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rewriter.report.desk"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": wording.clock, "visible": visible, "shortened": shortened, "editable": editable}
    environment.globals |= {
        "wording": wording,
        "statuses": STATUSES,
        "decided": DECIDED,
        "keys": KEYS,
        "file_key": file_key,
    }
    return environment


def shortened(text: str) -> str:
    """What a fix left out, its middle cut where it is long; for people to look at."""
    if len(text) <= LONGEST_FIX:
        return text
    return f"{text[: LONGEST_FIX * 2 // 3]} … {text[-LONGEST_FIX // 3 :]}"


def editable(text: str) -> str:
    """A text for an edit box: what HTML cannot hold is replaced, everything else is as it is."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


@lru_cache(maxsize=8)
def static(name: str) -> tuple[bytes, str]:
    """A file of the page's look or script, and its media type. Raises KeyError for any other name."""
    package, kind = {
        "look.css": ("rewriter.report", "text/css"),
        "desk.css": ("rewriter.report.desk", "text/css"),
        "desk.js": ("rewriter.report.desk", "text/javascript"),
        "icon.svg": ("rewriter.report.desk", "image/svg+xml"),
    }[name]
    return files(package).joinpath("static", name).read_bytes(), kind
