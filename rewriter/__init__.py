"""Turn automatic (ASR) transcripts into text people want to read, without losing anything that was said.

    import rewriter

    result = rewriter.rewrite("talk.txt", glossary="terms.yaml")
    result.text, result.kept, result.usage

    verdict = rewriter.check(source, rewritten)
    verdict.accepted, verdict.findings

Names are imported when they are first used, so that `import rewriter` costs next to nothing and the openai client is
loaded only by a run that asks a model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewriter.api import Result, Rewriter, arewrite, rewrite
    from rewriter.checks import check
    from rewriter.errors import (
        BudgetExceeded,
        CacheError,
        EncodingError,
        FormatError,
        GlossaryError,
        InputError,
        Interrupted,
        ModelConfigError,
        ModelError,
        ModelUnavailable,
        OutputError,
        PromptError,
        RewriterError,
        StyleError,
        UsageError,
    )
    from rewriter.glossary import Glossary
    from rewriter.prompting import Style, load_style
    from rewriter.records import Finding, Fix, Outcome, Passage, Segment, Transcript, Usage, Verdict
    from rewriter.settings import Ladder, Settings

_WHERE = {
    "rewriter.api": ("Result", "Rewriter", "arewrite", "rewrite"),
    "rewriter.checks": ("check",),
    "rewriter.errors": (
        "BudgetExceeded",
        "CacheError",
        "EncodingError",
        "FormatError",
        "GlossaryError",
        "InputError",
        "Interrupted",
        "ModelConfigError",
        "ModelError",
        "ModelUnavailable",
        "OutputError",
        "PromptError",
        "RewriterError",
        "StyleError",
        "UsageError",
    ),
    "rewriter.glossary": ("Glossary",),
    "rewriter.prompting": ("Style", "load_style"),
    "rewriter.records": ("Finding", "Fix", "Outcome", "Passage", "Segment", "Transcript", "Usage", "Verdict"),
    "rewriter.settings": ("Ladder", "Settings"),
}
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "BudgetExceeded",
    "CacheError",
    "EncodingError",
    "Finding",
    "Fix",
    "FormatError",
    "Glossary",
    "GlossaryError",
    "InputError",
    "Interrupted",
    "Ladder",
    "ModelConfigError",
    "ModelError",
    "ModelUnavailable",
    "Outcome",
    "OutputError",
    "Passage",
    "PromptError",
    "Result",
    "Rewriter",
    "RewriterError",
    "Segment",
    "Settings",
    "Style",
    "StyleError",
    "Transcript",
    "Usage",
    "UsageError",
    "Verdict",
    "arewrite",
    "check",
    "load_style",
    "rewrite",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'rewriter' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
