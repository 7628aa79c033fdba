"""The exact tier in front of any client of the openai package: asked before, answered from disk.

    client = cached_client(openai.OpenAI(), open_cache())
    client.chat.completions.create(model=..., messages=...)      # as ever; AsyncOpenAI and stream=True too

Only `chat.completions.create` is looked after; everything else of the client is the client's own. A streamed answer is
stored when it has arrived whole, and comes back as chunks; it also answers the same request without `stream`, and the
other way round.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rewriter.errors import CacheError
from rewriter.records import Answer, Usage

from .keys import digest_of, is_secret, normalise_endpoint

if TYPE_CHECKING:
    from .answers import PassageCache

C = TypeVar("C")
KIND = "chat.completion"
KEY_VERSION = 1
# Arguments of `create` that say how the answer travels, not what it is.
TRAVEL = frozenset({"stream", "stream_options", "timeout", "extra_headers"})
# Parts of a delta that come whole; every other text of a delta continues the one before.
WHOLE = frozenset({"role", "id", "type", "name", "index"})


def cached_client(client: C, cache: PassageCache, *, refresh: bool = False) -> C:
    """A client that asks the cache first and stores what it had to ask for.

    `client` is an OpenAI or AsyncOpenAI object, or one of a class made from them (Azure, say). `refresh` asks anew and
    overwrites. Requests that are no JSON (a custom object among the messages) pass through uncached. Two equal requests
    at once are asked once, unless they stream.
    """
    import openai

    kind = _AsyncCompletions if isinstance(client, openai.AsyncOpenAI) else _Completions
    return cast("C", _Client(client, lambda inner: kind(inner.chat.completions, inner, cache, refresh)))


class _Proxy:
    """Everything of an object but what a subclass defines."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class _Chat(_Proxy):
    def __init__(self, chat: Any, completions: Any) -> None:
        super().__init__(chat)
        self.completions = completions


class _Client(_Proxy):
    def __init__(self, client: Any, wrap: Any) -> None:
        super().__init__(client)
        self._wrap = wrap
        self.chat = _Chat(client.chat, wrap(client))

    def with_options(self, **options: Any) -> _Client:
        return _Client(self._target.with_options(**options), self._wrap)

    copy = with_options

    def __enter__(self) -> _Client:
        self._target.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._target.__exit__(*error)

    async def __aenter__(self) -> _Client:
        await self._target.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._target.__aexit__(*error)


