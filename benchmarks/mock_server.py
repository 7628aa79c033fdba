"""A chat completion server that costs next to nothing: it waits a latency and answers with the passage it was given.

    python benchmarks/mock_server.py --latency 0.5 [--port 0] [--latency-spread 0.2]

It prints its base URL and serves until Ctrl-C (with --until-eof: the end of its standard input), in a process of its
own: a server that shares a client's interpreter would be measured with it. A bare asyncio protocol with keep-alive,
about 0.1 ms a request. GET /stats gives what it counted as JSON, POST /reset starts anew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

# The passage between the markers of our prompts; the whole last turn where a client speaks otherwise.
_MARKED = re.compile(r"<<<([0-9a-f]{8})>>>\n(.*?)\n<<</\1>>>", re.DOTALL)

BACKLOG = 2048  # connections may all come at once


def passage_in(messages: list[dict[str, Any]]) -> str:
    """The passage in the last user turn that has one between markers, or the last turn as it is."""
    for message in reversed(messages):
        if message.get("role") == "user" and (found := _MARKED.findall(str(message.get("content")))):
            return str(found[-1][1])
    return str(messages[-1].get("content", "")) if messages else ""


class Account:
    """What the server has seen: requests, tokens (half the code points), connections, most at once, and when."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests = self.input = self.output = self.connections = self.now = self.most = 0
        self.first = self.last = 0.0

    def begin(self, size: int) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.input += size
        self.first = self.first or time.monotonic()

    def end(self, size: int) -> None:
        self.now -= 1
        self.requests += 1
        self.output += size
        self.last = time.monotonic()

    def facts(self) -> dict[str, float]:
        return dict(vars(self))


class Server(asyncio.Protocol):
    """One connection: requests one after the other, each answered after the latency."""

    def __init__(self, account: Account, latency: float, spread: float) -> None:
        self.account, self.latency, self.spread = account, latency, spread
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.account.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self.buffer[:head_end])
        found = re.search(rb"content-length:\s*(\d+)", head, re.IGNORECASE)
        length = int(found[1]) if found else 0
        if b"expect: 100-continue" in head.lower() and len(self.buffer) == head_end + 4:
            assert self.transport is not None
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self.buffer) < head_end + 4 + length:
            return
        body = bytes(self.buffer[head_end + 4 : head_end + 4 + length])
        del self.buffer[: head_end + 4 + length]
        self.request(head, body)

    def request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /stats"):
            return self.send(self.account.facts())
        if head.startswith(b"POST /reset"):
            self.account.reset()
            return self.send({})
        if b"/chat/completions" not in head.split(b"\r\n", 1)[0]:
            return self.send({"object": "list", "data": [{"id": "mock", "object": "model"}]})
        asked = json.loads(body)
        size = sum(len(str(m.get("content"))) for m in asked["messages"]) // 2
        self.account.begin(size)
        wait = self.latency * (1 + self.spread * random.uniform(-1, 1))
        asyncio.get_running_loop().call_later(wait, self.answer, asked, size)
        return None

    def answer(self, asked: dict[str, Any], size: int) -> None:
        text = passage_in(asked["messages"])
        said = len(text) // 2
        self.account.end(said)
        usage = {"prompt_tokens": size, "completion_tokens": said, "total_tokens": size + said}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        self.send(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": asked.get("model"),
                "choices": [choice],
                "usage": usage,
            }
        )

    def send(self, value: dict[str, Any]) -> None:
        if self.transport is None:  # the client has gone
            return
        data = json.dumps(value, ensure_ascii=False).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.transport.write(head.encode() + data)


async def serve(port: int, latency: float, spread: float, *, until_eof: bool) -> None:
    """Serve on loopback, for ever or until the standard input ends."""
    account, loop = Account(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(account, latency, spread), "127.0.0.1", port, backlog=BACKLOG)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    if until_eof:
        await loop.run_in_executor(None, sys.stdin.read)
        server.close()
    else:
        await server.serve_forever()


# --- for the benchmarks beside it ------------------------------------------------------------------------------------


@contextlib.contextmanager
def mock(latency: float, *, spread: float = 0.0) -> Iterator[str]:
    """A mock server in a process of its own, as its base URL."""
    options = ["--latency", str(latency), "--latency-spread", str(spread), "--until-eof"]
    command = [sys.executable, str(Path(__file__)), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def stats(base_url: str) -> dict[str, float]:
    """What the server has counted since it began or was reset."""
    with urlopen(base_url.removesuffix("/v1") + "/stats", timeout=10) as reply:
        return dict(json.load(reply))


def reset(base_url: str) -> None:
    """Begin the account anew."""
    with urlopen(Request(base_url.removesuffix("/v1") + "/reset", method="POST", data=b""), timeout=10):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds before every answer")
    parser.add_argument("--latency-spread", type=float, default=0.0, help="share by which it varies, 0 to 1")
    parser.add_argument("--until-eof", action="store_true", help="stop at the end of standard input")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, options.latency, options.latency_spread, until_eof=options.until_eof))


if __name__ == "__main__":
    main()
