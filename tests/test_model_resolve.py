"""Which model is used: flags over environment over file, else the embedded one, else the three ways to one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rewriter.errors import ModelConfigError, UsageError
from rewriter.model import files
from rewriter.model.resolve import DEFAULT_MODEL, OPENAI_URL, ModelChoice, resolve, sample_hash

KEY = "sk-proj-Abc123Def456Ghi789Jkl"


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without rewriter.toml, and no models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWRITER_MODELS", str(tmp_path / "models"))
    return tmp_path


def key_of(choice: ModelChoice) -> str | None:
    return choice.api_key.get_secret_value() if choice.api_key else None


TOML = '[model]\nname = "toml-model"\nbase_url = "http://toml:1/v1"\napi_key_env = "TOML_KEY"\n'

# arguments, environment, file -> model, endpoint, key, where the key was found
CASES: list[tuple[str, dict[str, Any], dict[str, str], str, tuple[str, str, str | None, str]]] = [
    (
        "a key alone goes to the OpenAI API",
        {},
        {"OPENAI_API_KEY": KEY},
        "",
        (DEFAULT_MODEL, OPENAI_URL, KEY, "OPENAI_API_KEY"),
    ),
    (
        "our own variables win",
        {"model": "m"},
        {
            "OPENAI_API_KEY": "o" * 9,
            "REWRITER_API_KEY": KEY,
            "OPENAI_BASE_URL": "http://o/v1",
            "REWRITER_BASE_URL": "http://r/v1",
        },
        "",
        ("m", "http://r/v1", KEY, "REWRITER_API_KEY"),
    ),
    (
        "arguments win",
        {"model": "m", "base_url": "http://Arg:80/v1/", "api_key": KEY},
        {"REWRITER_MODEL": "e", "REWRITER_BASE_URL": "http://r/v1", "REWRITER_API_KEY": "r" * 9},
        TOML,
        ("m", "http://arg/v1", KEY, "api_key"),
    ),
    (
        "the file is used",
        {},
        {"TOML_KEY": KEY},
        TOML,
        ("toml-model", "http://toml:1/v1", KEY, "TOML_KEY"),
    ),
    (
        "the environment wins over the file",
        {},
        {"TOML_KEY": KEY, "REWRITER_MODEL": "e", "OPENAI_BASE_URL": "http://o/v1"},
        TOML,
        ("e", "http://o/v1", KEY, "TOML_KEY"),
    ),
    (
        "the OpenAI key is not sent to an endpoint that only a file names",
        {},
        {"OPENAI_API_KEY": KEY},
        '[model]\nname = "m"\nbase_url = "http://elsewhere/v1"\n',
        ("m", "http://elsewhere/v1", None, ""),
    ),
    (
        "it is sent to one that the user names",
        {"base_url": "http://own/v1"},
        {"OPENAI_API_KEY": KEY},
        '[model]\nname = "m"\nbase_url = "http://elsewhere/v1"\n',
        ("m", "http://own/v1", KEY, "OPENAI_API_KEY"),
    ),
    (
        "an endpoint needs no key",
        {"model": "m", "base_url": "http://own/v1"},
        {},
        "",
        ("m", "http://own/v1", None, ""),
    ),
    (
        "empty variables are no variables",
        {"model": "m"},
        {"REWRITER_MODEL": "", "REWRITER_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_API_KEY": KEY},
        "",
        ("m", OPENAI_URL, KEY, "OPENAI_API_KEY"),
    ),
    (
        "a .gguf name at an endpoint is that endpoint's",
        {"model": "some.gguf", "base_url": "http://own/v1"},
        {},
        "",
        ("some.gguf", "http://own/v1", None, ""),
    ),
]


@pytest.mark.parametrize(("name", "given", "env", "toml", "expected"), CASES, ids=[c[0] for c in CASES])
def test_precedence(
    name: str,
    given: dict[str, Any],
    env: dict[str, str],
    toml: str,
    expected: tuple[str, str, str | None, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    if toml:
        (tmp_path / "rewriter.toml").write_text(toml)
    choice = resolve(**given)
    assert (choice.model, choice.endpoint, key_of(choice), choice.key_name) == expected
    assert not choice.embedded


def test_no_secret_is_shown_or_dumped() -> None:
    choice = resolve("m", "http://bob:Tr0ub4dor@host/v1", SecretStr(KEY))
    assert choice.base_url == "http://bob:Tr0ub4dor@host/v1"
    for shown in (repr(choice), str(choice), choice.model_dump_json()):
        assert KEY not in shown and "Tr0ub4dor" not in shown


@pytest.mark.parametrize(
    ("given", "env", "words"),
    [
        ({}, {}, "no model is configured. There are three ways"),
        ({"model": "gpt-4.1-mini"}, {}, "neither a key nor an endpoint for the model 'gpt-4.1-mini'. There are three"),
        ({"base_url": "http://own/v1"}, {}, "no model is named"),
        ({"model": "m", "base_url": "own:8000"}, {}, "not an address a client can use"),
        ({"model": "m", "base_url": "http://u:secretpw@h:port/v1"}, {}, "not an address a client can use"),
        ({"model": "nowhere.gguf"}, {}, "nowhere.gguf: there is no such model file"),
        ({"model": "embedded"}, {}, "rewriter local pull"),
    ],
)
def test_what_cannot_be_resolved(
    given: dict[str, Any], env: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ModelConfigError) as caught:
        resolve(**given)
    assert words in str(caught.value)
    assert "secretpw" not in str(caught.value)


def test_the_three_ways_are_named() -> None:
    with pytest.raises(ModelConfigError) as caught:
        resolve()
    for way in ("transcript-rewriter[local]", "rewriter local pull", "OPENAI_API_KEY", "--base-url"):
        assert way in caught.value.remedy


def test_a_key_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewriter.toml").write_text(TOML)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ModelConfigError, match="in the variable TOML_KEY, which is not set"):
        resolve()


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[model\n", "not valid TOML"),
        ("[model]\nnmae = 'x'\n", "unknown key in [model]: nmae"),
        ("[model]\napi_key = 'x'\n", "name its variable with api_key_env"),
        ("[model]\nname = 3\n", "must be lines of"),
        ("model = 'x'\n", "must be lines of"),
    ],
)
def test_a_bad_file(toml: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "rewriter.toml").write_text(toml)
    with pytest.raises(UsageError) as caught:
        resolve()
    assert words in str(caught.value) and "rewriter.toml" in str(caught.value)


# --- embedded --------------------------------------------------------------------------------------------------------


def make_model(path: Path, size: int = 9_000_000, flip: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytearray(bytes(range(256)) * (size // 256))
    if flip is not None:
        data[flip] ^= 1
    path.write_bytes(data)
    return path


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """xllamacpp is found, wherever the test runs; nothing here loads it."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: real("json") if n == "xllamacpp" else real(n))


