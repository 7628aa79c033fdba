"""What recovers most rejected drafts: asking again how, or not at all? A table of the ways, on any files and model.

    python benchmarks/repair.py FILE... [--passages 40] [--model embedded] [--half 0] [--ways retry,turn,stretches]

A FILE is a transcript of any format, or JSON lines with `source` (each a transcript) and perhaps `lang`. Of each file
so many passages are asked for, spread evenly, as a run asks first; those whose draft is rejected are the cases. Each
way is tried on each case, on the same draft. Cases fall in two halves by a hash of their text, so that a way can be
made on one and reported on the other. `--cache DIR` keeps the answers, so that the same again costs nothing.

none        nothing
retry       the same question again at temperature 0.7
turn        the conversation goes on: the draft, then what was wrong with it, quoted; the whole is asked for
named       the same question again, with what the last draft got wrong quoted below the passage; no draft is shown
halves      the passage in two parts, as the ladder goes on after that
stretches   as the ladder goes on: what was not said is taken out, and where that is not all, the clauses that the draft
            got wrong are each asked for by itself and put into it; where they are most of the passage, `turn`
source      the same clauses as the source has them, put into the draft: no call

`recovered` counts accepted drafts, `with taking out` also those from which first what was not said was taken out, which
takes no call; `edited` is the share of the recovered passages' text whose draft is not the source, letter for letter.
Calls and tokens are those of the ways alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rewriter import formats, prompting
from rewriter.api import Rewriter
from rewriter.model.stretches import put_back, stretches, without_invented
from rewriter.model.unwrap import unwrap, without_context
from rewriter.paragraphs import with_paragraphs
from rewriter.pipeline import Means, judge, question, request_for
from rewriter.prompting import Messages
from rewriter.records import Answer, Passage, Transcript, Usage, Verdict
from rewriter.work import CONTEXT_CHARACTERS, Work

Prepared = tuple[Work, Passage, str]

# A plain retry at temperature 0 would give the same draft; this is a common default of chat endpoints.
RETRY_TEMPERATURE = 0.7

# How a last draft's faults are named below a passage, in Chinese and otherwise; see `_named`.
NAMED = {
    "zh": ("整理这段时要留意，上一稿在这些地方错了：", "- 原文的“{}”漏了，要写进去", "- 原文没有“{}”，不要写"),
    "any": (
        "Mind these places, where an earlier draft went wrong:",
        '- it left out "{}": keep it',
        '- it put in "{}": leave it out',
    ),
}


@dataclass
class Case:
    """A passage whose first draft was rejected, and what it takes to ask for it again."""

    text: str
    context: str
    loose: bool  # its transcript's paragraphs were cut by length
    messages: Messages
    means: Means
    draft: str
    verdict: Verdict
    cut: bool  # the answer stopped at the token limit: the ladder does not repair such a draft


@dataclass
class Tally:
    """What a way came to on the cases; `text` and `edited` are code points of recovered passages."""

    alone: int = 0
    recovered: int = 0
    text: int = 0
    edited: int = 0
    usage: Usage = field(default_factory=Usage)


class Asking:
    """Asks and counts."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.seed, self.usage = case, seed, Usage()

    async def draft(self, messages: Messages, text: str, context: str, temperature: float = 0.0) -> str:
        """The draft in the answer, as a run reads it."""
        case = self.case
        request = request_for(case.means.model, messages, case.means.counter.count(text), case.means)
        if temperature:
            warm = {**request.parameters, "temperature": temperature, "seed": self.seed}
            request = request.model_copy(update={"parameters": warm})
        answer, _ = await case.means.ask(request, "repair")
        self.usage += answer.usage
        return read(answer, text, context, case.means)

    async def rewrite(self, text: str, context: str) -> str:
        """A part of the passage asked for by itself, without what was not said where that alone was wrong."""
        draft = await self.draft(question(text, context, self.case.loose, self.case.means)[0], text, context)
        verdict = judge(text, draft, self.case.means)
        own = draft if verdict.accepted else without_invented(draft, verdict.findings)
        return own if judge(text, own, self.case.means).accepted else draft


