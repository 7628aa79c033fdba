"""`rewriter cache ...`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rewriter.commands.base import Group, say

if TYPE_CHECKING:
    from rewriter.cache import PassageCache

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", re.IGNORECASE)


@click.group(cls=Group)
def cache() -> None:
    """The stored answers: what is there, is it sound, move it, remove it."""


def cache_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which cache folder."""
    return click.option("--cache", "folder", metavar="DIR", help="The cache folder, if not the user's own.")(command)


@contextmanager
def existing(folder: str | None, *, make: bool = False) -> Iterator[PassageCache]:
    """The cache that is meant, which must be there already unless `make`; what it has to say comes last."""
    from rewriter.cache import open_cache

    with open_cache(folder, make=make) as store:
        try:
            yield store
        finally:
            for notice in store.notices:
                click.echo(notice, err=True)


def size(said: str) -> int:
    """Bytes, with or without a unit of thousands: 500000000, 500MB, 1.5 GB."""
    found = _SIZE.fullmatch(said)
    if found is None:
        raise click.BadParameter(f"{said!r} is no size; say for example 500MB or 2GB.")
    return round(float(found[1]) * _UNITS[found[2].upper()])


class Named(NamedTuple):
    """A model known by its name only, for its price."""

    model: str
    embedded: bool = False


@cache.command(epilog="Example:\nrewriter cache stats --json\nrewriter cache stats --text")
@cache_option
@click.option("--json/--text", "as_json", default=True, help="JSON (the default), or lines for a person.")
def stats(folder: str | None, as_json: bool) -> int:
    """What is there (entries, bytes, models, styles) and what it saved: hits, tokens and money of all runs."""
    from rewriter.money import cost

    with existing(folder) as store:
        held = store.stats(lambda model, usage: cost(usage, Named(model)))
        found = {"path": str(store.path), **held.model_dump(mode="json")}
    say(found) if as_json else print_stats(found)
    return 0


def print_stats(found: dict[str, Any]) -> None:
    """Statistics for a person."""
    click.echo(
        f"{found['path']}: {found['entries']} entries ({found['pinned']} pinned), {found['passages']} passages, "
        f"{found['bytes']} bytes"
    )
    if found["by_meaning"] is not None:
        click.echo(f"{found['by_meaning']} passages in the index of meanings")
    for what in ("models", "styles"):
        listed = ", ".join(f"{name or '(none)'} {count}" for name, count in found[what].items())
        click.echo(f"{what}: {listed or 'none'}")
    if found["oldest"]:
        click.echo(f"stored from {found['oldest']} to {found['newest']}")
    for row in found["saved"]:
        name = ", ".join(x for x in (row["tier"], row["model"], row["style"]) if x)
        click.echo(f"{row['hits']} hits ({name}): {row['input']} tokens in, {row['output']} out not paid for again")
    for model, dollars in found["saved_dollars"].items():
        click.echo(f"saved with {model}: ${dollars:.4f}")
    click.echo(f"{found['misses_ever']} misses in all runs")


@cache.command(epilog="Example:\nrewriter cache path")
@cache_option
def path(folder: str | None) -> int:
    """Where the answers are kept."""
    from rewriter.cache import default_folder

    click.echo(str(Path(folder).expanduser().absolute() if folder else default_folder()))
    return 0


@cache.command(epilog="Example:\nrewriter cache find Milvus")
@click.argument("text", metavar="TEXT")
@cache_option
def find(text: str, folder: str | None) -> int:
    """Answers that contain TEXT: key, model, style, when, answer; one JSON object a line."""
    with existing(folder) as store:
        for entry in store.entries():
            if text in entry.answer.text:
                say(entry.model_dump(mode="json"))
    return 0


@cache.command(epilog="Example:\nrewriter cache correct KEY right.txt")
@click.argument("key", metavar="KEY")
@click.argument("file", metavar="FILE", type=click.File("r", encoding="utf-8"))
@cache_option
def correct(key: str, file: Any, folder: str | None) -> int:
    """Put the text of FILE in place of the answer stored under KEY (see `rewriter cache find`)."""
    with existing(folder) as store:
        done = store.correct(key, file.read())
    click.echo("corrected" if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache pin KEY\nrewriter cache pin KEY --off")
@click.argument("key", metavar="KEY")
@click.option("--off", is_flag=True, help="Release it.")
@cache_option
def pin(key: str, off: bool, folder: str | None) -> int:
    """Keep an entry from every prune, clear and age limit."""
    with existing(folder) as store:
        done = store.pin(key, not off)
    click.echo(("released" if off else "pinned") if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache remove KEY")
@click.argument("key", metavar="KEY")
@cache_option
def remove(key: str, folder: str | None) -> int:
    """Remove one entry; the next run asks for it anew."""
    with existing(folder) as store:
        done = store.delete(key)
    click.echo("removed" if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache verify")
@cache_option
def verify(folder: str | None) -> int:
    """Read every entry; set damaged ones aside. Exit code 1 where any was damaged."""
    with existing(folder) as store:
        report = store.verify()
        say(report.model_dump(mode="json"))
        return 1 if report.damaged or report.damaged_passages else 0


@cache.command(epilog="Example:\nrewriter cache prune --max-bytes 1GB")
@cache_option
@click.option("--max-bytes", type=size, metavar="SIZE", help="Remove the oldest above this size: 500MB, 2GB.")
@click.option("--older-than", type=float, metavar="DAYS", help="Remove what is older than this.")
def prune(folder: str | None, max_bytes: int | None, older_than: float | None) -> int:
    """Remove entries and passages by size or age, the oldest first; pinned ones stay."""
    if max_bytes is None and older_than is None:
        raise click.UsageError("say --max-bytes or --older-than")
    with existing(folder) as store:
        click.echo(f"{store.prune(max_bytes=max_bytes, older_than=older_than)} entries and passages removed")
    return 0


@cache.command(epilog="Example:\nrewriter cache clear --yes")
@cache_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--pinned", is_flag=True, help="Remove pinned answers too.")
def clear(folder: str | None, yes: bool, pinned: bool) -> int:
    """Remove every stored answer that is not pinned."""
    with existing(folder) as store:
        if yes or click.confirm(f"Remove all {len(store)} answers in {store.path}?"):
            click.echo(f"{store.clear(pinned=pinned)} entries removed")
    return 0


@cache.command(name="export", epilog="Example:\nrewriter cache export answers.jsonl")
@click.argument("file", metavar="FILE")
@cache_option
def export_(file: str, folder: str | None) -> int:
    """Write every answer to a JSONL file."""
    with existing(folder) as store:
        click.echo(f"{store.export(Path(file))} entries written to {file}")
    return 0


@cache.command(name="import", epilog="Example:\nrewriter cache import answers.jsonl")
@click.argument("file", metavar="FILE")
@cache_option
def import_(file: str, folder: str | None) -> int:
    """Add the answers of an exported file; entries that are there already stay. Rewrites of passages are judged."""
    from rewriter.checks import check

    with existing(folder, make=True) as store:
        added = store.import_(Path(file), lambda source, rewrite: check(source, rewrite).accepted)
        click.echo(f"{added} entries added")
    return 0
