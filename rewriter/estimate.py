"""What a rewrite would take, from the real input: passages, tokens, cost. No model is called, nothing is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from rewriter import formats, prompting
from rewriter.api import Rewriter
from rewriter.cache import request_key
from rewriter.errors import InputError
from rewriter.fixes import detect_language
from rewriter.formats import Source
from rewriter.glossary import Glossary
from rewriter.history import MESSAGE_TOKENS, REPLY_TOKENS, Factors, History
from rewriter.money import BATCH
from rewriter.passages import DEFAULT_BUDGET
from rewriter.pipeline import Means, first_request, replayed
from rewriter.purse import MessageTokens
from rewriter.records import Passage, Request, Usage
from rewriter.summary import Price
from rewriter.tokens import counter_for
from rewriter.work import Work, prepare

# Standard deviations of the range that is given: about nineteen runs in twenty fall in it.
SIGMAS = 2.0


def estimate(rewriter: Rewriter, sources: Iterable[Source]) -> dict[str, Any]:
    """Totals over the sources.

    `failed` says of each file that cannot be read why; a run leaves it out too. `cached` passages have a stored answer
    and `replayed` ones a near passage's rewrite: they take no tokens. `input` and `output` are the tokens to expect,
    repairs included as past runs with this model and style had them; `*_least` and `*_most` the range, narrower the
    more passages there are. `history` is how many past passages it rests on. With `batch` the price is that of the
    provider's batch interface, repairs too.
    """
    rewriter.only_looks = True
    try:
        return _totals(rewriter, sources)
    finally:
        rewriter.only_looks = False


def _totals(rewriter: Rewriter, sources: Iterable[Source]) -> dict[str, Any]:
    counts = {"files": 0, "characters": 0, "passages": 0, "cached": 0, "replayed": 0}
    tokens, asked = [0, 0], 0
    count = MessageTokens(rewriter.counter)
    failed = []
    for source in sources:
        try:
            work = rewriter.prepare(formats.read_bytes(source.read(), name=source.name, format=None))
        except InputError as error:
            failed.append(str(error))
            continue
        means = rewriter.means(rewriter.language(work.transcript))
        counts["files"] += 1
        counts["characters"] += len(work.transcript.text)
        for passage in work.passages[: rewriter.settings.limit]:
            counts["passages"] += 1
            free = _free(rewriter, work, passage, means)
            if free:
                counts[free] += 1
                continue
            asked += 1
            expected = expected_of(first_request(work, passage, means), passage, count)
            tokens = [tokens[0] + expected[0], tokens[1] + expected[1]]
    return {**counts, "failed": failed, "notices": rewriter.notices, **_with_range(rewriter, tokens, asked)}


def _free(rewriter: Rewriter, work: Work, passage: Passage, means: Means) -> str | None:
    """How a passage is had without a call, if it is."""
    if rewriter.cache is None:
        return None
    if request_key(rewriter.choice.endpoint, first_request(work, passage, means)) in rewriter.cache:
        return "cached"
    return "replayed" if replayed(work, passage, means) else None


def expected_of(request: Request, passage: Passage, count: MessageTokens) -> tuple[int, int]:
    """Input and output tokens of a first request, with the chat format's own, and of an answer as long as its text."""
    around = MESSAGE_TOKENS * len(request.messages) + REPLY_TOKENS
    return sum(count(m["content"]) for m in request.messages) + around, passage.tokens


def _with_range(rewriter: Rewriter, tokens: Sequence[int], asked: int) -> dict[str, Any]:
    choice = rewriter.choice
    cache = rewriter.cache
    history = History.read(cache.path if cache is not None else None)
    factors = history.factors(choice.model, rewriter.settings.style)
    taken, given = tokens[0] * factors.input, tokens[1] * factors.output
    expected = _usage(taken, given, factors)
    # the passages' surpluses are independent, and the factors themselves rest on so many passages
    past = history.patterns.get(f"{choice.model}|{rewriter.settings.style}")
    known = past.passages if past else 1
    share = SIGMAS * factors.spread * (math.sqrt(1 / max(1, asked)) + math.sqrt(1 / max(1, known)))
    least, most = (_usage(taken * by, given * by, factors) for by in (max(0.0, 1 - share), 1 + share))
    price, batch = Price(choice), rewriter.settings.engine == "provider-batch"
    name = choice.model + BATCH if batch else choice.model
    return {
        "input": expected.input,
        "output": expected.output,
        "input_least": least.input,
        "output_least": least.output,
        "input_most": most.input,
        "output_most": most.output,
        "history": past.passages if past else 0,
        "model": choice.model,
        "batch": batch,
        "cost": price({name: expected}),
        "cost_least": price({name: least}),
        "cost_most": price({name: most}),
    }


def _usage(taken: float, given: float, factors: Factors) -> Usage:
    return Usage(input=round(taken), cached=round(taken * factors.cached), output=round(given))


def passages(source: str, *, budget: int | None, style: str, glossary: Sequence[str]) -> dict[str, Any]:
    """The passages of a file: {"passages": [{start, end, tokens, text, speaker}], "budget"}.

    `start` and `end` are code points of the transcript's text (for txt and md, of the file's), `tokens` those of the
    text after its fixes.
    """
    transcript = formats.read_named(source)
    limit = budget or DEFAULT_BUDGET
    language = detect_language(transcript.text)
    work = prepare(
        transcript,
        policy=prompting.load_style(style, language).policy,
        language=language,
        glossary=Glossary.load(glossary),
        counter=counter_for(""),
        budget=limit,
    )
    found = []
    at = 0
    for p in work.passages:
        end = work.fixed.to_source_span(p.start, p.end)[1]
        found.append({"start": at, "end": end, "tokens": p.tokens, "speaker": p.speaker, "text": p.text})
        at = end
    if found and not transcript.text[at:].strip():
        found[-1]["end"] = len(transcript.text)
    return {"passages": found, "budget": limit}
