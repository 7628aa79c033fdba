"""Which passages are asked again when a term is added to a glossary?

    python benchmarks/glossary_added.py TEXT --terms TERMS [--show]

Each term of the glossary TERMS in turn is taken out and put back. A passage is asked again where what the model is told
of terms changes, for that is the only part of the request that depends on the glossary. That should be just where the
term occurs: by letters, as an alias, or by sound.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rewriter.glossary import Glossary
from rewriter.passages import DEFAULT_BUDGET, split
from rewriter.tokens import counter_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--terms", required=True, type=Path)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    text = options.text.read_text(encoding="utf-8")
    passages = [p.text.strip() for p in split(text, budget=DEFAULT_BUDGET, counter=counter_for(""))]
    whole = Glossary.load(options.terms)
    after = [whole.for_prompt(passage) for passage in passages]
    occurs = {name: {n for n, p in enumerate(passages) if any(h.canonical == name for h in whole.match(p))}
              for name in whole.canonicals()}  # fmt: skip
    asked = wanted = beyond = 0
    for term in whole.terms:
        without = Glossary.from_terms([other for other in whole.terms if other is not term])
        changed = {n for n, passage in enumerate(passages) if without.for_prompt(passage) != after[n]}
        asked, wanted, beyond = (
            asked + len(changed),
            wanted + len(occurs[term.canonical]),
            beyond + len(changed - occurs[term.canonical]),
        )
        if options.show:
            print(f"{term.canonical}: occurs in {len(occurs[term.canonical])}, asked again {len(changed)}")
    print(
        f"{len(whole)} terms added to {len(passages)} passages: {asked} passages asked again, {beyond} of them without "
        f"the term; the terms occur in {wanted}"
    )


if __name__ == "__main__":
    main()
