"""`rewriter report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rewriter.commands.base import Command, say

if TYPE_CHECKING:
    from rewriter.report.runs import RunView


@click.command(
    cls=Command,
    epilog="Example:\nrewriter report out/\nrewriter report out/ --text --color never\nrewriter report out/ --json",
)
@click.argument("run", metavar="RUN")
@click.option("--out", "-o", metavar="FILE", help="Where the page goes; RUN/report.html by default.")
@click.option("--file", "only", multiple=True, metavar="NAME", help="Only this file of the run (several allowed).")
@click.option("--text", "as_text", is_flag=True, help="Show it here, side by side, instead of writing a page.")
@click.option("--json", "as_json", is_flag=True, help="Print figures and passages as JSON instead of writing a page.")
@click.option("--all", "everything", is_flag=True, help="With --text or --json: passages with nothing to look at too.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="With --text; auto by default.",
)
def report(
    run: str, out: str | None, only: tuple[str, ...], as_text: bool, as_json: bool, everything: bool, color: str
) -> int:
    """Make a page of a run: where to look, source and result side by side, what the checker saw. Needs no model.

    RUN is a folder that `rewriter rewrite` wrote to. The page is one file that opens from disk, without a network.
    """
    if as_text and as_json:
        raise click.UsageError("say --text or --json, not both")
    if not as_text and not as_json:
        from rewriter.report.page import write_report

        click.echo(str(write_report(run, Path(out) if out else None, only=only)))
        return 0
    from rewriter.report.runs import read_run

    view = read_run(run, only=only)
    if as_json:
        say(_figures(view, everything))
        return 0
    from rewriter.report.sidebyside import show_run

    show_run(view, everything=everything, color=color)
    return 0


def _figures(view: RunView, everything: bool) -> dict[str, Any]:
    from rewriter.report.totals import needs_a_look, totals

    passages = [(f, p) for f, p in view.passages if everything or needs_a_look(p.outcome)]
    return {
        "totals": totals(view).model_dump(mode="json"),
        "passages": [
            {"file": f.name, "number": p.number, "begin": p.begin, "speaker": p.speaker, "heard": p.heard}
            | p.outcome.model_dump(mode="json")
            for f, p in passages
        ],
    }
