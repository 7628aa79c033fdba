"""Which families of misheard names does mining surface, and with how much noise?

    python benchmarks/glossary_mining.py TEXT... --terms TERMS.yaml [--context FILE]... [--show]

TERMS.yaml lists what stands in the texts: {terms: [{canonical, misheard: {form: times} or [form, ...]}]}; a term may be
listed several times. A family is surfaced where a suggestion holds one of its misheard forms; a form counts as covered
where it is one of the suggestion's forms or its canonical form. Noise are suggestions with several forms none of which
belongs to a listed term; what is written in one way only is counted apart. `--context canonical` gives the list of
canonical forms as a document, as a list of people or a slide would.
"""

from __future__ import annotations

import argparse
import collections
import time
from pathlib import Path

import yaml

from rewriter.glossary.fold import fold
from rewriter.glossary.mining import Document, suggest


def families(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = collections.defaultdict(set)
    for term in yaml.safe_load(path.read_text(encoding="utf-8"))["terms"]:
        found[term["canonical"]] |= {fold(form) for form in term["misheard"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--terms", required=True, type=Path)
    parser.add_argument("--context", action="append", default=[])
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    listed = families(options.terms)
    documents = [Document(path.name, path.read_text(encoding="utf-8")) for path in options.texts]
    context = [
        Document(c, "\n".join(listed) if c == "canonical" else Path(c).read_text(encoding="utf-8"))
        for c in options.context
    ]
    begin = time.perf_counter()
    suggestions = suggest(documents, context=context)
    seconds = time.perf_counter() - begin
    several = [one for one in suggestions if one.forms]
    shown = {fold(f) for one in several for f in (one.canonical, *(form.text for form in one.forms))}
    whole = "\n".join(fold(document.text) for document in documents)
    covered = sum(whole.count(form) for forms in listed.values() for form in forms & shown)
    total = sum(whole.count(form) for forms in listed.values() for form in forms)
    surfaced = [name for name, forms in listed.items() if forms & shown]
    known = {fold(name) for name in listed} | {form for forms in listed.values() for form in forms}
    noise = [one for one in several if not known & {fold(one.canonical), *(fold(form.text) for form in one.forms)}]
    print(f"{len(surfaced)} of {len(listed)} families surfaced, {covered} of {total} misheard occurrences covered")
    print(f"{len(several)} suggestions with several forms, {len(noise)} of them of no listed term")
    print(f"{len(suggestions) - len(several)} written in one way only; {seconds:.1f} s for {len(whole)} characters")
    if options.show:
        print("not surfaced:", *sorted(set(listed) - set(surfaced)))
        for one in several:
            mark = "?" if one in noise else " "
            print(mark, one.canonical, one.origin, ", ".join(f"{f.text} {f.count}" for f in one.forms))
        print(
            "one way:",
            ", ".join(f"{one.canonical} {one.own.count if one.own else 0}" for one in suggestions[len(several) :]),
        )


if __name__ == "__main__":
    main()
