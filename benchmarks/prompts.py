"""How well a style's prompt works with a model: a table of what became of a file of passages.

    python benchmarks/prompts.py passages.jsonl --style clean --base-url http://127.0.0.1:8080/v1 --budget 100

The file is text (one passage a paragraph) or JSON lines: `source`, and where there are any `target` (what a human made
of it) and `terms` ({canonical: [misheard forms]}). Passages above the budget are split first. One request at a time,
temperature 0, one answer a passage: what mends a rejected one is measured by `repair.py`. `--drafts FILE` writes every
draft with its figures, to be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, cast

from openai import OpenAI
from rapidfuzz.distance import LCSseq
from rapidfuzz.fuzz import ratio

from rewriter import checks, prompting
from rewriter.model.unwrap import unwrap
from rewriter.passages import split
from rewriter.prompting import Messages, Style
from rewriter.records import Verdict
from rewriter.tokens import TokenCounter, counter_for

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

# Hesitations that nobody means to say; counted before and after. Words that can carry sense (那个, like) are left out.
FILLERS = re.compile(r"[嗯呃]|就是说|\b(?:um|uh|er|erm|you know)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One passage to ask for; `terms` are (canonical, forms) that occur in it."""

    source: str
    target: str = ""
    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Term:
    """A hint as `prompting.build` takes it."""

    canonical: str
    forms: tuple[str, ...]
    how: str = "alias"
    note: str = ""


@dataclass(frozen=True)
class _Aliases:
    """A case's terms as the checker takes a glossary."""

    case: Case

    def aliases(self) -> dict[str, str]:
        return {form: name for name, forms in self.case.terms for form in forms}

    def canonicals(self) -> list[str]:
        return [name for name, _ in self.case.terms]


@dataclass
class Row:
    """What became of one passage. Shares are of content characters (letters and digits) and lie in 0 to 1."""

    source: str
    draft: str
    accepted: bool
    reason: str
    copied: bool
    kept: float
    invented: float
    length: float
    fillers: tuple[int, int]
    terms: tuple[int, int]
    nearer: float | None
    tokens: int
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, ask for every passage, print the table."""
    options = _arguments(argv)
    counter = counter_for(options.model)
    cases = list(_cases(Path(options.passages), options.budget, counter))[: options.limit]
    style = prompting.load_style(options.style, options.lang)
    client = OpenAI(base_url=options.base_url, api_key=options.api_key)
    rows = []
    for case in cases:
        rows.append(_run(client, style, case, counter, options))
        print(f"\r{len(rows)}/{len(cases)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    if options.drafts:
        lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        Path(options.drafts).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(table(options.label or f"{style.name}.{style.language}", rows))
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("passages", help="text or JSON lines")
    parser.add_argument("--style", default="clean", help="a style, or the path of a prompt file")
    parser.add_argument("--lang", default="zh", help="language of the passages")
    parser.add_argument("--base-url", default="http://127.0.0.1:8080/v1", help="an OpenAI-compatible endpoint")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--model", default="local")
    parser.add_argument("--budget", type=int, default=0, help="tokens of a passage; 0 leaves the file's as they are")
    parser.add_argument("--limit", type=int, default=None, help="the first so many passages only")
    parser.add_argument("--examples", choices=("turns", "system"), default="turns", help="where the examples stand")
    parser.add_argument("--drafts", help="write every draft to this file")
    parser.add_argument("--label", help="name of the table's line")
    return parser.parse_args(argv)


def _cases(path: Path, budget: int, counter: TokenCounter) -> Iterator[Case]:
    for record in _records(path):
        terms = tuple((name, tuple(forms)) for name, forms in record.get("terms", {}).items())
        whole = Case(record["source"], record.get("target", ""), terms)
        yield from _parts(whole, budget, counter) if budget else [whole]


def _records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{"source": part.strip()} for part in text.split("\n\n") if part.strip()]


def _parts(whole: Case, budget: int, counter: TokenCounter) -> Iterator[Case]:
    """The passages of a case; a part of it has no target of its own."""
    parts = [p.text.strip() for p in split(whole.source, budget=budget, counter=counter)]
    for part in parts:
        here = ((name, tuple(f for f in forms if f in part)) for name, forms in whole.terms)
        target = whole.target if len(parts) == 1 else ""
        yield Case(part, target, tuple((name, forms) for name, forms in here if forms))


def _run(client: OpenAI, style: Style, case: Case, counter: TokenCounter, options: argparse.Namespace) -> Row:
    hints = [Term(name, forms) for name, forms in case.terms]
    messages = prompting.build(style, passage=case.source, hints=hints, context="")
    if options.examples == "system":
        messages = _in_system(messages)
    began = time.perf_counter()
    draft, tokens = _ask(client, messages, case, counter, options.model)
    verdict = _judge(style, case, draft, options.lang)
    seconds = time.perf_counter() - began
    reason = "" if verdict.accepted or not verdict.findings else verdict.findings[0].message
    row = measure(case, draft)
    row.accepted, row.reason, row.tokens, row.seconds = verdict.accepted, reason, tokens, seconds
    return row


def _ask(client: OpenAI, messages: Messages, case: Case, counter: TokenCounter, model: str) -> tuple[str, int]:
    """The unwrapped draft and the answer's tokens."""
    limit = counter.count(case.source) * 2 + 64
    answer = client.chat.completions.create(
        model=model,
        messages=[cast("ChatCompletionMessageParam", m) for m in messages],
        temperature=0,
        seed=1,
        max_tokens=limit,
    )
    tokens = answer.usage.completion_tokens if answer.usage else 0
    return unwrap(answer.choices[0].message.content or "", case.source), tokens


