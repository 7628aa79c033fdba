"""`rewriter status`."""

from __future__ import annotations

from pathlib import Path

import click

from rewriter.commands.base import Command, say


@click.command(cls=Command, epilog="Example:\nrewriter status out/\nrewriter status out/ --json")
@click.argument("folder", metavar="OUT")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(folder: str, as_json: bool) -> int:
    """How a run stands, while it goes on or after: files, passages, tokens, cost, time left."""
    from rewriter.status import lines
    from rewriter.status import status as look

    found = look(Path(folder))
    if as_json:
        say(found.model_dump(mode="json"))
    else:
        click.echo("\n".join(lines(found)))
    return 0