def read(answer: Answer, text: str, context: str, means: Means) -> str:
    """The draft in an answer, without the rewrite of its context where that alone makes it acceptable."""
    draft = with_paragraphs(unwrap(answer.text, text), text)
    own = without_context(draft, context, text)
    if own != draft and not judge(text, draft, means).accepted and judge(text, own, means).accepted:
        return with_paragraphs(own, text)
    return draft


# --- the ways --------------------------------------------------------------------------------------------------------


async def _none(case: Case, asking: Asking) -> str:
    return case.draft


async def _retry(case: Case, asking: Asking) -> str:
    return await asking.draft(case.messages, case.text, case.context, RETRY_TEMPERATURE)


async def _turn(case: Case, asking: Asking) -> str:
    again = prompting.repair(case.means.style, case.messages, case.draft, case.verdict.findings)
    return await asking.draft(again, case.text, case.context)


async def _named(case: Case, asking: Asking) -> str:
    head, lost, put_in = NAMED["zh" if case.means.style.language == "zh" else "any"]
    found = [f for f in case.verdict.findings if f.severity == "reject"][: prompting.FINDINGS_LIMIT]
    lines = [lost.format(f.source_text) if f.source_text else put_in.format(f.draft_text) for f in found]
    turn = f"{case.messages[-1]['content']}\n{head}\n" + "\n".join(lines)
    return await asking.draft((*case.messages[:-1], {"role": "user", "content": turn}), case.text, case.context)


async def _halves(case: Case, asking: Asking) -> str:
    from rewriter.pipeline import _halves as halves_of  # the ladder's own cut

    parts = [text for _, text in halves_of(0, case.text, case.means)] or [case.text]
    contexts = [case.context, *(part[-CONTEXT_CHARACTERS:] for part in parts)]
    drafts = [await asking.rewrite(part, context) for part, context in zip(parts, contexts, strict=False)]
    return ("" if case.means.language == "zh" else " ").join(drafts)


async def _stretches(case: Case, asking: Asking) -> str:
    """As the ladder does it."""
    spans = stretches(case.text, case.draft, case.verdict.findings)
    if not spans:
        return await _turn(case, asking)
    if (free := taken_out(case)) is not None:
        return free
    drafts = [await asking.rewrite(case.text[a:b].strip(), "") for a, b in spans]
    return put_back(case.text, case.draft, spans, drafts)


async def _source(case: Case, asking: Asking) -> str:
    spans = stretches(case.text, case.draft, case.verdict.findings)
    return put_back(case.text, case.draft, spans, [case.text[a:b] for a, b in spans])


WAYS: dict[str, Callable[[Case, Asking], Awaitable[str]]] = {
    "none": _none,
    "retry": _retry,
    "turn": _turn,
    "named": _named,
    "halves": _halves,
    "stretches": _stretches,
    "source": _source,
}


# --- cases -----------------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, collect the cases, try the ways, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--passages", type=int, default=40, help="asked for of each file")
    parser.add_argument("--style", default="clean")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--base-url")
    parser.add_argument("--budget", type=int)
    parser.add_argument("--cache")
    parser.add_argument("--half", choices=("0", "1", "all"), default="all")
    parser.add_argument("--ways", default=",".join(WAYS), help="of " + ", ".join(WAYS))
    parser.add_argument("--seed", type=int, default=1, help="of the plain retry")
    parser.add_argument("--show", action="store_true", help="each case and what the ways made of it")
    asyncio.run(measure(parser.parse_args(argv)))
    return 0


async def measure(options: argparse.Namespace) -> None:
    """Collect, try, print."""
    given = {"style": options.style, "model": options.model, "base_url": options.base_url, "budget": options.budget,
             "cache": options.cache, "use_cache": options.cache is not None, "similar": "off"}  # fmt: skip
    tallies = {name: Tally() for name in options.ways.split(",")}
    cases: list[Case] = []
    async with Rewriter(**given) as rewriter:
        for file in options.files:
            found = [case async for case in rejected(rewriter, file, options.passages)]
            cases += [case for case in found if options.half in {"all", str(half(case.text))}]
        whole = [case for case in cases if not case.cut]
        for case in whole:
            for name, tally in tallies.items():
                await attempt(case, name, tally, options)
    print(table(whole, tallies))
    runaway = [case for case in cases if case.cut]
    mended = sum(taken_out(case) is not None for case in runaway)
    print(f"{len(runaway)} more stopped at the token limit; taking out what was not said recovers {mended} of them")


