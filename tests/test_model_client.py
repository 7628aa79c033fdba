"""The client against a server that misbehaves on purpose: what is retried, what fails at once, what is never shown."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import logging
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_server import BURST, DAMAGED, HUGE, PASSING, SLOW, WRAPPED, FaultyServer
from rewriter.errors import ModelConfigError, ModelUnavailable
from rewriter.model.client import THINKING_ROOM, ChatClient
from rewriter.model.limits import Limits
from rewriter.model.retry import RetryPolicy, retry_after
from rewriter.model.scrub import bare_url, scrub
from rewriter.records import Answer, Request, Usage

KEY = "sk-proj-Abc123Def456Ghi789Jkl"
BROKEN = ("reset_before", "reset_mid", "closed", "cut_chunks", "bad_http")
PASSAGE = "嗯我们先看缓存，一共有三层，不能直接删。"


def ask(passage: str = PASSAGE, **parameters: Any) -> Request:
    return Request(
        model="m",
        messages=({"role": "system", "content": "clean"}, {"role": "user", "content": passage}),
        parameters=parameters or {"temperature": 0, "max_tokens": 50},
    )


class Sleeps:
    """A sleep that does not wait but remembers, and the clock that goes with it."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)

    def clock(self) -> float:
        return sum(self.waited)


def client(server: FaultyServer, sleeps: Sleeps | None = None, **options: Any) -> ChatClient:
    sleeps = sleeps or Sleeps()
    policy = RetryPolicy(sleep=sleeps, **options.pop("policy", {}))
    limits = Limits(
        options.pop("concurrency", 8), clock=sleeps.clock, sleep=asyncio.sleep, on_event=options.pop("hear", None)
    )
    key = options.pop("api_key", KEY)
    return ChatClient(server.base_url, key, retry=policy, limits=limits, **{"timeout": 5.0, **options})


async def test_a_good_answer_as_a_record() -> None:
    async with FaultyServer() as server, client(server) as chat:
        answer = await chat.complete(ask())
    assert answer == Answer(
        text="我们先看缓存，一共有三层，不能直接删。",
        finish="stop",
        model="m",
        usage=Usage(calls=1, input=12, cached=4, output=9),
    )
    seen = server.requests[0]
    assert seen.body == {"model": "m", "messages": list(ask().messages), "temperature": 0, "max_tokens": 50}
    assert seen.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("fault", [f for f in PASSING if f not in SLOW and "burst" not in f])
async def test_what_may_pass_is_asked_again(fault: str) -> None:
    sleeps = Sleeps()
    heard: list[dict[str, Any]] = []
    hear = lambda kind, **facts: heard.append(facts) if kind == "retry" else None  # noqa: E731
    async with FaultyServer(script=[fault, fault]) as server, client(server, sleeps, hear=hear) as chat:
        answer = await chat.complete(ask())
    assert answer.text.startswith("我们先看缓存")
    assert [s.fault for s in server.requests] == [fault, fault, None]
    assert len(sleeps.waited) == 2
    assert server.answered_twice() == []
    assert [h["tries"] for h in heard] == [1, 2] and all(h["cause"] for h in heard)
    sort = {"4": "429", "5": fault, "h": "500" if fault == "huge_error" else "rubbish"}
    expected = sort.get(fault[0], "connection" if fault in BROKEN else "rubbish")
    assert chat.retries == {expected: 2}


@pytest.mark.parametrize("fault", ["429_burst", "429_burst_after"])
async def test_a_burst_of_refusals_is_lived_through(fault: str) -> None:
    async with (
        FaultyServer(script=[None, None, fault]) as server,
        client(server, policy={"attempts": 9, "longest": 4.0}) as chat,
    ):
        answers = await asyncio.gather(*(chat.complete(ask(f"第{n}段我们先看缓存")) for n in range(12)))
    assert [a.text for a in answers] == [f"第{n}段我们先看缓存。" for n in range(12)]
    assert chat.retries["429"] == BURST


@pytest.mark.parametrize("fault", SLOW)
async def test_a_try_that_takes_too_long_is_given_up(fault: str) -> None:
    began = time.monotonic()
    async with FaultyServer(script=[fault]) as server, client(server, timeout=0.5) as chat:
        answer = await chat.complete(ask())
    assert answer.finish == "stop"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("fault", [f for f in (*DAMAGED, *WRAPPED) if f not in {"empty", "null", "content_filter"}])
