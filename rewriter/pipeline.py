"""One passage's life, from the passage to its outcome. Read it top to bottom.

ask       passage -> prompt -> cache or model -> draft -> check  (the ladder)
seams     neighbouring outcomes judged together

Before it, work.py makes passages of a transcript; behind it, pieces.py puts the outcomes into the transcript's text.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from rewriter import prompting, traces
from rewriter.errors import ModelUnavailable
from rewriter.formats.cues import points
from rewriter.glossary.reporting import totals
from rewriter.judging import Rules, judged, judged_in_paragraphs
from rewriter.model.stretches import put_back, stretches, without_invented
from rewriter.model.unwrap import unwrap, without_context
from rewriter.money import BATCH
from rewriter.paragraphs import shown, with_paragraphs
from rewriter.processes import Compute, here
from rewriter.records import Answer, Outcome, Passage, Request, Status, TermCount, Usage, Verdict
from rewriter.settings import Ladder
from rewriter.tokens import TokenCounter
from rewriter.work import CONTEXT_CHARACTERS, Work, core_of

if TYPE_CHECKING:
    from rewriter.glossary import Glossary
    from rewriter.prompting import Hint, Style

Messages = tuple[dict[str, str], ...]
How = Literal["asked", "batch", "stored"]
Ask = Callable[[Request, str], Awaitable[tuple[Answer, How]]]
Judge = Callable[[str, str], bool]

# An answer may be this many times the passage's tokens, and a little more for short ones, before it is cut off: a
# faithful rewrite is rarely above 1.3 times, and a model caught in a loop must not run to its own limit at our cost.
ANSWER_FACTOR, ANSWER_EXTRA = 2.0, 64

# Code points of a token at most, on the average of an answer: above, a server has not kept to the limit. Two million
# of them would be judged, journalled and shown.
LONGEST_TOKEN = 16

# Rounds of taking out what was not said.
TAKEN_OUT = 3

# A passage below this many tokens is not cut in two: half a sentence gives the model less to go on, not more.
SMALLEST_TO_HALVE = 24

# Code points on each side of a seam that are judged together: more than twice the clause of which each side may have
# lost half. The whole pair is judged only where these are rejected, and nothing where EDGE on both sides is as it was.
SEAM, EDGE = 100, 30

_CLAUSE_END = re.compile(r"[。！？!?，,；;]\s*|\.\s+|\n+")


class Replays(Protocol):
    """Rewrites of near passages, kept so that they need not be asked for: the cache's similar tier."""

    async def find(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> str | None:
        """A rewrite of `text` that `judge(text, rewrite)` accepts; None also where the request itself is answered."""

    def would(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> bool:
        """Whether `find` would find one now; nothing is counted."""
        ...

    def keep(self, request: Request, text: str, hints: Sequence[Hint], draft: str, answer: Answer) -> None:
        """Keep an accepted draft of `text`, for transcripts to come."""

    def done(self) -> None:
        """The transcript is finished: what was kept may be found from now on."""


@dataclass(frozen=True)
class Means:
    """What a passage needs on its way: the style, the terms, the counter, and who answers.

    `ask`, given a request and the ladder's rung, returns an answer and how it was come by: by a call, from a provider's
    batch, or from the store, which costs nothing. `stronger` is a second such way and its model's name. `compute` is
    where what takes the processor long is computed: given a function and its arguments, it gives what that gives.
    """

    style: Style
    language: str
    glossary: Glossary
    counter: TokenCounter
    model: str
    ask: Ask
    ladder: Ladder = field(default_factory=Ladder)
    stronger: tuple[str, Ask] | None = None
    parameters: dict[str, object] = field(default_factory=lambda: {"temperature": 0})
    replays: Replays | None = None
    compute: Compute = here


# --- the ladder ------------------------------------------------------------------------------------------------------


@dataclass
class _Attempt:
    """What has been tried for one stretch of text of so many tokens, and what it cost, by model."""

    text: str
    context: str
    tokens: int
    loose: bool = False
    ladder: list[str] = field(default_factory=list)
    spent: dict[str, Usage] = field(default_factory=dict)
    saved: dict[str, Usage] = field(default_factory=dict)
    from_cache: int = 0
    draft: str = ""
    verdict: Verdict | None = None
    truncated: bool = False
    answer: Answer | None = None
    terms: dict[str, TermCount] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.verdict is not None and self.verdict.accepted


async def rewrite_passage(work: Work, passage: Passage, means: Means) -> list[Outcome]:
    """Climb the ladder for one passage: ask, ask again for what was lost, halve, ask a stronger model, keep.

    Returns one outcome, or one for each half where the passage had to be cut. A rejected draft is in no outcome's
    text. Raises ModelConfigError where asking cannot help, and ModelUnavailable where the endpoint is down.
    """
    start, core = core_of(passage.start, passage.text)
    attempt = _Attempt(core, work.context(passage), passage.tokens, work.loose)
    try:
        await _ask_and_repair(attempt, means, means.ladder.repairs)
        if attempt.accepted:
            return [_finished(work, passage.index, start, attempt, means)]
        if halves := _halves(start, core, means):
            return await _rewrite_halves(work, passage.index, halves, attempt, means)
        await _ask_stronger(attempt, means)
        return [_finished(work, passage.index, start, attempt, means)]
    except ModelUnavailable as error:
        error.spent, error.saved = attempt.spent, attempt.saved  # what had been answered is paid for all the same
        raise


async def _rewrite_halves(
    work: Work, index: int, halves: list[tuple[int, str]], whole: _Attempt, means: Means
) -> list[Outcome]:
    done: list[Outcome] = []
    for number, (start, text) in enumerate(halves):
        context = whole.context if number == 0 else halves[number - 1][1][-CONTEXT_CHARACTERS:]
        half = _Attempt(text, context, means.counter.count(text), work.loose)
        half.ladder.append("half")
        if number == 0:  # the first half carries what the whole has cost, so that sums stay true
            half.spent, half.saved, half.from_cache = whole.spent, whole.saved, whole.from_cache
            half.ladder[:0] = whole.ladder
        await _ask_and_repair(half, means, means.ladder.half_repairs)
        if not half.accepted:
            await _ask_stronger(half, means)
        done.append(_finished(work, index, start, half, means, part="ab"[number]))
    return done


async def _ask_and_repair(attempt: _Attempt, means: Means, repairs: int) -> None:
    await means.glossary.listen(attempt.text, means.compute)
    messages, hints = question(attempt.text, attempt.context, attempt.loose, means)
    request = request_for(means.model, messages, attempt.tokens, means)
    if await _replay(attempt, request, hints, means):
        return
    await _try(attempt, request, "ask", means.ask, means)
    if _take_out(attempt, means):
        attempt.ladder.append("repair")
    for _ in range(repairs):
        if attempt.accepted or attempt.truncated or attempt.verdict is None:
            break
        if wrong := stretches(attempt.text, attempt.draft, attempt.verdict.findings):
            await _ask_for_stretches(attempt, wrong, means)
            continue
        again = prompting.repair(means.style, messages, attempt.draft, attempt.verdict.findings)
        await _try(attempt, request_for(means.model, again, attempt.tokens, means), "repair", means.ask, means)
    if means.replays is not None and attempt.accepted and attempt.answer is not None:
        means.replays.keep(request, attempt.text, hints, attempt.draft, attempt.answer)


async def _ask_for_stretches(attempt: _Attempt, spans: Sequence[tuple[int, int]], means: Means) -> None:
    """Mend a draft: the clauses it got wrong are asked for and put in, and what was not said is taken out.

    The clauses are asked for without what was said before them: beside half a thought, a weak model writes that again.
    """
    attempt.ladder.append("repair")
    drafts = []
    for start, end in spans:
        text = attempt.text[start:end].strip()
        part = _Attempt(text, "", means.counter.count(text), attempt.loose, spent=attempt.spent, saved=attempt.saved)
        messages, _ = question(text, "", attempt.loose, means)
        await _try(part, request_for(means.model, messages, part.tokens, means), "repair", means.ask, means)
        _take_out(part, means)
        attempt.from_cache += part.from_cache
        drafts.append(part.draft)
    attempt.draft = with_paragraphs(put_back(attempt.text, attempt.draft, spans, drafts), attempt.text)
    attempt.verdict = judge(attempt.text, attempt.draft, means)
    _take_out(attempt, means)
    if attempt.answer is not None:
        attempt.answer = attempt.answer.model_copy(update={"text": attempt.draft})


def _take_out(attempt: _Attempt, means: Means) -> bool:
    """Take what was not said, or said twice, out of a rejected draft, where the draft is accepted then.

    It takes no call, so halves and answers that ran into their limit are mended so too. What is left may have a new
    finding where the last one covered it.
    """
    draft, verdict = attempt.draft, attempt.verdict
    for _ in range(TAKEN_OUT):
        if verdict is None or verdict.accepted:
            return False
        shorter = without_invented(draft, verdict.findings)
        if shorter == draft:
            return False
        draft, verdict = shorter, judge(attempt.text, shorter, means)
        if verdict.accepted:
            attempt.draft, attempt.verdict, attempt.truncated = draft, verdict, False
            return True
    return False


def first_request(work: Work, passage: Passage, means: Means) -> Request:
    """The request that a passage begins its ladder with."""
    messages, _ = question(passage.text.strip(), work.context(passage), work.loose, means)
    return request_for(means.model, messages, passage.tokens, means)


def question(text: str, context: str, loose: bool, means: Means) -> tuple[Messages, Sequence[Hint]]:
    """What a text is asked with, and the terms that are named in it."""
    hints = means.glossary.for_prompt(text)
    before = shown(context, loose=loose)
    return prompting.build(means.style, passage=shown(text, loose=loose), hints=hints, context=before), hints


def replayed(work: Work, passage: Passage, means: Means) -> bool:
    """Whether a passage's rewrite would be replayed from a near one's."""
    if means.replays is None:
        return False
    text = passage.text.strip()
    hints, request = means.glossary.for_prompt(text), first_request(work, passage, means)
    return means.replays.would(request, text, hints, lambda s, d: judge(s, d, means).accepted)


async def _replay(attempt: _Attempt, request: Request, hints: Sequence[Hint], means: Means) -> bool:
    """Whether a near passage's rewrite could be carried over to this one and passed the check: no call is needed."""

    def accepts(source: str, draft: str) -> bool:
        attempt.verdict = judge(source, draft, means)
        return attempt.verdict.accepted

    draft = await means.replays.find(request, attempt.text, hints, accepts) if means.replays is not None else None
    if draft is None:
        attempt.verdict = None
        return False
    attempt.ladder.append("replay")
    attempt.from_cache += 1
    attempt.draft = with_paragraphs(draft, attempt.text)
    return True


async def _ask_stronger(attempt: _Attempt, means: Means) -> None:
    if means.stronger is None:
        return
    model, ask = means.stronger
    messages, _ = question(attempt.text, attempt.context, attempt.loose, means)
    await _try(attempt, request_for(model, messages, attempt.tokens, means), "stronger", ask, means)


async def _try(attempt: _Attempt, request: Request, rung: str, ask: Ask, means: Means) -> None:
    """One question and its judgement. The answer is stored (by `ask`) before it is judged here."""
    with traces.span(rung) as span:
        how = await _tried(attempt, request, rung, ask, means)
        score = attempt.verdict.score if attempt.verdict else None
        span.note(answer=how, accepted=attempt.accepted, score=score, cut_off=attempt.truncated)


async def _tried(attempt: _Attempt, request: Request, rung: str, ask: Ask, means: Means) -> How:
    answer, how = await ask(request, rung)
    answer = _within_limit(answer, request)
    attempt.ladder.append(rung)
    attempt.answer = answer
    attempt.from_cache += how == "stored"
    booked = attempt.saved if how == "stored" else attempt.spent
    name = request.model + BATCH if how == "batch" else request.model
    booked[name] = booked.get(name, Usage()) + answer.usage
    attempt.truncated = answer.finish == "length"
    attempt.draft, attempt.verdict = await _judged(answer.text, attempt, means)
    return how


def _within_limit(answer: Answer, request: Request) -> Answer:
    """The answer, or as much of it as the token limit can hold where a server does not keep to it."""
    most = int(request.parameters["max_tokens"]) * LONGEST_TOKEN
    if len(answer.text) <= most:
        return answer
    return answer.model_copy(update={"text": answer.text[:most], "finish": "length"})


async def _judged(answer: str, attempt: _Attempt, means: Means) -> tuple[str, Verdict]:
    """The draft in an answer and its verdict; one that rewrote its context too is judged without that."""
    draft = unwrap(answer, attempt.text)
    draft, verdict = await means.compute(judged_in_paragraphs, attempt.text, draft, _rules(attempt.text, draft, means))
    if not verdict.accepted and (own := without_context(draft, attempt.context, attempt.text)) != draft:
        again = judge(attempt.text, own, means)
        if again.accepted:
            return with_paragraphs(own, attempt.text), again
    return draft, verdict


def request_for(model: str, messages: Messages, tokens: int, means: Means) -> Request:
    """The request that the messages about a text of so many tokens become; `max_tokens` bounds what a loop can cost."""
    limit = int(tokens * ANSWER_FACTOR) + ANSWER_EXTRA
    return Request(model=model, messages=messages, parameters={**means.parameters, "max_tokens": limit})


def judge(source: str, draft: str, means: Means) -> Verdict:
    """The checker's verdict under the style's policy."""
    return judged(source, draft, _rules(source, draft, means))


def _rules(source: str, draft: str, means: Means) -> Rules:
    terms = means.glossary.within(source, draft)
    return Rules(means.style.name, means.style.policy, means.language, terms if terms.canonicals() else None)


def _halves(start: int, text: str, means: Means) -> list[tuple[int, str]]:
    """Two parts of the text cut at the best place near the middle, or nothing where it is too short to cut."""
    tokens = means.counter.count(text)
    if not means.ladder.halves or tokens < SMALLEST_TO_HALVE:
        return []
    middle, cut = len(text) / 2, 0
    for ends in (r"[。！？!?…]+[”」』）)]?\s*|\.\s+|\n+", r"[，,；;：:、]\s*", r"\s+", ""):
        places = [m.end() for m in re.finditer(ends, text) if len(text) * 0.2 <= m.end() <= len(text) * 0.8]
        if places:
            cut = min(places, key=lambda place: abs(place - middle))
            break
    if not cut:
        return []
    second = start + cut + (len(text[cut:]) - len(text[cut:].lstrip()))
    return [(start, text[:cut].rstrip()), (second, text[cut:].lstrip())]


def _finished(work: Work, index: int, start: int, attempt: _Attempt, means: Means, part: str = "") -> Outcome:
    if attempt.accepted and len(means.glossary):
        _apply_glossary(attempt, means)
    return _outcome(work, index, start, attempt, part)


def _apply_glossary(attempt: _Attempt, means: Means) -> None:
    """Certain aliases that an accepted draft still has are replaced, and what became of every term is counted.

    The mended draft is judged again; where that rejects it, the draft ships as it was accepted.
    """
    done = means.glossary.applied(attempt.text, attempt.draft)
    verdict = judge(attempt.text, done.text, means) if done.fixes else attempt.verdict
    if verdict is not None and verdict.accepted:
        attempt.draft = done.text
        attempt.verdict = verdict.model_copy(update={"findings": (*verdict.findings, *done.findings)})
        attempt.terms = totals([done.report])


def _outcome(work: Work, index: int, start: int, attempt: _Attempt, part: str = "") -> Outcome:
    begin, end = work.fixed.to_source_span(start, start + len(attempt.text))
    verdict = attempt.verdict or Verdict(accepted=False, score=0.0)
    kept = not verdict.accepted
    return Outcome(
        index=index,
        part=part,
        start=begin,
        end=end,
        fixed=(start, start + len(attempt.text)),
        status=_status(attempt, kept),
        text=attempt.text if kept else attempt.draft,
        source=attempt.text,
        score=verdict.score,
        findings=verdict.findings,
        reason=_reason(attempt, verdict) if kept else "",
        rejected=attempt.draft if kept else None,
        ladder=tuple(attempt.ladder),
        usage=sum(attempt.spent.values(), Usage()),
        spent=attempt.spent,
        saved=attempt.saved,
        from_cache=attempt.from_cache,
        terms={} if kept else attempt.terms,
    )


def _status(attempt: _Attempt, kept: bool) -> Status:
    if kept:
        return "kept"
    if attempt.ladder == ["replay"]:
        return "replayed"
    if len(attempt.ladder) > 1:
        return "repaired"
    return "cached" if attempt.from_cache else "rewritten"


def _reason(attempt: _Attempt, verdict: Verdict) -> str:
    if attempt.truncated:
        return "the answer stopped at the token limit"
    worst = next((f for f in verdict.findings if f.severity == "reject"), None)
    return worst.message if worst else "the draft was rejected"


def keep(work: Work, passage: Passage, error: ModelUnavailable) -> Outcome:
    """The outcome of a passage for which no answer could be had: its fixed source stands, with what it took so far."""
    start, core = core_of(passage.start, passage.text)
    nothing = _Attempt(core, "", passage.tokens, spent=dict(error.spent), saved=dict(error.saved))
    kept = _outcome(work, passage.index, start, nothing)
    return kept.model_copy(update={"reason": f"no answer: {error.what}", "unanswered": True, "rejected": None})


# --- seams -----------------------------------------------------------------------------------------------------------


def check_seam(left: Outcome, right: Outcome, means: Means) -> tuple[Outcome, Outcome]:
    """Judge two neighbours as one text, and keep the weaker one's source where their seam fails.

    Two drafts can each pass and fail together: a clause said on both sides of the seam, or half lost on each.
    """
    if "kept" in (left.status, right.status) or _untouched(left, right):
        return left, right
    (source, draft), (after, then) = _last_part(left), _first_part(right)
    if judge(f"{source}\n{after}", f"{draft}\n{then}", means).accepted:
        return left, right
    verdict = judge(f"{left.source}\n{right.source}", f"{left.text}\n{right.text}", means)
    if verdict.accepted:
        return left, right
    worst = next((f.message for f in verdict.findings if f.severity == "reject"), "rejected as a pair")
    if right.score <= left.score:
        return left, _kept_at_seam(right, worst)
    return _kept_at_seam(left, worst), right


def _untouched(left: Outcome, right: Outcome) -> bool:
    """Whether both drafts are as their sources where they meet: nothing can be lost or said twice there."""
    return left.source[-EDGE:] == left.text[-EDGE:] and right.source[:EDGE] == right.text[:EDGE]


def _last_part(outcome: Outcome) -> tuple[str, str]:
    """The end of a source and of its draft: what a fault at the seam behind them can reach."""
    source, draft = outcome.source[-2 * SEAM :], outcome.text[-2 * SEAM :]
    if len(source) == len(outcome.source) or len(draft) == len(outcome.text):
        return outcome.source, outcome.text
    cut = _clause_end(source[:-SEAM])
    return source[cut:], draft[points(source, draft, [cut])[0] :]


def _first_part(outcome: Outcome) -> tuple[str, str]:
    """The beginning of a source and of its draft: what a fault at the seam before them can reach."""
    source, draft = outcome.source[: 2 * SEAM], outcome.text[: 2 * SEAM]
    if len(source) == len(outcome.source) or len(draft) == len(outcome.text):
        return outcome.source, outcome.text
    cut = _clause_end(source[:-1][: 2 * SEAM - SEAM // 4], least=SEAM)
    return source[:cut], draft[: points(source, draft, [cut])[0]]


def _clause_end(text: str, least: int = 0) -> int:
    """Behind the last mark in the text that ends a clause, or its length where none stands at `least` or later."""
    found = max((m.end() for m in _CLAUSE_END.finditer(text)), default=0)
    return found if found > least else len(text)


def _kept_at_seam(outcome: Outcome, why: str) -> Outcome:
    return outcome.model_copy(
        update={
            "status": "kept",
            "text": outcome.source,
            "rejected": outcome.text,
            "reason": f"seam with its neighbour: {why}",
        }
    )
