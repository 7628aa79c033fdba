"""An OpenAI-compatible server on loopback that misbehaves on purpose, by script or by chance, and keeps account of it.

    with FaultyServer(rate=0.3, seed=1) as server:          # or `async with`
        ... server.base_url, server.requests, server.counts

    python tests/faulty_server.py --port 0 --fault-rate 0.3 [--rpm 600] [--at-once 16] [--key K --key-lives 100]

As a program it prints its base URL, serves until Ctrl-C (or, with --until-eof, the end of its standard input) and then
prints its account, which GET /account gives while it runs. Standard library only. It runs in a thread of its own, so
that it answers while a test blocks. Chance is drawn from the seed, the request's body and how often it was asked
before: the same requests meet the same faults, in whatever order (but for bursts, which meet whoever comes next).
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import hashlib
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Messages = list[dict[str, Any]]

# What goes wrong on the way: no answer, or none that is a chat completion. Asking again may help.
PASSING = (
    "429", "429_after", "429_date", "429_skewed", "429_burst", "429_burst_after", "500", "502", "503", "huge_error",
    "hang", "stall", "slow", "reset_before", "reset_mid", "closed", "cut_chunks", "bad_http",
    "truncated_json", "html", "empty_body", "no_choices", "error_200",
)  # fmt: skip
# What no asking again helps against.
FINAL = ("401", "403", "404", "400", "429_quota", "400_length")
# A chat completion whose text is none, cut, or not the rewrite. "content_filter" is a status 400 about one passage.
DAMAGED = (
    "empty", "null", "huge", "length", "refusal", "gutted", "continued", "number", "negation", "echo", "content_filter",
)  # fmt: skip
# The good rewrite with something around it, or from another model than was asked.
WRAPPED = ("preface", "think", "fence", "quotes", "wrong_model")
# These cost a caller its whole time limit.
SLOW = ("hang", "stall", "slow")

ALL = (*PASSING, *FINAL, *DAMAGED, *WRAPPED)
# What a run must live with; the slow ones are left out because they cost a test its time limit.
LIVABLE = tuple(f for f in (*PASSING, *DAMAGED, *WRAPPED) if f not in SLOW)

HUGE = 2_000_000  # code points of a huge answer
BURST = 8  # requests that a burst of 429 turns away,
BURST_LASTS = 5.0  # if they come within so many seconds: a provider's window passes, however few are left to ask
SKEW = 86_400  # seconds by which the clock of "429_skewed" is fast
# Of these the model has made an answer that never arrived whole: it is paid for, and the caller cannot know how much.
LOST = ("reset_mid", "cut_chunks", "truncated_json")


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


def half(text: str) -> int:
    """Tokens of a text, roughly: half its code points."""
    return len(text) // 2


@dataclass
class Account:
    """What the server has charged: tokens of the answers it sent whole, and of those that were lost on the way."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def charge(self, usage: dict[str, Any]) -> None:
        self.calls += 1
        self.input += usage["prompt_tokens"]
        self.cached += usage["prompt_tokens_details"]["cached_tokens"]
        self.output += usage["completion_tokens"]

    def lose(self, usage: dict[str, Any]) -> None:
        self.lost.update(calls=1, input=usage["prompt_tokens"], output=usage["completion_tokens"])


