"""Suggestions from files, and where they go: what `rewriter glossary suggest` and `learn` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rewriter import formats
from rewriter.atomic import write_whole
from rewriter.errors import InputError, OutputError
from rewriter.formats.encoding import decode
from rewriter.formats.sources import STDIN, read_file, read_stdin
from rewriter.glossary.glossary import Glossary
from rewriter.glossary.learning import learn
from rewriter.glossary.mining import MOST_ONCE, Document, Suggestion, suggest
from rewriter.glossary.writing import to_yaml
from rewriter.records import Transcript


def documents_of(inputs: Sequence[str], tell: Callable[[str], None]) -> tuple[list[Document], list[InputError]]:
    """The texts of transcripts (files, folders, globs), and what is wrong with those that cannot be read.

    `tell` hears of folders that cannot be. Raises InputError where nothing can.
    """
    found: list[Document] = []
    failed: list[InputError] = []
    for source in formats.discover(inputs, tell):
        try:
            found.append(_document(formats.read_bytes(source.read(), name=source.name)))
        except InputError as error:
            failed.append(error)
    if not found:
        raise failed[0]
    return found, failed


def _document(transcript: Transcript) -> Document:
    times = tuple((cue.start, cue.begin) for cue in transcript.segments if cue.begin is not None)
    return Document(transcript.name, transcript.text, times)


def suggest_from(
    transcripts: Sequence[Document], *, context: Sequence[str] = (), glossary: Sequence[str] = (), most: int = MOST_ONCE
) -> list[Suggestion]:
    """What `mining.suggest` finds in transcripts and context documents (any text files).

    Raises InputError and GlossaryError.
    """
    documents = [Document(name, decode(_bytes(name), name=name).text) for name in context]
    return suggest(transcripts, context=documents, known=Glossary.load(glossary), most=most)


def _bytes(name: str) -> bytes:
    return read_stdin() if name == STDIN else read_file(Path(name))


def learn_from_files(source: str, corrected: str, *, glossary: Sequence[str] = ()) -> list[Suggestion]:
    """What `learning.learn` finds between two transcripts, one of which may be standard input.

    Raises InputError, UsageError and GlossaryError.
    """
    before, after = formats.read_two(source, corrected)
    return learn(_document(before), _document(after), known=Glossary.load(glossary))


def refuse_out(path: str) -> None:
    """Raises OutputError where the name is not one of YAML, and where a file is there already: it may hold a review.

    Also where no file of that name can be.
    """
    if Path(path).suffix.lower() not in {".yaml", ".yml"}:
        raise OutputError(
            "suggestions are YAML, and another ending would have them read as something else.",
            where=path,
            remedy="End the name in .yaml.",
        )
    try:
        there = Path(path).exists()
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}.", where=path, remedy="Name another file.") from None
    if there:
        raise OutputError(
            "is there already, and may hold your review.", where=path, remedy="Name another file, or remove this one."
        )


def write_new(path: str, suggestions: Sequence[Suggestion]) -> None:
    """Write suggestions as a glossary file. Raises what `refuse_out` raises, for the file may have come since."""
    refuse_out(path)
    write_whole(Path(path), to_yaml(suggestions).encode())
