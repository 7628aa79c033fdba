"""Model answers kept on disk, by the exact request that led to them. See docs/cache.md for what is promised."""

from __future__ import annotations

from .answers import CacheStats, PassageCache, VerifyReport, default_folder, open_cache
from .keys import request_key

__all__ = ["CacheStats", "PassageCache", "VerifyReport", "default_folder", "open_cache", "request_key"]
