"""Short codes of a passage by which near ones are found: equal in at least one code where most of the text is equal.

One-permutation MinHash (Li, Owen and Zhang 2012) over three-character shingles of the content, empty bins filled from
the next full one (Shrivastava and Li 2014): every shingle is hashed once, not once for each bin. Eight bands of three
bins: two passages that share 75 % of their shingles (a passage of 30 characters with one word changed) meet in a band
with probability 0.99, at 60 % 0.86, at 50 % 0.66; two unrelated Chinese passages share about 1 %, which makes one
chance meeting in a hundred thousand pairs.
"""

from __future__ import annotations

import hashlib
from zlib import crc32

BANDS, ROWS = 8, 3
BINS = BANDS * ROWS
SHINGLE = 3  # code points
_MIX = 0x9E3779B97F4A7C15  # Fibonacci hashing: CRC-32 alone sends like shingles to like bins
_MASK = 2**64 - 1


def code(*parts: bytes) -> int:
    """A hash of 63 bits, as SQLite's integers hold it."""
    digest = hashlib.blake2b(b"\0".join(parts), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def bands(scope: bytes, content: str) -> list[int]:
    """The codes of a text's bands; the same text in another scope has others."""
    mins = _minima(content)
    codes = []
    for band in range(BANDS):
        row = mins[band * ROWS : (band + 1) * ROWS]
        codes.append(code(scope, bytes([band]), *(m.to_bytes(8, "big") for m in row)))
    return codes


def _minima(content: str) -> list[int]:
    """The least hash in each bin."""
    data = content.encode("utf-32-le", "surrogatepass")
    width = 4 * SHINGLE
    mins: list[int | None] = [None] * BINS
    for at in range(0, max(1, len(data) - width + 4), 4):
        mixed = (crc32(data[at : at + width]) * _MIX) & _MASK
        place, value = mixed % BINS, mixed >> 8
        least = mins[place]
        if least is None or value < least:
            mins[place] = value
    full = [m for m in mins if m is not None]
    if len(full) == BINS:
        return full
    return [_borrowed(mins, place) for place in range(BINS)]


def _borrowed(mins: list[int | None], place: int) -> int:
    """An empty bin takes the next full one's value, shifted by how far that is."""
    for step in range(BINS):
        value = mins[(place + step) % BINS]
        if value is not None:
            return value + step
    return 0
