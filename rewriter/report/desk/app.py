"""The desk as a web application: addresses, and the act behind each. What may come in is decided at the door."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from rewriter.errors import ModelError, RewriterError, UsageError
from rewriter.glossary import Term
from rewriter.report.desk import pages
from rewriter.report.desk.book import Entry
from rewriter.report.desk.desk import Desk
from rewriter.report.desk.door import Door, Keys
from rewriter.report.desk.selection import Choice

_DECISIONS = ("accept", "restore", "draft", "edit", "done", "undo")
# What came of a question, for a person.
_ANSWERED = {
    "new": "A new answer, and the guard accepts it. It stands; is it right?",
    "turned down": "The guard turned the new answer down; it is shown beside the source. What stood stands.",
    "unchanged": "The model gave the same text again.",
    "left aside": "You decided meanwhile; the answer was left aside.",
}


def build(desk: Desk, keys: Keys, cookie: str) -> Door:
    """The application behind its door."""
    acts = _Acts(desk)
    routes = [
        Route("/", acts.list),
        Route("/passage/{key}", acts.passage),
        Route("/passage/{key}/judge", acts.judge, methods=["POST"]),
        Route("/passage/{key}/decide", acts.decide, methods=["POST"]),
        Route("/passage/{key}/ask", acts.ask, methods=["POST"]),
        Route("/terms", acts.terms),
        Route("/terms/add", acts.add_term, methods=["POST"]),
        Route("/terms/ask", acts.ask_anew, methods=["POST"]),
        Route("/errand", acts.errand),
        Route("/export", acts.export, methods=["POST"]),
        Route("/media/{number:int}", acts.media),
        Route("/static/{name}", acts.static),
    ]

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await desk.aclose()

    app = Starlette(routes=routes, lifespan=life, exception_handlers={RewriterError: _sorry})
    return Door(app, keys, cookie)


async def _sorry(_: Request, error: Exception) -> Response:
    """What went wrong, in the words of the error, which holds no secret."""
    status = 502 if isinstance(error, ModelError) else 400 if isinstance(error, UsageError) else 500
    return _answer({"error": str(error)}, status_code=status)


def _page(html: str, status_code: int = 200) -> Response:
    return Response(html.encode("utf-8", "replace"), status_code, media_type="text/html")


def _answer(value: dict[str, Any], status_code: int = 200) -> Response:
    # Escaped: a text may hold half a surrogate pair, which is no UTF-8.
    return Response(json.dumps(value).encode(), status_code, media_type="application/json")


class _Acts:
    """The acts, one for each address."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # --- pages ---

    async def list(self, request: Request) -> Response:
        self._desk.book.refresh()
        number = request.query_params.get("page", "1")
        page = int(number) if number.isdecimal() and len(number) < 9 else 1
        return _page(pages.list_page(self._desk, Choice.of(request.query_params), page))

    async def passage(self, request: Request) -> Response:
        self._desk.book.refresh()
        choice = Choice.of(request.query_params)
        entry = self._desk.book.get(request.path_params["key"])
        if entry is None:
            gone = "That passage is not in the run any more."
            return _page(pages.list_page(self._desk, choice, 1, gone), status_code=404)
        return _page(pages.passage_page(self._desk, choice, entry, request.query_params.get("view", "")))

    async def terms(self, _: Request) -> Response:
        return _page(pages.terms_page(self._desk))

    async def static(self, request: Request) -> Response:
        try:
            data, kind = pages.static(request.path_params["name"])
        except KeyError:
            return Response(status_code=404)
        return Response(data, media_type=kind)

    async def media(self, request: Request) -> Response:
        """A recording, or the range of it that is asked for. Its path is the user's; none comes from the address."""
        number = request.path_params["number"]
        if number >= len(self._desk.recordings):
            return Response(status_code=404)
        recording = self._desk.recordings[number]
        return FileResponse(recording.path, media_type=recording.kind)

    # --- one passage ---

    async def judge(self, request: Request) -> Response:
        entry, said = await self._asked(request)
        verdict, part = pages.compare_part(self._desk, entry, _text(said, "text").replace("\r\n", "\n").strip())
        return _answer({"accepted": verdict.accepted, "score": verdict.score, "html": part})

    async def decide(self, request: Request) -> Response:
        entry, said = await self._asked(request)
        kind = _text(said, "kind")
        if kind not in _DECISIONS:
            raise UsageError(f"There is no decision {kind!r}.")
        state = self._desk.decide(entry, kind, _text(said, "text"))  # type: ignore[arg-type]
        told = "undone" if kind == "undo" else pages.DECIDED[kind]
        return _answer({"said": f"{told[0].upper()}{told[1:]}.", "settled": state.settled})

    async def ask(self, request: Request) -> Response:
        entry, said = await self._asked(request)
        result = await self._desk.ask(entry, _text(said, "instruction"), _text(said, "text"))
        return _answer({"said": _ANSWERED[result], "result": result})

    # --- the whole ---

    async def add_term(self, request: Request) -> Response:
        said = await _body(request)
        heard, written = _text(said, "heard").strip(), _text(said, "written").strip()
        if not written:
            raise UsageError("Say how the name is written.")
        term = Term(
            canonical=written,
            aliases=(heard,) if heard and heard != written else (),
            note=_text(said, "note").strip(),
            certain=said.get("certain") is True,
        )
        found = self._desk.add_term(term)
        return _answer({"said": f"{written} is in {self._desk.terms}.", "touched": [e.key for e in found]})

    async def ask_anew(self, request: Request) -> Response:
        said = await _body(request)
        wanted = said.get("keys")
        keys = [key for key in wanted if isinstance(key, str)] if isinstance(wanted, list) else []
        entries = [entry for key in keys if (entry := self._desk.book.get(key)) is not None]
        self._desk.ask_anew(entries, _text(said, "why"))
        return await self.errand(request)

    async def errand(self, _: Request) -> Response:
        errand = self._desk.errand
        return _answer(
            {
                "running": errand.running,
                "total": errand.total,
                "done": errand.done,
                "results": dict(errand.results),
                "error": errand.trouble,
            }
        )

    async def export(self, _: Request) -> Response:
        written = self._desk.export()
        told = [". ".join([w.output, *w.notes]) for w in written]
        return _answer({"said": f"Written: {'; '.join(told)}"})

    async def _asked(self, request: Request) -> tuple[Entry, dict[str, Any]]:
        """The passage of an address, and what was sent about it."""
        entry = self._desk.book.get(request.path_params["key"])
        if entry is None:
            raise UsageError("That passage is not in the run any more.", remedy="Go back to the list.")
        return entry, await _body(request)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises UsageError for anything else."""
    try:
        said = json.loads(await request.body())
    except ValueError:
        said = None
    if not isinstance(said, dict) or not request.headers.get("content-type", "").startswith("application/json"):
        raise UsageError("That is no JSON object.")
    return said


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{name} is to be text.")
    return value
