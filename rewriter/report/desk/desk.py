"""What can be done at the desk, one method for each act; the web pages call these and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rewriter.errors import InputError, RewriterError, UsageError
from rewriter.glossary import Glossary, Term
from rewriter.glossary.adding import SUFFIXES, add_term
from rewriter.glossary.learning import learn
from rewriter.glossary.mining import Document, Suggestion
from rewriter.records import Verdict
from rewriter.report.desk.asking import Answered, Asker, touched
from rewriter.report.desk.book import Book, Entry
from rewriter.report.desk.decisions import Kind, State
from rewriter.report.desk.export import Written, export
from rewriter.report.desk.media import Recording, recording_of

# Where terms go when neither the user nor the run names a glossary.
TERMS = "terms.yaml"


@dataclass
class Errand:
    """Passages being asked anew after a term was added, and how far that is."""

    total: int = 0
    done: int = 0
    results: Counter[str] = field(default_factory=Counter)
    trouble: str = ""
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it still goes on."""
        return self.task is not None and not self.task.done()


class Desk:
    """A book of runs, who is asked about each, and where things go.

    `terms` is the glossary file that new terms are added to, `out` the folder of final transcripts (None: one in each
    run's folder).
    """

    def __init__(
        self,
        book: Book,
        askers: Sequence[Asker],
        *,
        terms: Path | None = None,
        recordings: Sequence[Recording] = (),
        out: Path | None = None,
    ) -> None:
        self.book, self.askers, self.recordings, self.out = book, askers, recordings, out
        self.terms = terms or self._usual_terms()
        self.errand = Errand()

    def _usual_terms(self) -> Path:
        """The last glossary of a run that terms can be added to, else a file in the first run's folder."""
        files = [Path(name) for asker in self.askers for name in asker.settings.glossary]
        fit = [path for path in files if path.suffix.lower() in SUFFIXES]
        return fit[-1] if fit else self.book.folders[0] / TERMS

    async def aclose(self) -> None:
        """Stop asking, and let go of models and caches."""
        if self.errand.task is not None:
            self.errand.task.cancel()
            await asyncio.gather(self.errand.task, return_exceptions=True)
        for asker in self.askers:
            await asker.aclose()

    # --- looking ---

    def asker(self, entry: Entry) -> Asker:
        """Who judges and asks about a passage."""
        return self.askers[entry.run]

    def verdict(self, entry: Entry, text: str) -> Verdict:
        """What the guard says of a text for a passage; of what the run shipped or turned down, what it said then."""
        outcome = entry.outcome
        told = outcome.rejected if outcome.status == "kept" else outcome.text
        if text == told and self.asker(entry).glossary.digest == self.book.runs[entry.run].settings.get("glossary"):
            return entry.view.verdict
        return self.asker(entry).verdict(entry, text)

    def draft(self, entry: Entry) -> str | None:
        """The draft of a passage that was turned down: the last answer, or the run's."""
        offered = self.book.state(entry).offered
        return offered.text if offered else entry.outcome.rejected

    def recording(self, entry: Entry) -> Recording | None:
        """The recording in which the passage is heard; None where there is none, or the file has no times."""
        if entry.view.begin is None:
            return None
        files = sum(len(run.files) for run in self.book.runs)
        return recording_of(entry.file, files, self.recordings)

    # --- deciding ---

    def decide(self, entry: Entry, kind: Kind, text: str = "") -> State:
        """Settle a passage. `text` counts for `edit` only. Raises UsageError where there is nothing to decide so."""
        state = self.book.state(entry)
        if kind == "undo":
            if not state.decisions:
                raise UsageError("There is nothing to undo.")
            return self.book.decide(entry, "undo")
        texts = {
            "accept": entry.outcome.text,
            "restore": entry.outcome.source,
            "draft": self.draft(entry),
            "edit": text.replace("\r\n", "\n").strip(),
            "done": self.book.standing(entry),
        }
        chosen = texts.get(kind)
        if chosen is None:
            raise UsageError("No draft was turned down here.")
        accepted = kind == "restore" or self.asker(entry).verdict(entry, chosen).accepted
        return self.book.decide(entry, kind, chosen, accepted=accepted)

    # --- asking ---

    async def ask(self, entry: Entry, instruction: str, shown: str = "") -> str:
        """Ask for a passage again, with an instruction about the text `shown` (by default the one that stands).

        Returns what came of it: new, turned down, unchanged or left aside. Raises ModelError.
        """
        if not instruction.strip():
            raise UsageError("Say what the model is to do.")
        before = self.book.state(entry)
        shown = shown.strip() or self.book.standing(entry)
        answered = await self.asker(entry).again(entry, self.book.before(entry), shown, instruction)
        return self._take(entry, before, answered, instruction)

    def _take(self, entry: Entry, before: State, answered: Answered, why: str) -> str:
        """Keep an answer, unless a person decided about the passage while the model wrote it."""
        if self.book.state(entry) != before:
            return "left aside"
        if answered.accepted and answered.text == self.book.standing(entry):
            return "unchanged"
        self.book.decide(entry, "asked", answered.text, accepted=answered.accepted, instruction=why)
        return "new" if answered.accepted else "turned down"

    # --- terms ---

    def add_term(self, term: Term) -> list[Entry]:
        """Put a term into the glossary file; returns the passages that are not settled and that it touches.

        Raises what `glossary.adding.add_term` raises, and GlossaryError where it contradicts another file.
        """
        add_term(self.terms, term)
        found = []
        for number, asker in enumerate(self.askers):
            before = asker.glossary
            asker.read_terms(self.terms)
            open_ = [e for e in self.book.entries if e.run == number and not self.book.state(e).settled]
            found += touched(open_, before, asker.glossary)
        return found

    def ask_anew(self, entries: Sequence[Entry], why: str) -> Errand:
        """Ask for passages once more, in the background, a few at once. Raises UsageError while others are asked."""
        if self.errand.running:
            raise UsageError("Passages are being asked already.")
        self.errand = Errand(total=len(entries))
        self.errand.task = asyncio.create_task(self._run_errand(self.errand, entries, why))
        return self.errand

    async def _run_errand(self, errand: Errand, entries: Sequence[Entry], why: str) -> None:
        """Trouble with one passage (an endpoint that is down) ends it: what was asked until then counts."""
        try:
            free = asyncio.Semaphore(min((self.asker(entry).ready() for entry in entries), default=1))
        except RewriterError as error:
            errand.trouble = str(error)
            return

        async def one(entry: Entry) -> None:
            async with free:
                before = self.book.state(entry)
                if errand.trouble or before.settled:
                    return
                try:
                    answered = await self.asker(entry).anew(entry, self.book.before(entry))
                    errand.results[self._take(entry, before, answered, why)] += 1
                except RewriterError as error:
                    errand.trouble = errand.trouble or str(error)
                else:
                    errand.done += 1

        await asyncio.gather(*(one(entry) for entry in entries))

    def learned(self) -> list[Suggestion]:
        """Aliases that the settled passages show: names that stand corrected where the recogniser wrote others."""
        return learned_from(self.book, *(asker.glossary for asker in self.askers[:1]))

    # --- writing ---

    def export(self) -> list[Written]:
        """Write the final transcripts; see `export.export`."""
        return write_final(self.book, self.out)


def learned_from(book: Book, known: Glossary | None = None) -> list[Suggestion]:
    """Aliases that the settled passages of a book show and `known` has not."""
    settled = [entry for entry in book.entries if book.state(entry).settled]
    heard = "\n\n".join(entry.heard.strip() for entry in settled)
    texts = "\n\n".join(book.standing(entry).strip() for entry in settled)
    return learn(Document("heard", heard), Document("reviewed", texts), known=known) if settled else []


def write_final(book: Book, out: Path | None) -> list[Written]:
    """The final transcripts of every run of a book. Raises InputError where no file is finished, and as `export`."""
    if not any(file.finished for run in book.runs for file in run.files):
        raise InputError("no file of this run is finished.", where=str(book.folders[0]), remedy="Let it end first.")
    decided = [[(e, book.state(e)) for e in book.entries if e.run == n] for n in range(len(book.runs))]
    return export(list(zip(book.runs, decided, strict=True)), out)
