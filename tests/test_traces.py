"""Spans of real runs, as a receiver gets them by OTLP; and runs whose receiver is not there, or none is wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_server import FaultyServer
from rewriter import traces
from rewriter.cli import main
from span_receiver import Got, SpanReceiver
from talks import talk

KEY = "sk-proj-Qwe123Rty456Uio789Pas"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "talk.txt").write_text(talk(24), encoding="utf-8")
    return tmp_path


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpanReceiver]:
    with SpanReceiver() as running:
        monkeypatch.setenv(ENDPOINT, running.endpoint)
        yield running


def rewrite(server: FaultyServer, *more: str, source: str = "talk.txt") -> int:
    options = ["-o", "out", "-q", "--base-url", server.base_url, "--model", "m", "--budget", "60", "--cache", "cache"]
    with pytest.raises(SystemExit) as caught:
        main(["rewrite", source, *options, *more])
    assert traces.tracer is None
    return int(caught.value.code or 0)


def under(receiver: SpanReceiver, parent: Got, name: str) -> list[Got]:
    return [span for span in receiver.named(name) if span.parent == parent.id]


def test_a_run_its_file_its_passages_their_tries_and_calls(receiver: SpanReceiver) -> None:
    with FaultyServer(script=[None, "gutted", "500"]) as server:
        assert rewrite(server, "--concurrency", "1") == 0
        calls = len(server.requests)
    (run,), (file,) = receiver.named("rewrite"), receiver.named("file")
    summary = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    assert run.parent == b"" and file.parent == run.id and len({span.trace for span in receiver.spans}) == 1
    assert receiver.resource["service.name"] == "rewriter"
    assert run.facts.items() >= {"rewriter.exit": 0, "rewriter.files": 1, "rewriter.kept": 0}.items()
    assert file.facts["rewriter.file"] == "talk.txt"
    passages = under(receiver, file, "passage")
    assert len(passages) == len(receiver.named("passage")) == sum(summary["passages"].values())
    counted = Counter(span.facts["rewriter.status"] for span in passages)
    assert counted == {status: n for status, n in summary["passages"].items() if n} and counted["repaired"]
    tries = {p.facts["rewriter.passage"]: [*under(receiver, p, "ask"), *under(receiver, p, "repair")] for p in passages}
    assert all(tries.values())
    assert [t.facts["rewriter.accepted"] for t in tries[0]] == [True]
    assert tries[1][0].facts["rewriter.accepted"] is False and len(tries[1]) > 1
    chats = receiver.named("chat m")
    assert {c.parent for c in chats} == {t.id for found in tries.values() for t in found}
    assert all(c.kind == 3 and c.seconds <= run.seconds for c in chats)  # a client's
    assert sum(c.facts["rewriter.tries"] for c in chats) == calls == len(chats) + 1
    first = chats[0].facts
    assert (first["gen_ai.operation.name"], first["gen_ai.request.model"]) == ("chat", "m")
    assert first["server.address"] == "127.0.0.1" and first["gen_ai.response.finish_reasons"] == ["stop"]
    for kind in ("input", "output"):
        assert sum(c.facts[f"gen_ai.usage.{kind}_tokens"] for c in chats) == summary["usage"][kind]


def test_no_text_and_no_secret_is_in_a_span(receiver: SpanReceiver) -> None:
    """Of drafts that are kept out neither, and not of a call that fails."""
    with FaultyServer(script=[None, *["gutted"] * 20]) as server:
        rewrite(server)
    with FaultyServer(api_key="another") as server:
        assert rewrite(server, "--no-cache", "--style", "correct") == 1
    (failed,) = [span for span in receiver.named("chat m") if span.failed][:1]
    assert failed.facts["error.type"] == "ModelConfigError"
    sent = b"".join(receiver.bodies)
    assert KEY.encode() not in sent and b"rewriter.accepted" in sent
    text = talk(24)
    assert not [text[n : n + 6] for n in range(len(text) - 6) if text[n : n + 6].encode() in sent]


def test_what_the_cache_answers_is_no_call(receiver: SpanReceiver) -> None:
    with FaultyServer() as server:
        rewrite(server)
        called = len(receiver.named("chat m"))
        assert called == len(receiver.named("ask"))
        Path("out/run.jsonl").unlink()
        rewrite(server)
    assert len(receiver.named("chat m")) == called
    assert Counter(span.facts["rewriter.answer"] for span in receiver.named("ask")) == {
        "asked": called,
        "stored": called,
    }


def test_of_many_files_each_has_a_trace_that_is_linked_to_the_run(
    receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr("rewriter.run.FILES_IN_A_TRACE", 1)
    (folder / "in").mkdir()
    for name in (b"a.txt", b"\xff\xfe.txt"):  # a name that is no UTF-8
        (folder / "in" / os.fsdecode(name)).write_text(talk(4), encoding="utf-8")
    with FaultyServer() as server:
        rewrite(server, source="in")
    (run,), files = receiver.named("rewrite"), receiver.named("file")
    assert len({run.trace, *(file.trace for file in files)}) == 3
    assert [(file.parent, file.links) for file in files] == [(b"", [run.id])] * 2
    assert {file.facts["rewriter.file"] for file in files} == {"a.txt", "\\udcff\\udcfe.txt"}


@pytest.mark.parametrize("options", [{"status": 503}, {"status": 400}, {"delay": 30.0}, None], ids=str)
def test_a_receiver_that_is_down_or_slow_is_said_once_and_costs_next_to_nothing(
    options: dict[str, float] | None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """None: nobody listens there."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # so that it is tried many times
    with SpanReceiver(**options or {}) as receiver, FaultyServer(delay=0.1) as server:  # type: ignore[arg-type]
        address = receiver.endpoint.replace("http://", "http://user:Pa55word@") if options else "http://127.0.0.1:9"
        monkeypatch.setenv(ENDPOINT, address)
        began = time.monotonic()
        assert rewrite(server, "--concurrency", "2") == 0
        took = time.monotonic() - began
        said = capfd.readouterr().err
    where = address.rpartition("@")[2].removeprefix("http://")
    assert said == f"Not all spans could be sent to {where} (OTEL_EXPORTER_OTLP_ENDPOINT).\n"
    alone = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))["seconds_now"]
    # beside the run: start-up, and the end's wait, which is full where nothing answers only
    assert took - alone < (traces.LAST_SECONDS if options and "delay" in options else 0.0) + 2.0


