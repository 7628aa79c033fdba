"""How an entry looks in the store: sealed bytes, which either open exactly or are refused.

    magic (4) | version (1) | checksum (4) | flags (1) | length of the plain payload (4) | key (32) | payload

The checksum, CRC-32 as in zip and gzip, covers all that stands after it, and what is read must have been sealed for the
key it is read under. That finds damage, not forgery: who can write the store can write an entry. What a forged entry
can do is bounded by what is read from it: an answer of limited size. Any change within 32 bits is found for certain; of
entries damaged otherwise one in four thousand million would pass, and its text is judged like any other. Version 2 had
SHA-256 cut to 16 bytes, which took 0.95 us of a hit for 1.5 KB where CRC-32 takes 0.35.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

MAGIC = b"TRWA"
VERSION = 3
COMPRESSED = 1
START = MAGIC + bytes([VERSION])
KEY_BYTES = 32
HEAD = struct.Struct(">4sBIBI32s")
CHECKED = 9  # what the checksum covers begins here
# Bytes of a plain payload. An answer is a passage of a few kilobytes; the limit is there so that a small planted
# entry cannot grow to gigabytes when it is unpacked.
MAX_PAYLOAD = 64 * 1024 * 1024
# Bytes of payload above which it is deflated, where that leaves less than WORTH of it. Deflating 1.5 KB costs a put 23
# to 43 us of 190 and a hit 4 to 6 of 13, and would bring 1.4 bytes on disk for one of text down to 0.9 (a page of the
# database holds two such entries and wastes a quarter of itself). Answers of a passage's size are left as they are;
# from 2 KB on the bytes saved are worth the time. Raw deflate with the fixed code, since it unpacks quickest. GB 18030,
# two bytes a Chinese character instead of three, was no quicker to read than deflated UTF-8.
SMALL = 2048
WORTH = 0.75
LEVEL, RAW = 1, -13  # a window of 8 KB: with zlib's 32 KB, setting up the packer took longer than packing (48 us, 23)


class Damaged(ValueError):
    """Bytes that are no sealed entry for this key."""


class Newer(ValueError):
    """An entry sealed by a later version of this program: not ours to judge, left alone."""


def seal(key: bytes, plain: bytes, *, above: int = SMALL) -> bytes:
    """The entry for a key of 32 bytes, deflated `above` so many bytes. Raises ValueError above MAX_PAYLOAD bytes."""
    if len(plain) > MAX_PAYLOAD:
        raise ValueError(f"an entry of {len(plain)} bytes is above the limit of {MAX_PAYLOAD}")
    payload, flags = plain, 0
    if len(plain) > above:
        packer = zlib.compressobj(LEVEL, wbits=RAW, strategy=zlib.Z_FIXED)
        packed = packer.compress(plain) + packer.flush()
        if len(packed) < len(plain) * WORTH:
            payload, flags = packed, COMPRESSED
    return closed(key, payload, flags, len(plain))


def closed(key: bytes, payload: bytes, flags: int, length: int) -> bytes:
    """A payload under its head; `length` is the plain payload's."""
    checked = b"".join((_TAIL.pack(flags, length), key, payload))
    return b"".join((START, zlib.crc32(checked).to_bytes(4, "big"), checked))


def unseal(key: bytes, sealed: object) -> bytes:
    """The payload sealed for this key. Raises Damaged or Newer, nothing else, whatever the bytes are."""
    if type(sealed) is not bytes or sealed[:4] != MAGIC or len(sealed) <= len(MAGIC):
        raise Damaged("not an entry of this cache")
    if sealed[4] != VERSION:
        return _unseal_other(key, sealed)
    if len(sealed) < HEAD.size:
        raise Damaged("too short")
    _, _, check, flags, length, inner = HEAD.unpack_from(sealed)
    if zlib.crc32(sealed[CHECKED:]) != check:
        raise Damaged("checksum does not match")
    return _payload(key, inner, flags, length, sealed[HEAD.size :], RAW)


def key_of(sealed: object) -> bytes:
    """The key an entry says it was sealed for; empty where it says none."""
    if type(sealed) is not bytes or len(sealed) <= len(MAGIC):
        return b""
    at = HEAD.size if sealed[4] == VERSION else _EARLIER_HEAD
    return sealed[at - KEY_BYTES : at]


def version_of(sealed: bytes) -> int:
    """The version an entry says it has."""
    return sealed[len(MAGIC)]


# --- earlier versions: read, no longer written ---


class _Layout(NamedTuple):
    """Where the checksum of 16 bytes stands, and what stands where in an entry of 58 bytes and its payload."""

    checksum: slice
    tail: int  # flags and length
    window: int
    digest: Callable[[bytes], bytes]


_TAIL = struct.Struct(">BI")
_EARLIER_HEAD = 58
_EARLIER = {
    # magic | version | flags | length | checksum | key | payload
    1: _Layout(slice(10, 26), 5, zlib.MAX_WBITS, lambda b: hashlib.blake2b(b[:10] + b[26:], digest_size=16).digest()),
    # magic | version | checksum | flags | length | key | payload
    2: _Layout(slice(5, 21), 21, RAW, lambda b: hashlib.sha256(b[21:]).digest()[:16]),
}


def _unseal_other(key: bytes, sealed: bytes) -> bytes:
    if version_of(sealed) > VERSION:
        raise Newer(f"version {version_of(sealed)}")
    layout = _EARLIER.get(version_of(sealed))
    if layout is None or len(sealed) < _EARLIER_HEAD or layout.digest(sealed) != sealed[layout.checksum]:
        raise Damaged("too short, of no version, or its checksum does not match")
    flags, length = _TAIL.unpack_from(sealed, layout.tail)
    return _payload(key, key_of(sealed), flags, length, sealed[_EARLIER_HEAD:], layout.window)


def _payload(key: bytes, inner: bytes, flags: int, length: int, payload: bytes, window: int) -> bytes:
    if inner != key or flags > COMPRESSED or length > MAX_PAYLOAD:
        raise Damaged("sealed for another key, or with unknown flags")
    plain = _unpack(payload, length, window) if flags else payload
    if len(plain) != length:
        raise Damaged("length does not match")
    return plain


def _unpack(payload: bytes, length: int, window: int) -> bytes:
    """Never more than one byte above the length the entry claims."""
    try:
        return zlib.decompressobj(window).decompress(payload, length + 1)
    except zlib.error as error:
        raise Damaged("payload cannot be unpacked") from error
