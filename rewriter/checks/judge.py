"""From segments and signs to a verdict: which findings reject under a policy, and what a reader is told."""

from __future__ import annotations

from rewriter.checks import contraries, cover, facts, find, marks, names, negations, shape
from rewriter.checks.align import align
from rewriter.checks.find import Gap, Segment, weight_of
from rewriter.checks.normalise import Tokens
from rewriter.checks.policies import NEVER, Policy
from rewriter.records import Finding, Severity, Verdict

# Longest quotation in a message, in code points.
QUOTE = 60
# A passage of at least this many tokens that comes back without any change is worth a warning.
DUE = 40
# Names that nobody mentioned make up a story: with this many, words put into a sentence weigh like a sentence put in.
STRANGERS = 2


def judge(source: Tokens, draft: Tokens, policy: Policy, terms: frozenset[str] = frozenset()) -> Verdict:
    """Compare, weigh and decide. `terms` are names that a glossary has, folded."""
    same = source.code == draft.code
    if same and source.text == draft.text:
        return Verdict(accepted=True, score=1.0, findings=_untouched(source, policy))
    gaps = [] if same else find.gaps_of(align(source.code, draft.code), source, draft)
    if policy.paraphrase:
        found = cover.uncovered(source, draft)
    else:
        found = [*find.segments(gaps, "lost"), *find.segments(gaps, "invented")]
    for s in found:
        _place(s, gaps, source, draft, policy)
    if not draft.code and source.code:  # however little was said, nothing of it is left
        whole = sum(map(weight_of, source.forms))
        found = [Segment("lost", whole, 0, len(source), 0, 0, place="whole")]
    found += facts.numbers(gaps, source, draft)
    found += negations.negations(gaps, source, draft)
    found += names.changed(gaps, source, draft, terms)
    found += contraries.contraries(gaps, source, draft)
    found += marks.put_in(gaps, source, draft)
    found += marks.doubled(gaps, draft)
    found += names.lengthened(gaps, draft)
    found += names.left_out(gaps, source, draft)
    found += marks.addresses(source, draft)
    found += marks.questions(gaps, source, draft)
    judged: list[tuple[Segment, Severity]] = [(s, _severity(s, policy)) for s in found]
    told = {(s.kind, s.a, s.c) for s, v in judged if v == "reject"}
    findings = [
        _finding(s, source, draft, v)
        for s, v in judged
        if v == "reject" or (s.weight >= find.FLOOR and (s.kind, s.a, s.c) not in told)
    ]
    findings += [_shape_finding(s, source, draft) for s in shape.signs(source, draft, gaps)]
    findings.sort(key=lambda f: (-f.weight, f.source or f.draft or (0, 0)))
    wrong = sum(f.weight for f in findings if f.severity == "reject")
    return Verdict(
        accepted=not any(f.severity == "reject" for f in findings),
        score=_score(wrong, source) if wrong else 1.0,
        findings=tuple(findings),
    )


def _untouched(source: Tokens, policy: Policy) -> tuple[Finding, ...]:
    if not policy.untouched or len(source) < DUE:
        return ()
    span = (0, len(source.text))
    message = "untouched: the draft is the source, letter for letter"
    return (Finding(kind="untouched", severity="warn", weight=0.0, source=span, draft=span, message=message),)


def _place(s: Segment, gaps: list[Gap], source: Tokens, draft: Tokens, policy: Policy) -> None:
    """Note where a segment stands, if it is heavy enough for that to matter."""
    if s.kind == "lost":
        if s.weight >= min(policy.lost, policy.thinned, policy.whole) and find.bracketed(s, source):
            s.place = "note"
        elif policy.whole <= s.weight and find.cut_out(s, gaps, source, draft, policy.whole):
            s.place = "clause"
    elif s.weight >= min(policy.edge, policy.sentence, policy.twice):
        s.place = find.place_of(s, gaps, source, draft)
        if find.doubled(s, source, draft) or (policy.paraphrase and find.doubled(s, draft, draft)):
            s.kind = "duplicate"
        elif s.place in {"clause", "inner"} and names.strangers(draft.letters, s.c, s.d, source.letters) >= STRANGERS:
            s.place = "sentence"


