"""`rewriter rewrite`, `estimate` and `split`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rewriter.commands.base import Command, model_options, printing, rewriter_from, say

# Lines of one kind that a summary shows; a folder of ten thousand files has its own in summary.json.
SHOWN = 8

# Flags of one engine.
ONLY_WITH = {"repair": "provider-batch", "poll": "provider-batch", "address": "ray", "workers": "ray"}


@click.command(
    cls=Command,
    epilog="Example:\nrewriter rewrite talk.txt -o out/ --glossary terms.yaml\n"
    "rewriter rewrite lectures/ -o out/ --style correct --model gpt-4.1-mini --max-cost 5 --report",
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", "-o", required=True, metavar="DIR", help="Folder for the rewritten files and the journal.")
@model_options
@click.option("--concurrency", type=int, metavar="N", help="Model calls at once, at most.")
@click.option("--rpm", type=int, metavar="N", help="Requests a minute, at most.")
@click.option("--tpm", type=int, metavar="N", help="Tokens a minute, at most.")
@click.option("--max-cost", type=float, metavar="USD", help="Stop before more is spent; exit code 5, resumable.")
@click.option("--max-tokens", type=int, metavar="N", help="Stop before more tokens are used, in and out together.")
@click.option("--engine", type=click.Choice(["local", "provider-batch", "ray"]), help="Where passages are rewritten.")
@click.option(
    "--repair", type=click.Choice(["batch", "live"]), help="With provider-batch: how rejected passages are asked again."
)
@click.option("--poll", type=float, metavar="SECONDS", help="With provider-batch: how often to look (30).")
@click.option("--address", metavar="ADDRESS", help="With --engine ray: the cluster; auto for the one that runs here.")
@click.option("--workers", type=int, metavar="N", help="With --engine ray: so many; one for each CPU if not given.")
@click.option(
    "--processes", type=int, metavar="N", help="Judge drafts in so many processes beside this one, at most; 0 for none."
)
@click.option("--to", metavar="FORMAT", help="Write another format: txt, md, srt, vtt, ass, json.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; call no model, write nothing.")
@click.option("--report", is_flag=True, help="Write report.html too: what became of every passage, side by side.")
@click.option("--log-file", metavar="FILE", help="Append what happens, one JSON object a line; -: to standard error.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, only what you must know.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def rewrite(
    inputs: tuple[str, ...],
    out: str,
    to: str | None,
    dry_run: bool,
    report: bool,
    log_file: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Rewrite transcripts: files, folders, globs, or - for standard input.

    The same command again continues where a run was stopped and pays for nothing twice.

    Exit codes: 0 all passages rewritten, 1 failed, 2 wrong usage, 3 some passages kept as they were, 5 stopped by the
    budget, 130 interrupted.
    """
    import asyncio

    from rewriter import traces
    from rewriter.engines import open_engine
    from rewriter.estimate import estimate as plan
    from rewriter.formats import discover
    from rewriter.logs import log_to
    from rewriter.processes import usual
    from rewriter.progress import counted, progress
    from rewriter.run import Run, stop_on_signals

    if not out:  # a shell's variable that is not set; it would be the current folder
        raise click.UsageError("-o has an empty name; . is the current folder")
    rewriter = rewriter_from(options)
    refuse_idle(options, rewriter.settings.engine)
    sources = discover(inputs, rewriter.tell)
    if dry_run:
        return print_estimate(plan(rewriter, counted(sources)), as_json)
    choice = rewriter.choice
    if rewriter.settings.processes is None:
        rewriter.processes.most = usual()

    async def go() -> tuple[int, Run]:
        async with rewriter:
            rounds = await open_engine(rewriter)
            with progress(choice, quiet=quiet or as_json) as shown:
                run = Run(rewriter, sources, Path(out), shown, to=to, rounds=rounds)
                with stop_on_signals(run):
                    return await run.execute(), run

    with log_to(log_file) as troubles, traces.recording(rewriter.tell), traces.span("rewrite") as span:
        code, run = asyncio.run(go())
        span.ended(run.last_summary)
    summary = run.last_summary
    for trouble in troubles:
        click.echo(trouble, err=True)
    with printing():
        say(summary) if as_json else print_summary(summary, out)
        if report:
            print_report(out, as_json)
    print_the_rest(summary, rewriter.notices)
    return code


def print_the_rest(summary: dict[str, Any], notices: Sequence[str]) -> None:
    """What came when all was closed, and why the run stopped."""
    for text in notices:
        if text not in summary["notices"]:
            click.echo(text, err=True)
    if summary["stopped"]:
        click.echo(f"rewriter: {summary['stopped']}", err=True)


def refuse_idle(options: dict[str, Any], engine: str) -> None:
    """Refuse flags that do nothing with this engine: who gives one means another."""
    from rewriter.errors import UsageError

    for name, wanted in ONLY_WITH.items():
        if options[name] is not None and engine != wanted:
            raise UsageError(
                f"--{name} is for --engine {wanted}, and this run has --engine {engine}.",
                remedy="Give that engine too, or leave the option out.",
            )


