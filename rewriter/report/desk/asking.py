"""Judging a text by hand and asking the model again, with the style, terms, model and cache of the run itself.

Everything runs in the event loop: the guard keeps word tables that two threads must not write at once, and a passage
takes it a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from rewriter import checks, fixes, prompting
from rewriter.api import Rewriter
from rewriter.errors import ModelConfigError, UsageError
from rewriter.fixes import FixedText
from rewriter.glossary import Glossary
from rewriter.journal import JOURNAL, read_journal
from rewriter.model.resolve import resolve
from rewriter.model.unwrap import unwrap
from rewriter.paragraphs import with_paragraphs
from rewriter.pipeline import judge, question, request_for, rewrite_passage
from rewriter.records import Finding, Outcome, Passage, Segment, Transcript, Verdict
from rewriter.report.desk.book import Entry
from rewriter.settings import Settings, load_settings
from rewriter.work import CONTEXT_CHARACTERS, Work

if TYPE_CHECKING:
    from rewriter.pipeline import Means

# What a run was told that is no business of a single question: how much of it, and what it may cost.
_OF_THE_RUN = frozenset({"api_key", "limit", "refresh", "max_cost", "max_tokens", "base_url"})
# Passages asked at once, at most: a person waits for few, and an endpoint is not surprised.
_AT_ONCE = 8

# An instruction is named to the model before anything the guard saw.
_FIRST = 1e6


class Answered(NamedTuple):
    """A new text for a passage, and whether the guard accepts it."""

    text: str
    accepted: bool


class Asker:
    """Judges and asks for one run. `model`, `base_url` and `glossary` (more files) go before what the run had.

    The model is contacted when it is asked, not before. `missing` names glossary files that are not there any more.
    """

    def __init__(
        self, folder: Path, *, model: str | None = None, base_url: str | None = None, glossary: Sequence[Path] = ()
    ) -> None:
        self._options = options_of(folder)
        self._endpoint = None if base_url else self._options.get("base_url")
        wanted = {k: v for k, v in self._options.items() if k in set(Settings.model_fields) - _OF_THE_RUN}
        files = [str(Path(name).absolute()) for name in (*wanted.get("glossary", ()), *glossary)]
        wanted["glossary"] = tuple(name for name in dict.fromkeys(files) if Path(name).is_file())
        self.missing = [name for name in dict.fromkeys(files) if not Path(name).is_file()]
        wanted |= {k: v for k, v in {"model": model, "base_url": base_url}.items() if v}
        self.settings = load_settings(wanted)
        self._rewriter = Rewriter(self.settings)

    async def aclose(self) -> None:
        """Close the client, the embedded model and the cache."""
        await self._rewriter.aclose()

    @property
    def glossary(self) -> Glossary:
        """The terms that questions and verdicts go by."""
        return self._rewriter.glossary

    def read_terms(self, file: Path) -> None:
        """Read the glossary files anew, `file` among them, after it has changed."""
        names = dict.fromkeys([*self.settings.glossary, str(file.absolute())])
        self._rewriter.glossary = Glossary.load(list(names))

    # --- judging ---

    def verdict(self, entry: Entry, text: str) -> Verdict:
        """What the guard says of a text for a passage, under the run's style and terms."""
        style = self._rewriter.style(entry.file.language)
        source = entry.outcome.source
        return checks.check(source, text, style=style.name, policy=style.policy, glossary=self.glossary)

    # --- asking ---

    async def again(self, entry: Entry, before: Entry | None, draft: str, instruction: str) -> Answered:
        """Ask for this passage once more: the draft is shown to the model, then what to change in it.

        An answer that the guard rejects is asked for once more, its losses named. Raises ModelError.
        """
        work, passage = _alone(entry.outcome.source, before, self._rewriter)
        means, text = self._means(entry), passage.text
        messages, _ = question(text, work.context(passage), work.loose, means)
        wish = _finding(" ".join(instruction.split()))
        messages = prompting.repair(means.style, messages, draft, [wish])
        answered, findings = await self._asked(messages, passage, means, "again")
        if not answered.accepted:
            messages = prompting.repair(means.style, messages, answered.text, [wish, *findings])
            answered, _ = await self._asked(messages, passage, means, "repair")
        return answered

    async def _asked(
        self, messages: prompting.Messages, passage: Passage, means: Means, rung: str
    ) -> tuple[Answered, Sequence[Finding]]:
        answer, _ = await means.ask(request_for(means.model, messages, passage.tokens, means), rung)
        draft = with_paragraphs(unwrap(answer.text, passage.text), passage.text)
        draft = means.glossary.applied(passage.text, draft).text
        verdict = judge(passage.text, draft, means)
        return Answered(draft, verdict.accepted and answer.finish != "length"), verdict.findings

    async def anew(self, entry: Entry, before: Entry | None) -> Answered:
        """The passage's whole way once more, with the terms as they are now. Raises ModelError."""
        means = self._means(entry)
        fixed = fixes.fix(
            entry.outcome.source,
            lang=means.language,
            style=means.style.policy,
            hits=means.glossary.certain_hits(entry.outcome.source),
            join_lines=not entry.file.segments,
        )
        work, passage = _alone(fixed.text, before, self._rewriter)
        outcomes = await rewrite_passage(work, passage, means)
        if all(o.status == "kept" for o in outcomes):
            return Answered(outcomes[0].rejected or outcomes[0].text, accepted=False)
        return Answered(_joined(work, outcomes), accepted=True)

    def _means(self, entry: Entry) -> Means:
        """What a question needs. Raises what `ready` raises."""
        self.ready()
        return self._rewriter.means(entry.file.language)

    def ready(self) -> int:
        """Settle whom to ask; returns how many passages may be asked at once.

        Raises UsageError for an endpoint that only the run's journal names, ModelConfigError where there is no model.
        """
        if self._endpoint:
            self._rewriter.settings = _with_endpoint(self._rewriter.settings, self._endpoint)
            self._endpoint = None
        return min(self._rewriter.concurrency, _AT_ONCE)


