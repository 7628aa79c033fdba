"""How many names are right before a rewrite, after the fixes and after the rewrite, with the sound offers and without?

    python benchmarks/term_accuracy.py TEXT --terms TERMS [--passages 40] [--model embedded] [--cache DIR] [--show]

TERMS is YAML: `terms`, a list of {canonical, script, misheard: {form: how often}}; `script` only groups the table. Of
the passages of TEXT that hold a misheard form, so many are taken as are asked for, spread evenly. They are rewritten by
the whole ladder twice, with a glossary of the canonical forms alone: once as in a run, where the prompt offers what
sounds like a term, and once with nothing about terms in the prompt. The fixes are those of a glossary that knows the
misheard forms as certain aliases.

A term counts where it was said: each misheard form, and each place where it stood right. It is right where the
canonical form, letter for letter, stands at that place of the text (by alignment); a passage that was kept counts with
its source. `put in` counts canonical forms that answer no place.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import yaml

from rewriter import fixes, formats
from rewriter.api import Rewriter
from rewriter.glossary import Glossary
from rewriter.glossary.beside import Beside
from rewriter.glossary.terms import TermHint
from rewriter.pipeline import rewrite_passage
from rewriter.records import Outcome, Passage, Usage
from rewriter.work import Work


class Said(NamedTuple):
    """text[start:end] of a passage, where a term of a script was said."""

    start: int
    end: int
    canonical: str
    script: str


class Silent(Glossary):
    """A glossary that the guard knows and the prompt does not."""

    def for_prompt(self, text: str, *, limit_terms: int = 0, limit_tokens: int = 0) -> list[TermHint]:
        """No hints at all."""
        return []


class Terms:
    """The terms of a file and the forms they are misheard in."""

    def __init__(self, path: Path) -> None:
        self.scripts: dict[str, tuple[str, str]] = {}  # a form -> canonical, script
        for term in yaml.safe_load(path.read_text(encoding="utf-8"))["terms"]:
            self.scripts.setdefault(term["canonical"], (term["canonical"], "right"))
            self.scripts |= dict.fromkeys(term["misheard"], (term["canonical"], term["script"]))
        longest_first = sorted(self.scripts, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def said(self, text: str) -> list[Said]:
        """The places of a text where a term was said, heard right or not."""
        return [Said(m.start(), m.end(), *self.scripts[m[0]]) for m in self._pattern.finditer(text)]

    def bare(self) -> Glossary:
        """The canonical forms alone."""
        return Glossary.from_terms(dict.fromkeys(name for name, _ in self.scripts.values()))

    def certain(self) -> Glossary:
        """The canonical forms with their misheard forms, to be replaced without asking."""
        forms: dict[str, list[str]] = defaultdict(list)
        for form, (name, _) in self.scripts.items():
            forms[name] += [form] if form != name else []
        return Glossary.from_terms(
            {"canonical": name, "aliases": tuple(heard), "certain": True} for name, heard in forms.items()
        )


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, rewrite, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--terms", required=True, type=Path)
    parser.add_argument("--passages", type=int, default=40)
    parser.add_argument("--style", default="clean")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--base-url")
    parser.add_argument("--budget", type=int)
    parser.add_argument("--cache", help="folder of the answers, so that the same again costs nothing")
    parser.add_argument("--show", action="store_true", help="every place that is not right in the end")
    asyncio.run(measure(parser.parse_args(argv)))
    return 0


async def measure(options: argparse.Namespace) -> None:
    """Rewrite the passages both ways and print what became of the terms."""
    terms = Terms(options.terms)
    given = {"style": options.style, "model": options.model, "base_url": options.base_url, "budget": options.budget,
             "cache": options.cache, "use_cache": options.cache is not None, "similar": "off"}  # fmt: skip
    async with Rewriter(**given, glossary=terms.bare()) as rewriter:
        work = rewriter.prepare(formats.read(options.text))
        passages = spread([p for p in work.passages if misheard(terms, p.text)], options.passages)
        sources = [p.text.strip() for p in passages]
        bare = [o async for o in rewritten(rewriter, work, passages, Silent(rewriter.glossary.terms))]
        offered = [o async for o in rewritten(rewriter, work, passages, rewriter.glossary)]
        language = rewriter.language(work.transcript)
    certain = terms.certain()
    fixed = [fixes.fix(s, lang=language, style=options.style, hits=certain.certain_hits(s)).text for s in sources]
    columns = {
        "before": sources,
        "after fixes": fixed,
        "rewritten, no offers": [text for text, _ in bare],
        "rewritten, offers": [text for text, _ in offered],
    }
    print(table(terms, sources, columns, show=options.show))
    for name, outcomes in (("no offers", bare), ("offers", offered)):
        print(f"{name}: {effort([o for _, group in outcomes for o in group])}")


def misheard(terms: Terms, text: str) -> bool:
    """Whether a term is misheard in the text."""
    return any(place.script != "right" for place in terms.said(text))


def spread(passages: Sequence[Passage], wanted: int) -> list[Passage]:
    """So many of the passages, evenly spread."""
    wanted = min(wanted, len(passages))
    return [passages[int((n + 0.5) * len(passages) / wanted)] for n in range(wanted)]


async def rewritten(
    rewriter: Rewriter, work: Work, passages: Sequence[Passage], glossary: Glossary
) -> AsyncIterator[tuple[str, list[Outcome]]]:
    """Each passage's text as it would ship, and its outcomes."""
    means = replace(rewriter.means(rewriter.language(work.transcript)), glossary=glossary, replays=None)
    for number, passage in enumerate(passages, 1):
        outcomes = await rewrite_passage(work, passage, means)
        print(f"\r{number}/{len(passages)}", end="", file=sys.stderr)
        yield "\n".join(o.text for o in outcomes), outcomes
    print(file=sys.stderr)


