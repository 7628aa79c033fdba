"""Finding out which requests a passage still needs, with the pipeline itself: it climbs until an answer is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rewriter import prompting
from rewriter.cache import PassageCache, request_key
from rewriter.errors import ModelUnavailable
from rewriter.pipeline import How, Judge, Means, Replays, rewrite_passage
from rewriter.records import Answer, Passage, Request
from rewriter.work import Work

if TYPE_CHECKING:
    from rewriter.prompting import Hint

Feign = Callable[[Request], str]

# Requests that one passage has in one batch at most; more than a passage has clauses is a mistake of ours.
MOST_TOGETHER = 32


class NotYet(Exception):
    """An answer is missing."""

    def __init__(self, key: str, request: Request, rung: str) -> None:
        super().__init__(rung)
        self.key, self.request, self.rung = key, request, rung


class GivenUp(ModelUnavailable):
    """An answer will not come; the text says why."""


class Climb:
    """Sends one passage up its ladder with the answers that `known` has; it raises GivenUp where one will not come.

    Nothing is counted, kept or asked.
    """

    def __init__(
        self, work: Work, passage: Passage, means: Means, cache: PassageCache, endpoint: str,
        known: Callable[[str], Answer | None],
    ) -> None:  # fmt: skip
        self._work, self._passage, self._known, self._endpoint = work, passage, known, endpoint
        replays = _Glance(means.replays, cache, endpoint) if means.replays is not None else None
        stronger = (means.stronger[0], self._ask) if means.stronger else None
        self._means = replace(means, ask=self._ask, stronger=stronger, replays=replays)
        self._feigned: Mapping[str, Feign] = {}
        self._read = 0  # real answers, in one go
        self.begun = False  # whether the passage has an answer already, so that what is missing is a repair

    async def missing(self) -> list[NotYet]:
        """The requests to be asked next: the first without an answer, and those that follow whatever it will be."""
        first = await self._up({})
        self.begun = self._read > 0
        if first is None:
            return []
        return await self._with_followers(first) if self.begun else [first]

    async def _with_followers(self, first: NotYet) -> list[NotYet]:
        """A repair may ask for several clauses, and halves are two: a day for each of them would be long.

        What follows is found by feigning answers, once nothing at all and once the passage as it is. Where both lead to
        the same next request of the same rung, it does not hang on the answer.
        """
        found = [first]
        while len(found) < MOST_TOGETHER:
            keys = [missing.key for missing in found]
            one = await self._up(dict.fromkeys(keys, _nothing))
            other = await self._up(dict.fromkeys(keys, _copy))
            if one is None or other is None or one.key != other.key or one.rung != first.rung:
                break
            found.append(one)
        return found

    async def _up(self, feigned: Mapping[str, Feign]) -> NotYet | None:
        self._feigned, self._read = feigned, 0
        try:
            await rewrite_passage(self._work, self._passage, self._means)
        except NotYet as missing:
            return missing
        except GivenUp:
            return None
        return None

    async def _ask(self, request: Request, rung: str) -> tuple[Answer, How]:
        key = request_key(self._endpoint, request)
        if key in self._feigned:
            return Answer(text=self._feigned[key](request)), "stored"
        answer = self._known(key)
        if answer is None:
            raise NotYet(key, request, rung)
        self._read += 1
        return answer, "stored"


def _nothing(request: Request) -> str:
    return ""


def _copy(request: Request) -> str:
    return prompting.passage_of(request.messages)


class _Glance:
    """The similar tier, looked at without being counted or added to."""

    def __init__(self, inner: Replays, cache: PassageCache, endpoint: str) -> None:
        self._inner, self._cache, self._endpoint = inner, cache, endpoint

    async def find(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> str | None:
        """See pipeline.Replays."""
        if await self._cache.aholds(request_key(self._endpoint, request)):
            return None
        accepted: list[str] = []

        def judged(source: str, draft: str) -> bool:
            if judge(source, draft):
                accepted.append(draft)
                return True
            return False

        return accepted[-1] if self._inner.would(request, text, hints, judged) else None

    def would(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> bool:
        """See pipeline.Replays."""
        return self._inner.would(request, text, hints, judge)

    def keep(self, request: Request, text: str, hints: Sequence[Hint], draft: str, answer: Answer) -> None:
        """Not now: the passage is rewritten in earnest later."""

    def done(self) -> None:
        """Nothing was kept."""