async def test_damaged_content_comes_as_it_is(fault: str) -> None:
    async with FaultyServer(script=[fault]) as server, client(server) as chat:
        answer = await chat.complete(ask())
    assert answer.text == server.requests[0].text
    assert answer.model == ("other/big-7b" if fault == "wrong_model" else "m")
    assert fault == "wrong_model" or answer.text != "我们先看缓存，一共有三层，不能直接删。"
    assert answer.finish == ("length" if fault == "length" else "stop")
    assert len(server.requests) == 1
    assert fault != "huge" or len(answer.text) >= HUGE


@pytest.mark.parametrize(
    ("fault", "finish"), [("empty", "stop"), ("null", "stop"), ("content_filter", "content_filter")]
)
async def test_no_content_is_an_empty_answer(fault: str, finish: str) -> None:
    async with FaultyServer(script=[fault]) as server, client(server) as chat:
        answer = await chat.complete(ask())
    assert (answer.text, answer.finish, answer.usage.calls) == ("", finish, 1)


# --- failing at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "does not accept the key"),
        ("403", "does not accept the key"),
        ("400", "refused the request"),
        ("404", "there is no model 'm'"),
        ("429_quota", "no credit left"),
        ("400_length", "smaller --budget"),
    ],
)
async def test_what_no_asking_mends_fails_at_once(fault: str, words: str) -> None:
    sleeps = Sleeps()
    async with FaultyServer(script=[fault]) as server, client(server, sleeps) as chat:
        with pytest.raises(ModelConfigError) as caught:
            await chat.complete(ask())
    assert words in str(caught.value)
    assert caught.value.remedy
    assert sleeps.waited == [] and len(server.requests) == 1


async def test_a_wrong_key_names_its_variable_and_not_itself() -> None:
    async with FaultyServer(api_key="another") as server, client(server, key_name="MY_KEY") as chat:
        with pytest.raises(ModelConfigError, match="Look at MY_KEY") as caught:
            await chat.complete(ask())
    assert KEY not in str(caught.value) and "another" not in str(caught.value)


async def test_a_missing_key_is_said_to_be_missing() -> None:
    async with FaultyServer(api_key=KEY) as server, client(server, api_key=None) as chat:
        with pytest.raises(ModelConfigError, match="set REWRITER_API_KEY or OPENAI_API_KEY"):
            await chat.complete(ask())


async def test_without_a_key_no_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with FaultyServer() as server, client(server, api_key=None) as chat:
        await chat.complete(ask())
    assert KEY not in str(server.requests[0].headers)


async def test_an_unknown_model_lists_what_there_is_nearest_first() -> None:
    names = [f"big-model-{n}" for n in range(12)] + ["m2"]
    async with FaultyServer(models=names) as server, client(server) as chat:
        with pytest.raises(ModelConfigError) as caught:
            await chat.complete(ask())
    assert "It offers: m2, big-model-0" in caught.value.remedy
    assert "and 5 more" in caught.value.remedy


async def test_an_address_where_nothing_is_served() -> None:
    async with FaultyServer() as server:
        chat = ChatClient(server.base_url.removesuffix("/v1"), None, retry=RetryPolicy(sleep=Sleeps()))
        with pytest.raises(ModelConfigError, match="usually ends in /v1"):
            await chat.complete(ask())
        await chat.aclose()


# --- giving up -------------------------------------------------------------------------------------------------------


async def test_giving_up_says_where_why_and_how_often() -> None:
    async with FaultyServer(script=["503"] * 9) as server, client(server, policy={"attempts": 3}) as chat:
        with pytest.raises(ModelUnavailable) as caught:
            await chat.complete(ask())
    assert str(caught.value).startswith(f"{server.base_url}: no usable answer after 3 tries; the last: status 503")
    assert len(server.requests) == 3


async def test_an_endpoint_that_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    async with ChatClient(url, None, retry=RetryPolicy(attempts=2, sleep=Sleeps())) as chat:
        with pytest.raises(ModelUnavailable, match=r"after 2 tries; the last: .*(refused|failed)"):
            await chat.complete(ask())


async def test_waits_grow_and_stay_bounded() -> None:
    sleeps = Sleeps()
    policy = {"attempts": 9, "longest": 20.0, "seconds": 1e6}
    async with FaultyServer(script=["500"] * 9) as server, client(server, sleeps, policy=policy) as chat:
        with pytest.raises(ModelUnavailable):
            await chat.complete(ask())
    assert len(sleeps.waited) == 8
    for number, waited in enumerate(sleeps.waited):
        assert min(2**number, 20) <= waited <= min(2**number + 1, 20)


