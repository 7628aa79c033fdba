"""Cut secrets out of anything a person or a log may see."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

HIDDEN = "***"

# Secrets shorter than this are not searched for as such: the key "none", which local servers are given, would turn
# every "none" of a message into stars. A real key has 20 characters or more.
SHORTEST_SECRET = 6

# Each keeps its first group. A match too many costs a message a word; a match too few costs the user a key.
_PATTERNS = (
    # Credentials in an address: scheme://user:password@host
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#@]*(?=@)", re.IGNORECASE),
    # Authorization: Bearer abc, and the scheme alone.
    re.compile(r"(\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?)[^\s\"',;}]+", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=*-]{8,}", re.IGNORECASE),
    # api_key=abc, "x-api-key": "abc", ?key=abc, access_token=abc. Not "token: 5", which is prose.
    re.compile(
        r"((?:api[-_ ]?key|secret|password|(?:access|auth)[-_]token|[?&](?:key|token|sig))[\"']?\s*[:=]\s*[\"']?)"
        r"[^\s\"',;}&]{4,}",
        re.IGNORECASE,
    ),
    # Keys by their usual shape, also where a server has masked their middle: sk-, gsk_, xai-, AIza, hf_, ghp_ ...
    re.compile(r"()\b(?:sk|pk|rk|gsk|xai|hf|ghp|nvapi|pplx|tgp|r8)[-_][A-Za-z0-9*._-]{6,}"),
    re.compile(r"()\bAIza[A-Za-z0-9*_-]{10,}"),
    # Any other key that a server shows with its middle masked: AbCd****wxyz.
    re.compile(r"()[A-Za-z0-9_-]*\*{4,}[A-Za-z0-9_-]+|[A-Za-z0-9_-]+\*{4,}"),
)


def scrub(text: str, *secrets: str | None) -> str:
    """`text` without the given secrets, and without whatever looks like a key, a header or a URL's credentials.

    Given secrets are found as they are and as they stand in a URL. What is cut out is replaced by three stars.
    """
    known = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote_plus(secret))}
    for form in sorted(known, key=len, reverse=True):
        if len(form) >= SHORTEST_SECRET:
            text = text.replace(form, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: (match[1] or "") + HIDDEN, text)
    return text


def bare_url(url: str) -> str:
    """A URL's scheme, host, port and path: in lower case where case means nothing, no credentials, query or fragment.

    Two spellings of one endpoint give one result, so it can stand in cache keys. Raises ValueError for what is no
    URL with a host.
    """
    parts = urlsplit(url.strip())
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https address with a host")
    scheme, host = parts.scheme.lower(), parts.hostname
    usual = {"http": 80, "https": 443}[scheme]
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != usual:
        netloc += f":{parts.port}"
    return urlunsplit((scheme, netloc, parts.path.rstrip("/"), "", ""))
