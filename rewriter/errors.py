"""Every error the package raises on purpose, as one tree.

RewriterError                 exit code 1; says what, where and the remedy
├── UsageError                exit code 2: the call itself is wrong
│   ├── StyleError            unknown style, or a style file that cannot be used
│   ├── GlossaryError         syntax error or contradiction, with file and line
│   └── PromptError           a prompt file with a missing or unknown variable
├── InputError                a transcript that cannot be read
│   ├── FormatError           unknown or malformed format
│   └── EncodingError         bytes that are no text in any encoding we know
├── OutputError               a result that cannot be written (disk full, no permission)
├── CacheError                a cache that cannot be opened or written
├── ModelError                a model call that failed for good
│   ├── ModelConfigError      wrong key, unknown model, no model configured: retrying cannot help
│   └── ModelUnavailable      endpoint down, rate limited or broken after every retry
├── BudgetExceeded            exit code 5: stopped by --max-cost or --max-tokens
└── Interrupted               exit code 130: stopped by a signal
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_STOPS = (".", "!", "?", "。", "！", "？")


class RewriterError(Exception):
    """What went wrong, where, and what to do about it.

    `what` is one sentence for a person; `where` a file, line or address (may be empty); `remedy` one sentence that
    says what to do next. None of them may hold a secret: keys and credentials are cut out before an error is made.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole again in another process: `where` and `remedy` are keywords, which exceptions forget by themselves."""
        return _made, (type(self), self.what, self.where, self.remedy)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if not self.remedy or self.what.endswith(_STOPS) else "."  # a provider's words may end in none
        cure = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{stop}{cure}"


def _made(kind: type[RewriterError], what: str, where: str, remedy: str) -> RewriterError:
    return kind(what, where=where, remedy=remedy)


class UsageError(RewriterError):
    """The call itself is wrong: an option, a path, a combination."""

    exit_code = 2


class StyleError(UsageError):
    """A style that does not exist or cannot be used."""


class GlossaryError(UsageError):
    """A glossary with a syntax error or entries that contradict each other."""


class PromptError(UsageError):
    """A prompt file with a missing or unknown variable."""


class InputError(RewriterError):
    """A transcript that cannot be read."""


class FormatError(InputError):
    """A format that is unknown, or a file that is not what its name says."""


class EncodingError(InputError):
    """Bytes that are not text in any encoding we know."""


class OutputError(RewriterError):
    """A result that cannot be written; what was there before still is."""


class CacheError(RewriterError):
    """A cache that cannot be opened or written."""


class ModelError(RewriterError):
    """A model call that failed for good."""


class ModelConfigError(ModelError):
    """Wrong key, unknown model, bad request, no model configured: asking again cannot help."""


class ModelUnavailable(ModelError):
    """The endpoint is down, limits us, or answers rubbish after every retry.

    `spent` and `saved` are usage by model: what the passage that needed this answer had taken before.
    """

    spent: Mapping[str, Any] = MappingProxyType({})
    saved: Mapping[str, Any] = MappingProxyType({})


class BudgetExceeded(RewriterError):
    """Stopped by --max-cost or --max-tokens; the same command continues later."""

    exit_code = 5


class Interrupted(RewriterError):
    """Stopped by a signal; the same command continues."""

    exit_code = 130