WANTED = [
    ({}, False),
    ({ENDPOINT: "http://h:1"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:1"}, True),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ({"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
    ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://h:1"}, False),
    ({"OTEL_SDK_DISABLED": "True", ENDPOINT: "http://h:1"}, False),
    ({ENDPOINT: ""}, False),
]


@pytest.mark.parametrize(("environment", "wanted"), WANTED, ids=str)
def test_the_standard_variables_turn_it_on_and_off(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "_closed", lambda *_: True)  # nobody listens
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with traces.recording(print):
        assert (traces.tracer is not None) is wanted
    assert traces.tracer is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({ENDPOINT: "nonsense"}, "No spans are sent: one of the OTEL_* variables cannot be used"),
        ({ENDPOINT: "http://h:99999999"}, "No spans are sent: one of the OTEL_* variables cannot be used"),
        ({ENDPOINT: "http://h:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf is spoken here"),
        ({ENDPOINT: "http://h:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "one of the OTEL_* variables"),
        ({ENDPOINT: "http://h:1", "OTEL_EXPORTER_OTLP_HEADERS": KEY}, "and takes its default"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_said_without_its_value(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(traces, "_closed", lambda *_: True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told: list[str] = []
    with traces.recording(told.append):
        pass
    assert len(told) == 1 and said in told[0] and KEY not in told[0]
    assert capfd.readouterr().err == ""


def run_with(server: FaultyServer, first: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{first}\nfrom rewriter.cli import main\ntry:\n    main(sys.argv[1:])\nfinally:\n"
    code += "    print('loaded', [name for name in sys.modules if name.startswith('opentelemetry')])"
    options = ["talk.txt", "-o", "out", "-q", "--base-url", server.base_url, "--model", "m"]
    command = [sys.executable, "-c", code, "rewrite", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})


def test_nothing_of_it_is_loaded_where_nobody_asks() -> None:
    with FaultyServer() as server:
        done = run_with(server, "", {})
    assert done.stdout.splitlines()[-1] == "loaded []" and done.stderr == ""


def test_without_the_package_the_run_goes_on_and_says_how_to_get_it() -> None:
    hidden = "sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None"
    with FaultyServer() as server:
        done = run_with(server, hidden, {ENDPOINT: "http://127.0.0.1:9"})
    assert done.stderr.count("\n") == 1 and "pip install 'transcript-rewriter[otel]'" in done.stderr
    assert Path("out/talk.txt").exists()
