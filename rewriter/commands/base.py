"""What the commands share: help with examples, the options of a rewrite, JSON on a line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rewriter.api import Rewriter


class Command(click.Command):
    """A command whose help keeps its example's line breaks."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, as written."""
        if self.epilog:
            formatter.write_paragraph()
            for line in self.epilog.splitlines():
                formatter.write(f"{line}\n" if line.startswith("Example") else f"  {line}\n")


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that decide how passages are rewritten, shared by `rewrite` and `estimate`."""
    for option in reversed(
        [
            click.option("--glossary", "-g", multiple=True, metavar="FILE", help="Names and terms (several allowed)."),
            click.option("--style", "-s", metavar="S", help="correct, clean (default), formal, or a prompt file."),
            click.option("--language", metavar="L", help="zh, en, ...; found in the text if not given."),
            click.option("--model", "-m", metavar="M", help="Model name, or a .gguf file for the embedded runner."),
            click.option("--base-url", metavar="URL", help="Any OpenAI-compatible endpoint."),
            click.option("--stronger", metavar="M", help="A second model for passages the first one fails on."),
            click.option("--budget", type=int, metavar="N", help="Tokens in a passage at most."),
            click.option("--limit", type=int, metavar="N", help="Only the first N passages of each file."),
            click.option("--cache", metavar="DIR", help="Where answers are kept."),
            click.option("--no-cache", is_flag=True, help="Neither read nor store answers."),
            click.option("--refresh", is_flag=True, default=None, help="Ask anew, and store in place of old answers."),
            click.option(
                "--similar", type=click.Choice(["off", "verified"]), help="Replay rewrites of near passages (verified)."
            ),
        ]
    ):
        command = option(command)
    return command


def rewriter_from(options: dict[str, Any]) -> Rewriter:
    """A Rewriter for the options of `model_options`."""
    from rewriter.api import Rewriter
    from rewriter.settings import load_settings

    use_cache = False if options.pop("no_cache", False) else None
    return Rewriter(load_settings({**options, "use_cache": use_cache}))


@contextmanager
def printing() -> Iterator[None]:
    """For what is printed after the work is done: a reader that has gone (`| head`) or a full disk does not undo it."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python fails when it flushes at its end
        if not isinstance(error, BrokenPipeError):
            click.echo(f"rewriter: what was done cannot be printed: {error.strerror}.", err=True)


def say(value: Any) -> None:
    """Print JSON on one line to standard output."""
    text = json.dumps(value, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace").decode())  # a file's name that is no UTF-8, as JSON escapes it
