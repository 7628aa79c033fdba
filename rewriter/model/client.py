"""One model call: through the openai client, retried by policy, its answer as a record, its failure as one sentence.

The openai client's connections (its aiohttp backend) and headers, but for a chat request not its typed ways: measured
on two cores a call costs 0.4 ms so, 0.7 ms by the client's `post`, 1.0 ms with typed parameters, and more over httpx or
in threads, whose switching grows with what the guard computes beside them. aiohttp alone takes 0.35 ms and http.client
in threads 0.15 ms, but then proxies, redirects, certificates and encodings would be ours to keep.

No key, header or credential reaches a message, a repr or a log: addresses are bared, causes scrubbed, and what the
server said is shown only after that.
"""

from __future__ import annotations

import asyncio
import base64
import difflib
import json
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from rewriter import traces
from rewriter.errors import ModelConfigError, ModelError, ModelUnavailable
from rewriter.model.bodies import Refusal, Reply, expected_tokens
from rewriter.model.limits import DROPPED, Limits, Line, OnEvent
from rewriter.model.pace import Result, Ticket
from rewriter.model.resolve import EMBEDDED, OPENAI_URL
from rewriter.model.retry import Retryable, RetryPolicy, retry_after
from rewriter.model.scrub import bare_url, scrub
from rewriter.records import Answer, Request, Usage

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI
    from tenacity import RetryCallState

# What a server said is quoted up to here, in code points: its sentence, not its web page.
QUOTED = 200
# And looked at up to here.
READ = 8192

# Seconds for the list of models, which is only asked for to make an error message better.
MODELS_TIMEOUT = 5.0
# Models named in that message.
MODELS_NAMED = 8

# Connections at once, far above what one process can keep busy: `Limits` is what bounds them. An idle one is kept for
# as long as servers usually keep theirs (nginx 75 s, uvicorn 5 s: then the server closes it, and we see that).
CONNECTIONS, KEEP_ALIVE = 10_000, 60.0

# Tokens a model may think before it answers, where it refuses a plain max_tokens because it thinks: the request's limit
# is about the answer alone. Such models spent 200 to 4,000 on tasks of this size; what is not used is not paid for.
THINKING_ROOM = 8192

# What stands in the place of a passage while the embedded model is made ready: a character no prompt begins with, so
# that not a token of it is shared with the next one.
_NO_PASSAGE = "⁂"

# Statuses that may pass by themselves: request timeout, conflict, too early, too many requests; and every 5xx.
_PASSING = {408, 409, 425, 429}

# Codes and types of a 429 that no waiting mends.
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "insufficient_balance", "credit_balance_too_low")


