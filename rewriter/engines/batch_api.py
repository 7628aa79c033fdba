"""A provider's batch interface (OpenAI's /files and /batches), with the client's key, retries and error messages.

What makes something there is looked for before it is made a second time: a try whose answer was lost may have worked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import Field

from rewriter.engines.batch_files import writing
from rewriter.engines.batch_log import Batch
from rewriter.errors import ModelConfigError, ModelError
from rewriter.model.bodies import Body, Refusal
from rewriter.model.client import ChatClient
from rewriter.model.retry import Retryable
from rewriter.records import Answer, Request

# Bytes a second that an upload or a download is given at least, beside the time limit of a call.
SLOWEST = 50_000
# Seconds by which the provider's clock may be behind ours, where its lists are searched no further than our own record.
CLOCKS_APART = 86_400
PAGE = 100

# What codes say that a batch is too much at the moment (others under way take the room), or too large by itself.
NO_ROOM = frozenset({"token_limit_exceeded", "batch_limit_exceeded", "too_many_batches"})
TOO_LARGE = frozenset(
    {"too_many_tasks", "file_too_large", "max_file_size_exceeded", "maximum_input_file_size_exceeded"}
)
_PAYLOAD_TOO_LARGE = 413
_GONE = frozenset({404, 405, 410, 501})


T = TypeVar("T")
B = TypeVar("B", bound=Body)
L = TypeVar("L", bound="Listed")


class Counts(Body):
    """What became of a batch's requests so far."""

    completed: int | None = None
    failed: int | None = None


class Wrong(Body):
    """One reason why a batch was not begun."""

    code: str | None = None
    message: str | None = None


class Wrongs(Body):
    """Such reasons."""

    data: list[Wrong] | None = None


class Listed(Body):
    """What the provider keeps, under a name of its own."""

    id: str
    created_at: float | None = None


class BatchBody(Listed):
    """A batch as the provider tells of it."""

    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: Counts | None = None
    metadata: dict[str, Any] | None = None
    errors: Wrongs | None = None

    @property
    def wrong(self) -> Wrong:
        """The first reason why it was not begun."""
        return next(iter((self.errors and self.errors.data) or ()), Wrong())


class FileBody(Listed):
    """A file as the provider tells of it."""

    filename: str | None = None
    bytes: int | None = None


class Page(Body, Generic[L]):
    """A stretch of a list, newest first."""

    data: list[L] = Field(default_factory=list)
    has_more: bool = False


class TooMuch(Exception):
    """The provider takes no batch of this size: not now (`later`), or never."""

    def __init__(self, said: str, *, later: bool) -> None:
        super().__init__(said)
        self.said, self.later = said, later


class Gone(Exception):
    """The provider knows no such thing."""


