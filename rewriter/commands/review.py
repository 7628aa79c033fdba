"""`rewriter review`: the review desk, and what comes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rewriter.commands.base import Command, say


@click.command(
    cls=Command,
    epilog="Example:\nrewriter review out/ --media talk.mp3 --glossary terms.yaml\n"
    "rewriter review out/ --export -o final/",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--media", multiple=True, metavar="FILE", help="Audio or video of a transcript (several allowed).")
@click.option("--glossary", "-g", metavar="FILE", help="Where new terms go (YAML); by default the run's own glossary.")
@click.option("--model", "-m", metavar="M", help="Ask this model instead of the run's.")
@click.option("--base-url", metavar="URL", help="Ask at this endpoint instead of the run's.")
@click.option("--port", type=int, default=0, metavar="N", help="Port on 127.0.0.1; a free one if not given.")
@click.option("--no-browser", is_flag=True, help="Print the address, open no browser.")
@click.option("--export", "exporting", is_flag=True, help="Write the final transcripts and stop.")
@click.option("--learn", "learning", is_flag=True, help="Print aliases that the decisions show, and stop.")
@click.option("--out", "-o", metavar="OUT", help="Folder of final transcripts (RUN/reviewed); file for --learn.")
@click.option("--json", "as_json", is_flag=True, help="With --export or --learn: print JSON.")
def review(
    runs: tuple[str, ...],
    media: tuple[str, ...],
    glossary: str | None,
    model: str | None,
    base_url: str | None,
    port: int,
    no_browser: bool,
    exporting: bool,
    learning: bool,
    out: str | None,
    as_json: bool,
) -> int:
    """Settle the passages of runs in your browser: accept, restore, edit, ask again. Ends with Ctrl-C.

    RUN is a folder that `rewriter rewrite` wrote to. Decisions are kept in its review.jsonl at once; the final
    transcripts are written with --export, or from the page. Only this machine can reach the page.
    """
    from rewriter.report.desk.book import Book

    if exporting and learning:
        raise click.UsageError("say --export or --learn, not both")
    if exporting:
        from rewriter.report.desk.desk import write_final

        with Book([Path(run) for run in runs], writing=False) as book:
            written = write_final(book, Path(out) if out else None)
        print_written([w.model_dump(mode="json") for w in written], as_json)
        return 0
    if learning:
        from rewriter.commands.glossary import NOTHING_LEARNT, print_suggestions
        from rewriter.glossary import Glossary
        from rewriter.report.desk.desk import learned_from

        known = Glossary.load(glossary) if glossary else None
        with Book([Path(run) for run in runs], writing=False) as book:
            return print_suggestions(learned_from(book, known), out, as_json, NOTHING_LEARNT)
    from rewriter.report.desk.serving import open_desk

    open_desk(
        [Path(run) for run in runs],
        media=media,
        terms=Path(glossary) if glossary else None,
        out=Path(out) if out else None,
        model=model,
        base_url=base_url,
        port=port,
        browser=not no_browser,
        say=click.echo,
    )
    return 0


def print_written(written: list[dict[str, Any]], as_json: bool) -> None:
    """The final transcripts, one a line."""
    from rewriter.report.visible import visible

    if as_json:
        say({"files": written})
        return
    for one in written:
        counts = ", ".join(f"{count} {what}" for what, count in one["passages"].items())
        click.echo(f"{visible(str(one['output']))}  ({counts})")
        for note in one["notes"]:
            click.echo(f"  {visible(note)}")
