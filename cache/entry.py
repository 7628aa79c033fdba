"""What is sealed in an entry: an answer, when it was stored and where it came from, as bytes.

    when (f8) | usage: calls, input, cached, output (u8 each) | coding of the text (u1; 0: UTF-8, 1: UTF-16-LE)
    | lengths of model (u2), finish (u2) and about (u4) | about (JSON) | model | finish | text

Not JSON for the whole: parsing it and checking its shape took half of a hit's time.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from rewriter.records import Answer, Record

from . import seal

About = Mapping[str, str | int | float]

FIXED = struct.Struct(">d4QBHHI")
# Both records in one call: made one after the other by name they take half as long again.
_validated: Callable[[dict[str, object]], Answer] = TypeAdapter(Answer).validator.validate_python
_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode


class Entry(Record):
    """One stored answer and its provenance. `when` is seconds since 1970; `about` is what was said when it was put."""

    key: str
    answer: Answer
    about: dict[str, Any]
    when: float
    pinned: bool = False


class Opened(NamedTuple):
    """An entry's parts; `about` still as bytes, since a hit has no need of it."""

    answer: Answer
    about: bytes
    when: float


def pack(answer: Answer, about: About, when: float, *, utf8: bool = False) -> bytes:
    """The payload. Raises ValueError for a part too large or a negative count, TypeError where `about` is no JSON.

    The text is coded as is shorter, or in UTF-8 where said: beside a text in UTF-8 it deflates to less.
    """
    said = _json(dict(about))
    parts = [x.encode("utf-8", "surrogatepass") for x in (said, answer.model, answer.finish, answer.text)]
    coding = 0
    if len(parts[3]) > 2 * len(answer.text) and not utf8:
        parts[3], coding = _shorter(answer.text, parts[3])
    use = answer.usage
    try:
        fixed = FIXED.pack(
            when, use.calls, use.input, use.cached, use.output, coding, len(parts[1]), len(parts[2]), len(parts[0])
        )
    except struct.error as error:
        raise ValueError(f"a count or a name in it is out of range ({error})") from error
    return b"".join((fixed, *parts))


def _shorter(text: str, coded: bytes) -> tuple[bytes, int]:
    """Chinese takes two bytes a character in UTF-16, three in UTF-8, and is read as fast."""
    try:
        wide = text.encode("utf-16-le")
    except UnicodeEncodeError:  # a lone surrogate, which beside another would come back as one character
        return coded, 0
    return (wide, 1) if len(wide) < len(coded) else (coded, 0)


def unpack(key: bytes, sealed: object) -> Opened:
    """What `pack` and `seal` made. Raises seal.Damaged or seal.Newer, nothing else."""
    plain = seal.unseal(key, sealed)
    assert isinstance(sealed, bytes)
    return parse(plain) if sealed[4] > 1 else _unpack_1(plain)


def parse(plain: bytes) -> Opened:
    """What `pack` made. Raises seal.Damaged."""
    try:
        when, calls, read, cached, written, coding, model, finish, about = FIXED.unpack_from(plain)
        a = FIXED.size + about
        m = a + model
        f = m + finish
        if f > len(plain) or coding > 1:
            raise seal.Damaged("its lengths do not fit, or its text is coded otherwise")
        answer = _validated(
            {
                "text": plain[f:].decode("utf-16-le") if coding else plain[f:].decode("utf-8", "surrogatepass"),
                "finish": plain[m:f].decode("utf-8", "surrogatepass"),
                "usage": {"calls": calls, "input": read, "cached": cached, "output": written},
                "model": plain[a:m].decode("utf-8", "surrogatepass"),
            }
        )
    except (struct.error, ValueError, IndexError) as error:
        raise seal.Damaged("the payload is no answer") from error
    return Opened(answer, plain[FIXED.size : a], when)


def _unpack_1(plain: bytes) -> Opened:
    """Version 1: a line of JSON on where it came from, a line of JSON with the answer."""
    try:
        head, _, text = plain.partition(b"\n")
        known = json.loads(head)
        said = json.dumps(dict(known["about"])).encode()
        answer = Answer.model_validate(json.loads(text.decode("utf-8", "surrogatepass")))
        return Opened(answer, said, float(known["when"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise seal.Damaged("the payload is no answer") from error


def about_of(said: bytes) -> dict[str, Any]:
    """An entry's `about`. Raises seal.Damaged where it is no JSON object."""
    try:
        about = json.loads(said.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise seal.Damaged("it does not say where it came from") from error
    if not isinstance(about, dict):
        raise seal.Damaged("it does not say where it came from")
    return about


@lru_cache(maxsize=256)
def label_of(said: bytes) -> tuple[str, str]:
    """(model, style) of an entry's `about`, empty where it does not say; savings are counted by them."""
    try:
        about = about_of(said)
    except seal.Damaged:
        return "", ""
    return str(about.get("model", "")), str(about.get("style", ""))


def entry_of(key: bytes, sealed: object, *, pinned: bool = False) -> Entry:
    """A whole entry, everything in it looked at. Raises seal.Damaged or seal.Newer."""
    opened = unpack(key, sealed)
    return Entry(key=key.hex(), answer=opened.answer, about=about_of(opened.about), when=opened.when, pinned=pinned)
