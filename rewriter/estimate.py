"""What a rewrite would take, from the real input: passages, tokens, cost. No model is called, nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rewriter import formats, prompting
from rewriter.api import Rewriter
from rewriter.cache import request_key
from rewriter.fixes import detect_language
from rewriter.formats import Source
from rewriter.glossary import Glossary
from rewriter.money import cost
from rewriter.passages import DEFAULT_BUDGET
from rewriter.pipeline import Means, Work, prepare, request_for
from rewriter.records import Passage, Request, Usage
from rewriter.tokens import counter_for

# A rewrite is about as long as its source; the most a rejected passage costs is its first answer, one repair (which
# carries the first answer along), and two halves.
MOST_ANSWERS = 3


def estimate(rewriter: Rewriter, sources: Iterable[Source]) -> dict[str, Any]:
    """Totals over the sources. `input` and `output` are tokens of the first answers; `*_most` include every rung."""
    total = {"files": 0, "characters": 0, "passages": 0, "cached": 0, "input": 0, "output": 0}
    for source in sources:
        transcript = formats.read_bytes(source.read(), name=source.name, format=None)
        work = rewriter.prepare(transcript)
        means = rewriter.means(rewriter.language(transcript))
        total["files"] += 1
        total["characters"] += len(transcript.text)
        for passage in work.passages[: rewriter.settings.limit]:
            request = first_request(work, passage, means)
            total["passages"] += 1
            if rewriter.cache is not None and request_key(rewriter.choice.endpoint, request) in rewriter.cache:
                total["cached"] += 1
                continue
            total["input"] += sum(means.counter.count_many([m["content"] for m in request.messages]))
            total["output"] += passage.tokens
    most = {"input_most": total["input"] * MOST_ANSWERS, "output_most": total["output"] * MOST_ANSWERS}
    return {
        **total,
        **most,
        "model": rewriter.choice.model,
        "cost": cost(Usage(input=total["input"], output=total["output"]), rewriter.choice),
        "cost_most": cost(Usage(input=most["input_most"], output=most["output_most"]), rewriter.choice),
    }


def first_request(work: Work, passage: Passage, means: Means) -> Request:
    """The request a passage begins its ladder with."""
    text = passage.text.strip()
    hints = means.glossary.for_prompt(text)
    messages = prompting.build(means.style, passage=text, hints=hints, context=work.context(passage))
    return request_for(means.model, messages, passage.tokens, means)


def passages(source: str, *, budget: int | None, style: str, glossary: Sequence[str]) -> dict[str, Any]:
    """The passages of a file: {"passages": [{start, end, tokens, text, speaker}], "budget"}.

    `start` and `end` are code points of the transcript's text (for txt and md, of the file's), `tokens` those of the
    text after its fixes.
    """
    transcript = formats.read(Path(source))
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