def _judge(style: Style, case: Case, draft: str, lang: str) -> Verdict:
    return checks.check(case.source, draft, style=style.name, policy=style.policy, glossary=_Aliases(case), lang=lang)


def _in_system(messages: Messages) -> Messages:
    """The examples moved from turns of their own into the system message."""
    head, *examples, last = messages
    shown = "\n\n".join(m["content"] for m in examples)
    return ({"role": "system", "content": f"{head['content']}\n\n{shown}"}, last)


def measure(case: Case, draft: str) -> Row:
    """The figures that need no model: what of the source is in the draft, and what else is."""
    source, content, target = (_content(text) for text in (case.source, draft, case.target))
    common = LCSseq.similarity(source, content)
    applied = sum(name in draft and not any(f in draft for f in forms) for name, forms in case.terms)
    return Row(
        source=case.source,
        draft=draft,
        accepted=False,
        reason="",
        copied=draft.strip() == case.source.strip(),
        kept=common / max(1, len(source)),
        invented=1 - common / max(1, len(content)),
        length=len(content) / max(1, len(source)),
        fillers=(len(FILLERS.findall(case.source)), len(FILLERS.findall(draft))),
        terms=(len(case.terms), applied),
        nearer=ratio(content, target) - ratio(source, target) if target else None,
        tokens=0,
        seconds=0.0,
    )


def _content(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def table(label: str, rows: list[Row]) -> str:
    """Two lines: heads and figures. Shares in per cent; `nearer` in points of similarity to the human's version.

    "of text" is the share of code points in passages that were accepted and edited: what a reader gains.
    """
    fillers, terms = _sums(r.fillers for r in rows), _sums(r.terms for r in rows)
    nearer = [r.nearer for r in rows if r.nearer is not None]
    figures = {
        "prompt": label,
        "passages": str(len(rows)),
        "accepted": _share(mean(r.accepted for r in rows)),
        "accepted, edited": _share(mean(r.accepted and not r.copied for r in rows)),
        "of text": _share(
            sum(len(r.source) for r in rows if r.accepted and not r.copied) / sum(len(r.source) for r in rows)
        ),
        "copied": _share(mean(r.copied for r in rows)),
        "kept": _share(mean(r.kept for r in rows)),
        "invented": _share(mean(r.invented for r in rows)),
        "length": f"{mean(r.length for r in rows):.2f}",
        "fillers left": _share(fillers[1] / fillers[0]) if fillers[0] else "-",
        "terms": _share(terms[1] / terms[0]) if terms[0] else "-",
        "nearer": f"{mean(nearer):+.1f}" if nearer else "-",
        "tokens/s": f"{sum(r.tokens for r in rows) / max(1e-9, sum(r.seconds for r in rows)):.1f}",
    }
    return f"| {' | '.join(figures)} |\n| {' | '.join(figures.values())} |"


def _sums(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    listed = list(pairs)
    return sum(a for a, _ in listed), sum(b for _, b in listed)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


if __name__ == "__main__":
    sys.exit(main())
