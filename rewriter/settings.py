"""What a user chose: flags over environment over `rewriter.toml`, as one value."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError

from rewriter.errors import UsageError
from rewriter.records import Record

CONFIG_FILE = "rewriter.toml"

# Settings that have a REWRITER_ variable of their own, and those that have no flag.
VARIABLES = ("style", "language", "cache", "budget", "concurrency", "timeout", "similar")
WITHOUT_FLAG = frozenset({"timeout", "ladder", "use_cache"})


class Ladder(Record):
    """How far a rejected passage is pursued before its source is kept.

    `repairs` is how often a draft is mended: what was not said is taken out, what it got wrong is asked for again;
    `halves` allows cutting the passage in two; `half_repairs` is `repairs` for those halves. One repair recovers most
    of what a repair can recover: a second returned, on the embedded model, the same draft in most cases.
    """

    repairs: int = Field(default=1, ge=0, le=5)
    halves: bool = True
    half_repairs: int = Field(default=0, ge=0, le=5)


class Settings(Record):
    """Everything that decides a run but its inputs and where its results go.

    `budget` is in tokens (None: chosen for the model); `concurrency` is model calls at once (None: chosen for the
    model); `limit` is how many passages of each file are rewritten (None: all); `cache` is a folder (None: the user's
    cache folder). `similar` says whether a near passage's rewrite may be replayed where it passes the check; `refresh`
    asks for every answer anew and stores it in place of the old one. `rpm` and `tpm` are requests and tokens a minute
    at most; `max_cost` (US dollars) and `max_tokens` (input and output) are what one run may spend. `engine` says where
    passages are rewritten: here, through a provider's batch interface, or on a Ray cluster at `address` with so many
    `workers` (None: one for each of its CPUs). Of a batch one asks every `poll` seconds how it stands; `repair` says
    whether what it left to be mended goes into another batch or is asked live. `processes` is how many processes beside
    this one judge drafts, at most, where it has too much to do (None: the command takes what the machine has, Python
    code none).
    """

    style: str = "clean"
    language: str | None = None
    glossary: tuple[str, ...] = ()
    model: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    stronger: str | None = None
    budget: int | None = Field(default=None, ge=16)
    concurrency: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=120.0, gt=0)
    ladder: Ladder = Ladder()
    limit: int | None = Field(default=None, ge=1)
    cache: str | None = None
    use_cache: bool = True
    similar: Literal["verified", "off"] = "verified"
    refresh: bool = False
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    max_cost: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=0)
    engine: Literal["local", "provider-batch", "ray"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    repair: Literal["batch", "live"] = "batch"
    poll: float = Field(default=30.0, gt=0)
    processes: int | None = Field(default=None, ge=0)


def load_settings(given: dict[str, Any], folder: Path | None = None) -> Settings:
    """Settings from flags (`given`, None values left out), then REWRITER_* variables, then `rewriter.toml`.

    Raises UsageError for a configuration file that cannot be read, a value out of range and an empty text, naming where
    it stands.
    """
    from_file = _read_config((folder or Path.cwd()) / CONFIG_FILE)
    from_env = {
        name: os.environ[f"REWRITER_{name.upper()}"] for name in VARIABLES if os.environ.get(f"REWRITER_{name.upper()}")
    }
    flags = {k: v for k, v in given.items() if v is not None and v != ()}
    values = {**from_file, **from_env, **flags}
    # A shell's variable that is not set. Taken for "not given", it might send the text to another endpoint than meant.
    if empty := sorted(k for k, v in values.items() if v == "" and k != "api_key"):
        raise UsageError(f"{empty[0]} is an empty text.", remedy=_places(empty[0]))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(x) for x in first["loc"])
        raise UsageError(
            f"{name} cannot be {first.get('input')!r}: {first['msg']}.",
            remedy=_places(name),
        ) from None


def _places(name: str) -> str:
    """Where a setting may have been made."""
    places = [] if name.partition(".")[0] in WITHOUT_FLAG else [f"--{name.replace('_', '-')}"]
    places += [f"REWRITER_{name.upper()}"] if name in VARIABLES else []
    return f"Look at {', '.join([*places, CONFIG_FILE])}."


def _read_config(path: Path) -> dict[str, Any]:
    """The top-level settings of `rewriter.toml`; its [model] and [prices] tables belong to other readers."""
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"this is not valid TOML: {error}.", where=str(path), remedy="Mend the line named, or remove the file."
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}.", where=str(path), remedy="Check its permissions."
        ) from None
    known = set(Settings.model_fields) - {"api_key", "model", "base_url"}
    own = {k: v for k, v in table.items() if k not in {"model", "prices"}}
    if unknown := sorted(set(own) - known):
        raise UsageError(
            f"unknown setting: {', '.join(unknown)}.", where=str(path), remedy=f"Known are: {', '.join(sorted(known))}."
        )
    return own


def fingerprint(values: dict[str, Any]) -> str:
    """SHA-256 (hex) of JSON-serialisable values, independent of their order."""
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
