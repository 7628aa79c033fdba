"""Suggestions from files, and where they go: what `rewriter glossary suggest` and `learn` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rewriter import formats
from rewriter.atomic import write_whole
from rewriter.errors import OutputError
from rewriter.formats.encoding import decode
from rewriter.formats.sources import read_file
from rewriter.glossary.glossary import Glossary
from rewriter.glossary.learning import learn
from rewriter.glossary.mining import MOST_ONCE, Document, Suggestion, suggest
from rewriter.glossary.writing import to_yaml


def documents_of(inputs: Sequence[str]) -> list[Document]:
    """The texts of transcripts: files, folders, globs. Raises InputError."""
    return [
        Document(source.name, formats.read_bytes(source.read(), name=source.name).text)
        for source in formats.discover(inputs)
    ]


def suggest_from(
    transcripts: Sequence[Document], *, context: Sequence[str] = (), glossary: Sequence[str] = (), most: int = MOST_ONCE
) -> list[Suggestion]:
    """What `mining.suggest` finds in transcripts and context documents (any text files).

    Raises InputError and GlossaryError.
    """
    documents = [Document(name, decode(read_file(Path(name)), name=name).text) for name in context]
    return suggest(transcripts, context=documents, known=Glossary.load(glossary), most=most)


def learn_from_files(source: str, corrected: str, *, glossary: Sequence[str] = ()) -> list[Suggestion]:
    """What `learning.learn` finds between two transcripts. Raises InputError and GlossaryError."""
    before, after = (
        Document(name, formats.read_bytes(formats.given(name).read(), name=name).text) for name in (source, corrected)
    )
    return learn(before, after, known=Glossary.load(glossary))


def write_new(path: str, suggestions: Sequence[Suggestion]) -> None:
    """Write suggestions as a glossary file.

    Raises OutputError where the name is not one of YAML, and where a file is there already: it may hold a review.
    """
    if Path(path).suffix.lower() not in {".yaml", ".yml"}:
        raise OutputError(
            "suggestions are YAML, and another ending would have them read as something else.",
            where=path,
            remedy="End the name in .yaml.",
        )
    if Path(path).exists():
        raise OutputError(
            "is there already, and may hold your review.", where=path, remedy="Name another file, or remove this one."
        )
    write_whole(Path(path), to_yaml(suggestions).encode())
