"""An OpenAI-compatible server on loopback that misbehaves on purpose, by script or by chance, and keeps account of it.

    with FaultyServer(rate=0.3, seed=1) as server:          # or `async with`
        ... server.base_url, server.requests, server.counts

    python tests/faulty_server.py --port 0 --fault-rate 0.3

Standard library only. It runs in a thread of its own, so that it answers while a test blocks. Chance is drawn from the
seed, the request's body and how often it was asked before: the same requests meet the same faults, in whatever order.
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Messages = list[dict[str, Any]]

# What goes wrong on the way: no answer, or none that is a chat completion. Asking again may help.
PASSING = (
    "429", "429_after", "429_date", "500", "502", "503", "hang", "slow", "reset_before", "reset_mid",
    "truncated_json", "html", "empty_body", "no_choices", "error_200",
)  # fmt: skip
# What no asking again helps against.
FINAL = ("401", "403", "404", "400", "429_quota", "400_length")
# A chat completion whose text is none, cut, or not the rewrite. "content_filter" is a status 400 about one passage.
DAMAGED = (
    "empty", "null", "huge", "length", "refusal", "gutted", "continued", "number", "negation", "echo", "content_filter",
)  # fmt: skip
# The good rewrite with something around it.
WRAPPED = ("preface", "think", "fence", "quotes")

ALL = (*PASSING, *FINAL, *DAMAGED, *WRAPPED)
# What a run must live with; hang and slow are left out because they cost a test its time limit.
LIVABLE = tuple(f for f in (*PASSING, *DAMAGED, *WRAPPED) if f not in {"hang", "slow"})

HUGE = 2_000_000  # code points of a huge answer


@dataclass(frozen=True)
class Seen:
    """One request: what was asked, the fault it met (None: a good answer), and the text it was answered with."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    fault: str | None
    time: int  # how often this body had been asked before
    text: str | None = None

    @property
    def messages(self) -> Messages:
        return list(self.body.get("messages", []))


def passage_between_markers(messages: Messages) -> str:
    """The text between <<<hex>>> and <<</hex>>> in the last user turn that has it, or that turn's whole content."""
    turns = [str(m["content"]) for m in messages if m.get("role") == "user"]
    for content in reversed(turns):
        found = re.findall(r"<<<([0-9a-f]{8})>>>\n(.*?)\n<<</\1>>>", content, flags=re.DOTALL)
        if found:
            return str(found[-1][1])
    return turns[-1] if turns else ""


def light_edit(passage: str) -> str:
    """A rewrite that nobody can object to: fillers out, a doubled 我们 once, a full stop at the end."""
    text = re.sub(r"[嗯呃]+[，、,]?\s*|\b(?:um|uh)\b,?\s*", "", passage)
    text = re.sub(r"(我们|然后|the )\1+", r"\1", text)
    if text and text[-1].isalnum():
        text += "。" if _is_chinese(text) else "."
    return text