class BatchApi(ChatClient):
    """The client, for files and batches. Every method raises ModelConfigError and ModelUnavailable as `complete` does,
    TooMuch and Gone where the caller is to know."""

    # --- making ---

    async def upload(self, batch: Batch, path: Path) -> str:
        """The provider's name for a request file, sent unless it is there already."""

        async def send() -> str:
            with writing(path.parent):
                file = path.open("rb")
            with file:
                raw = await self._client().files.with_raw_response.create(
                    file=(batch.name, file, "application/jsonl"), purpose="batch", timeout=self._seconds(batch.size)
                )
            return self._as(FileBody, raw.content).id

        return await self._made(lambda: self._uploaded(batch), send, self._seconds(batch.size))

    async def create(self, batch: Batch) -> str:
        """The provider's name for the batch of an uploaded file, begun unless it is already."""
        body = {
            "input_file_id": batch.file,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"token": batch.token, "by": "transcript-rewriter"},
        }

        async def send() -> str:
            # few providers heed the header; those that do need not be looked through for what was begun
            return self._as(BatchBody, await self._json("post", "/batches", body=body, once=batch.token)).id

        return await self._made(lambda: self._begun(batch), send, self._timeout)

    async def _made(
        self, look: Callable[[], Awaitable[str | None]], make: Callable[[], Awaitable[str]], seconds: float
    ) -> str:
        tries = 0

        async def attempt() -> str:
            nonlocal tries
            tries += 1
            found = await self._looked(look) if tries > 1 else None
            return found or await make()

        return await self._through(attempt, seconds)

    # --- finding what was made before a kill ---

    async def find(self, batch: Batch) -> str | None:
        """The batch of a token, None where it was not begun (or the provider has no lists)."""
        return await self._found(lambda: self._begun(batch))

    async def find_file(self, batch: Batch) -> str | None:
        """The file of a token, None where it did not arrive whole (or the provider has no lists)."""
        return await self._found(lambda: self._uploaded(batch))

    async def _looked(self, look: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            return await self._sent(look)
        except Gone:
            return None

    async def _found(self, look: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            return await self._through(look, self._timeout)
        except Gone:
            return None

    async def _begun(self, batch: Batch) -> str | None:
        async for found in self._listed("/batches", {}, Page[BatchBody], batch.at):
            if (found.metadata or {}).get("token") == batch.token and found.status != "failed":
                return found.id
        return None

    async def _uploaded(self, batch: Batch) -> str | None:
        async for found in self._listed("/files", {"purpose": "batch"}, Page[FileBody], batch.at):
            if found.filename == batch.name and found.bytes in {None, batch.size}:
                return found.id
        return None

    async def _listed(self, path: str, query: dict[str, Any], kind: type[Page[L]], since: float) -> AsyncIterator[L]:
        """A list of the provider's, newest first, until what is older than `since`."""
        after: dict[str, Any] = {}
        while True:
            page = self._as(kind, await self._json("get", path, params={**query, "limit": PAGE, **after}))
            for item in page.data:
                yield item
            last = page.data[-1] if page.data else None
            if not page.has_more or last is None or (last.created_at or since) < since - CLOCKS_APART:
                return
            after = {"after": last.id}

    # --- following ---

    async def retrieve(self, name: str) -> BatchBody:
        """How a batch stands."""

        async def ask() -> BatchBody:
            return self._as(BatchBody, await self._json("get", f"/batches/{name}"))

        return await self._through(ask, self._timeout)

    async def download(self, name: str, path: Path, size: int) -> None:
        """A file's content, about so many bytes, at `path`."""

        async def fetch() -> None:
            with writing(path.parent):
                file = path.open("wb")
            with file:
                async with self._client().files.with_streaming_response.content(name) as answer:
                    async for part in answer.iter_bytes():
                        with writing(path.parent):
                            file.write(part)

        await self._through(fetch, self._seconds(4 * size))

    async def delete(self, name: str) -> bool:
        """Delete a file; whether it is gone. One try, and no error: it is a courtesy."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._sent(lambda: self._json("delete", f"/files/{name}"))
        except Gone:
            return True
        except (Retryable, TimeoutError, ModelError, TooMuch):
            return False
        return True

    # --- http ---

    def _seconds(self, size: int) -> float:
        return self._timeout + size / SLOWEST

    async def _through(self, ask: Callable[[], Awaitable[T]], seconds: float) -> T:
        """What `ask` gives, tried again by the client's policy."""

        async def attempt() -> T:
            try:
                async with asyncio.timeout(seconds):
                    return await self._sent(ask)
            except TimeoutError:
                raise self._too_late() from None

        retrying = self._policy.retrying(self._retry, self._pause)
        try:
            return await retrying(attempt)
        except Retryable as error:
            raise self._unavailable(error, int(retrying.statistics.get("attempt_number", 1))) from None

    async def _sent(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, its failures in our words."""
        import aiohttp
        import httpx2
        import openai

        try:
            return await ask()
        except openai.APIStatusError as error:
            content = await error.response.aread()
            refusal = Refusal.of(error.status_code, content)
            if refusal.says(*NO_ROOM, *TOO_LARGE) or error.status_code == _PAYLOAD_TOO_LARGE:
                raise TooMuch(self._quote(refusal.message), later=refusal.says(*NO_ROOM)) from None
            if refusal.status in _GONE:
                raise Gone(self._quote(refusal.message)) from None
            self.judged(error.status_code, content, error.response.headers)
            raise await self.refusal("", refusal) from None
        except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            raise Retryable(self._scrub(str(error.__cause__ or error)), sort="connection") from None

    async def _json(self, method: str, path: str, **more: Any) -> bytes:
        """The body of an answer."""
        import httpx2

        client = self._client()
        raw: httpx2.Response
        if method == "post":
            once = {"Idempotency-Key": str(more["once"])}
            raw = await client.post(path, cast_to=httpx2.Response, body=more["body"], options={"headers": once})
        elif method == "delete":
            raw = await client.delete(path, cast_to=httpx2.Response)
        else:
            raw = await client.get(path, cast_to=httpx2.Response, options={"params": more.get("params", {})})
        return raw.content

    def _as(self, kind: type[B], body: bytes) -> B:
        """A body as what it should be; Retryable for a web page and the like."""
        try:
            return kind.model_validate(json.loads(body))
        except (ValueError, RecursionError):
            raise Retryable(f"an answer that is no {kind.__name__}: {self._quote(body)}", sort="rubbish") from None

    # --- words ---

    async def refusal(self, model: str, refusal: Refusal) -> ModelError:
        """The error for what asking again does not mend."""
        return await self._refused(Request(model=model, messages=()), refusal)

    def without_batches(self, said: str) -> ModelConfigError:
        """The error for an endpoint that has no batch interface."""
        return ModelConfigError(
            f"this endpoint has no batch interface: {said or 'status 404'}",
            where=self.endpoint,
            remedy="It needs /v1/files and /v1/batches as OpenAI has them; without --engine passages are asked live.",
        )

    def quoted(self, said: str | bytes) -> str:
        """What the provider said, fit to be shown."""
        return self._quote(said)

    def meant(self, status: int, body: bytes) -> Answer | Refusal | str:
        """What a line of an answer file amounts to: an answer, a refusal for good, or why to ask again."""
        try:
            return self.judged(status, body)
        except Retryable as error:
            return error.cause
