"""The key of a request: a hash over everything that decides the answer."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rewriter.records import Request

KEY_VERSION = 1  # goes up when the canonical form changes: old keys are then simply never asked for
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


def request_key(endpoint: str, request: Request) -> str:
    """SHA-256 (64 hex digits) over canonical JSON of endpoint, model, parameters and all messages, with a version.

    Nothing of the request is left out. Raises TypeError where a parameter is no JSON value.
    """
    texts = [_message(tuple(sorted(m.items()))) for m in request.messages]
    # what `digest_of` would write for the whole, put together so that messages that are always there are written once
    text = (
        f'{{"endpoint":{_canonical(normalise_endpoint(endpoint))},"messages":[{",".join(texts)}],'
        f'"model":{_canonical(request.model)},"parameters":{_canonical(request.parameters)},"version":{KEY_VERSION}}}'
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=64)
def _message(items: tuple[tuple[str, str], ...]) -> str:
    """A message as canonical JSON. System text and examples, most of a request, are the same in every request."""
    return _canonical(dict(items))


def digest_of(canonical: object) -> str:
    """SHA-256 (64 hex digits) of a JSON value, whatever the order of its keys. Raises TypeError for what is none."""
    return hashlib.sha256(_canonical(canonical).encode("ascii")).hexdigest()
