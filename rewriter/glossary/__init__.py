"""Names and terms: how they are written, how they are misheard, and where they occur in a text."""

from __future__ import annotations

from rewriter.glossary.glossary import Glossary, lint, schema
from rewriter.glossary.terms import Applied, LintMessage, Term, TermHint, TermReport, TermUse

__all__ = [
    "Applied",
    "Glossary",
    "LintMessage",
    "Term",
    "TermHint",
    "TermReport",
    "TermUse",
    "lint",
    "schema",
]
