"""The server that misbehaves on purpose keeps its promises: each fault is what it is called, the account is true."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import faulty_server
from faulty_server import ALL, BURST, LOST, PASSING, SLOW, FaultyServer, completion

BODY = {"model": "m", "messages": [{"role": "user", "content": "嗯我们有三个方案，没有一个能用五天做完。" * 3}]}


def post(server: FaultyServer, body: dict[str, Any] = BODY, timeout: float = 5) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer k"})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize("fault", [f for f in ALL if f not in SLOW])
def test_each_fault_is_one_and_the_next_answer_is_good(fault: str) -> None:
    with FaultyServer(script=[fault]) as server:
        good: object = completion(BODY, faulty_server.light_edit(BODY["messages"][0]["content"]), None)  # type: ignore[index]
        for n in range(BURST if "burst" in fault else 1):
            try:
                status, _, body = post(server)
            except (OSError, http.client.HTTPException):
                status, body = 0, b""
            assert (status, body) != (200, json.dumps(good, ensure_ascii=False).encode()), n
        status, _, body = post(server)
        assert status == 200 and json.loads(body) == good


@pytest.mark.parametrize("fault", SLOW)
def test_slow_ones_have_no_answer_within_a_second(fault: str) -> None:
    with FaultyServer(script=[fault]) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        body = json.dumps(BODY).encode()
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connection.settimeout(0.2)
        got, until = b"", time.monotonic() + 1
        while time.monotonic() < until:
            try:
                more = connection.recv(65536)
            except TimeoutError:
                continue
            assert more  # not closed
            got += more
    head, _, came = got.partition(b"\r\n\r\n")
    assert (got == b"") == (fault == "hang")
    assert fault != "slow" or 5 < len(came) < 40  # it drips
    assert fault != "stall" or f"Content-Length: {2 * len(came)}".encode()[:-1] in head


def test_the_account_is_what_was_answered_and_what_was_lost() -> None:
    """Whoever adds up the usage of the answers that came has what the server has charged for them."""
    faults = [f for f in ALL if f not in SLOW]
    calls = tokens = 0
    with FaultyServer(rate=0.6, seed=2, faults=faults, retry_after=0) as server:
        for n in range(120):
            try:
                status, _, raw = post(server, {**BODY, "seed": n})
                usage = json.loads(raw)["usage"] if status == 200 else None
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                continue
            if usage:
                calls, tokens = calls + 1, tokens + usage["total_tokens"]
        assert calls == server.account.calls > 40
        assert tokens == server.account.input + server.account.output
        assert server.account.lost["calls"] == sum(server.counts[f] for f in LOST) > 0


def test_the_same_requests_meet_the_same_faults_in_any_order() -> None:
    faults = [f for f in PASSING if f not in SLOW and "burst" not in f]
    met = []
    for order in (range(30), reversed(range(30))):
        with FaultyServer(rate=0.5, seed=4, faults=faults) as server:
            for n in order:
                try:
                    post(server, {**BODY, "seed": n})
                except (OSError, http.client.HTTPException):
                    pass
            met.append({s.body["seed"]: s.fault for s in server.requests})
    assert met[0] == met[1] and len(set(met[0].values())) > 5


@pytest.mark.parametrize("says_wait", [True, False])
def test_a_rate_is_kept_and_told(says_wait: bool) -> None:
    with FaultyServer(rpm=3, rate_window=1.5, says_wait=says_wait) as server:
        seen = [post(server) for _ in range(4)]
        assert [status for status, _, _ in seen] == [200, 200, 200, 429]
        assert [h["x-ratelimit-remaining-requests"] for _, h, _ in seen] == ["2", "1", "0", "0"]
        assert ("retry-after" in seen[-1][1]) is says_wait
        time.sleep(0.6)
        assert post(server)[0] == 200


def test_tokens_are_limited_by_what_an_answer_may_have() -> None:
    with FaultyServer(tpm=1000) as server:
        assert post(server, {**BODY, "max_tokens": 900})[0] == 200
        assert post(server, {**BODY, "max_tokens": 900})[0] == 429


def test_a_key_has_its_time() -> None:
    with FaultyServer(api_key="k", key_lives=2) as server:
        assert [post(server)[0] for _ in range(3)] == [200, 200, 401]


def test_tokens_can_be_counted_otherwise() -> None:
    with FaultyServer(count=len) as server:
        usage = json.loads(post(server)[2])["usage"]
    assert usage["prompt_tokens"] == len(BODY["messages"][0]["content"])  # type: ignore[index]


def test_as_a_program_it_prints_its_account() -> None:
    command = [sys.executable, faulty_server.__file__, "--until-eof", "--fault-rate", "1", "--faults", "429,gutted"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin and program.stdout
        port = int(program.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        there = FaultyServer(port=port)  # not started: only where it is
        for n in range(20):
            post(there, {**BODY, "seed": n})
        program.stdin.close()
        account = json.loads(program.stdout.read())
    assert set(account["counts"]) == {"429", "gutted"} and sum(account["counts"].values()) == 20
    assert account["calls"] == account["counts"]["gutted"]


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="no such faults"):
        FaultyServer(script=["typo"])


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(faulty_server.__file__).parent)!r}); import faulty_server"
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=tmp_path)