class ChatClient:
    """Asks an OpenAI-compatible endpoint for chat completions; use it as an async context manager.

    `base_url` None means the OpenAI API; credentials in it are sent as a header and shown nowhere. `api_key` None is
    for endpoints that need none, and `key_name` says where it was found. `endpoint` names the endpoint in cache keys
    and messages (default: the address without credentials). How fast it is asked is `limits`, which clients of one
    endpoint share; without it, at most `concurrency` calls are under way at once. `timeout` is seconds for one whole
    try. `on_event` hears of "retry" (default: who hears of the limits); `retries` counts them by sort.
    """

    def __init__(
        self,
        base_url: str | None,
        api_key: str | SecretStr | None,
        *,
        endpoint: str | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        retry: RetryPolicy | None = None,
        limits: Line | None = None,
        on_event: OnEvent | None = None,
        key_name: str = "",
    ) -> None:
        self.url, self._login = _split_login(base_url or OPENAI_URL)
        self._key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._endpoint = endpoint or bare_url(self.url)
        self._timeout, self._policy, self._key_name = timeout, retry or RetryPolicy(), key_name
        self.limits: Line = limits or Limits(concurrency)
        self.retries: Counter[str] = Counter()
        self._on_event = on_event or self.limits.on_event
        self._other_models: set[tuple[str, str]] = set()
        self._openai: AsyncOpenAI | None = None
        self._http: httpx2.AsyncClient | None = None
        self._chat: tuple[httpx2.URL, dict[str, str]] | None = None  # where chat requests go, and their headers
        self._adapted: dict[str, dict[str, str | None]] = {}
        self._embedded = self._endpoint.startswith(EMBEDDED)
        self._one_at_a_time = asyncio.Lock()
        self._ready_for: list[dict[str, str]] | None = None

    def __repr__(self) -> str:
        return f"ChatClient({self._endpoint!r})"

    @property
    def endpoint(self) -> str:
        """Where answers come from, in one spelling and without credentials: part of every cache key."""
        return self._endpoint

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._openai is not None:
            await self._openai.close()
            self._openai = self._http = None

    async def complete(self, request: Request) -> Answer:
        """The model's answer, as it came: it may be empty, cut short (`finish` is "length") or nonsense.

        Raises ModelConfigError at once where asking again cannot help (wrong key, unknown model, bad request, no credit
        left), and ModelUnavailable when the retry policy gives up.
        """
        place, tokens = self.limits.place(), expected_tokens(request)
        # The policy's time begins with the first try, not with the wait for it, which may be long.
        ticket: Ticket | None = await self.limits.enter(tokens, place)

        async def attempt() -> Answer:
            nonlocal ticket
            held, ticket = ticket or await self.limits.enter(tokens, place), None
            return await self._held(request, held)

        retrying = self._policy.retrying(self._retry, self._pause)
        with traces.call(self.url, request) as span:
            try:
                answer: Answer = await retrying(attempt)
            except Retryable as error:
                raise self._unavailable(error, int(retrying.statistics.get("attempt_number", 1))) from None
            finally:
                span.note(tries=retrying.statistics.get("attempt_number"))
            span.answered(answer)
        return answer

    async def _pause(self, seconds: float) -> None:
        await self.limits.pause(self._policy.sleep(seconds))

    def _retry(self, state: RetryCallState) -> None:
        """A try has failed and another will follow: count and tell."""
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, Retryable)
        self.retries[error.sort] += 1
        if self._on_event is not None:
            wait = round(state.next_action.sleep, 3) if state.next_action else 0.0
            self._on_event("retry", tries=state.attempt_number, cause=error.cause, sort=error.sort, wait=wait)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request, with its parameters under the names this model takes, as far as that is known."""
        return {"model": request.model, "messages": [dict(m) for m in request.messages], **self._parameters(request)}

    # --- one try ---

    async def _held(self, request: Request, ticket: Ticket) -> Answer:
        """One try by the holder of a ticket, which is given back however it ends."""
        result = DROPPED
        try:
            answer = await self._try(request, ticket)
            result = Result("answer", tokens=(answer.usage.input + answer.usage.output) or None)
            return answer
        except Retryable as error:
            result = error.result()
            raise
        finally:
            self.limits.leave(ticket, result)

    async def _try(self, request: Request, ticket: Ticket) -> Answer:
        """One try; a parameter that this model does not take is left out or renamed, and asked for once more."""
        while True:
            known = len(self._adapted.get(request.model, {}))
            reply = await self._post(request, ticket)
            if isinstance(reply, Answer):
                return reply
            if not self._adapt(request, reply, known):
                raise await self._refused(request, reply)

    async def _post(self, request: Request, ticket: Ticket) -> Answer | Refusal:
        """The answer, or a refusal that asking again does not mend. Raises Retryable for everything that may pass."""
        messages = [dict(m) for m in request.messages]
        if not self._embedded:
            return await self._send(request.model, messages, self._parameters(request), ticket)
        async with self._one_at_a_time:
            refusal = await self._make_ready(request.model, messages[: request.static or -1], ticket)
            return refusal or await self._send(request.model, messages, self._parameters(request), ticket)

    async def _make_ready(self, model: str, static: list[dict[str, str]], ticket: Ticket) -> Refusal | None:
        """Bring the embedded model to the state of having read the messages that do not change, and nothing else.

        llama.cpp goes on from whatever the last request has in common with this one. The same text read in other
        portions gives logits that differ by up to 0.3, and at temperature 0 another word now and then: an answer would
        depend on what was asked before, and a resumed run would not end as an uninterrupted one. So the static messages
        are read once, from nothing, and before each question a stand-in for the passage is, which leaves only them.
        """
        fresh = self._ready_for != static
        if fresh:
            self._ready_for = None
        stand_in = [*static, {"role": "user", "content": _NO_PASSAGE}]
        parameters = {"max_tokens": 1, "temperature": 0, "cache_prompt": not fresh}
        done = await self._send(model, stand_in, parameters, ticket)
        if isinstance(done, Refusal):
            return done
        self._ready_for = static
        return None

    async def _send(
        self, model: str, messages: list[dict[str, str]], parameters: dict[str, Any], ticket: Ticket
    ) -> Answer | Refusal:
        import aiohttp
        import httpx2

        body = {"model": model, "messages": messages, **parameters}
        try:
            async with asyncio.timeout(self._timeout):
                raw = await self._posted(json.dumps(body, ensure_ascii=False).encode())
        except TimeoutError:
            raise self._too_late() from None
        # What httpx2 does not know it lets through: aiohttp's own word for bad HTTP, for one.
        except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            root = _root(error)
            if isinstance(root, TimeoutError):
                raise self._too_late() from None
            raise Retryable(self._scrub(str(root) or type(root).__name__), sort="connection") from None
        self.limits.hear(ticket, raw.headers)
        if not raw.is_success:
            return self.judged(raw.status_code, raw.content, raw.headers)
        answer = self._read(raw.content)
        self._note_model(model, answer.model)
        return answer

    def _note_model(self, asked: str, answered: str) -> None:
        """Tell, once for each pair, that another model answered than was asked; the guard judges its text all the same.

        Not where one name is in the other: gpt-4.1-mini answers as gpt-4.1-mini-2025-04-14, llama3 as meta/llama3.
        """
        one, other = asked.lower(), answered.lower()
        if one in other or other in one or (asked, answered) in self._other_models:
            return
        self._other_models.add((asked, answered))
        if self._on_event is not None:
            self._on_event("model", asked=asked, answered=self._quote(answered))

    def _too_late(self) -> Retryable:
        return Retryable(f"no answer within {self._timeout:g} s", sort="timeout")

    async def _posted(self, body: bytes) -> httpx2.Response:
        """The answer to a question. By the openai client's own connections and headers, past its typed ways."""
        import httpx2

        if self._chat is None:
            url, headers = httpx2.URL(self.url), self._client().auth_headers | self._client().default_headers
            url = url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions")
            self._chat = url, {name: value for name, value in headers.items() if isinstance(value, str)}
        url, said = self._chat
        assert self._http is not None
        return await self._http.send(httpx2.Request("POST", url, headers=said, content=body))

    def _client(self) -> AsyncOpenAI:
        if self._openai is None:
            import httpx2
            from openai import AsyncOpenAI, DefaultAioHttpClient

            limits = httpx2.Limits(max_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE)
            self._http = DefaultAioHttpClient(timeout=self._timeout, limits=limits)
            self._openai = AsyncOpenAI(
                base_url=self.url,
                api_key=self._key or "none",  # without one the client would look for OPENAI_API_KEY by itself
                max_retries=0,
                default_headers={"Authorization": self._login} if self._login else None,
                http_client=self._http,
            )
        return self._openai

    def _read(self, body: bytes) -> Answer:
        """The answer in a body with status 200, or Retryable: half a JSON, a web page, an error or nothing in it."""
        try:
            reply = Reply.model_validate(json.loads(body))
        except (ValueError, RecursionError):  # bad JSON, bad UTF-8 and a shape that is not a reply's
            raise Retryable(f"an answer that is no chat completion: {self._quote(body)}", sort="rubbish") from None
        if not reply.choices:
            raise Retryable(f"an answer without choices: {self._quote(body)}", sort="rubbish")
        choice = reply.choices[0]
        return Answer(
            text=choice.message.text(),
            finish=choice.finish_reason or "unknown",
            usage=reply.usage.counted() if reply.usage else Usage(calls=1),
            model=reply.model or "",
        )

    # --- what a status means ---

    def judged(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Answer | Refusal:
        """What a status and a body amount to: an answer, or a refusal that asking again does not mend.

        Raises Retryable for everything that may pass.
        """
        if status == 200:
            return self._read(body)
        refusal = Refusal.of(status, body)
        if refusal.code == "content_filter":
            return Answer(
                text="", finish="content_filter", usage=Usage(calls=1)
            )  # this passage's matter, not the run's
        if (status in _PASSING or status >= 500) and not refusal.says(*_NO_CREDIT):
            heard = headers or {}
            after = retry_after(heard.get("retry-after"), date=heard.get("date"))
            said = self._quote(refusal.message)
            raise Retryable(f"status {status}{': ' + said if said else ''}", sort=str(status), after=after)
        return refusal

    def _parameters(self, request: Request) -> dict[str, Any]:
        """The request's parameters under the names this model takes."""
        changes = self._adapted.get(request.model, {})
        sent = {}
        for name, value in request.parameters.items():
            new = changes.get(name, name)
            if new is not None:
                sent[new] = value + THINKING_ROOM if new != name else value
        return sent

    def _adapt(self, request: Request, refusal: Refusal, known: int) -> bool:
        """Learn from "unsupported parameter" which one to leave out or rename; whether the request is now another.

        Thinking models want max_completion_tokens for max_tokens and refuse a temperature.
        """
        name = refusal.param
        changes = self._adapted.setdefault(request.model, {})
        if len(changes) > known:
            return True  # a call beside this one has learnt it meanwhile
        if refusal.code not in {"unsupported_parameter", "unsupported_value"} or name not in request.parameters:
            return False
        if name in changes:
            return False
        changes[name] = "max_completion_tokens" if name == "max_tokens" else None
        return True

    async def _refused(self, request: Request, refusal: Refusal) -> ModelError:
        """The error for a status that asking again does not mend, with its remedy."""
        said = self._quote(refusal.message)
        what, remedy = (
            f"the endpoint refused the request (status {refusal.status}): {said}",
            "Look at --model and --base-url.",
        )
        if refusal.says(*_NO_CREDIT) or refusal.status == 402:
            what, remedy = f"the account has no credit left: {said}", "Add credit with the provider; then run again."
        elif refusal.status in {401, 403}:
            what = f"the endpoint does not accept the key (status {refusal.status}): {said}"
            remedy = self._key_remedy()
        elif refusal.too_long():
            what, remedy = f"the request is too long for the model: {said}", "Use a smaller --budget."
        elif refusal.status == 404 or refusal.no_such_model():
            what, remedy = await self._unknown_model(request.model, said)
        return ModelConfigError(what, where=self._endpoint, remedy=remedy)

    def _key_remedy(self) -> str:
        if self._login:
            return "Look at the user and password in the base URL."
        if self._key is None:
            return "It wants a key: set REWRITER_API_KEY or OPENAI_API_KEY."
        where = self._key_name or "REWRITER_API_KEY and OPENAI_API_KEY"
        return f"Look at {where}, and whether that key is for this endpoint."

    async def _unknown_model(self, model: str, said: str) -> tuple[str, str]:
        """The message for a model that is not there, with what is there if the endpoint says."""
        names = await self._models()
        if names is None:
            return f"nothing answers at this address (status 404): {said}", (
                "Look at the base URL; it usually ends in /v1. Look at --model too."
            )
        if model in names:
            return f"the endpoint lists the model {model!r} but does not serve it: {said}", "Try another --model."
        near = difflib.get_close_matches(model, names, n=MODELS_NAMED, cutoff=0.5)
        shown = [*near, *(n for n in names if n not in near)][:MODELS_NAMED]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        listed = self._scrub(", ".join(shown)) + more if shown else "none"
        return f"there is no model {model!r} here: {said}", f"It offers: {listed}. Choose with --model."

    async def _models(self) -> list[str] | None:
        """The names that /models lists, or None where it does not answer."""
        import openai

        try:
            async with asyncio.timeout(MODELS_TIMEOUT):
                raw = await self._client().models.with_raw_response.list()
            listed = json.loads(raw.content)["data"]
            return [str(m["id"]) for m in listed]
        except (TimeoutError, openai.APIError, ValueError, KeyError, TypeError):
            return None

    # --- words ---

    def _unavailable(self, error: Retryable, tries: int) -> ModelUnavailable:
        times = "1 try" if tries == 1 else f"{tries} tries"
        waits = f"; it asks to wait {error.after:.0f} s" if error.after and error.after > self._policy.longest else ""
        return ModelUnavailable(
            f"no usable answer after {times}; the last: {error.cause}{waits}.",
            where=self._endpoint,
            remedy="Look whether the endpoint is up and its limits; the same command goes on from here.",
        )

    def _scrub(self, text: str) -> str:
        login = base64.b64decode(self._login.split()[1]).decode() if self._login else ""
        user, _, password = login.partition(":")
        return scrub(text, self._key, self._login, password, user if len(user) > len("openai") else None)

    def _quote(self, said: str | bytes) -> str:
        """What the server said, on one line, without secrets, short."""
        text = said[: 4 * READ].decode("utf-8", "replace") if isinstance(said, bytes) else said
        if len(text) > READ:  # scrubbing the 4 MB of somebody's error page takes seconds; half a key is not shown
            text = text[:READ].rpartition(" ")[0]
        line = " ".join(self._scrub(text).split())
        return line if len(line) <= QUOTED else line[:QUOTED] + " ..."


def _split_login(url: str) -> tuple[str, str]:
    """The address without user and password, and these as a Basic header ("" where there are none).

    Left in the address, they would stand in the HTTP library's own log lines.
    """
    parts = urlsplit(url.strip())
    if "@" not in parts.netloc:
        return url.strip(), ""
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    coded = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, f"Basic {coded}"


def _root(error: BaseException) -> BaseException:
    """What lay under a connection error: "Connection refused" says more than "Connection error"."""
    while error.__cause__ is not None or error.__context__ is not None:
        under = error.__cause__ or error.__context__
        assert under is not None
        error = under
    return error
