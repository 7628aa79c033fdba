"""Model answers kept on disk, by the exact request that led to them. See docs/cache.md for what is promised."""

from __future__ import annotations

from .adapter import cached_client
from .answers import Accepted, PassageCache
from .entry import Entry
from .keys import request_key
from .opening import SHARED_VARIABLE, default_folder, open_cache, shared_environment
from .similar import Replay, scope_of
from .tally import Saved
from .upkeep import CacheStats, VerifyReport

__all__ = [
    "SHARED_VARIABLE",
    "Accepted",
    "CacheStats",
    "Entry",
    "PassageCache",
    "Replay",
    "Saved",
    "VerifyReport",
    "cached_client",
    "default_folder",
    "open_cache",
    "request_key",
    "scope_of",
    "shared_environment",
]
