"""The guard: does a draft still say everything its source said, and nothing else? No model, no network.

Steps, one file each: `normalise` (text to comparable tokens), `align` (what became what), `find` (lost, invented and
doubled runs; `cover` for styles that rephrase), `facts`, `negations`, `contraries`, `names` and `marks` (what is too
small to weigh), `shape` (refusals, prefaces, wrong language), `judge` (policy to verdict). `policies` and `disfluency`
are data.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from rewriter.checks.policies import POLICIES, Policy, policy_for
from rewriter.errors import InputError
from rewriter.records import Verdict

__all__ = ["POLICIES", "Policy", "Terms", "check", "check_jsonl", "checks_version"]


# Aliases with their canonical forms, and all canonical forms; folded.
Spellings = tuple[Mapping[str, str], frozenset[str]]


class Terms(Protocol):
    """What the guard needs of a glossary. Of a big one give it what occurs in the pair: see `Glossary.within`."""

    def aliases(self) -> Mapping[str, str]:
        """Misheard form to canonical spelling."""
        ...

    def canonicals(self) -> Collection[str]:
        """Every canonical spelling."""
        ...


def check(
    source: str,
    draft: str,
    *,
    style: str = "clean",
    policy: str | Policy | None = None,
    glossary: Terms | None = None,
    lang: str | None = None,
) -> Verdict:
    """Judge a draft against its source; spans are code points of the two texts as given.

    The verdict depends on the texts, the policy and the glossary alone; `lang` is accepted for callers that know it,
    scripts are told from the text. Raises StyleError for an unknown policy.
    """
    return _check(source, draft, policy_for(style, policy), _folded(glossary))


def _folded(glossary: Terms | None) -> Spellings | None:
    from rewriter.checks.normalise import fold, fold_aliases

    if glossary is None:
        return None
    return fold_aliases(glossary.aliases()), frozenset(map(fold, glossary.canonicals()))


def _check(source: str, draft: str, policy: Policy, spellings: Spellings | None) -> Verdict:
    from rewriter.checks.judge import judge
    from rewriter.checks.normalise import Tokens, coder, remembered

    codes = coder()
    if spellings is None:
        return judge(remembered(source, codes), Tokens(draft, codes), policy)
    aliases, names = spellings
    return judge(Tokens(source, codes, aliases), Tokens(draft, codes, aliases), policy, names)


def check_jsonl(
    lines: Iterable[str],
    *,
    style: str = "clean",
    policy: str | Policy | None = None,
    glossary: Terms | None = None,
    first: int = 1,
) -> Iterator[dict[str, Any]]:
    """Judge pairs {id, source, rewrite[, lang]}, one JSON object a line: yields {id, accepted, score, findings}.

    In order; blank lines are passed over. `first` is the number of the first line. Raises InputError naming the line
    that is not such a pair.
    """
    rules = policy_for(style, policy)
    spellings = _folded(glossary)
    for number, line in enumerate(lines, first):
        if line.strip():
            pair = _pair(line, number)
            verdict = _check(pair["source"], pair["rewrite"], rules, spellings)
            yield {"id": pair["id"], **verdict.model_dump()}


def _pair(line: str, number: int) -> dict[str, Any]:
    remedy = 'Each line is {"id": ..., "source": "...", "rewrite": "..."}.'
    try:
        pair = json.loads(line)
    except ValueError as error:
        raise InputError(f"is not JSON ({error}).", where=f"line {number}", remedy=remedy) from None
    if not isinstance(pair, dict) or "id" not in pair:
        raise InputError("is not a pair with an id.", where=f"line {number}", remedy=remedy)
    for key in ("source", "rewrite"):
        if not isinstance(pair.get(key), str):
            raise InputError(f"has no text under {key!r}.", where=f"line {number}", remedy=remedy)
    return pair


@lru_cache(maxsize=1)
def checks_version() -> str:
    """A string that changes whenever verdicts can: a hash of this package's modules and data files.

    The glossary's list of usual words, by which `unusual` tells names, is one of them.
    """
    import hashlib
    from pathlib import Path

    here = Path(__file__).parent
    words = [here.parent / "glossary" / name for name in ("words.py", "common_words.json")]
    digest = hashlib.sha256()
    for path in [*sorted(p for p in here.iterdir() if p.suffix in {".py", ".json"}), *words]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
