"""Batches at a provider: sent, followed, their answers brought into the cache, and picked up again after a kill."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rewriter import logs
from rewriter.api import Rewriter
from rewriter.engines import batch_files as files
from rewriter.engines.batch_api import NO_ROOM, TOO_LARGE, BatchApi, BatchBody, Gone, TooMuch
from rewriter.engines.batch_files import Note
from rewriter.engines.batch_log import Batch, BatchLog
from rewriter.errors import ModelConfigError, ModelError, ModelUnavailable
from rewriter.model.bodies import Refusal
from rewriter.money import BATCH
from rewriter.purse import Account
from rewriter.records import Answer, Usage

# Answers that are stored together: one flush to the disk for all of them.
STORED_AT_ONCE = 256

# Looks at the provider in a row that may fail, each of them after half a minute of tries: a day's wait is not given up
# for an hour's outage, and an address that is gone is said to be gone.
FAILED_LOOKS = 60

# Seconds after which a provider that was sent something by a process killed at that moment has it in its lists.
SETTLING = 5.0

UNDER_WAY = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
# Reasons for which a batch was not begun that are the provider's own trouble: its requests are sent again.
_PASSING = ("server_error", "internal_error", "internal_server_error", "timeout", "service_unavailable")

MARK = "bought"  # in an answer's provenance: how it was come by, and for which passage of which folder


def short(key: str) -> int:
    """A key as a number of 60 bits: a set of a million takes 70 MB, and two of them meet once in a million runs."""
    return int(key[:15], 16)


class Found(NamedTuple):
    """What a batch's answer files amount to."""

    answered: int
    usage: Usage
    failed: dict[str, list[str]]
    fatal: ModelError | None