class _Base(_Proxy):
    """What both kinds of `chat.completions` share: the key, reading, storing."""

    def __init__(self, completions: Any, client: Any, cache: PassageCache, refresh: bool) -> None:
        super().__init__(completions)
        self._client, self._cache, self._refresh = client, cache, refresh

    def _prepared(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The arguments, iterators turned into lists so that they can be read twice, and the key: None for no JSON."""
        arguments = {k: list(v) if isinstance(v, Iterator) else v for k, v in arguments.items() if _given(v)}
        asked = {k: v for k, v in arguments.items() if k not in TRAVEL}
        query = {k: str(v) for k, v in getattr(self._client, "default_query", {}).items() if not is_secret(k)}
        try:
            plain = json.loads(json.dumps(asked, default=_plain))
            endpoint = normalise_endpoint(str(self._client.base_url))
            key = digest_of(
                {"version": KEY_VERSION, "kind": KIND, "endpoint": endpoint, "query": query, "request": plain}
            )
        except (TypeError, ValueError):
            return arguments, None
        return arguments, key

    def _stored(self, key: str, *, streamed: bool) -> dict[str, Any] | None:
        """The completion under a key. One that came as a stream without usage answers streams only."""
        answer = None if self._refresh else self._cache.get(key)
        return completion_of(answer, streamed=streamed)

    async def _astored(self, key: str, *, streamed: bool) -> dict[str, Any] | None:
        """As `_stored`, the event loop free meanwhile."""
        answer = None if self._refresh else await self._cache.aget(key)
        return completion_of(answer, streamed=streamed)

    def _store(self, key: str, completion: dict[str, Any]) -> None:
        if not whole(completion):
            return
        try:
            self._cache.put(key, answer_of(completion), about=about_of(completion))
        except CacheError as error:
            self._cache.notices.append(str(error))

    async def _astore(self, key: str, completion: dict[str, Any]) -> None:
        """As `_store`, the event loop free meanwhile."""
        if not whole(completion):
            return
        try:
            await self._cache.aput(key, answer_of(completion), about=about_of(completion))
        except CacheError as error:
            self._cache.notices.append(str(error))


class _Completions(_Base):
    """`chat.completions` of OpenAI."""

    _asking: dict[str, threading.Lock] = {}  # noqa: RUF012  shared on purpose: keys of all clients of the process
    _lock = threading.Lock()

    def create(self, **arguments: Any) -> Any:
        arguments, key = self._prepared(arguments)
        if key is None:
            return self._target.create(**arguments)
        if arguments.get("stream"):
            stored = self._stored(key, streamed=True)
            if stored is not None:
                return _Replayed(chunks(stored, arguments))
            return _Recorded(self._target.create(**arguments), lambda whole: self._store(key, whole))
        with self._alone(key):
            stored = self._stored(key, streamed=False)
            if stored is not None:
                return _completion(stored)
            completion = self._target.create(**arguments)
            self._store(key, _dump(completion))
            return completion

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One thread at a time for a key. The lock is dropped by the last who leaves it unwanted."""
        with self._lock:
            lock = self._asking.setdefault(key, threading.Lock())
        with lock:
            try:
                yield
            finally:
                with self._lock:
                    self._asking.pop(key, None)  # who waits holds the lock itself, and finds the answer stored


class _AsyncCompletions(_Base):
    """`chat.completions` of AsyncOpenAI."""

    async def create(self, **arguments: Any) -> Any:
        arguments, key = self._prepared(arguments)
        if key is None:
            return await self._target.create(**arguments)
        if arguments.get("stream"):
            stored = await self._astored(key, streamed=True)
            if stored is not None:
                return _AsyncReplayed(chunks(stored, arguments))
            return _AsyncRecorded(await self._target.create(**arguments), lambda whole: self._astore(key, whole))
        stored = await self._astored(key, streamed=False)
        return _completion(stored) if stored is not None else await self._ask(key, arguments)

    async def _ask(self, key: str, arguments: dict[str, Any]) -> Any:
        """Ask, or wait for who is asking the same; the answer is stored before it is returned."""
        own: list[Any] = []

        async def ask() -> Answer:
            own.append(await self._target.create(**arguments))
            completion = _dump(own[0])
            await self._astore(key, completion)
            return answer_of(completion)

        answer, _ = await self._cache.flights.join(key, ask)
        return own[0] if own else _completion(json.loads(answer.text))


# --- streams ---------------------------------------------------------------------------------------------------------


class _Replayed:
    """A stored answer as the stream it would have been."""

    def __init__(self, replayed: Iterator[Any]) -> None:
        self._chunks = replayed

    def __iter__(self) -> Iterator[Any]:
        return self._chunks

    def __next__(self) -> Any:
        return next(self._chunks)

    def __enter__(self) -> _Replayed:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


class _AsyncReplayed:
    """The same for AsyncOpenAI."""

    def __init__(self, replayed: Iterator[Any]) -> None:
        self._chunks = replayed

    def __aiter__(self) -> _AsyncReplayed:
        return self

    async def __anext__(self) -> Any:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def __aenter__(self) -> _AsyncReplayed:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing is open."""


class _Recorded(_Proxy):
    """A stream that is stored once it has ended well."""

    def __init__(self, stream: Any, store: Any) -> None:
        super().__init__(stream)
        self._store = store
        self._items = self._record()

    def _record(self) -> Iterator[Any]:
        gathered = Gathered()
        for chunk in self._target:
            gathered.add(_dump(chunk))
            yield chunk
        self._store(gathered.completion())

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def __next__(self) -> Any:
        return next(self._items)

    def __enter__(self) -> _Recorded:
        self._target.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._target.__exit__(*error)


class _AsyncRecorded(_Proxy):
    """The same for AsyncOpenAI."""

    def __init__(self, stream: Any, store: Any) -> None:
        super().__init__(stream)
        self._store = store
        self._items = self._record()

    async def _record(self) -> AsyncIterator[Any]:
        gathered = Gathered()
        async for chunk in self._target:
            gathered.add(_dump(chunk))
            yield chunk
        await self._store(gathered.completion())

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items

    async def __anext__(self) -> Any:
        return await anext(self._items)

    async def __aenter__(self) -> _AsyncRecorded:
        await self._target.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._target.__aexit__(*error)


class Gathered:
    """Chunks of one streamed completion, put together."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """One more chunk, as plain data."""
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._head[name] = value
        for part in chunk.get("choices") or ():
            choice = self._choices.setdefault(part.get("index", 0), {"finish_reason": None, "message": {}})
            merge(choice["message"], part.get("delta") or {})
            for name, value in part.items():
                if name not in {"delta", "index"} and value is not None:
                    merge(choice, {name: value})

    def completion(self) -> dict[str, Any]:
        """The completion as it would have come without streaming."""
        choices = []
        for index in sorted(self._choices):
            choice = self._choices[index]
            message = {"role": "assistant", "content": None, **choice["message"]}
            for call in message.get("tool_calls") or ():
                call.pop("index", None)
            choices.append({"logprobs": None, **choice, "index": index, "message": message})
        return {**self._head, "object": KIND, "choices": choices}


def merge(into: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Continue a message by a delta: texts are joined, lists continued by index, the rest replaced."""
    for name, value in delta.items():
        old = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, str) and isinstance(old, str) and name not in WHOLE:
            into[name] = old + value
        elif isinstance(value, Mapping) and isinstance(old, dict):
            merge(old, value)
        elif isinstance(value, list):
            into[name] = _continued(old if isinstance(old, list) else [], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _continued(old: list[Any], new: list[Any]) -> list[Any]:
    for item in new:
        if not isinstance(item, Mapping):
            old.append(item)
            continue
        place = item.get("index")
        known = next((o for o in old if place is not None and o.get("index") == place), None)
        if known is None:
            known = {}
            old.append(known)
        merge(known, item)
    return old


def chunks(completion: dict[str, Any], arguments: Mapping[str, Any]) -> Iterator[Any]:
    """A completion as the chunks of a stream: for each choice its whole message, then its end; usage if asked for."""
    from openai.types.chat import ChatCompletionChunk

    head = {k: v for k, v in completion.items() if k not in {"choices", "usage", "object"}}
    for choice in completion["choices"]:
        message = dict(choice["message"])
        if message.get("tool_calls"):
            message["tool_calls"] = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
        rest = {k: v for k, v in choice.items() if k not in {"message", "finish_reason"}}
        for delta, finish in ((message, None), ({}, choice["finish_reason"])):
            part = {**rest, "delta": delta, "finish_reason": finish}
            yield ChatCompletionChunk.construct(**head, object="chat.completion.chunk", choices=[part])
    if (arguments.get("stream_options") or {}).get("include_usage") and completion.get("usage"):
        yield ChatCompletionChunk.construct(
            **head, object="chat.completion.chunk", choices=[], usage=completion["usage"]
        )


# --- completions as answers ------------------------------------------------------------------------------------------


def whole(completion: Mapping[str, Any]) -> bool:
    """Whether a completion has come to its end: at least one choice, each with a reason why it stopped."""
    choices = completion.get("choices") or ()
    return bool(choices) and all(c.get("finish_reason") for c in choices)


def answer_of(completion: Mapping[str, Any]) -> Answer:
    """A completion as an entry of the cache; the text is its JSON."""
    usage = completion.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return Answer(
        text=json.dumps(completion, ensure_ascii=False, separators=(",", ":")),
        finish=KIND,
        usage=Usage(
            calls=1,
            input=usage.get("prompt_tokens") or 0,
            cached=details.get("cached_tokens") or 0,
            output=usage.get("completion_tokens") or 0,
        ),
        model=str(completion.get("model") or ""),
    )


def about_of(completion: Mapping[str, Any]) -> dict[str, str]:
    """Where such an entry came from."""
    return {"model": str(completion.get("model") or ""), "kind": KIND}


def completion_of(answer: Answer | None, *, streamed: bool) -> dict[str, Any] | None:
    """The completion in an entry, None where there is none that may answer."""
    if answer is None or answer.finish != KIND:
        return None
    try:
        completion = json.loads(answer.text)
    except ValueError:
        return None
    usable = isinstance(completion, dict) and whole(completion) and (streamed or completion.get("usage"))
    return completion if usable else None


def _completion(plain: dict[str, Any]) -> Any:
    from openai.types.chat import ChatCompletion

    return ChatCompletion.construct(**plain)


def _dump(model: Any) -> dict[str, Any]:
    # to_dict leaves out what the server did not send
    return cast("dict[str, Any]", model.to_dict(mode="json"))


def _given(value: Any) -> bool:
    """Whether an argument was given: openai has marks of its own for those that were not."""
    return type(value).__name__ not in {"NotGiven", "Omit"}


def _plain(value: Any) -> Any:
    """A pydantic model among the arguments (a message of an earlier answer, say) as plain data."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