async def rejected(rewriter: Rewriter, file: Path, wanted: int) -> AsyncIterator[Case]:
    """The cases of a file: passages asked for as a run does first, and turned down."""
    count = 0
    for number, (work, passage, language) in enumerate(spread(list(_prepared(rewriter, file)), wanted), 1):
        means = replace(rewriter.means(language), replays=None)
        text, context = passage.text.strip(), work.context(passage)
        messages, _ = question(text, context, work.loose, means)
        answer, _ = await means.ask(request_for(means.model, messages, passage.tokens, means), "ask")
        draft = read(answer, text, context, means)
        verdict = judge(text, draft, means)
        if not verdict.accepted:
            count += 1
            yield Case(text, context, work.loose, messages, means, draft, verdict, answer.finish == "length")
        print(f"\r{file.name}: {count} of {number} rejected", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _prepared(rewriter: Rewriter, file: Path) -> Iterator[tuple[Work, Passage, str]]:
    """Every passage of a file, with its transcript made ready and its language."""
    for transcript, language in _transcripts(file):
        work = rewriter.prepare(transcript)
        yield from ((work, p, language or rewriter.language(transcript)) for p in work.passages if p.text.strip())


def _transcripts(file: Path) -> Iterator[tuple[Transcript, str]]:
    if file.suffix != ".jsonl":
        yield formats.read(file), ""
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        yield formats.read_bytes(row["source"].encode(), name=f"{number}.txt"), row.get("lang", "").split("-")[0]


def spread(passages: Sequence[Prepared], wanted: int) -> list[Prepared]:
    """So many of the passages, evenly spread."""
    wanted = min(wanted, len(passages))
    return [passages[int((n + 0.5) * len(passages) / wanted)] for n in range(wanted)]


def half(text: str) -> int:
    """0 or 1, by a hash of the text: a passage stays in its half whatever else is asked for."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % 2


# --- the table -------------------------------------------------------------------------------------------------------


async def attempt(case: Case, name: str, tally: Tally, options: argparse.Namespace) -> None:
    """One way on one case, counted alone and with taking out what was not said, before the way and after it."""
    asking = Asking(case, options.seed)
    free = taken_out(case)
    draft = await WAYS[name](case, asking)
    verdict = judge(case.text, draft, case.means)
    tally.alone += verdict.accepted
    tally.usage += asking.usage
    final = free or (draft if verdict.accepted else without_invented(draft, verdict.findings))
    if free or judge(case.text, final, case.means).accepted:
        tally.recovered += 1
        tally.text += len(case.text)
        tally.edited += len(case.text) * (final.strip() != case.text)
    if options.show:
        print(f"{name}: {'accepted' if verdict.accepted else 'rejected'}\n- {case.text}\n- {case.draft}\n- {draft}\n")


def taken_out(case: Case) -> str | None:
    """The first draft without what was not said, where that is accepted."""
    draft = without_invented(case.draft, case.verdict.findings)
    return draft if judge(case.text, draft, case.means).accepted else None


def table(cases: Sequence[Case], tallies: dict[str, Tally]) -> str:
    """A line for each way."""
    of = max(1, len(cases))
    lines = [
        f"{len(cases)} rejected drafts",
        "| way | recovered | with taking out | edited | calls | tokens in | tokens out |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, t in tallies.items():
        share = f"{100 * t.edited / max(1, t.text):.0f} %"
        counts = f"{t.alone} ({100 * t.alone / of:.0f} %) | {t.recovered} ({100 * t.recovered / of:.0f} %)"
        lines.append(f"| {name} | {counts} | {share} | {t.usage.calls} | {t.usage.input} | {t.usage.output} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
