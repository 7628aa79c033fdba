"""How an entry looks in the store: sealed bytes, which either open exactly or are refused.

    magic (4) | version (1) | checksum (16) | flags (1) | length of the plain payload (4) | key (32) | payload

The checksum, SHA-256 cut to 16 bytes, covers all that stands after it. It finds damage, not forgery: who can write the
store can write an entry. What a forged entry can do is bounded by what is read from it: an answer of limited size.
SHA-256 because processors have an instruction for it: 1.1 us for 1.5 KB, where BLAKE2 takes 1.8; CRC-32 would take 0.4
but let one damaged entry in four thousand million pass.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

MAGIC = b"TRWA"
VERSION = 2
COMPRESSED = 1
START = MAGIC + bytes([VERSION])
CHECKSUM_BYTES = 16
KEY_BYTES = 32
TAIL = struct.Struct(">BI")  # flags, length
CHECKED = len(START) + CHECKSUM_BYTES  # what the checksum covers begins here
KEY_AT = CHECKED + TAIL.size
PREFIX_BYTES = KEY_AT + KEY_BYTES
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

# Version 1: magic | version | flags | length | checksum (BLAKE2) | key | payload. Read, no longer written.
_HEAD_1 = struct.Struct(">4sBBI")


class Damaged(ValueError):
    """Bytes that are no sealed entry for this key."""


class Newer(ValueError):
    """An entry sealed by a later version of this program: not ours to judge, left alone."""


def checksum(checked: bytes | memoryview) -> bytes:
    """Of everything in an entry that stands after it."""
    return hashlib.sha256(checked).digest()[:CHECKSUM_BYTES]


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
    checked = TAIL.pack(flags, len(plain)) + key + payload
    return START + checksum(checked) + checked


def version_of(sealed: bytes) -> int:
    """The version an entry says it has."""
    return sealed[len(MAGIC)]


def unseal(key: bytes, sealed: object) -> bytes:
    """The payload sealed for this key. Raises Damaged or Newer, nothing else, whatever the bytes are."""
    if type(sealed) is not bytes or len(sealed) <= len(MAGIC) or sealed[:4] != MAGIC:
        raise Damaged("not an entry of this cache")
    if sealed[4] > VERSION:
        raise Newer(f"version {sealed[4]}")
    if sealed[4] < VERSION:
        return _unseal_1(key, sealed)
    if checksum(memoryview(sealed)[CHECKED:]) != sealed[5:CHECKED] or len(sealed) < PREFIX_BYTES:
        raise Damaged("checksum does not match")
    flags, length = TAIL.unpack_from(sealed, CHECKED)
    return _payload(key, sealed[KEY_AT:PREFIX_BYTES], flags, length, sealed[PREFIX_BYTES:], RAW)


def _unseal_1(key: bytes, sealed: bytes) -> bytes:
    """An entry of version 1."""
    if len(sealed) < PREFIX_BYTES or sealed[4] != 1:
        raise Damaged("too short, or of no version")
    _, _, flags, length = _HEAD_1.unpack_from(sealed)
    claimed, covered = sealed[_HEAD_1.size : KEY_AT], sealed[: _HEAD_1.size] + sealed[KEY_AT:]
    if claimed != hashlib.blake2b(covered, digest_size=CHECKSUM_BYTES).digest():
        raise Damaged("checksum does not match")
    return _payload(key, sealed[KEY_AT:PREFIX_BYTES], flags, length, sealed[PREFIX_BYTES:], zlib.MAX_WBITS)


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