class Jobs:
    """Batches of one folder. `under_way` are with the provider, `waiting` have no room there yet.

    `asked` are the requests (`short` of their keys) that are not collected, none of which may be asked a second time,
    and `had` those that were answered in this execution.
    """

    def __init__(self, rewriter: Rewriter, api: BatchApi, folder: Path, log: BatchLog, settings: str) -> None:
        self.rewriter, self.api, self.folder, self.log, self.settings = rewriter, api, folder, log, settings
        self.under_way: dict[str, Batch] = {}
        self.waiting: list[Batch] = []
        self.asked: set[int] = set()
        self.had: set[int] = set()
        self.completed: dict[str, int] = {}  # requests done of each batch under way, as the provider says
        self.most_requests = files.MOST_REQUESTS
        self.sent = self._collected = 0  # requests
        self._accounts: dict[str, Account] = {}
        self._failed_looks = 0
        self._left: set[str] = set()  # tokens of an earlier execution, which may have sent more than it could log

    @property
    def done(self) -> int:
        """Requests that the provider is done with, of those that were sent."""
        return self._collected + sum(self.completed.values())

    # --- picking up ---

    async def pick_up(self) -> None:
        """Know again what an earlier execution left with the provider, or on its way there."""
        self._left = set(self.log.batches)
        files.remove_all_but(self.folder, self._left)
        for token, names in list(self.log.uncleaned.items()):
            await self._clean(token, names)
        if any(not batch.batch for batch in self.log.batches.values()):
            await asyncio.sleep(min(SETTLING, self.rewriter.settings.poll))
        for batch in list(self.log.batches.values()):
            await self._pick_up(batch)

    async def _pick_up(self, batch: Batch) -> None:
        if not batch.batch and (name := await self.api.find(batch)) is not None:
            batch = self.log.submitted(batch, name)
        if batch.batch:
            self._follow(batch)
        elif batch.settings == self.settings and files.requests_of(self.folder, batch.token).is_file():
            self._expect(batch)
            self.waiting.append(batch)
        else:  # it was for other settings, and nobody has begun it
            await self.drop(batch)

    async def drop(self, batch: Batch) -> None:
        """It was never begun, and is not wanted any more."""
        self.log.dropped(batch)
        files.remove(self.folder, batch.token)
        await self._clean(batch.token, self.log.uncleaned.get(batch.token, []))

    def _expect(self, batch: Batch, account: Account | None = None) -> None:
        """From now on its requests count as asked, and its cost as spent."""
        self.asked.update(short(note.key) for note in files.notes(self.folder, batch.token))
        if account is None:
            account = self.rewriter.purse.inherit(batch.model + BATCH, batch.expected)
        self._accounts[batch.token] = account

    def _follow(self, batch: Batch) -> None:
        if batch.token not in self._accounts:
            self._expect(batch)
        self.under_way[batch.token] = batch
        self.sent += batch.requests

    # --- sending ---

    def take(self, batch: Batch, account: Account) -> None:
        """A request file that is whole; `send` sends it."""
        self.log.written(batch)
        self._expect(batch, account)
        self.waiting.append(batch)

    async def send(self, go_on: Callable[[], None]) -> None:
        """Give the provider everything that waits, as far as it has room; `go_on` may raise before each."""
        for batch in list(self.waiting):
            go_on()
            if not await self._send(batch):
                return

    async def _send(self, batch: Batch) -> bool:
        """Whether the provider has taken it."""
        self.waiting.remove(batch)
        try:
            self._follow(await self._submitted(batch))
        except TooMuch as error:
            self._too_much(batch, error.said, later=error.later)
            return False
        except BaseException:
            self.waiting.insert(0, batch)
            raise
        logs.event("batch_submitted", token=batch.token, requests=batch.requests, bytes=batch.size)
        return True

    async def _submitted(self, batch: Batch) -> Batch:
        if not batch.file and (name := await self._file_there(batch)) is not None:
            batch = self.log.uploaded(batch, name)
        if not batch.file:
            batch = await self._uploaded(batch)
        try:
            name = await self.api.create(batch)
        except Gone:  # the file is not there any more, or there is no such interface: the next try tells
            batch = await self._uploaded(batch)
            try:
                name = await self.api.create(batch)
            except Gone as error:
                raise self.api.without_batches(str(error)) from None
        return self.log.submitted(batch, name)

    async def _file_there(self, batch: Batch) -> str | None:
        """The file's name at the provider where an earlier execution may have sent it."""
        return await self.api.find_file(batch) if batch.token in self._left else None

    async def _uploaded(self, batch: Batch) -> Batch:
        try:
            name = await self.api.upload(batch, files.requests_of(self.folder, batch.token))
        except Gone as error:
            raise self.api.without_batches(str(error)) from None
        return self.log.uploaded(batch, name)

    def _too_much(self, batch: Batch, said: str, *, later: bool) -> None:
        """The provider has no room for a batch: it waits for the others, or is cut in two where there are none."""
        logs.event("batch_refused", token=batch.token, why=said)
        batch = self.log.refused(batch, said)
        if later and self.under_way:
            self.waiting.append(batch)
            return
        if batch.requests == 1:
            raise ModelConfigError(
                f"the provider takes no batch, not even of one request: {said}",
                where=self.api.endpoint,
                remedy="Look at the account's limits for batches.",
            )
        parts = files.split(self.folder, batch)
        self.log.split(batch, parts)
        files.remove(self.folder, batch.token)
        self.most_requests = max(1, min(self.most_requests, parts[0].requests))
        self.rewriter.purse.close(self._accounts.pop(batch.token))
        for part in parts:
            self._expect(part)
        self.waiting[:0] = parts

    # --- following ---

    async def look(self) -> bool:
        """See how everything stands, collect what is done, send what has room now; whether anything was collected.

        Raises ModelConfigError where the provider says what no asking mends, ModelUnavailable after FAILED_LOOKS.
        """
        before = set(self.under_way)
        try:
            for batch in list(self.under_way.values()):
                await self._look_at(batch)
            done = before != set(self.under_way)
            if self.waiting and (done or not self.under_way):
                await self._send(self.waiting[0])
        except ModelUnavailable as error:
            self._failed_looks += 1
            logs.event("batch_unreachable", why=str(error))
            if self._failed_looks >= FAILED_LOOKS:
                raise
            return before != set(self.under_way)
        self._failed_looks = 0
        for token, names in list(self.log.uncleaned.items()):
            await self._clean(token, names)
        return done

    async def _look_at(self, batch: Batch) -> None:
        try:
            body = await self.api.retrieve(batch.batch)
        except Gone:
            body = BatchBody(id=batch.batch, status="lost")
        if (counts := body.request_counts) is not None:
            self.completed[batch.token] = (counts.completed or 0) + (counts.failed or 0)
        if body.status in UNDER_WAY:
            return
        wrong = body.wrong
        said = self.api.quoted(wrong.message or wrong.code or "no reason given")
        if body.status == "failed" and (wrong.code in NO_ROOM | TOO_LARGE or "nqueued token" in said):
            del self.under_way[batch.token]
            self.sent -= batch.requests
            self._too_much(batch, said, later=wrong.code not in TOO_LARGE)
            return
        await self._collect(batch, body, said)

    async def _collect(self, batch: Batch, body: BatchBody, said: str) -> None:
        """Bring its answers into the cache, then log it as collected: killed in between, it is collected again."""
        found = await self._answers(batch, body)
        passing = body.status != "failed" or any(word in (body.wrong.code or "") for word in _PASSING)
        left = [body.input_file_id or batch.file, body.output_file_id, body.error_file_id]
        self.log.collected(batch, found.answered, found.usage, found.failed, [name for name in left if name])
        self._settle(batch, found)
        logs.event(
            "batch_collected",
            token=batch.token,
            status=body.status,
            answered=found.answered,
            failed=sum(map(len, found.failed.values())),
        )
        if found.fatal is not None:
            raise found.fatal
        if not passing:
            raise ModelConfigError(
                f"the provider refused a batch: {said}",
                where=self.api.endpoint,
                remedy="Look at --model, and whether it can be used in batches.",
            )

    def _settle(self, batch: Batch, found: Found) -> None:
        del self.under_way[batch.token]
        self.completed.pop(batch.token, None)
        failed = {key for keys in found.failed.values() for key in keys}
        for note in files.notes(self.folder, batch.token):
            self.asked.discard(short(note.key))
            if note.key not in failed:
                self.had.add(short(note.key))
        files.remove(self.folder, batch.token)
        account = self._accounts.pop(batch.token)
        account.pay(found.usage)
        self.rewriter.purse.close(account)
        self.rewriter.calls += found.usage.calls
        self._collected += batch.requests

    async def _clean(self, token: str, names: list[str]) -> None:
        """Delete a batch's files at the provider; what cannot be deleted now is tried at the next look."""
        if all([await self.api.delete(name) for name in names]):
            self.log.add("cleaned", token=token)

    # --- answers ---

    async def _answers(self, batch: Batch, body: BatchBody) -> Found:
        known = {note.key: note for note in files.notes(self.folder, batch.token)}
        failed: dict[str, list[str]] = defaultdict(list)
        pending: list[tuple[Note, Answer]] = []
        usage, answered, fatal, seen = Usage(), 0, None, set[str]()
        for name in (body.output_file_id, body.error_file_id):
            for key, meant in self._lines(await self._downloaded(batch, name)):
                if key in seen or key not in known:
                    continue
                if isinstance(meant, Answer):
                    pending.append((known[key], meant))
                    usage, answered = usage + meant.usage, answered + 1
                elif isinstance(meant, Refusal):
                    fatal = fatal or await self.api.refusal(batch.model, meant)
                    failed[self.api.quoted(meant.message)].append(key)
                else:
                    failed[meant].append(key)
                seen.add(key)
                if len(pending) >= STORED_AT_ONCE:
                    await self._store(batch, pending)
        await self._store(batch, pending)
        if rest := [key for key in known if key not in seen]:
            failed[f"the provider's batch ended ({body.status}) without an answer"] += rest
        return Found(answered, usage, dict(failed), fatal)

    async def _downloaded(self, batch: Batch, name: str | None) -> Path | None:
        path = files.answers_of(self.folder, batch.token)
        path.unlink(missing_ok=True)
        with suppress(Gone):  # a provider keeps answers for a month; what is not there any more is asked again
            if name:
                await self.api.download(name, path, batch.size)
                return path
        return None

    def _lines(self, path: Path | None) -> Iterator[tuple[str, Answer | Refusal | str]]:
        """Keys of an answer file and what came for each; a line that is torn is passed over."""
        if path is None:
            return
        with path.open("rb") as lines:
            for line in lines:
                with suppress(ValueError, RecursionError, KeyError, TypeError):
                    said = json.loads(line)
                    key = str(said["custom_id"])
                    yield key, self._meant(said)

    def _meant(self, said: dict[str, Any]) -> Answer | Refusal | str:
        response, error = said.get("response"), said.get("error")
        if not response:
            return self.api.quoted(str((error or {}).get("message") or (error or {}).get("code") or "no answer"))
        body = response["body"]
        status = int(response["status_code"])
        return self.api.meant(status, json.dumps(body).encode())

    async def _store(self, batch: Batch, pending: list[tuple[Note, Answer]]) -> None:
        """Bring answers to the cache, on the disk; raises CacheError where they cannot be stored."""
        cache = self.rewriter.cache
        assert cache is not None
        about = [{**self.rewriter.about(batch.model, note.prompt), MARK: f"batch {note.mark}"} for note, _ in pending]
        stored = (cache.aput(note.key, answer, about=a) for (note, answer), a in zip(pending, about, strict=True))
        await asyncio.gather(*stored)
        pending.clear()
