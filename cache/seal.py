"""How an entry looks in the store: sealed bytes, which either open exactly or are refused.

    magic (4) | version (1) | flags (1) | length of the plain payload (4) | checksum (16) | key (32) | payload

The checksum covers everything but itself. It finds damage, not forgery: who can write the store can write an entry.
What a forged entry can do is bounded by what is read here: JSON of a known shape, of limited size.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

MAGIC = b"TRWA"
VERSION = 1
COMPRESSED = 1
HEAD = struct.Struct(">4sBBI")
CHECKSUM_BYTES = 16
KEY_BYTES = 32
PREFIX_BYTES = HEAD.size + CHECKSUM_BYTES + KEY_BYTES
# Bytes of a plain payload. An answer is a passage of a few kilobytes; the limit is there so that a small planted
# entry cannot grow to gigabytes when it is unpacked.
MAX_PAYLOAD = 64 * 1024 * 1024
# zlib's fastest, on 1.5 KB of Chinese and English: a put pays 15 us, a hit 5 us, and the file shrinks to less than the
# payload; uncompressed it was 1.25 x the payload, for the unused ends of pages.
COMPRESS_LEVEL = 1


class Damaged(ValueError):
    """Bytes that are no sealed entry for this key."""


class Newer(ValueError):
    """An entry sealed by a later version of this program: not ours to judge, left alone."""


def _checksum(head: bytes, key: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(head + key + payload, digest_size=CHECKSUM_BYTES).digest()


def seal(key: bytes, plain: bytes) -> bytes:
    """The entry for a key of 32 bytes; the payload is compressed where that makes it smaller.

    Raises ValueError for a payload above MAX_PAYLOAD bytes.
    """
    if len(plain) > MAX_PAYLOAD:
        raise ValueError(f"an entry of {len(plain)} bytes is above the limit of {MAX_PAYLOAD}")
    packed = zlib.compress(plain, COMPRESS_LEVEL)
    smaller = len(packed) < len(plain)
    payload = packed if smaller else plain
    head = HEAD.pack(MAGIC, VERSION, COMPRESSED if smaller else 0, len(plain))
    return head + _checksum(head, key, payload) + key + payload


def unseal(key: bytes, sealed: object) -> bytes:
    """The payload sealed for this key. Raises Damaged or Newer, nothing else, whatever the bytes are."""
    if type(sealed) is not bytes or len(sealed) < HEAD.size:
        raise Damaged("too short, or no bytes")
    magic, version, flags, length = HEAD.unpack_from(sealed)
    if magic != MAGIC:
        raise Damaged("not an entry of this cache")
    if version > VERSION:
        raise Newer(f"version {version}")
    payload = sealed[PREFIX_BYTES:]
    inner = sealed[HEAD.size + CHECKSUM_BYTES : PREFIX_BYTES]
    if sealed[HEAD.size : HEAD.size + CHECKSUM_BYTES] != _checksum(sealed[: HEAD.size], inner, payload):
        raise Damaged("checksum does not match")
    if version != VERSION or flags > COMPRESSED or inner != key or length > MAX_PAYLOAD:
        raise Damaged("sealed for another key, or with unknown flags")
    plain = _unpack(payload, length) if flags else payload
    if len(plain) != length:
        raise Damaged("length does not match")
    return plain


def _unpack(payload: bytes, length: int) -> bytes:
    """Never more than one byte above the length the entry claims."""
    try:
        return zlib.decompressobj().decompress(payload, length + 1)
    except zlib.error as error:
        raise Damaged("payload cannot be unpacked") from error
