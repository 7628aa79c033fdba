"""The embedded model: llama.cpp inside this process, behind an OpenAI-compatible address on the loopback interface.

So there is one way to a model, over HTTP, and one client, whether the model is here or elsewhere.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from rewriter.errors import ModelConfigError
from rewriter.model import files
from rewriter.model.fetch import fetched_parts, is_verified, pull
from rewriter.model.resolve import require_runner, resolve
from rewriter.records import Record

__all__ = ["EmbeddedServer", "LocalStatus", "pull", "serve", "status"]

# Tokens of prompt and answer together. The longest prompt (examples, terms, a passage of 400 tokens, its draft and the
# repair turn) measured under 2,500; llama.cpp keeps 28 KiB for each, so 4,096 cost 115 MB.
CONTEXT = 4096

# How llama.cpp's threads wait for each other: asleep, not spinning. With another program on one of two cores, spinning
# gave 0.4 tokens/s (a thread that holds the core waits for one that has none), spinning briefly (GOMP_SPINCOUNT 10,000
# and 1,000) 4 and 13.5, sleeping 18. What the user has set in the environment stands.
WAITING = "passive"


class LocalStatus(Record):
    """What is there of the embedded model. `runner` is the version of llama.cpp's binding, None where it is missing.

    `verified` says that the file's hash was found right and it has not changed since; `parts` is how many of `of` parts
    an interrupted pull left; `bytes` is the file's size.
    """

    model: str
    path: str
    present: bool
    verified: bool
    bytes: int
    parts: int
    of: int
    runner: str | None


def status() -> LocalStatus:
    """What is there, without loading or hashing anything."""
    path = files.default_path()
    try:
        runner = version("xllamacpp")
    except PackageNotFoundError:
        runner = None
    return LocalStatus(
        model=files.MODEL_NAME,
        path=str(path),
        present=path.is_file(),
        verified=is_verified(path),
        bytes=path.stat().st_size if path.is_file() else 0,
        parts=fetched_parts(),
        of=files.PARTS,
        runner=runner,
    )


class EmbeddedServer:
    """A GGUF model served on 127.0.0.1, with a key made for this process; it is loaded at `start` or first use.

    `path` None means the embedded model. One request at a time: on two cores, two at once took longer than one after
    the other. Loading takes 1 to 6 s and holds the interpreter's lock. Use it as a context manager or call `close`.
    """

    def __init__(self, path: Path | None = None, *, port: int = 0, api_key: str | None = None) -> None:
        self.path, self._port = path or files.default_path(), port
        self.api_key = SecretStr(secrets.token_urlsafe(24) if api_key is None else api_key)
        self._server: Any = None
        self._starting = threading.Lock()

    @property
    def base_url(self) -> str:
        """The address of the API, ending in /v1; the model is loaded for it."""
        self.start()
        return f"{self._server.listening_address}/v1"

    @property
    def running(self) -> bool:
        """Whether the model is loaded."""
        return self._server is not None

    def start(self) -> None:
        """Load the model and listen, if that is not done. Raises ModelConfigError where the file is no usable model."""
        with self._starting:
            if self._server is not None:
                return
            require_runner()
            os.environ.setdefault("OMP_WAIT_POLICY", WAITING)  # read once, when the library is loaded
            import xllamacpp

            if not self.path.is_file():
                raise ModelConfigError(
                    "there is no such model file.", where=str(self.path), remedy="Fetch it: rewriter local pull"
                )
            try:
                self._server = xllamacpp.Server(self._parameters(xllamacpp))  # pyright: ignore[reportAttributeAccessIssue]
            except RuntimeError as error:
                raise ModelConfigError(
                    f"llama.cpp cannot serve this model: {' '.join(str(error).split()) or 'no reason given'}.",
                    where=str(self.path),
                    remedy="Look whether it is a whole GGUF file, memory suffices and the port is free; "
                    "`rewriter local pull` verifies the embedded model.",
                ) from None

    def close(self) -> None:
        """Stop serving and free the model's memory."""
        with self._starting:
            self._server = None

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _parameters(self, xllamacpp: Any) -> Any:
        given = xllamacpp.CommonParams()
        given.model.path = str(self.path)
        given.model_alias = {self.path.stem}
        given.hostnames, given.port = ["127.0.0.1"], self._port
        given.api_keys = [key] if (key := self.api_key.get_secret_value()) else []
        given.n_ctx, given.n_parallel, given.n_gpu_layers = CONTEXT, 1, 0
        given.cpuparams.n_threads = given.cpuparams_batch.n_threads = _cores()
        given.cache_ram_mib = 0  # no states of earlier requests kept aside: the client decides what one starts from
        given.verbosity = 0
        given.ui = given.endpoint_slots = given.warmup = False
        return given


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serve(model: str | None = None, *, port: int = 0, say: Callable[[str], None] = print) -> None:
    """Serve the embedded model, or a GGUF file, on 127.0.0.1 without a key until Ctrl-C."""
    choice = resolve(model or "embedded")
    with EmbeddedServer(choice.path, port=port, api_key="") as server:
        say(f"{choice.model} is served at {server.base_url} (OpenAI-compatible, any key). Ctrl-C stops it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("Stopped.")