@pytest.mark.parametrize("fault", ["429_after", "429_date", "429_skewed"])
async def test_retry_after_is_followed(fault: str) -> None:
    sleeps = Sleeps()
    async with FaultyServer(script=[fault], retry_after=90) as server, client(server, sleeps) as chat:
        await chat.complete(ask())
    assert 85 <= sleeps.waited[0] <= 90


async def test_nobody_sleeps_for_an_hour_unannounced() -> None:
    sleeps = Sleeps()
    async with FaultyServer(script=["429_after"], retry_after=3600) as server, client(server, sleeps) as chat:
        with pytest.raises(ModelUnavailable, match=r"after 1 try; .*it asks to wait 3600 s"):
            await chat.complete(ask())
    assert sleeps.waited == []


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=30), st.floats().map(str), st.integers().map(str)))
def test_any_retry_after_is_a_wait_or_nothing(value: str) -> None:
    waited = retry_after(value)
    assert waited is None or 0 <= waited < float("inf")


def test_retry_after_forms() -> None:
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("2.5") == 2.5
    assert retry_after("-3") == 0
    assert retry_after(email.utils.formatdate(1060, usegmt=True), now=lambda: 1000) == 60
    assert retry_after(email.utils.formatdate(900, usegmt=True), now=lambda: 1000) == 0


# --- many ------------------------------------------------------------------------------------------------------------


async def test_no_more_calls_at_once_than_allowed() -> None:
    async with (
        FaultyServer(delay=0.03, rate=0.3, faults=["500", "429"]) as server,
        client(server, concurrency=3) as chat,
    ):
        answers = await asyncio.gather(*(chat.complete(ask(f"第{n}段我们先看缓存")) for n in range(20)))
    assert server.most_at_once == 3
    assert [a.text for a in answers] == [f"第{n}段我们先看缓存。" for n in range(20)]


async def test_under_faults_every_question_gets_its_own_answer_once() -> None:
    faults = [f for f in PASSING if f not in SLOW]
    policy = {"attempts": 20, "seconds": 1e6}  # a burst may meet one question eight times when nobody really waits
    async with FaultyServer(rate=0.3, seed=3, faults=faults) as server, client(server, policy=policy) as chat:
        answers = await asyncio.gather(*(chat.complete(ask(f"第{n}段我们先看缓存")) for n in range(100)))
    assert [a.text for a in answers] == [f"第{n}段我们先看缓存。" for n in range(100)]
    assert server.answered_twice() == []
    assert sum(server.counts.values()) - server.counts["good"] > 15


async def test_a_cancelled_call_frees_its_place() -> None:
    async with FaultyServer(script=["hang"]) as server, client(server, concurrency=1) as chat:
        task = asyncio.create_task(chat.complete(ask()))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await chat.complete(ask())).finish == "stop"


async def test_a_call_that_waits_to_be_retried_holds_up_nobody() -> None:
    async with FaultyServer(script=["500"]) as server:
        policy = RetryPolicy(first=1.0, jitter=0.0)
        async with ChatClient(server.base_url, KEY, concurrency=1, retry=policy) as chat:
            first = asyncio.create_task(chat.complete(ask("第一段")))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            assert (await chat.complete(ask("第二段"))).text == "第二段。"
            assert time.monotonic() - began < 0.5 and not first.done()
            assert (await first).text == "第一段。"


async def test_another_model_is_told_once() -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    hear = lambda kind, **facts: heard.append((kind, facts))  # noqa: E731
    async with FaultyServer(script=["wrong_model"] * 3) as server, client(server, hear=hear) as chat:
        for n in range(4):
            await chat.complete(ask(f"第{n}段"))
    assert [h for h in heard if h[0] == "model"] == [("model", {"asked": "m", "answered": "other/big-7b"})]


# --- the way there ---------------------------------------------------------------------------------------------------


class Proxy(FaultyServer):
    """An HTTP proxy for plain http that answers itself."""

    async def _answer(self, method: str, path: str, headers: Any, body: dict[str, Any], writer: Any) -> bool:
        self.counts[path] += 1
        return await super()._answer(method, path.removeprefix("http://models.test"), headers, body, writer)


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Proxy() as server:
        monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with ChatClient("http://models.test/v1", KEY) as chat:
            assert (await chat.complete(ask())).finish == "stop"
        async with client(server) as chat:  # and not for what NO_PROXY names
            await chat.complete(ask())
    assert server.counts["http://models.test/v1/chat/completions"] == 1
    assert server.counts["/v1/chat/completions"] == 1


