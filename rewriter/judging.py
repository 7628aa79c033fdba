"""A draft judged under a style's rules: all that another process needs to know to do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rewriter import checks
from rewriter.paragraphs import with_paragraphs
from rewriter.records import Verdict

if TYPE_CHECKING:
    from rewriter.checks import Policy, Terms


class Rules(NamedTuple):
    """By which a draft is judged: style, policy, language, and the glossary's terms that stand in source or draft."""

    style: str
    policy: str | Policy | None
    language: str
    terms: Terms | None


def judged(source: str, draft: str, rules: Rules) -> Verdict:
    """The checker's verdict."""
    return checks.check(
        source, draft, style=rules.style, policy=rules.policy, glossary=rules.terms, lang=rules.language
    )


def judged_in_paragraphs(source: str, draft: str, rules: Rules) -> tuple[str, Verdict]:
    """The draft with the source's paragraphs, and the verdict on that."""
    draft = with_paragraphs(draft, source)
    return draft, judged(source, draft, rules)
