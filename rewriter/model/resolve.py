"""Which model, at which endpoint, with which key: flags over environment over `rewriter.toml`, else the embedded one.

Nothing is contacted and nothing heavy imported: a run that the cache answers in full needs only the endpoint's name.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from rewriter.errors import ModelConfigError, UsageError
from rewriter.model import files
from rewriter.model.scrub import bare_url
from rewriter.records import Record

CONFIG_FILE = "rewriter.toml"

# Where a key without an endpoint goes, and what it asks for: the openai client's own default, and a model that is cheap
# enough to be tried without thinking (prices.toml).
OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-4.1-mini"

# What an endpoint's name begins with where the embedded model answers; a hash of its file follows.
EMBEDDED = "embedded:"

# Names by which the embedded model can be asked for; its file's name is another.
EMBEDDED_NAMES = frozenset({"embedded", "local"})

THREE_WAYS = (
    "There are three ways to a model: (1) pip install 'transcript-rewriter[local]' and `rewriter local pull`, which "
    "runs on this machine without a key; (2) OPENAI_API_KEY for the OpenAI API; (3) --base-url and --model for any "
    "OpenAI-compatible endpoint."
)

_TOML_KEYS = {"name", "base_url", "api_key_env"}


class ModelChoice(Record):
    """The model in use.

    `endpoint` names where answers come from, stable across runs and free of credentials: a base URL, or
    "embedded:<hash>". `base_url` is the URL to ask, which may hold credentials, and None for the embedded model, whose
    file is `path`. `key_name` is where the key was found (a variable's name), for messages.
    """

    model: str
    endpoint: str
    base_url: str | None = Field(default=None, repr=False, exclude=True)
    api_key: SecretStr | None = Field(default=None, repr=False, exclude=True)
    key_name: str = ""
    embedded: bool = False
    path: Path | None = None


def resolve(
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    *,
    folder: Path | None = None,
) -> ModelChoice:
    """The model to use; arguments win over the environment, and that over `rewriter.toml` in `folder` (default: here).

    REWRITER_MODEL, REWRITER_BASE_URL and REWRITER_API_KEY win over OPENAI_BASE_URL and OPENAI_API_KEY. OPENAI_API_KEY
    is never sent to an endpoint that only a configuration file named. A model ending in .gguf is a file for the
    embedded runner. Raises ModelConfigError where no model can be had, with the ways to one, and UsageError for a
    configuration file that cannot be used.
    """
    table = _model_table((folder or Path.cwd()) / CONFIG_FILE)
    name = model or os.environ.get("REWRITER_MODEL") or table.get("name")
    own_url = base_url or os.environ.get("REWRITER_BASE_URL") or os.environ.get("OPENAI_BASE_URL")
    url = own_url or table.get("base_url")
    # A flag that names the embedded model wins over an endpoint that only the environment or a file names.
    if name is not None and _is_embedded(name) and (url is None or (model and not base_url)):
        return _embedded(name)
    key, key_name = _key(api_key, table, trusted=own_url is not None or url is None)
    if url is None and key is None:
        if name is not None:
            raise ModelConfigError(f"there is neither a key nor an endpoint for the model {name!r}.", remedy=THREE_WAYS)
        return _embedded(None)
    return _remote(name, url, key, key_name)


def _model_table(path: Path) -> dict[str, str]:
    """The [model] table of `rewriter.toml`, all of its values text."""
    if not path.is_file():
        return {}
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("model", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"this is not valid TOML: {error}.", where=str(path), remedy="Mend the line named, or remove the file."
        ) from None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise UsageError('[model] must be lines of `key = "text"`.', where=str(path), remedy=_known_keys())
    if unknown := sorted(set(table) - _TOML_KEYS):
        advice = _known_keys()
        if difflib.get_close_matches("api_key", unknown, cutoff=0.9):
            advice = "A key does not belong into a file: name its variable with api_key_env."
        raise UsageError(f"unknown key in [model]: {', '.join(unknown)}.", where=str(path), remedy=advice)
    return {k: v for k, v in table.items() if v}


def _known_keys() -> str:
    return f"Known are: {', '.join(sorted(_TOML_KEYS))}."


def _key(given: str | SecretStr | None, table: dict[str, str], *, trusted: bool) -> tuple[SecretStr | None, str]:
    """The key and where it was found. `trusted`: the endpoint was named by the user, not by a file lying about."""
    if given:
        return (given if isinstance(given, SecretStr) else SecretStr(given)), "api_key"
    names = ["REWRITER_API_KEY"]
    if wanted := table.get("api_key_env"):
        names.append(wanted)
    elif trusted:
        names.append("OPENAI_API_KEY")
    for name in names:
        if value := os.environ.get(name):
            return SecretStr(value), name
    if wanted:
        raise ModelConfigError(
            f"the key is to be in the variable {wanted}, which is not set.",
            where=f"{CONFIG_FILE} [model]",
            remedy=f"Set {wanted}, or remove api_key_env for an endpoint that needs no key.",
        )
    return None, ""


def _remote(name: str | None, url: str | None, key: SecretStr | None, key_name: str) -> ModelChoice:
    try:
        endpoint = bare_url(url or OPENAI_URL)
    except ValueError:
        raise ModelConfigError(
            "the base URL is not an address a client can use.",
            remedy="It looks like http://127.0.0.1:8000/v1 or https://host/v1; see --base-url, REWRITER_BASE_URL, "
            f"OPENAI_BASE_URL and [model] base_url in {CONFIG_FILE}.",
        ) from None
    if name is None and endpoint != OPENAI_URL:
        raise ModelConfigError(
            "no model is named.",
            where=endpoint,
            remedy=f"Name one with --model, REWRITER_MODEL or [model] name in {CONFIG_FILE}.",
        )
    return ModelChoice(
        model=name or DEFAULT_MODEL, endpoint=endpoint, base_url=url or OPENAI_URL, api_key=key, key_name=key_name
    )


# --- embedded --------------------------------------------------------------------------------------------------------


def _is_embedded(name: str) -> bool:
    return name.lower().endswith(".gguf") or name.lower() in EMBEDDED_NAMES or name == files.MODEL_NAME


def _embedded(name: str | None) -> ModelChoice:
    own = name is not None and name.lower().endswith(".gguf")
    path = Path(name).expanduser() if own and name else files.default_path()
    if not path.is_file():
        if own:
            raise ModelConfigError(
                "there is no such model file.", where=str(path), remedy="Give the path of a GGUF file."
            )
        if name is None:
            raise ModelConfigError("no model is configured.", remedy=THREE_WAYS)
        raise ModelConfigError("the embedded model is not there yet.", remedy="Fetch it: rewriter local pull")
    require_runner()
    known = path == files.default_path() and path.stat().st_size == files.SIZE
    digest = files.SHA256[:16] if known else sample_hash(path)[:16]
    return ModelChoice(
        model=files.MODEL_NAME if known else path.stem, endpoint=f"{EMBEDDED}{digest}", embedded=True, path=path
    )


def require_runner() -> None:
    """Raise ModelConfigError unless llama.cpp for Python is installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ModelConfigError(
            "the embedded model needs llama.cpp for Python.", remedy="pip install 'transcript-rewriter[local]'"
        )


# A model file's name in cache keys has to follow its content, not its place or time, without reading gigabytes at every
# start: 64 blocks of 64 KiB spread evenly, which take about 4 ms. Two quantisations or fine-tunes of a model differ in
# nearly every block.
_BLOCKS, _BLOCK = 64, 65_536


def sample_hash(path: Path) -> str:
    """SHA-256 (hex) over a file's size and blocks spread over it, its first and last among them."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK) * number // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()
