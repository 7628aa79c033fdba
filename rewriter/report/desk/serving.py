"""The desk's server: one socket on loopback, one printed address, until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rewriter.errors import UsageError

if TYPE_CHECKING:
    from rewriter.report.desk.desk import Desk

HOST = "127.0.0.1"
# Seconds that open connections (a recording that is being played) are given when the desk is stopped.
_FAREWELL = 1


def require_server() -> None:
    """Raise UsageError unless the web libraries are installed."""
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "jinja2")):
        raise UsageError(
            "the review desk needs a few more packages.", remedy="pip install 'transcript-rewriter[review]'"
        )


def open_desk(
    runs: Sequence[Path],
    *,
    media: Sequence[str] = (),
    terms: Path | None = None,
    out: Path | None = None,
    model: str | None = None,
    base_url: str | None = None,
    port: int = 0,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Lay runs on a desk and serve it until Ctrl-C; `say` is told the address, token included.

    For the options see `Desk` and `Asker`. Raises UsageError (packages missing, port taken, another desk), InputError
    (no run, no recording), GlossaryError.
    """
    with laid(runs, media=media, terms=terms, out=out, model=model, base_url=base_url) as desk, listening(port) as ear:
        serving = Serving(desk, ear)
        say(serving.address)
        if browser:
            # a thread: some browsers keep whoever opened them waiting
            threading.Thread(target=webbrowser.open, args=(serving.address_once,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            asyncio.run(serving.run())


@contextmanager
def laid(
    runs: Sequence[Path],
    *,
    media: Sequence[str] = (),
    terms: Path | None = None,
    out: Path | None = None,
    model: str | None = None,
    base_url: str | None = None,
) -> Iterator[Desk]:
    """A desk with runs on it, as long as the block lasts."""
    require_server()
    from rewriter.report.desk.asking import Asker
    from rewriter.report.desk.book import Book
    from rewriter.report.desk.desk import Desk
    from rewriter.report.desk.media import recordings

    found = recordings(media)
    with Book(runs) as book:
        more = [terms] if terms is not None and terms.is_file() else []
        askers = [Asker(folder, model=model, base_url=base_url, glossary=more) for folder in book.folders]
        yield Desk(book, askers, terms=terms, recordings=found, out=out)


class Serving:
    """A desk behind its door at a listening socket. `address` is for the user, `address_once` works a single time."""

    def __init__(self, desk: Desk, listener: socket.socket) -> None:
        import uvicorn

        from rewriter.report.desk.app import build
        from rewriter.report.desk.door import Keys

        keys, number = Keys(), listener.getsockname()[1]
        self.address = f"http://{HOST}:{number}/?token={keys.token}"
        self.address_once = f"http://{HOST}:{number}/?token={keys.once}"
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                build(desk, keys, f"rewriter_desk_{number}"),
                log_level="warning",
                access_log=False,  # the token is in an address
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_FAREWELL,
            )
        )

    async def run(self) -> None:
        """Serve until Ctrl-C or `stop`."""
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._server.should_exit = True


def listening(port: int) -> socket.socket:
    """A socket on loopback. Raises UsageError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise UsageError(
            f"port {port} {'is taken' if taken else 'cannot be used'}.",
            remedy="Choose another with --port, or leave it out: a free one is found.",
        ) from None
    return listener
