"""The checker applied to files: two transcripts, or a file of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rewriter import checks, formats
from rewriter.errors import InputError
from rewriter.glossary import Glossary
from rewriter.records import Verdict


def check_files(
    source: str, rewrite: str, *, style: str = "clean", policy: str | None = None, glossary: Sequence[str] = ()
) -> Verdict:
    """Judge one file against another; spans are code points of the files' texts. Raises InputError, GlossaryError."""
    terms = Glossary.load(glossary) if glossary else None
    texts = [formats.read(Path(name)).text for name in (source, rewrite)]
    return checks.check(texts[0], texts[1], style=style, policy=policy, glossary=terms)


def check_pairs(
    path: str, *, style: str = "clean", policy: str | None = None, glossary: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Judge a JSONL file of pairs {id, source, rewrite[, lang]}: yields {id, accepted, score, findings} in order.

    Raises InputError naming the line that is not such a pair.
    """
    terms = Glossary.load(glossary) if glossary else None
    try:
        with Path(path).open(encoding="utf-8") as file:
            yield from checks.check_jsonl(file, style=style, policy=policy, glossary=terms)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}.", where=path, remedy="Give a JSONL file of pairs."
        ) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8.", where=path, remedy="Save the pairs as UTF-8.") from None
