"""The cache's similar tier, as the pipeline uses it: rewrites of near passages, found and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rewriter.cache import request_key, scope_of
from rewriter.errors import CacheError
from rewriter.records import Answer, Request

if TYPE_CHECKING:
    from rewriter.cache import PassageCache
    from rewriter.pipeline import Judge
    from rewriter.prompting import Hint, Style


class CachedReplays:
    """The cache's similar tier for one transcript. Trouble with it costs its help, not the run.

    What is accepted is kept for later transcripts only when this one is done: whether a passage is replayed must not
    depend on which others were answered before it, or a run that was killed and resumed would end otherwise than one
    that was not.
    """

    def __init__(self, cache: PassageCache, endpoint: str, style: Style) -> None:
        self._cache, self._endpoint, self._style = cache, endpoint, style
        # `correct` keeps what was said, 嗯 and um too; the other styles leave them out
        self._drops = style.policy not in {"correct", "strict"}
        self._accepted: list[Callable[[], None]] = []

    def _scope(self, request: Request, hints: Sequence[Hint]) -> str:
        terms = [(h.how, h.note, h.canonical, *h.forms) for h in hints]
        prompt = f"{self._style.digest} {self._style.policy}"
        return scope_of(self._endpoint, request.model, request.parameters, prompt, terms)

    def find(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> str | None:
        """See pipeline.Replays."""
        if request_key(self._endpoint, request) in self._cache:
            return None
        try:
            scope = self._scope(request, hints)
            found = self._cache.replay(scope, text, judge, drops_hesitations=self._drops)
        except CacheError as error:
            self._tell(error)
            return None
        return found.rewrite if found else None

    def would(self, request: Request, text: str, hints: Sequence[Hint], judge: Judge) -> bool:
        """See pipeline.Replays."""
        try:
            scope = self._scope(request, hints)
            return self._cache.would_replay(scope, text, judge, drops_hesitations=self._drops)
        except CacheError as error:
            self._tell(error)
            return False

    def keep(self, request: Request, text: str, hints: Sequence[Hint], draft: str, answer: Answer) -> None:
        """See pipeline.Replays."""
        about = {"model": request.model, "style": self._style.name, "prompt": self._style.digest}
        scope = self._scope(request, hints)

        def remember() -> None:
            if self._cache.rewrite_of(scope, text) != draft:
                self._cache.remember(scope, text, draft, answer, about=about)

        self._accepted.append(remember)

    def done(self) -> None:
        """See pipeline.Replays."""
        try:
            for remember in self._accepted:
                remember()
        except CacheError as error:
            self._tell(error)
        self._accepted.clear()

    def _tell(self, error: CacheError) -> None:
        if str(error) not in self._cache.notices:
            self._cache.notices.append(str(error))