def touched(entries: Sequence[Entry], before: Glossary, after: Glossary) -> list[Entry]:
    """The passages that a change of the glossary touches: those about which the model would be told something else."""
    old = {term.canonical: term for term in before.terms}
    changed = Glossary.from_terms(term for term in after.terms if old.get(term.canonical) != term)
    # What was changed occurs in few passages; only those are looked at with the whole glossary.
    near = [entry for entry in entries if changed.match(entry.outcome.source)]
    return [entry for entry in near if _told(before, entry) != _told(after, entry)]


def _told(glossary: Glossary, entry: Entry) -> tuple[Any, ...]:
    source = entry.outcome.source
    return tuple(glossary.for_prompt(source)), tuple((h.start, h.canonical) for h in glossary.certain_hits(source))


# --- settings --------------------------------------------------------------------------------------------------------


def options_of(folder: Path) -> dict[str, Any]:
    """The settings of the last run into a folder, as its journal has them."""
    options: dict[str, Any] = {}
    for event in read_journal(folder / JOURNAL):
        if event["event"] == "start":
            options = event.get("options") or {}
    return options


def _with_endpoint(settings: Settings, endpoint: str) -> Settings:
    """Settings that ask where the run did.

    A journal may come from anywhere: an endpoint it names gets no key unless the user's own settings name it too.
    """
    try:
        own = resolve(settings.model).endpoint
    except ModelConfigError:
        own = ""
    if own == endpoint:
        return settings  # with whatever credentials the user's own address holds
    if not _is_here(endpoint):
        raise UsageError(
            f"the run asked {endpoint}, which your settings do not name.",
            remedy=f"If you trust it: rewriter review RUN --base-url {endpoint}",
        )
    return settings.model_copy(update={"base_url": endpoint})


def _is_here(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


# --- a passage by itself ---------------------------------------------------------------------------------------------


def _alone(text: str, before: Entry | None, rewriter: Rewriter) -> tuple[Work, Passage]:
    """A passage as the only one of a transcript, behind the end of the passage before it."""
    lead = f"{before.outcome.source[-2 * CONTEXT_CHARACTERS :]}\n" if before else ""
    whole = lead + text
    passage = Passage(index=0, start=len(lead), end=len(whole), text=text, tokens=rewriter.counter.count(text))
    segment = Segment(index=0, start=len(lead), end=len(whole))
    transcript = Transcript(name="-", format="txt", text=whole, segments=(segment,))
    return Work(transcript, FixedText(source=whole, text=whole), (passage,)), passage


def _joined(work: Work, outcomes: Sequence[Outcome]) -> str:
    """The texts of a passage's halves, with what stands between them in the source."""
    parts = [outcomes[0].text]
    for left, right in pairwise(outcomes):
        parts += [work.fixed.text[left.fixed[1] : right.fixed[0]], right.text]
    return "".join(parts)


def _finding(instruction: str) -> Finding:
    """An instruction as something to be mended: style files say how a model is told of it."""
    return Finding(kind="instruction", severity="reject", weight=_FIRST, source=None, draft=None, message=instruction)
