"""The exact tier in front of an openai client: sync, async, streamed; against a server on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError, OpenAI
from rewriter.cache.adapter import Gathered, chunks

from faulty_server import FaultyServer
from rewriter.cache import PassageCache, cached_client

MESSAGES = [{"role": "user", "content": "嗯，这个模型是 3.5 版"}]
TEXT = "这个模型是 3.5 版。"
USAGE = {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13}


class StreamingServer(FaultyServer):
    """A FaultyServer that can stream: in pieces of three code points, broken off before the end on demand."""

    break_off = False

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any], writer: Any) -> bool:
        if not body.get("stream"):
            return await super()._answer(method, path, headers, body, writer)
        self.counts["streamed"] += 1
        text = self.rewrite(body["messages"])
        head = {"id": "s", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        parts = [{"role": "assistant", "content": ""}, *({"content": text[a : a + 3]} for a in range(0, len(text), 3))]
        lines = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in parts]
        lines.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            lines.append({**head, "choices": [], "usage": USAGE})
        data = [f"data: {json.dumps(line)}\n\n" for line in lines] + ["data: [DONE]\n\n"]
        data = data[:2] if self.break_off else data
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write("".join(data).encode())
        await writer.drain()
        return False


@pytest.fixture
def server():
    with StreamingServer() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path):
    with PassageCache(tmp_path) as store:
        yield store


@pytest.fixture
def client(server: StreamingServer, cache: PassageCache):
    with OpenAI(base_url=server.base_url, api_key="sk-secret-1", max_retries=0) as plain:
        yield cached_client(plain, cache)


def ask(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "m", "messages": MESSAGES, "temperature": 0, **more})


def text_of(stream: Any) -> str:
    return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


def test_the_second_time_costs_nothing(client: OpenAI, server: StreamingServer, cache: PassageCache) -> None:
    first, second = ask(client), ask(client)
    assert second.choices[0].message.content == first.choices[0].message.content == TEXT
    assert second.to_dict() == first.to_dict() and type(second) is type(first)
    assert second.usage.completion_tokens == first.usage.completion_tokens
    assert len(server.requests) == 1
    (saved,) = cache.stats().saved
    assert saved.hits == 1 and saved.output == first.usage.completion_tokens


@pytest.mark.parametrize(
    "other",
    [
        {"model": "n"},
        {"temperature": 1},
        {"seed": 7},
        {"messages": [{"role": "system", "content": "x"}, *MESSAGES]},
        {"messages": [*MESSAGES, {"role": "assistant", "content": "a"}, *MESSAGES]},
        {"extra_body": {"top_k": 5}},
    ],
)
def test_another_request_is_another_answer(client: OpenAI, server: StreamingServer, other: dict[str, Any]) -> None:
    ask(client)
    ask(client, **other)
    assert len(server.requests) == 2


def test_what_only_travels_is_not_in_the_key(client: OpenAI, server: StreamingServer) -> None:
    ask(client, timeout=5, extra_headers={"X-Trace": "1"})
    ask(client, messages=iter(MESSAGES))
    assert len(server.requests) == 1


def test_another_endpoint_is_another_answer(server: StreamingServer, client: OpenAI) -> None:
    ask(client)
    with StreamingServer(rewrite=lambda messages: "other") as elsewhere:
        assert ask(client.with_options(base_url=elsewhere.base_url)).choices[0].message.content == "other"
    assert ask(client.with_options(timeout=3)).choices[0].message.content == TEXT
    assert len(server.requests) == 1


def test_a_stream_is_stored_and_replayed(client: OpenAI, server: StreamingServer) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    first = list(ask(client, **options))
    with ask(client, **options) as stream:
        second = list(stream)
    assert text_of(first) == text_of(second) == TEXT
    assert second[-1].usage.to_dict() == first[-1].usage.to_dict() == USAGE
    assert [c.choices[0].finish_reason for c in second if c.choices][-1] == "stop"
    assert second[0].choices[0].delta.role == "assistant" and type(second[0]) is type(first[0])
    assert server.counts == {"streamed": 1}
    assert ask(client).choices[0].message.content == TEXT and not server.requests


def test_a_stream_without_usage_answers_streams_only(client: OpenAI, server: StreamingServer) -> None:
    for _ in range(2):
        assert text_of(ask(client, stream=True)) == TEXT
    assert ask(client).usage is not None
    assert (server.counts["streamed"], len(server.requests)) == (1, 1)
    assert text_of(ask(client, stream=True)) == TEXT
    assert server.counts["streamed"] == 1


def test_a_completion_answers_a_stream(client: OpenAI, server: StreamingServer) -> None:
    ask(client)
    stream = ask(client, stream=True)
    assert next(stream).choices[0].delta.content == TEXT
    stream.close()
    assert server.counts["streamed"] == 0


@pytest.mark.parametrize("how", ["broken off", "not read"])
def test_half_a_stream_is_not_stored(client: OpenAI, server: StreamingServer, cache: PassageCache, how: str) -> None:
    server.break_off = how == "broken off"
    stream = ask(client, stream=True)
    next(iter(stream))
    if how == "broken off":
        list(stream)
    stream.close()
    server.break_off = False
    assert len(cache) == 0
    assert text_of(ask(client, stream=True)) == TEXT and server.counts["streamed"] == 2


@pytest.mark.parametrize("fault", ["500", "no_choices", "error_200"])
def test_what_is_no_answer_is_not_stored(
    client: OpenAI, server: StreamingServer, cache: PassageCache, fault: str
) -> None:
    server.script = [fault]
    try:
        ask(client)
    except InternalServerError:
        assert fault == "500"
    assert len(cache) == 0 and ask(client).choices[0].message.content == TEXT


def test_refresh_overwrites(client: OpenAI, server: StreamingServer, cache: PassageCache) -> None:
    ask(client)
    server.rewrite = lambda messages: "new"
    with OpenAI(base_url=server.base_url, api_key="k") as plain:
        assert ask(cached_client(plain, cache, refresh=True)).choices[0].message.content == "new"
    assert ask(client).choices[0].message.content == "new" and len(server.requests) == 2


def test_the_rest_of_the_client_is_its_own(client: OpenAI, server: StreamingServer) -> None:
    server.models = ("m",)
    assert [m.id for m in client.models.list()] == ["m"]
    raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
    assert raw.parse().choices[0].message.content == TEXT


def test_no_key_reaches_the_files(client: OpenAI, cache: PassageCache) -> None:
    ask(client, extra_headers={"Authorization": "Bearer sk-secret-2"})
    cache.close()
    for file in cache.path.iterdir():
        assert b"sk-secret" not in file.read_bytes()


def test_messages_may_be_objects(client: OpenAI, server: StreamingServer) -> None:
    message = ask(client).choices[0].message
    for _ in range(2):
        ask(client, messages=[*MESSAGES, message, {"role": "user", "content": "more"}])
    assert len(server.requests) == 2


def test_threads_that_ask_the_same_ask_once(client: OpenAI, server: StreamingServer) -> None:
    server.delay = 0.2
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1


async def test_async_asks_once_and_replays(server: StreamingServer, cache: PassageCache) -> None:
    server.delay = 0.1
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as plain:
        client = cached_client(plain, cache)
        got = await asyncio.gather(*(ask(client) for _ in range(4)))
        assert [g.choices[0].message.content for g in got] == [TEXT] * 4 and len(server.requests) == 1
        async with await ask(client, stream=True) as stream:
            assert text_of([c async for c in stream]) == TEXT
        assert server.counts["streamed"] == 0


async def test_async_streams_are_stored(server: StreamingServer, cache: PassageCache) -> None:
    async with cached_client(AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0), cache) as client:
        for _ in range(2):
            stream = await ask(client, stream=True, stream_options={"include_usage": True})
            assert text_of([c async for c in stream]) == TEXT
        assert server.counts["streamed"] == 1 and (await ask(client)).usage.completion_tokens == 5
        server.script = ["500"]
        with pytest.raises(InternalServerError):
            await ask(client, seed=1)
        assert (await ask(client, seed=1)).choices[0].message.content == TEXT


def test_tool_calls_in_pieces_are_put_together_and_taken_apart() -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": "x",
            "model": "m",
            "created": 1,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    def call(index: int, **function: str) -> dict[str, Any]:
        extra = {"id": f"call{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **extra, "function": function}]}

    gathered = Gathered()
    for delta in (
        {"role": "assistant", "content": None},
        call(0, name="find", arguments=""),
        call(0, arguments='{"a"'),
    ):
        gathered.add(chunk(delta))
    gathered.add(chunk(call(1, name="stop", arguments="{}")))
    gathered.add(chunk(call(0, arguments=":1}")))
    gathered.add(chunk({}, "tool_calls"))
    completion = gathered.completion()
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert [(c["id"], c["function"]) for c in choice["message"]["tool_calls"]] == [
        ("call0", {"name": "find", "arguments": '{"a":1}'}),
        ("call1", {"name": "stop", "arguments": "{}"}),
    ]
    again = Gathered()
    for part in chunks(completion, {}):
        again.add(part.to_dict())
    assert again.completion()["choices"] == completion["choices"]