class FaultyServer:
    """A server for `with` and `async with`.

    `script` names the fault of each chat request in turn (None: none), then `rate` (0 to 1) is the chance of one out of
    `faults`. `rewrite(messages)` makes the good answer; by default the passage, found by `passage_of`, lightly edited.
    `models` not empty: others get a 404. `api_key` not None: others get a 401. `retry_after` is what 429_after asks for
    (seconds), `delay` seconds before every answer.
    """

    def __init__(
        self,
        *,
        rate: float = 0.0,
        seed: int = 0,
        script: Sequence[str | None] = (),
        faults: Sequence[str] = LIVABLE,
        passage_of: Callable[[Messages], str] = passage_between_markers,
        rewrite: Callable[[Messages], str] | None = None,
        models: Sequence[str] = (),
        api_key: str | None = None,
        retry_after: float = 1,
        delay: float = 0.0,
        port: int = 0,
    ) -> None:
        if unknown := {f for f in (*script, *faults) if f} - set(ALL):
            raise ValueError(f"no such faults: {sorted(unknown)}")
        self.rate, self.seed, self.faults = rate, seed, tuple(faults)
        self.script = list(script)
        self.passage_of = passage_of
        self.rewrite = rewrite or (lambda messages: light_edit(passage_of(messages)))
        self.models, self.api_key, self.retry_after, self.delay = tuple(models), api_key, retry_after, delay
        self.requests: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self.under_way = self.most_at_once = 0
        self.port = port
        self._asked: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None

    # --- life ---

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FaultyServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._loop and self._stop and self._thread
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def __aenter__(self) -> FaultyServer:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self.__exit__)

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client went away, or we do
            finally:
                tasks.discard(task)
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

        server = await asyncio.start_server(connection, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- account ---

    def answered_twice(self) -> list[dict[str, Any]]:
        """Bodies that were asked again after they had been answered with a chat completion."""
        done = Counter(json.dumps(s.body, sort_keys=True) for s in self.requests if s.text is not None)
        return [json.loads(body) for body, times in done.items() if times > 1]

    # --- http ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other, until either side closes it."""
        while line := await reader.readline():
            method, path, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (header := (await reader.readline()).decode("latin-1").strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            raw = await reader.readexactly(int(headers.get("content-length", 0)))
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
            try:
                await asyncio.sleep(self.delay)
                if not await self._answer(method, path, headers, json.loads(raw) if raw else {}, writer):
                    return
            finally:
                self.under_way -= 1

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False closes the connection."""
        if self.api_key is not None and headers.get("authorization") != f"Bearer {self.api_key}":
            return await self._status(writer, 401)
        if method == "GET" and path == "/v1/models":
            listed = [{"id": name, "object": "model"} for name in self.models]
            return await self._send(writer, 200, {"object": "list", "data": listed})
        if path != "/v1/chat/completions":
            return await self._status(writer, 404, "no such path")
        if self.models and body.get("model") not in self.models:
            return await self._status(writer, 404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        fault, times = self._draw(body)
        answer = self._text(fault, body)
        if (
            answer is not None
            and fault in {"number", "negation", "gutted"}
            and answer == self.rewrite(body["messages"])
        ):
            fault = None  # nothing in this passage to damage
        carries = fault is None or fault in {*DAMAGED, *WRAPPED} - {"content_filter"}
        text = answer if carries else None
        self.requests.append(Seen(path, body, headers, fault, times, text))
        self.counts[fault or "good"] += 1
        if carries:
            return await self._send(writer, 200, completion(body, None if fault == "null" else answer, fault))
        return await self._misbehave(str(fault), body, writer)

    def _draw(self, body: dict[str, Any]) -> tuple[str | None, int]:
        key = json.dumps(body, sort_keys=True)
        times = self._asked[key]
        self._asked[key] += 1
        if self.script:
            return self.script.pop(0), times
        chance = random.Random(hashlib.sha256(f"{self.seed} {times} {key}".encode()).digest())
        return (chance.choice(self.faults) if chance.random() < self.rate else None), times

    def _text(self, fault: str | None, body: dict[str, Any]) -> str:
        messages: Messages = body.get("messages", [])
        return spoil(fault, self.rewrite(messages), messages)

    async def _misbehave(self, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        good = json.dumps(completion(body, self._text(None, body), None), ensure_ascii=False).encode()
        if fault.startswith(("4", "5")) or fault == "content_filter":
            return await self._status_fault(fault, body, writer)
        if fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "slow":
            writer.write(_head(200, len(good)))
            for at in range(len(good)):
                writer.write(good[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
        elif fault == "reset_before":
            _reset(writer)
        elif fault == "reset_mid":
            writer.write(_head(200, len(good)) + good[: len(good) // 2])
            await writer.drain()
            _reset(writer)
        elif fault == "truncated_json":
            return await self._send(writer, 200, good[: len(good) * 2 // 3])
        elif fault == "html":
            page = b"<!DOCTYPE html><html><title>Sign in</title><body>Please sign in to the network.</body></html>"
            return await self._send(writer, 200, page, kind="text/html")
        elif fault == "empty_body":
            return await self._send(writer, 200, b"")
        elif fault == "no_choices":
            return await self._send(writer, 200, {"id": "x", "object": "chat.completion", "choices": []})
        else:  # error_200
            return await self._send(writer, 200, {"error": {"message": "upstream is overloaded", "code": 502}})
        return False

    async def _status_fault(self, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        if fault in {"429_after", "429_date"}:
            at = email.utils.formatdate(time.time() + self.retry_after, usegmt=True)
            value = f"{self.retry_after:g}" if fault == "429_after" else at
            return await self._status(writer, 429, "slow down", extra=f"Retry-After: {value}\r\n")
        if fault == "429_quota":
            return await self._status(writer, 429, "You exceeded your current quota", "insufficient_quota")
        if fault == "400_length":
            return await self._status(writer, 400, "maximum context length is 4096", "context_length_exceeded")
        if fault == "content_filter":
            return await self._status(writer, 400, "The prompt was filtered", "content_filter")
        if fault == "404":
            return await self._status(writer, 404, f"model {body.get('model')} not found", "model_not_found")
        if fault == "502":
            page = b"<html><h1>502 Bad Gateway</h1></html>"
            return await self._send(writer, 502, page, kind="text/html")
        return await self._status(writer, int(fault))

    async def _status(
        self, writer: asyncio.StreamWriter, status: int, message: str = "on purpose", code: str = "", extra: str = ""
    ) -> bool:
        return await self._send(writer, status, {"error": {"message": message, "code": code or None}}, extra=extra)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes | dict[str, Any],
        *,
        kind: str = "application/json",
        extra: str = "",
    ) -> bool:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        writer.write(_head(status, len(data), kind, extra) + data)
        await writer.drain()
        return True


def _head(status: int, length: int, kind: str = "application/json", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection so that the other side sees a reset, not an end."""
    writer.transport.abort()


# --- answers ---------------------------------------------------------------------------------------------------------


def completion(body: dict[str, Any], text: str | None, fault: str | None) -> dict[str, Any]:
    """A chat completion; tokens are counted as half the code points, a third of the input as cached."""
    asked = sum(len(str(m.get("content"))) for m in body.get("messages", [])) // 2
    said = len(text or "") // 2
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": "length" if fault == "length" else "stop"}],
        "usage": {**usage, "prompt_tokens_details": {"cached_tokens": asked // 3}},
    }


def spoil(fault: str | None, good: str, messages: Messages) -> str:
    """The good rewrite damaged or wrapped as the fault says; unchanged where the fault is not one of content."""
    chinese = _is_chinese(good)
    last = str(messages[-1]["content"]) if messages else ""
    changes: dict[str, Callable[[], str]] = {
        "empty": lambda: "",
        "null": lambda: "",
        "huge": lambda: good * (HUGE // max(1, len(good)) + 1),
        "length": lambda: good[: len(good) // 2],
        "refusal": lambda: "抱歉，我无法协助处理这段内容。" if chinese else "I'm sorry, but I can't help with that.",
        "gutted": lambda: _gut(good),
        "continued": lambda: good + _continuation(chinese),
        "number": lambda: _change_number(good),
        "negation": lambda: re.sub(r"不|没有|\bnot\s|\bnever\s|n't\b", "", good, count=1),
        "echo": lambda: last,
        "preface": lambda: ("以下是修改后的文本：\n" if chinese else "Here is the corrected transcript:\n\n") + good,
        "think": lambda: f"<think>\nThe user wants it cleaned. {good[:10]}\n</think>\n\n{good}",
        "fence": lambda: f"```text\n{good}\n```",
        "quotes": lambda: f"“{good}”" if chinese else f'"{good}"',
    }
    return changes[fault]() if fault in changes else good


def _gut(good: str) -> str:
    """The middle half dropped, as a summarising model does."""
    quarter = len(good) // 4
    return good[:quarter] + good[len(good) - quarter :]


def _continuation(chinese: bool) -> str:
    if chinese:
        return "接下来我们请下一位嘉宾上台，他会介绍公司明年在海外市场的扩张计划和招聘安排。"
    return " Next, our guest will come on stage and present the company's plans for hiring overseas next year."


_DIGITS = "零一二三四五六七八九"


def _change_number(good: str) -> str:
    """The first digit, western or Chinese, made the next one."""

    def change(match: re.Match[str]) -> str:
        digit = match[0]
        return str((int(digit) + 1) % 10) if digit.isdigit() else _DIGITS[(_DIGITS.index(digit) % 8) + 1]

    return re.sub(r"[0-9]|[二三四五六七八九](?=[十百千万亿个层位次天年月号点])", change, good, count=1)


def _is_chinese(text: str) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]", text))


# --- as a program ----------------------------------------------------------------------------------------------------


def main() -> None:
    """Serve until Ctrl-C, then print how often what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--fault-rate", type=float, default=0.3, help="chance of a fault, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default=",".join(LIVABLE), help="names, separated by commas")
    parser.add_argument("--retry-after", type=float, default=1, help="seconds that 429_after asks for")
    options = parser.parse_args()
    with FaultyServer(
        rate=options.fault_rate,
        seed=options.seed,
        faults=options.faults.split(","),
        retry_after=options.retry_after,
        port=options.port,
    ) as server:
        print(server.base_url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(json.dumps(server.counts))


if __name__ == "__main__":
    main()