@pytest.mark.usefixtures("runner")
def test_without_a_key_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_model(files.default_path())
    monkeypatch.setattr(files, "SIZE", path.stat().st_size)
    choice = resolve()
    assert choice.embedded and choice.path == path and choice.base_url is None
    assert choice.endpoint == f"embedded:{files.SHA256[:16]}"
    assert choice == resolve("embedded") == resolve("local") == resolve(files.MODEL_NAME)


@pytest.mark.usefixtures("runner")
def test_a_key_wins_over_the_embedded_model_and_its_name_over_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(files.default_path())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert not resolve().embedded
    assert resolve("embedded").embedded


@pytest.mark.usefixtures("runner")
def test_a_model_file_of_ones_own_is_known_by_its_content(tmp_path: Path) -> None:
    one = resolve(str(make_model(tmp_path / "One.GGUF")))
    moved = resolve(str(make_model(tmp_path / "x" / "One.GGUF")))
    other = resolve(str(make_model(tmp_path / "y" / "One.GGUF", flip=8_999_000)))
    longer = resolve(str(make_model(tmp_path / "z" / "One.GGUF", size=9_000_192)))
    assert one.model == "One" and one.embedded
    assert one.endpoint == moved.endpoint
    assert len({one.endpoint, other.endpoint, longer.endpoint}) == 3


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_files_of_any_size_have_a_hash(size: int, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x" * size)
    assert len(sample_hash(path)) == 64


def test_a_missing_runner_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(files.default_path())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelConfigError, match=r"pip install 'transcript-rewriter\[local\]'"):
        resolve()


def test_resolving_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rewriter.model.resolve import resolve\nresolve('m', 'http://h/v1')\n"
        "print([m for m in ('openai', 'tenacity', 'xllamacpp', 'httpx2', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
