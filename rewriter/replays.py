"""The cache's similar tier, as the pipeline uses it: rewrites of near passages, found and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewriter.cache import Accepted, request_key, scope_of
from rewriter.errors import CacheError
from rewriter.processes import Compute, here
from rewriter.records import Answer, Request

if TYPE_CHECKING:
    from rewriter.cache import PassageCache
    from rewriter.pipeline import Judge
    from rewriter.prompting import Hint, Style


class CachedReplays:
    """The cache's similar tier for one transcript. Trouble with it costs its help, not the run.

    Only what was kept before the run began is replayed (`before`, seconds since 1970): whether a passage is must not
    depend on which others were answered before it, or a run that was killed and resumed, or had more calls at once,
    would end otherwise than one that was not.
    """

    def __init__(
        self, cache: PassageCache, endpoint: str, style: Style, before: float, compute: Compute = here
    ) -> None:
        self._cache, self._endpoint, self._style, self._before = cache, endpoint, style, before
        self._compute = compute
        # `correct` keeps what was said, 嗯 and um too; the other styles leave them out
        self._drops = style.policy not in {"correct", "strict"}
        self._accepted: list[Accepted] = []

    def _scope(self, request: Request, hints: Sequence[Hint]) -> str:
        terms = [(h.how, h.note, h.canonical, *h.forms) for h in hints]
        prompt = f"{self._style.digest} {self._style.policy}"
        return scope_of(self._endpoint, request.model, request.parameters, prompt, terms)

    async def find(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> str | None:
        """See pipeline.Replays."""
        if await self._cache.aholds(request_key(self._endpoint, request)):
            return None
        try:
            scope = self._scope(request, hints)
            found = await self._cache.areplay(
                scope, text, judge, drops_hesitations=self._drops, before=self._before, compute=self._compute
            )
        except CacheError as error:
            self._tell(error)
            return None
        return found.rewrite if found else None

    def would(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> bool:
        """See pipeline.Replays."""
        try:
            scope = self._scope(request, hints)
            return self._cache.would_replay(scope, text, judge, drops_hesitations=self._drops, before=self._before)
        except CacheError as error:
            self._tell(error)
            return False

    def keep(self, request: Request, text: str, hints: Sequence[Hint], draft: str, answer: Answer) -> None:
        """See pipeline.Replays."""
        about = {
            "model": request.model,
            "style": self._style.name,
            "prompt": self._style.digest,
            "request": request_key(self._endpoint, request),
        }
        self._accepted.append(Accepted(self._scope(request, hints), text, draft, answer, about))

    def done(self) -> None:
        """See pipeline.Replays."""
        try:
            self._cache.remember_all(self._accepted)
        except CacheError as error:
            self._tell(error)
        self._accepted.clear()

    def _tell(self, error: CacheError) -> None:
        if str(error) not in self._cache.notices:
            self._cache.notices.append(str(error))
