"""The command line's entry: finds the command, turns errors into one sentence and an exit code.

A command's module is imported when it is called or its help is shown; see `rewriter.commands`.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence

import click

from rewriter.commands.base import Group
from rewriter.errors import RewriterError

EXIT_INTERRUPTED = 130

# Each command and the module of `rewriter.commands` that holds it, in the order of the help text.
COMMANDS = {
    "rewrite": "rewriting",
    "estimate": "rewriting",
    "split": "rewriting",
    "status": "following",
    "report": "report",
    "review": "review",
    "check": "checking",
    "glossary": "glossary",
    "cache": "cache",
    "local": "local",
}


class Commands(Group):
    """The commands, loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(importlib.import_module(f"rewriter.commands.{COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(found, click.Command)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="transcript-rewriter", prog_name="rewriter")
def cli() -> None:
    """Turn automatic transcripts into text people want to read, without losing anything that was said."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; a user's mistake is one sentence on standard error."""
    # Python looks for unreachable circles of objects after every 700 new ones, a tenth of a run's time in all; there
    # are few, and in a process of our own they may wait.
    gc.set_threshold(50_000, 20, 50)
    try:
        code = cli.main(args=arguments, prog_name="rewriter", standalone_mode=False)
    except click.exceptions.Abort:
        code = _interrupted()
    except click.ClickException as error:
        error.show()
        code = 2
    except RewriterError as error:
        from rewriter.report.visible import visible

        click.echo(f"rewriter: {visible(str(error))}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = _interrupted()
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.filename is not None:
            raise
        click.echo(f"rewriter: the output cannot be written: {error.strerror}.", err=True)
        code = 1
    sys.exit(code or 0)


def _interrupted() -> int:
    click.echo("\nrewriter: interrupted; the same command continues from here.", err=True)
    return EXIT_INTERRUPTED


if __name__ == "__main__":
    main()
