"""What is to be asked in a round, gathered into request files: one model each, no request twice, within the purse."""

from __future__ import annotations

from collections.abc import Sequence

from rewriter.api import Rewriter
from rewriter.engines import batch_files as files
from rewriter.engines.batch_files import Note, RequestFile
from rewriter.engines.batch_jobs import MARK, Jobs, short
from rewriter.engines.batch_looking import NotYet
from rewriter.errors import CacheError
from rewriter.model.client import ChatClient
from rewriter.money import BATCH
from rewriter.purse import Account, expected_usage
from rewriter.records import Request, Usage


class Orders:
    """Orders of one execution, given to `jobs` file by file."""

    def __init__(self, rewriter: Rewriter, jobs: Jobs) -> None:
        self._rewriter, self._jobs = rewriter, jobs
        self._probed: set[str] = set()  # models that have answered a call
        self._filling: dict[str, tuple[RequestFile, Account]] = {}

    async def order(self, missing: Sequence[NotYet], mark: str, prompt: str) -> bool:
        """Note requests for a batch; whether the first was answered by a call instead, so that more may be needed.

        `mark` is of the passage they are for, `prompt` its style's digest. Raises BudgetExceeded where there is no
        money for them, CacheError where the cache has lost what was bought, and what a call raises.
        """
        new = [each for each in missing if short(each.key) not in self._jobs.asked]
        for each in new:
            if short(each.key) in self._jobs.had:
                raise gone(self._rewriter)
            if await self._probe(each, mark, prompt):
                return True
            await self._note(each, Note(each.key, mark, prompt))
        return False

    async def _probe(self, missing: NotYet, mark: str, prompt: str) -> bool:
        """Ask a model's first request by a call, before thousands are sent: key, name and parameters are right then."""
        model = missing.request.model
        if model in self._probed:
            return False
        answer = await self._rewriter.call(missing.request)
        cache = self._rewriter.cache
        assert cache is not None
        about = {**self._rewriter.about(model, prompt), MARK: f"asked {mark}"}
        await cache.aput(missing.key, answer, about=about)
        self._probed.add(model)
        return True

    async def _note(self, missing: NotYet, note: Note) -> None:
        client = await self._rewriter.client()
        assert isinstance(client, ChatClient)
        request = missing.request
        line = files.line_of(missing.key, client.body(request))
        expected = expected_usage(request, self._rewriter.message_tokens)
        held = self._filling.get(request.model)
        if held and not held[0].takes(line, self._jobs.most_requests, files.MOST_BYTES):
            self._close(request.model)
        self._booked(request, expected).add(line, note, expected)
        self._jobs.asked.add(short(missing.key))

    def _booked(self, request: Request, expected: Usage) -> RequestFile:
        """The file that is being filled for a model, with money for one more request. Raises BudgetExceeded."""
        model, purse, choice = request.model, self._rewriter.purse, self._rewriter.choice
        if model in self._filling:
            purse.add(self._filling[model][1], expected, choice)
        else:
            account = purse.book(model + BATCH, expected, choice)
            self._filling[model] = RequestFile(self._jobs.folder, model), account
        return self._filling[model][0]

    def _close(self, model: str) -> None:
        file, account = self._filling.pop(model)
        self._jobs.take(file.close(self._jobs.settings), account)

    def close(self) -> None:
        """Give what was noted to `jobs`, to be sent."""
        for model in list(self._filling):
            self._close(model)

    def discard(self) -> None:
        """Forget what was noted and is not given to `jobs` yet."""
        for file, _ in self._filling.values():
            file.discard()
        self._filling.clear()


def gone(rewriter: Rewriter) -> CacheError:
    """The error for an answer that was bought and is gone from the cache: buying it again might go on for ever."""
    return CacheError(
        "an answer that was bought is not in the cache any more.",
        where=str(rewriter.cache and rewriter.cache.path),
        remedy="Let the cache keep more (REWRITER_CACHE_SIZE, REWRITER_CACHE_DAYS), then run the same command again.",
    )