class Rate:
    """A limit of so many in a `window` of seconds, flowing back evenly; its state as headers."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.held, self.at = float(limit), time.monotonic()

    def take(self, amount: float) -> float:
        """0 and it is taken, or the seconds until it could be."""
        now = time.monotonic()
        self.held = min(self.limit, self.held + (now - self.at) * self.limit / self.window)
        self.at = now
        if amount > self.held:
            return (amount - self.held) * self.window / self.limit
        self.held -= amount
        return 0.0

    def headers(self, what: str) -> str:
        reset = (self.limit - self.held) * self.window / self.limit
        return (
            f"x-ratelimit-limit-{what}: {self.limit}\r\nx-ratelimit-remaining-{what}: {max(0, int(self.held))}\r\n"
            f"x-ratelimit-reset-{what}: {reset * 1000:.0f}ms\r\n"
        )


class FaultyServer:
    """A server for `with` and `async with`.

    `script` names the fault of each chat request in turn (None: none), then `rate` (0 to 1) is the chance of one out of
    `faults`. `rewrite(messages)` makes the good answer; by default the passage, found by `passage_of`, lightly edited.
    `models` not empty: others get a 404. `api_key` not None: others get a 401, and after `key_lives` requests that key
    too. `retry_after` is what 429_after and 429_burst_after ask for (seconds), `delay` seconds before every answer.
    `rpm` and `tpm` are enforced as OpenAI does it, and told in x-ratelimit headers; `rate_window` is the length of
    their minute in seconds; with `says_wait` a 429 of theirs has a Retry-After. More than `at_once` requests get a 429.
    `count` counts the tokens of a text (default: half the code points). `account` is what has been spent.
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
        key_lives: int | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        rate_window: float = 60.0,
        says_wait: bool = False,
        at_once: int | None = None,
        count: Callable[[str], int] = half,
        remember: bool = True,
    ) -> None:
        if unknown := {f for f in (*script, *faults) if f} - set(ALL):
            raise ValueError(f"no such faults: {sorted(unknown)}")
        self.rate, self.seed, self.faults = rate, seed, tuple(faults)
        self.script = list(script)
        self.passage_of = passage_of
        self.rewrite = rewrite or (lambda messages: light_edit(passage_of(messages)))
        self.models, self.api_key, self.retry_after, self.delay = tuple(models), api_key, retry_after, delay
        self.key_lives, self.at_once, self.says_wait, self.count = key_lives, at_once, says_wait, count
        self.rates = {
            what: Rate(limit, rate_window) for what, limit in (("requests", rpm), ("tokens", tpm)) if limit is not None
        }
        self.remember = remember
        self.account = Account()
        self._burst: tuple[int, str, float] = (0, "", 0.0)  # requests still to be turned away, how, and until when
        self.requests: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self.under_way = self.most_at_once = self.connections = 0
        self.port = port
        self._asked: Counter[bytes] = Counter()
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
            self.connections += 1
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
        if method == "GET" and path == "/account":
            return await self._send(writer, 200, {**vars(self.account), "counts": self.counts})
        if self.api_key is not None and headers.get("authorization") != f"Bearer {self.api_key}":
            return await self._status(writer, 401)
        if method == "GET" and path == "/v1/models":
            listed = [{"id": name, "object": "model"} for name in self.models]
            return await self._send(writer, 200, {"object": "list", "data": listed})
        if path != "/v1/chat/completions":
            return await self._status(writer, 404, "no such path")
        if self.key_lives is not None and sum(self.counts.values()) >= self.key_lives:
            return await self._status(writer, 401, "the key has expired", "invalid_api_key")
        if self.models and body.get("model") not in self.models:
            return await self._status(writer, 404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        if (refused := self._limited(body)) is not None:
            self.counts["limited"] += 1
            return await self._status(writer, 429, "rate limit reached", "rate_limit_exceeded", extra=refused)
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
        if self.remember:
            self.requests.append(Seen(path, body, headers, fault, times, text))
        self.counts[fault or "good"] += 1
        if not carries:
            return await self._misbehave(str(fault), body, writer)
        whole = completion(body, None if fault == "null" else answer, fault, self.count)
        extra = "".join(rate.headers(what) for what, rate in self.rates.items())
        self.account.charge(whole["usage"])  # before it is sent: who has the answer finds it in the account
        return await self._send(writer, 200, whole, extra=extra)

    def _limited(self, body: dict[str, Any]) -> str | None:
        """The headers of a refusal where a limit is reached; None where the request may pass."""
        if self.at_once is not None and self.under_way > self.at_once:
            return ""
        tokens = sum(self.count(str(m.get("content"))) for m in body.get("messages", [])) + int(
            body.get("max_tokens", 0)
        )
        waits = [rate.take(1 if what == "requests" else tokens) for what, rate in self.rates.items()]
        if not any(waits):
            return None
        told = "".join(rate.headers(what) for what, rate in self.rates.items())
        return told + (f"Retry-After: {max(waits):.3f}\r\n" if self.says_wait else "")

    def _draw(self, body: dict[str, Any]) -> tuple[str | None, int]:
        key = json.dumps(body, sort_keys=True)
        short = hashlib.sha256(key.encode()).digest()  # a soak asks for gigabytes
        times = self._asked[short]
        self._asked[short] += 1
        left, how, until = self._burst
        if left and time.monotonic() < until:
            self._burst = (left - 1, how, until)
            return how, times
        if self.script:
            fault = self.script.pop(0)
        else:
            chance = random.Random(hashlib.sha256(f"{self.seed} {times} {key}".encode()).digest())
            fault = chance.choice(self.faults) if chance.random() < self.rate else None
        if fault in {"429_burst", "429_burst_after"}:
            how = "429" if fault == "429_burst" else "429_after"
            self._burst = (BURST - 1, how, time.monotonic() + BURST_LASTS)
        return fault, times

    def _text(self, fault: str | None, body: dict[str, Any]) -> str:
        messages: Messages = body.get("messages", [])
        return spoil(fault, self.rewrite(messages), messages)

    async def _misbehave(self, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        whole = completion(body, self._text(None, body), None, self.count)
        good = json.dumps(whole, ensure_ascii=False).encode()
        if fault in LOST:
            self.account.lose(whole["usage"])
        if fault == "huge_error":
            return await self._send(writer, 500, b"<html>" + b"<p>Internal error</p>" * 200_000, kind="text/html")
        if fault.startswith(("4", "5")) or fault == "content_filter":
            return await self._status_fault(fault, body, writer)
        if fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "stall":
            writer.write(_head(200, len(good)) + good[: len(good) // 2])
            await asyncio.sleep(3600)
        elif fault == "closed":
            pass
        elif fault == "bad_http":
            writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
        elif fault == "cut_chunks":
            half_of_it = good[: len(good) // 2]
            head = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head + f"{len(half_of_it):x}\r\n".encode() + half_of_it + b"\r\n")
            await writer.drain()
        elif fault == "slow":
            self.account.lose(whole["usage"])  # unless the caller has half a minute
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
        if fault.startswith(("429_after", "429_date", "429_skewed", "429_burst")):
            return await self._status(writer, 429, "slow down", extra=self._wait_header(fault))
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

    def _wait_header(self, fault: str) -> str:
        if fault == "429_burst":
            return ""
        clock = time.time() + (SKEW if fault == "429_skewed" else 0)
        until = email.utils.formatdate(clock + self.retry_after, usegmt=True)
        if fault == "429_skewed":
            return f"Date: {email.utils.formatdate(clock, usegmt=True)}\r\nRetry-After: {until}\r\n"
        return f"Retry-After: {until if fault == '429_date' else format(self.retry_after, 'g')}\r\n"

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


def completion(
    body: dict[str, Any], text: str | None, fault: str | None, count: Callable[[str], int] = half
) -> dict[str, Any]:
    """A chat completion; a third of the input counts as cached."""
    asked = sum(count(str(m.get("content"))) for m in body.get("messages", []))
    said = count(text or "")
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "other/big-7b" if fault == "wrong_model" else body.get("model"),
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
    """Serve until Ctrl-C or the end of standard input, then print what was spent and how often what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--fault-rate", type=float, default=0.3, help="chance of a fault, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default=",".join(LIVABLE), help="names, separated by commas")
    parser.add_argument("--retry-after", type=float, default=1, help="seconds that 429_after asks for")
    parser.add_argument("--delay", type=float, default=0, help="seconds before every answer")
    parser.add_argument("--key", help="the only key that is accepted")
    parser.add_argument("--key-lives", type=int, help="requests after which it has expired")
    parser.add_argument("--rpm", type=int, help="requests a minute")
    parser.add_argument("--tpm", type=int, help="tokens a minute")
    parser.add_argument("--at-once", type=int, help="requests at once, above which there are 429s")
    parser.add_argument("--until-eof", action="store_true", help="stop at the end of standard input")
    options = parser.parse_args()
    server = FaultyServer(
        rate=options.fault_rate,
        seed=options.seed,
        faults=options.faults.split(","),
        retry_after=options.retry_after,
        port=options.port,
        delay=options.delay,
        api_key=options.key,
        key_lives=options.key_lives,
        rpm=options.rpm,
        tpm=options.tpm,
        at_once=options.at_once,
        remember=False,  # it may serve for days
    )
    with server:
        print(server.base_url, flush=True)
        with suppress(KeyboardInterrupt):
            _ = sys.stdin.read() if options.until_eof else threading.Event().wait()
    print(json.dumps({**vars(server.account), "counts": server.counts}), flush=True)


if __name__ == "__main__":
    main()