def print_report(out: str, as_json: bool) -> None:
    """Write the page; what hinders that does not undo the run."""
    from rewriter.errors import InputError, OutputError
    from rewriter.report.page import write_report

    try:
        click.echo(str(write_report(Path(out))), err=as_json)
    except (InputError, OutputError) as error:
        click.echo(f"No report was written: {error}", err=True)


def print_summary(summary: dict[str, Any], out: str) -> None:
    """What happened, in a few lines."""
    from rewriter.report.visible import on_one_line, visible

    counts = ", ".join(f"{n} {status}" for status, n in summary["passages"].items() if n)
    usage = summary["usage"]
    price = "" if summary["cost"] is None else f", ${summary['cost']:.4f}"
    failed = "".join(f", {summary[kind]} {kind}" for kind in ("failed", "unfinished") if summary[kind])
    click.echo(f"{summary['files']} file(s){failed}, passages: {counts or 'none'}")
    click.echo(
        f"model calls now: {summary['calls_now']}; tokens in all: {usage['input']} in, {usage['output']} out{price}"
    )
    notes = [
        f"{on_one_line(report['file'])}: {visible(note)}"
        for report in summary["reports"]
        for note in [*report.get("loops", []), *report.get("notes", [])]
    ]
    print_some(notes, "more such notes", out)
    for text in summary["notices"]:
        click.echo(text, err=True)
    if summary["terms"]:
        click.echo(f"terms: {term_counts(summary['terms'])}")
    if len(summary["reports"]) > SHOWN:  # of a few files it still stands above
        failures = [on_one_line(report["failed"]) for report in summary["reports"] if "failed" in report]
        print_some(failures, "more that failed", out)
    if kept := summary["passages"]["kept"]:
        click.echo(f"{kept} passage(s) kept as they were said; `rewriter report {out}` shows why.")
    print_some(
        [on_one_line(str(Path(out) / r["output"])) for r in summary["reports"] if "output" in r], "more files", out
    )


def print_some(lines: Sequence[str], rest: str, out: str) -> None:
    """Lines, as many as a person reads; the rest is in the summary."""
    for line in lines[:SHOWN]:
        click.echo(line)
    if len(lines) > SHOWN:
        click.echo(f"... and {len(lines) - SHOWN} {rest}: {Path(out) / 'summary.json'}")


def term_counts(terms: dict[str, dict[str, int]]) -> str:
    """Places where terms were applied, missed and invented; the last two by name, for they want a look."""
    parts = [f"{sum(c['applied'] for c in terms.values())} applied"]
    for kind in ("missed", "invented"):
        named = ", ".join(f"{name} ({c[kind]})" for name, c in terms.items() if c[kind])
        parts += [f"{kind}: {named}"] if named else []
    return "; ".join(parts)


@click.command(cls=Command, epilog="Example:\nrewriter estimate talk.txt --model gpt-4.1-mini --json")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_options
@click.option("--engine", type=click.Choice(["local", "provider-batch", "ray"]), help="As in rewrite")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def estimate(inputs: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Passages, tokens and cost of rewriting, from the real input, with the cache taken into account."""
    from rewriter.estimate import estimate as plan
    from rewriter.formats import discover
    from rewriter.progress import counted

    rewriter = rewriter_from(options)
    return print_estimate(plan(rewriter, counted(discover(inputs, rewriter.tell))), as_json)


def print_estimate(plan: dict[str, Any], as_json: bool) -> int:
    """An estimate for a person or a machine; the exit code, 1 where a file cannot be read."""
    from rewriter.report.visible import on_one_line

    code = 1 if plan["failed"] else 0
    if as_json:
        say(plan)
        return code
    for why in [*plan["notices"], *plan["failed"]]:
        click.echo(f"rewriter: {on_one_line(why)}", err=True)
    click.echo(
        f"{plan['files']} file(s), {plan['characters']} characters, {plan['passages']} passages, "
        f"{plan['cached']} of them in the cache, {plan['replayed']} to be replayed"
    )
    click.echo(
        f"tokens: {plan['input']} in ({plan['input_least']} to {plan['input_most']}), "
        f"{plan['output']} out ({plan['output_least']} to {plan['output_most']})"
    )
    if not plan["history"]:
        click.echo("No run with this model and style is on record yet: repairs are not foreseen.")
    if plan["cost"] is None:
        click.echo(f"cost: unknown, no price for {plan['model']}; add one under [prices] in rewriter.toml")
    else:
        priced = f"{plan['model']}, in batches" if plan["batch"] else plan["model"]
        click.echo(f"cost: ${plan['cost']:.4f} (${plan['cost_least']:.4f} to ${plan['cost_most']:.4f}, {priced})")
    return code


@click.command(cls=Command, epilog="Example:\nrewriter split talk.txt --json")
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
