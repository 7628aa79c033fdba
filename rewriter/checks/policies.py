"""What may go and what may not, as values: one policy per style, and three grades of severity.

All thresholds are in content characters (see `find.weight_of`): a finding of at least this weight rejects. Chosen on
one half of nine sets of human-edited passages and damaged copies of them, and confirmed on the other half; the figures
and the command that reproduces them are in docs/guard.md. Of 427 good passages, raising `lost` from 5.1 to 5.8 saves
none and misses 1 in 100 lost clauses more, lowering it to 4.6 costs five and finds none; `whole` at 3.0 costs one and
finds none, at 3.9 saves none and misses 2 in 100 more; `thinned` at 7 saves none and misses 1 in 100 more; `clause` and
`woven` at 9 reject three more, whose editors did add that much. `formal` was fitted on 52 human rewrites: 28 is the
length that one in ten of them leaves out somewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rewriter.errors import StyleError

NEVER = 10.0**9


@dataclass(frozen=True)
class Policy:
    """Weights, in content characters, from which a finding of each kind rejects.

    `lost` for text cut out with nothing in its place, `whole` for a clause cut out from pause to pause, `thinned` for
    text replaced by less, `sentence` for a sentence put in or said again, `twice` for less than one said again,
    `clause` for a clause put in, `woven` for words put into a clause, `edge` for a clause before the first word of the
    source or after its last: an editor has no reason to put one there, a model that talks about its work or goes on
    with the story does (0.2 % of human rewrites have more than 3 there). `changed` for words replaced by others that do
    not sound alike, `term` for names replaced so.

    `numbers` and `negations` say whether one that is lost rejects or warns; `untouched` whether a letter for letter
    copy is worth a warning. `paraphrase` looks for what was lost and invented by length between words of the same stem
    (see `cover`), not letter by letter.
    """

    name: str
    lost: float
    whole: float
    thinned: float
    twice: float
    sentence: float
    clause: float
    woven: float
    edge: float
    changed: float
    term: float
    numbers: bool = True
    negations: bool = True
    untouched: bool = True
    paraphrase: bool = False


POLICIES: dict[str, Policy] = {
    "balanced": Policy(
        "balanced",
        lost=5.1,
        whole=3.3,
        thinned=6.0,
        twice=10.0,
        sentence=3.4,
        clause=10.0,
        woven=14.0,
        edge=3.0,
        changed=NEVER,
        term=0.0,
    )
}
POLICIES["strict"] = replace(
    POLICIES["balanced"],
    name="strict",
    lost=3.0,
    whole=3.0,
    thinned=3.5,
    twice=4.0,
    sentence=3.0,
    clause=4.0,
    woven=4.0,
    changed=2.0,
)
POLICIES["lenient"] = replace(
    POLICIES["balanced"],
    name="lenient",
    lost=8.0,
    whole=8.0,
    thinned=10.0,
    twice=12.0,
    sentence=7.0,
    clause=14.0,
    woven=18.0,
    term=NEVER,
    numbers=False,
    negations=False,
)
# The styles. Subtitles and quotes are corrected word by word: less may go and less may come.
POLICIES["clean"] = POLICIES["balanced"]
POLICIES["correct"] = replace(
    POLICIES["balanced"], name="correct", lost=4.0, thinned=5.0, twice=6.0, clause=6.0, woven=6.0
)
POLICIES["formal"] = replace(
    POLICIES["lenient"],
    name="formal",
    paraphrase=True,
    lost=28.0,
    whole=NEVER,
    thinned=28.0,
    twice=12.0,
    sentence=22.0,
    clause=22.0,
    woven=22.0,
    edge=22.0,
)


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
