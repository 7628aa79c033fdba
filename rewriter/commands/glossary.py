"""`rewriter glossary ...`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rewriter.commands.base import Group, rewriter_from, say

if TYPE_CHECKING:
    from rewriter.glossary.mining import Document, Suggestion

NOTHING_FOUND = "rewriter: no name is written in several ways, or heard otherwise than your documents have it."
NOTHING_LEARNT = "rewriter: no name was corrected that sounds like what stood there."


@click.group(cls=Group)
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


@glossary.command(
    epilog="Example:\nrewriter glossary match talk.txt --glossary terms.yaml --json\n"
    "echo 我们用graph anna看监控 | rewriter glossary match - --glossary terms.yaml"
)
@click.argument("text", metavar="TEXT")
@click.option("--glossary", "-g", "files", multiple=True, required=True, metavar="FILE", help="Glossary file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def match(text: str, files: tuple[str, ...], as_json: bool) -> int:
    """Where terms, or ways they are misheard, occur in a transcript or standard input (-). Offsets are code points."""
    from rewriter import formats
    from rewriter.glossary import Glossary
    from rewriter.report.visible import on_one_line

    transcript = formats.read_named(text)
    hits = Glossary.load(files).match(transcript.text)
    if as_json:
        say({"hits": [h.model_dump(mode="json") for h in hits]})
        return 0
    for h in hits:
        seen = on_one_line(transcript.text[h.start : h.end])  # it may go on in the next line, or the next cue
        click.echo(f"{h.start:>8} {h.end:>8}  {seen} -> {h.canonical}  ({h.how}, {h.score:.2f})")
    if not hits:
        click.echo("rewriter: no term of the glossary stands here, nor anything that sounds like one.", err=True)
    return 0


@glossary.command(
    epilog="Example:\nrewriter glossary suggest lectures/ --context slides.md --context people.txt -o found.yaml\n"
    "rewriter glossary suggest talk.txt --glossary terms.yaml --ask --model gpt-4.1-mini"
)
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...")
@click.option("--context", "-c", multiple=True, metavar="FILE", help="Slides, lists (- reads one): names spelt right.")
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

    Needs no model. The result is a glossary file with counts and examples, for you to review. The exit code is 1 where
    a file cannot be read; the others are looked at all the same.
    """
    from rewriter.glossary.proposing import documents_of, refuse_out, suggest_from

    if not ask and (model or base_url):
        raise click.UsageError("--model and --base-url are for --ask; give that too, or leave them out")
    if [*inputs, *context].count("-") > 1:
        raise click.UsageError("standard input (-) can be read once only")
    if out is not None:
        refuse_out(out)
    transcripts, failed = documents_of(inputs, say_left_out)
    for error in failed:
        say_left_out(str(error))
    found = suggest_from(transcripts, context=context, glossary=files, most=most)
    print_suggestions(asked(found, transcripts, model, base_url) if ask else found, out, as_json, NOTHING_FOUND)
    return 1 if failed else 0


def asked(
    found: Sequence[Suggestion], transcripts: Sequence[Document], model: str | None, base_url: str | None
) -> list[Suggestion]:
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
                request = Request(model=means.model, messages=messages, parameters=parameters)
                return (await means.ask(request, "ask"))[0].text

            return await named(found, ask, transcripts)

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
    from rewriter.glossary.proposing import learn_from_files, refuse_out

    if out is not None:
        refuse_out(out)
    return print_suggestions(learn_from_files(source, corrected, glossary=files), out, as_json, NOTHING_LEARNT)


def say_left_out(why: str) -> None:
    """What is wrong with files or folders that were left out, on one line."""
    from rewriter.report.visible import on_one_line

    click.echo(f"rewriter: {on_one_line(why)}", err=True)


def print_suggestions(found: Sequence[Suggestion], out: str | None, as_json: bool, nothing: str) -> int:
    """Suggestions as a file, as JSON, or as the file would be; where there are none, that is said beside them."""
    from rewriter.glossary.proposing import write_new
    from rewriter.glossary.writing import to_yaml

    if out is not None:
        write_new(out, found)
        click.echo(f"{len(found)} suggestion(s) in {out}", err=as_json)
    if as_json:
        say({"suggestions": [one.model_dump(mode="json") for one in found]})
    elif out is None:
        click.echo(to_yaml(found), nl=False)
    if not found:
        click.echo(nothing, err=True)
    return 0