class Mover(FaultyServer):
    """Sends everyone elsewhere."""

    elsewhere = ""

    async def _answer(self, method: str, path: str, headers: Any, body: dict[str, Any], writer: Any) -> bool:
        return await self._send(writer, 307, {}, extra=f"Location: {self.elsewhere}{path}\r\n")


async def test_a_redirect_is_followed_without_the_key() -> None:
    """Another host is another party: what was meant for the first is not shown to it."""
    async with FaultyServer() as server, Mover() as mover:
        mover.elsewhere = server.base_url.removesuffix("/v1").replace("127.0.0.1", "localhost")
        async with client(mover) as chat:
            assert (await chat.complete(ask())).finish == "stop"
    assert server.requests[0].body["messages"] == list(ask().messages)
    assert KEY not in str(server.requests[0].headers)


async def test_a_redirect_to_itself_ends() -> None:
    async with Mover() as mover:
        mover.elsewhere = mover.base_url.removesuffix("/v1")
        async with client(mover, policy={"attempts": 2}) as chat:
            with pytest.raises(ModelUnavailable, match="redirects"):
                await chat.complete(ask())


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, crt = tmp_path / "key.pem", tmp_path / "crt.pem"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {key} -out {crt}"
    await asyncio.to_thread(subprocess.run, made.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with ChatClient(url, KEY, retry=RetryPolicy(attempts=1)) as chat:
            with pytest.raises(ModelUnavailable, match="certificate"):
                await chat.complete(ask())
    assert asked == []


async def test_connections_are_used_again() -> None:
    async with FaultyServer() as server, client(server) as chat:
        for n in range(5):
            await chat.complete(ask(f"第{n}段"))
    assert server.connections == 1


async def test_the_request_is_not_changed() -> None:
    request = ask()
    before = request.model_dump_json()
    async with FaultyServer(script=["500"]) as server, client(server) as chat:
        await chat.complete(request)
    assert request.model_dump_json() == before


# --- models that think -----------------------------------------------------------------------------------------------


class Thinker(FaultyServer):
    """Refuses the parameters that thinking models refuse, in their words."""

    async def _answer(self, method: str, path: str, headers: Any, body: dict[str, Any], writer: Any) -> bool:
        for name, code in (("max_tokens", "unsupported_parameter"), ("temperature", "unsupported_value")):
            if name in body:
                error = {"message": f"'{name}' is not supported with this model.", "code": code, "param": name}
                self.counts["refused"] += 1
                return await self._send(writer, 400, {"error": error})
        return await super()._answer(method, path, headers, body, writer)


async def test_parameters_that_a_model_refuses_are_learnt_once() -> None:
    async with Thinker() as server, client(server) as chat:
        await chat.complete(ask())
        await chat.complete(ask("第二段"))
    assert server.counts["refused"] == 2
    assert server.requests[0].body["max_completion_tokens"] == 50 + THINKING_ROOM
    assert "temperature" not in server.requests[0].body


async def test_parameters_are_learnt_with_calls_side_by_side() -> None:
    async with Thinker(delay=0.02) as server, client(server) as chat:
        answers = await asyncio.gather(*(chat.complete(ask(f"第{n}段")) for n in range(8)))
    assert len(answers) == 8


# --- the embedded model's state --------------------------------------------------------------------------------------


def is_stand_in(body: dict[str, Any]) -> bool:
    return body["messages"][-1] == {"role": "user", "content": "⁂"}


async def test_the_embedded_model_starts_each_time_from_the_static_messages() -> None:
    shared = (
        {"role": "system", "content": "clean"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    )
    plain = Request(model="m", messages=(*shared, {"role": "user", "content": PASSAGE}), static=3)
    repair = Request(model="m", messages=(*plain.messages, *ask("draft").messages), static=3)
    async with FaultyServer() as server, client(server, endpoint="embedded:x") as chat:
        for request in (plain, repair, ask(), plain):
            await chat.complete(request)
    bodies = [s.body for s in server.requests]
    assert [is_stand_in(b) for b in bodies] == [True, False] * 4
    assert [b["messages"][:-1] for b in bodies[::2]] == [list(m) for m in (shared, shared, ask().messages[:1], shared)]
    assert [b["cache_prompt"] for b in bodies[::2]] == [False, True, False, False]


@pytest.mark.parametrize("script", [["500"], [None, "500"], [None, "reset_mid", "503"]])
async def test_after_a_fault_the_state_is_made_again(script: list[str | None]) -> None:
    async with FaultyServer(script=script) as server, client(server, endpoint="embedded:x") as chat:
        answer = await chat.complete(ask())
    assert answer.finish == "stop"
    assert is_stand_in(server.requests[-2].body) and not is_stand_in(server.requests[-1].body)


async def test_the_embedded_model_is_asked_one_thing_at_a_time() -> None:
    async with FaultyServer(delay=0.01) as server, client(server, endpoint="embedded:x", concurrency=4) as chat:
        await asyncio.gather(*(chat.complete(ask(f"第{n}段")) for n in range(6)))
    assert server.most_at_once == 1
    assert [is_stand_in(s.body) for s in server.requests] == [True, False] * 6


# --- secrets ---------------------------------------------------------------------------------------------------------


class Tattler(FaultyServer):
    """Says every header back, as some gateways do."""

    status = 401

    async def _answer(self, method: str, path: str, headers: Any, body: dict[str, Any], writer: Any) -> bool:
        return await self._send(writer, self.status, {"error": {"message": f"bad request with {headers} and {body}"}})


@pytest.mark.parametrize("status", [401, 500, 400, 404, 200])
async def test_no_secret_in_any_message_or_log(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Tattler() as server:
        server.status = status
        url = server.base_url.replace("http://", "http://bob:Tr0ub4dor%263@")
        login = base64.b64encode(b"bob:Tr0ub4dor&3").decode()
        secrets = (KEY, "Tr0ub4dor&3", "Tr0ub4dor%263", login)
        for address, key in ((url, None), (server.base_url, KEY)):
            async with ChatClient(address, key, retry=RetryPolicy(attempts=2, sleep=Sleeps())) as chat:
                with pytest.raises((ModelConfigError, ModelUnavailable)) as caught:
                    await chat.complete(ask())
            shown = f"{caught.value} {caught.value!r} {chat!r} {chat.endpoint}"
            assert not [s for s in secrets if s in shown], shown
            assert chat.endpoint == server.base_url
            assert caught.value.__cause__ is None
    ours = "\n".join(r.getMessage() for r in caplog.records)
    assert not [s for s in secrets if s in ours]


async def test_credentials_in_the_address_are_sent_as_a_header() -> None:
    async with FaultyServer() as server, ChatClient(server.base_url.replace("//", "//bob:p%40ss@"), KEY) as chat:
        await chat.complete(ask())
    assert server.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"bob:p@ss").decode()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Incorrect API key provided: sk-abcd****wxyz.", "Incorrect API key provided: ***"),
        ("key AbCd********wXyZ is wrong", "key *** is wrong"),
        ("at https://bob:secret@host/v1 now", "at https://***@host/v1 now"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("{'authorization': 'Bearer abcdef123456', 'a': 1}", "{'authorization': 'Bearer ***', 'a': 1}"),
        ('{"api_key": "abcdef"}', '{"api_key": "***"}'),
        ("GET /v1/models?key=abcdef&x=1", "GET /v1/models?key=***&x=1"),
        ("X-Api-Key: abcdefgh", "X-Api-Key: ***"),
        ("gsk_abcdefghijkl and hf_abcdefghijkl", "*** and ***"),
        ("the password is wrong; your token: 12 of 30", "the password is wrong; your token: 12 of 30"),
        ("a task-oriented risk-averse desk-bound text", "a task-oriented risk-averse desk-bound text"),
        (
            "model qwen2.5-coder-1.5b-instruct at http://127.0.0.1:8000/v1",
            "model qwen2.5-coder-1.5b-instruct at http://127.0.0.1:8000/v1",
        ),
        ("预算是三千五百万", "预算是三千五百万"),
    ],
)
def test_scrub(text: str, left: str) -> None:
    assert scrub(text) == left
    assert scrub(left) == left


@settings(max_examples=100, deadline=None)
@given(
    secret=st.text(alphabet="abcXYZ019-_./+=@:&% é密", min_size=8, max_size=40),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_a_given_secret_never_stays(secret: str, before: str, after: str) -> None:
    assert secret not in scrub(before + secret + after, secret)


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://API.OpenAI.com/v1/", "https://api.openai.com/v1"),
        ("https://api.openai.com:443/v1", "https://api.openai.com/v1"),
        ("http://bob:pw@Host:8000/v1?key=x#y", "http://host:8000/v1"),
        (" http://[::1]:8000/v1 ", "http://[::1]:8000/v1"),
    ],
)
def test_one_spelling_of_an_endpoint(url: str, bare: str) -> None:
    assert bare_url(url) == bare


@pytest.mark.parametrize("url", ["", "host/v1", "ftp://host/v1", "http://", "http://host:port/v1", "localhost:8000/v1"])
def test_no_endpoint(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        bare_url(url)
