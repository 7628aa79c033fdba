"""What may go and what may not, as values: one policy per style, and three grades of severity.

All thresholds are in content characters (see `find.weight_of`): a finding of at least this weight rejects. Chosen on
one half of nine sets of human-edited passages and damaged copies of them, and confirmed on the other half; the figures
and the command that reproduces them are in docs/guard.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from rewriter.errors import StyleError

NEVER = 10.0**9


@dataclass(frozen=True)
class Policy:
    """Weights, in content characters, from which a finding of each kind rejects.

    `lost` for text cut out with nothing in its place, `thinned` for text replaced by less, `sentence` for a sentence
    put in or said twice, `clause` for a clause put in, `woven` for words put into a clause, `changed` for words
    replaced by others that do not sound alike, `term` for names replaced so. `numbers` and `negations` say whether one
    that is lost rejects or warns; `untouched` whether a letter for letter copy is worth a warning.
    """

    name: str
    lost: float
    thinned: float
    sentence: float
    clause: float
    woven: float
    changed: float
    term: float
    numbers: bool = True
    negations: bool = True
    untouched: bool = True


POLICIES: dict[str, Policy] = {
    "balanced": Policy("balanced", 5.1, 6.0, 4.0, 10.0, 14.0, NEVER, 0.0),
    "strict": Policy("strict", 3.0, 3.5, 3.0, 4.0, 4.0, 2.0, 0.0),
    "lenient": Policy("lenient", 8.0, 10.0, 7.0, 14.0, 18.0, NEVER, NEVER, numbers=False, negations=False),
}
POLICIES["clean"] = POLICIES["balanced"]
POLICIES["correct"] = Policy("correct", 4.0, 5.0, 4.0, 6.0, 6.0, NEVER, 0.0)
POLICIES["formal"] = Policy("formal", 16.0, 16.0, 16.0, 24.0, 24.0, NEVER, NEVER, numbers=False, negations=False)


def policy_for(style: str, policy: str | Policy | None) -> Policy:
    """The policy given, or the one named like the style; a style of the user's own falls back to balanced.

    Raises StyleError where a policy is named that does not exist.
    """
    if isinstance(policy, Policy):
        return policy
    if policy is None:
        return POLICIES.get(style, POLICIES["balanced"])
    if policy not in POLICIES:
        raise StyleError(
            f"There is no checker policy {policy!r}.", remedy=f"Choose one of: {', '.join(sorted(POLICIES))}."
        )
    return POLICIES[policy]