def _score(wrong: float, source: Tokens) -> float:
    return round(max(0.0, 1.0 - wrong / max(sum(map(weight_of, source.forms)), wrong, 1.0)), 4)


def _severity(s: Segment, policy: Policy) -> Severity:
    """Reject where the segment is as heavy as the policy's threshold for its kind."""
    if s.kind.endswith("?"):
        s.kind, limit = s.kind[:-1], NEVER
    elif s.place == "whole":
        limit = 0.0
    elif s.kind == "lost":
        limit = {"note": NEVER, "clause": policy.whole}.get(s.place, policy.lost if s.c == s.d else policy.thinned)
    elif s.kind in {"invented", "duplicate"}:
        limit = _most_put_in(s, policy)
    elif s.kind in {"changed", "term"}:
        limit = policy.changed if s.kind == "changed" else policy.term
    elif s.kind == "question":
        limit = NEVER
    else:  # a number, a negation, a contrary
        limit = 0.0 if (policy.numbers if s.kind == "number" else policy.negations) else NEVER
    return "reject" if s.weight >= limit else "warn"


def _most_put_in(s: Segment, policy: Policy) -> float:
    """The weight from which text put in rejects, by where it stands."""
    if s.place in {"beside", "slip"}:
        return 0.0 if s.place == "slip" and policy.negations else NEVER
    limits = {"name": policy.term, "edge": policy.edge, "tail": policy.edge, "sentence": policy.sentence}
    if s.place in limits:
        return limits[s.place]
    if s.kind == "duplicate":
        return policy.twice
    return policy.clause if s.place == "clause" else policy.woven


def _finding(s: Segment, source: Tokens, draft: Tokens, severity: Severity) -> Finding:
    here = source.span(s.a, s.b) if s.b > s.a else None
    there = draft.span(s.c, s.d) if s.d > s.c else None
    old = source.text[here[0] : here[1]] if here else ""
    new = draft.text[there[0] : there[1]] if there else ""
    return Finding(
        kind=s.kind,
        severity=severity,
        weight=round(s.weight, 2),
        source=here,
        draft=there,
        source_text=old,
        draft_text=new,
        message=_message(s, old, new),
    )


def _message(s: Segment, old: str, new: str) -> str:
    if s.kind == "lost":
        instead = f", only {_quote(new)} in its place" if new else ""
        return f"lost: {_quote(old)} ({s.weight:.0f} content characters){instead}"
    if s.kind in {"invented", "duplicate"}:
        what = "said twice" if s.kind == "duplicate" else "not in the source"
        return f"{s.kind}: {_quote(new)} is {what} ({s.weight:.0f} content characters)"
    if s.kind == "question":
        return f"question: what ends in {_quote(old)} is asked in the source and not in the draft"
    if not old:
        return f"{s.kind}: {_quote(new)} was not said"
    became = f"became {_quote(new)}" if new else "is gone"
    return f"{s.kind}: {_quote(old)} {became}"


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return f"«{text}»" if len(text) <= QUOTE else f"«{text[: QUOTE // 2]} … {text[-QUOTE // 2 :]}»"


_SHAPES = {
    "refusal": "the draft refuses or asks instead of rewriting",
    "preface": "the draft talks about its own work",
    "echo": "the draft carries pieces of a prompt or markup",
    "language": "the draft is in another language than the source",
    "script": "the draft is in the other Chinese script (traditional, simplified) than the source",
}


def _shape_finding(s: shape.Sign, source: Tokens, draft: Tokens) -> Finding:
    text = draft.text[s.start : s.end]
    severity: Severity = "warn" if s.kind == "script" else "reject"
    weight = 0.0 if s.kind == "script" else float(max(1, len(text) // 2))
    if s.kind in {"refusal", "language"}:
        weight = sum(map(weight_of, source.forms))
    return Finding(
        kind=s.kind,
        severity=severity,
        weight=round(weight, 2),
        source=None,
        draft=(s.start, s.end),
        draft_text=text,
        message=f"{s.kind}: {_SHAPES[s.kind]}: {_quote(text)}",
    )
