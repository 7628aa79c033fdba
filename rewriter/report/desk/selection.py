"""Which passages are shown: a choice that lives in the page's address, and how far the review has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import ValidationError

from rewriter.records import Record, Status
from rewriter.report.desk.book import Book, Entry

# open: a person should look and has not settled it. new: the model was asked again. The rest says itself.
Which = Literal["open", "new", "settled", "doubtful", "all"]


class Choice(Record):
    """What the list shows. Empty fields choose everything; `file` is run number and name, as in `file_key`."""

    show: Which = "open"
    file: str = ""
    status: Status | Literal[""] = ""
    finding: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Choice:
        """The choice in an address; what is unknown or wrong in it is passed over."""
        known = {k: v[:200] for k, v in query.items() if k in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            wrong = {str(e["loc"][0]) for e in error.errors()}
            return cls.model_validate({k: v for k, v in known.items() if k not in wrong})

    @property
    def query(self) -> str:
        """The choice as the part of an address behind the question mark; empty for the plain one."""
        return urlencode({k: v for k, v in self.model_dump().items() if v != type(self).model_fields[k].default})

    def holds(self, book: Book, entry: Entry) -> bool:
        """Whether a passage is shown."""
        outcome = entry.outcome
        return (
            (not self.file or self.file == file_key(entry))
            and (not self.status or self.status == outcome.status)
            and (not self.finding or any(f.kind == self.finding for f in outcome.findings))
            and self._shows(book, entry)
            and (not self.text or self._says(book, entry))
        )

    def _shows(self, book: Book, entry: Entry) -> bool:
        state = book.state(entry)
        if self.show == "settled":
            return state.settled
        if self.show == "new":
            return not state.settled and bool(state.decisions)
        if self.show == "doubtful":
            return book.doubtful(entry)
        return self.show == "all" or (book.doubtful(entry) and not state.settled)

    def _says(self, book: Book, entry: Entry) -> bool:
        wanted = self.text.casefold()
        return any(wanted in text.casefold() for text in (entry.heard, book.standing(entry)))


class Progress(NamedTuple):
    """How far a review has come: passages in all, those a person should look at, and settled ones of both."""

    passages: int
    doubtful: int
    doubtful_settled: int
    settled: int


def file_key(entry: Entry) -> str:
    """A file's name on this desk."""
    return f"{entry.run}/{entry.file.name}"


def chosen(book: Book, choice: Choice) -> list[Entry]:
    """The passages that a choice shows, in order."""
    return [entry for entry in book.entries if choice.holds(book, entry)]


def progress(book: Book, entries: Sequence[Entry]) -> Progress:
    """How far the review of some passages has come."""
    settled = [book.state(entry).settled for entry in entries]
    doubtful = [book.doubtful(entry) for entry in entries]
    both = sum(a and b for a, b in zip(settled, doubtful, strict=True))
    return Progress(len(entries), sum(doubtful), both, sum(settled))


def finding_kinds(book: Book) -> list[tuple[str, int]]:
    """The kinds of findings and in how many passages each is, the commonest first."""
    kinds = Counter(kind for entry in book.entries for kind in {f.kind for f in entry.outcome.findings})
    return kinds.most_common()


def neighbours(book: Book, choice: Choice, entry: Entry) -> tuple[Entry | None, Entry | None, Entry | None]:
    """The shown passages before and behind one, and the next that is not settled (from the beginning again)."""
    ahead = next((e for e in book.entries[entry.at + 1 :] if choice.holds(book, e)), None)
    back = next((e for e in reversed(book.entries[: entry.at]) if choice.holds(book, e)), None)
    circle = [*book.entries[entry.at + 1 :], *book.entries[: entry.at]]
    still = choice.model_copy(update={"show": "open"})
    return back, ahead, next((e for e in circle if still.holds(book, e)), None)
