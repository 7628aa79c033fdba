"""The key of a request: a hash over everything that decides the answer."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rewriter.errors import CacheError
from rewriter.records import Request

from .seal import KEY_BYTES

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

KEY_VERSION = 1  # goes up when the canonical form changes: old keys are then simply never asked for
USUAL = {"role", "content"}  # the fields of nearly every message
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# A query parameter whose name holds one of these is a credential: it must not split the cache when it is rotated.
SECRET_NAMES = ("key", "token", "secret", "sig", "password", "auth")
# ASCII escapes, so that a lone surrogate in a transcript cannot fail to encode. Made once: json.dumps makes one a call.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


@lru_cache(maxsize=64)
def normalise_endpoint(endpoint: str) -> str:
    """A base URL without credentials, default port and trailing slash; scheme and host in lower case.

    What is no URL (a name for the embedded model, say) comes back without surrounding space and trailing slash.
    """
    endpoint = endpoint.strip()
    parts = urlsplit(endpoint)
    if not parts.netloc:
        return endpoint.rstrip("/")
    scheme = parts.scheme.lower()
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(DEFAULT_PORTS.get(scheme, "\0"))
    query = [(n, v) for n, v in parse_qsl(parts.query, True) if not is_secret(n)]
    return urlunsplit((scheme, host, parts.path.rstrip("/"), urlencode(query), ""))


def is_secret(name: str) -> bool:
    """Whether a query parameter of this name is a credential."""
    return any(part in name.lower() for part in SECRET_NAMES)


def raw_key(key: str) -> bytes:
    """The 32 bytes of a key. Raises CacheError for what is none."""
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise CacheError(
            "A cache key is 64 hex digits.",
            where=repr(key)[:80],
            remedy="`rewriter cache find TEXT` prints keys; in Python request_key makes them.",
        )
    return raw


def request_key(endpoint: str, request: Request) -> str:
    """SHA-256 (64 hex digits) over canonical JSON of endpoint, model, parameters and all messages, with a version.

    Nothing of the request is left out. Raises TypeError where a parameter is no JSON value.
    """
    messages = request.messages
    known = request.static or max(0, len(messages) - 1)
    # what `digest_of` would hash for the whole, in parts, since most of it is the same in every request of a run
    hashed = _begun(endpoint, tuple([tuple(m.items()) for m in messages[:known]])).copy()
    comma = "," if known else ""
    for message in messages[known:]:
        hashed.update((comma + _message(message)).encode("ascii"))
        comma = ","
    rest = f'],"model":{_canonical(request.model)},"parameters":{_object(request.parameters)},"version":{KEY_VERSION}}}'
    hashed.update(rest.encode("ascii"))
    return hashed.hexdigest()


@lru_cache(maxsize=64)
def _begun(endpoint: str, messages: tuple[tuple[tuple[str, str], ...], ...]) -> Hash:
    """The hash of a request's beginning; not to be updated, but copied. System text and examples, most of a request,
    are the same in every request of a run."""
    texts = ",".join(_message(dict(items)) for items in messages)
    text = f'{{"endpoint":{_canonical(normalise_endpoint(endpoint))},"messages":[{texts}'
    return hashlib.sha256(text.encode("ascii"))


def _message(message: dict[str, str]) -> str:
    """A message as canonical JSON."""
    if message.keys() == USUAL:  # written out: setting up the general writer takes longer than writing 1.5 KB
        return f'{{"content":{_canonical(message["content"])},"role":{_canonical(message["role"])}}}'
    return _canonical(message)


def _object(values: dict[str, Any]) -> str:
    """A JSON object as canonical JSON; its numbers, the usual parameters, without the general writer."""
    return f"{{{','.join([f'{_canonical(name)}:{_value(values[name])}' for name in sorted(values)])}}}"


def _value(value: object) -> str:
    kind = type(value)  # not isinstance: True is an int and written otherwise
    if kind is int or (kind is float and isfinite(value)):  # type: ignore[arg-type]  # a float
        return repr(value)
    return _canonical(value)


def digest_of(canonical: object) -> str:
    """SHA-256 (64 hex digits) of a JSON value, whatever the order of its keys. Raises TypeError for what is none."""
    return hashlib.sha256(_canonical(canonical).encode("ascii")).hexdigest()
