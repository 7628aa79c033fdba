"""`rewriter check`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from rewriter.commands.base import Command, say

EXIT_REJECTED = 4


@click.command(
    cls=Command,
    epilog="Example:\nrewriter check talk.txt out/talk.txt --style clean\nrewriter check --jsonl pairs.jsonl --json",
)
@click.argument("files", nargs=-1, metavar="[SOURCE REWRITE]")
@click.option(
    "--jsonl", type=click.Path(), metavar="PAIRS", help="Pairs {id, source, rewrite[, lang]}, one a line; - reads them."
)
@click.option("--style", "-s", default="clean", metavar="S", help="correct, clean (default) or formal.")
@click.option("--policy", metavar="P", help="strict, balanced or lenient, instead of the style's own.")
@click.option("--glossary", "-g", multiple=True, metavar="FILE", help="Names and terms that may be corrected.")
@click.option("--all", "everything", is_flag=True, help="Show the rows without findings too.")
@click.option(
    "--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour; auto by default."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    files: tuple[str, ...],
    jsonl: str | None,
    style: str,
    policy: str | None,
    glossary: tuple[str, ...],
    everything: bool,
    color: str,
    as_json: bool,
) -> int:
    """Judge a rewrite against its source: what was lost, invented or changed. Needs no model.

    Exit codes: 0 accepted, 4 rejected (with --jsonl: 0 when every pair was judged).
    """
    from rewriter.checking import check_files, check_pairs

    if (jsonl is None) == (len(files) != 2):
        raise click.UsageError("give either SOURCE and REWRITE, or --jsonl PAIRS")
    if jsonl is not None:
        print_pairs(check_pairs(jsonl, style=style, policy=policy, glossary=glossary), as_json)
        return 0
    compared = check_files(files[0], files[1], style=style, policy=policy, glossary=glossary)
    if as_json:
        say(compared.verdict.model_dump(mode="json"))
    else:
        from rewriter.report.sidebyside import show

        show(compared, everything=everything, color=color)
    return 0 if compared.verdict.accepted else EXIT_REJECTED


def print_pairs(verdicts: Iterable[dict[str, Any]], as_json: bool) -> None:
    """One line for each pair."""
    for v in verdicts:
        if as_json:
            say(v)
        else:
            worst = f"  {v['findings'][0]['message']}" if v["findings"] else ""
            click.echo(f"{v['id']}  {'accepted' if v['accepted'] else 'rejected'}  {v['score']:.2f}{worst}")