def right(said: Sequence[Said], source: str, text: str) -> tuple[list[bool], int]:
    """Which of the places hold their canonical form in `text`, and how many canonical forms answer no place."""
    beside, hit, over = Beside(source, text), [False] * len(said), 0
    for name in {place.canonical for place in said}:
        free = [m.span() for m in re.finditer(re.escape(name), text)]
        mine = [n for n, place in enumerate(said) if place.canonical == name]
        for n in mine:
            start, end = beside.in_made(said[n].start, said[n].end)
            if found := next((f for f in free if f[0] < end and start < f[1]), None):
                free.remove(found)
                hit[n] = True
        over += len(free)
    return hit, over


def table(terms: Terms, sources: Sequence[str], columns: dict[str, list[str]], *, show: bool) -> str:
    """Shares of the places that are right, by script, a column for each state of the text."""
    total, good, over = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
    for number, source in enumerate(sources):
        said = terms.said(source)
        total.update([p.script for p in said])
        for column, texts in columns.items():
            hits, more = right(said, source, texts[number])
            over[column] += more + unsaid(terms, said, texts[number])
            good.update((column, p.script) for p, hit in zip(said, hits, strict=True) if hit)
            if show and column == list(columns)[-1]:
                print(*(f"{source[p.start : p.end]} -> {p.canonical}: not in «{texts[number]}»"
                        for p, hit in zip(said, hits, strict=True) if not hit), sep="\n")  # fmt: skip
    lines = [f"| said | places | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for script in [*sorted(set(total) - {"right"}), "right", "all"]:
        lines.append(f"| {script} | {_count(total, script)} | {' | '.join(_cells(good, total, columns, script))} |")
    lines.append(f"| put in | | {' | '.join(str(over[c]) for c in columns)} |")
    return "\n".join(lines)


def unsaid(terms: Terms, said: Sequence[Said], text: str) -> int:
    """Canonical forms in the text of terms that the passage does not say at all."""
    names = {p.canonical for p in said}
    return sum(p.script == "right" and p.canonical not in names for p in terms.said(text))


def _count(total: Counter[str], script: str) -> int:
    return sum(total.values()) if script == "all" else total[script]


def _cells(
    good: Counter[tuple[str, str]], total: Counter[str], columns: dict[str, list[str]], script: str
) -> Iterator[str]:
    for column in columns:
        scripts = total if script == "all" else [script]
        yield f"{100 * sum(good[column, s] for s in scripts) / max(1, _count(total, script)):.0f} %"


def effort(outcomes: Sequence[Outcome]) -> str:
    """What the rewrite came to: statuses and calls."""
    spent = sum((o.usage for o in outcomes), Usage())
    statuses = Counter(o.status for o in outcomes)
    return f"{', '.join(f'{n} {s}' for s, n in sorted(statuses.items()))}; {spent.calls} calls, {spent.output} tokens"


if __name__ == "__main__":
    sys.exit(main())
