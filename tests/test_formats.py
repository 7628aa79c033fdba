"""Files in and out: what is not rewritten comes back as it was, and bad input is told from good."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import EncodingError, FormatError, InputError, UsageError
from rewriter.formats import discover, format_of, read, read_bytes, render, suffixes, write
from rewriter.formats.sources import Source
from rewriter.records import Piece, Transcript

FOLDER = Path(__file__).parent / "cases/formats"
REWRITES = json.loads((FOLDER / "rewrites.json").read_text(encoding="utf-8"))
MARKDOWN = json.loads((FOLDER / "markdown.json").read_text(encoding="utf-8"))
ERRORS = json.loads((FOLDER / "errors.json").read_text(encoding="utf-8"))

SIMPLE = "大家好，今天我们来讲一下数据库的事情。"
SHORT = "我们开始吧。"
TRADITIONAL = "大家好，今天我們來講一下資料庫的事情。"
SHORT_TRADITIONAL = "我們開始吧。"
SRT = "1\n00:00:01,000 --> 00:00:02,500\nhello\n\n2\n00:00:03,000 --> 00:00:04,000\nyou & I\n"


def whole(transcript: Transcript, new: str) -> list[Piece]:
    return [Piece(start=0, end=len(transcript.text), text=new)]


def texts(transcript: Transcript) -> list[str]:
    return [transcript.text[s.start : s.end] for s in transcript.segments]


# --- identity and rewriting ---


@pytest.mark.parametrize("case", REWRITES, ids=lambda c: c["why"])
def test_only_the_words_change(case: dict[str, Any]) -> None:
    data = case["text"].encode()
    transcript = read_bytes(data, name=case["name"])
    assert write(transcript, []) == data
    assert write(transcript, whole(transcript, transcript.text)) == data
    if not case["name"].endswith(".txt"):
        assert write(transcript, whole(transcript, case["new"])).decode() == case["out"]
    else:
        first = transcript.segments[0]
        assert write(transcript, [Piece(start=first.start, end=first.end, text=case["new"])]).decode() == case["out"]


@pytest.mark.parametrize("case", REWRITES, ids=lambda c: c["why"])
def test_cues_times_and_speakers_stay(case: dict[str, Any]) -> None:
    before = read_bytes(case["text"].encode(), name=case["name"])
    if not before.timed:
        return
    pieces = [Piece(start=s.start, end=s.end, text=f"x{i}") for i, s in enumerate(before.segments)]
    after = read_bytes(write(before, pieces), name=case["name"])
    assert [(s.begin, s.finish, s.speaker) for s in after.segments] == [
        (s.begin, s.finish, s.speaker) for s in before.segments
    ]
    assert [t.replace("\n", "") for t in texts(after)] == [f"x{i}" for i in range(len(pieces))]


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80),
    suffix=st.sampled_from(["txt", "md"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    data=st.data(),
)
def test_text_outside_the_pieces_comes_back(text: str, suffix: str, codec: str, data: st.DataObject) -> None:
    raw = text.encode(codec)
    try:
        transcript = read_bytes(raw, name=f"a.{suffix}")
    except InputError:
        assert not text.removeprefix("\ufeff").strip()
        return
    assert write(transcript, []) == raw
    for segment in transcript.segments:
        assert transcript.text[segment.start : segment.end].strip()
    if transcript.segments:
        chosen = data.draw(st.sampled_from(transcript.segments))
        out = write(transcript, [Piece(start=chosen.start, end=chosen.end, text="new")])
        again = read_bytes(out, name="a.txt").text
        assert again == transcript.text[: chosen.start] + "new" + transcript.text[chosen.end :]
        assert again.encode(codec)[:2] == raw[:2] or chosen.start < 2


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text(alphabet="ab我们<>&{}/ \\", min_size=1, max_size=12), min_size=1, max_size=4),
    suffix=st.sampled_from(["srt", "vtt", "ass"]),
)
def test_any_new_words_keep_the_cue_count(words: list[str], suffix: str) -> None:
    data = write(read_bytes(SRT.encode(), name="a.srt"), [], to=suffix)
    before = read_bytes(data, name=f"a.{suffix}")
    out = write(before, whole(before, "\n\n".join(words)))
    after = read_bytes(out, name=f"a.{suffix}").payload.body.cues
    assert [(c.begin, c.finish) for c in after] == [(c.begin, c.finish) for c in before.payload.body.cues]


@pytest.mark.parametrize("case", MARKDOWN, ids=lambda c: c["why"])
def test_markdown(case: dict[str, Any]) -> None:
    transcript = read_bytes(case["text"].encode(), name="a.md")
    assert texts(transcript) == case["segments"]
    assert write(transcript, []) == case["text"].encode()


def test_a_piece_within_a_cue_leaves_the_rest_of_it() -> None:
    transcript = read_bytes(SRT.encode(), name="a.srt")
    at = transcript.text.index("&")
    out = write(transcript, [Piece(start=at, end=at + 1, text="and")]).decode()
    assert out == SRT.replace("&", "and")


def test_the_speakers_of_a_file_are_known() -> None:
    vtt = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<v.loud Ann Lee>hi</v>\n\n00:02.000 --> 00:03.000\n<v A>x</v> <v B>y</v>\n"
    )
    assert [s.speaker for s in read_bytes(vtt.encode(), name="a.vtt").segments] == ["Ann Lee", None]
    data = json.dumps([{"start": 0, "end": 1, "text": "hi", "speaker": "S1"}, {"text": "you", "spk": 0}]).encode()
    assert [s.speaker for s in read_bytes(data, name="a.json").segments] == ["S1", "0"]


def test_a_vtt_without_header_is_read_and_stays_without() -> None:
    data = b"00:01.000 --> 00:02.000\num hi\n"
    transcript = read_bytes(data, name="a.vtt")
    assert "WEBVTT" in transcript.notes[0]
    assert write(transcript, whole(transcript, "Hi.")) == b"00:01.000 --> 00:02.000\nHi.\n"


def test_notes_of_an_srt_editor_are_not_words() -> None:
    text = "# made by hand\n\n" + SRT.replace("\n\n", "\n\n# part two\n\n")
    assert texts(read_bytes(text.encode(), name="a.srt")) == ["hello", "you & I"]


def test_texts_with_times_beside_them() -> None:
    data = json.dumps({"text": ["um hi", "you"], "spans": [[0, 4], [4, 7]]}).encode()
    transcript = read_bytes(data, name="a.json")
    assert [(s.begin, s.finish) for s in transcript.segments] == [(0, 4), (4, 7)]
    out = json.loads(write(transcript, whole(transcript, "Hi you.")))
    assert out == {"text": ["Hi", "you."], "spans": [[0, 4], [4, 7]]}


def test_braces_in_new_words_are_words() -> None:
    data = write(read_bytes(SRT.encode(), name="a.srt"), [], to="ass")
    transcript = read_bytes(data, name="a.ass")
    again = read_bytes(write(transcript, whole(transcript, "hello you {&} I")), name="a.ass")
    assert again.text.split() == ["hello", "you", "{&}", "I"]


def test_half_a_character_in_json_is_refused() -> None:
    with pytest.raises(FormatError, match="half a character"):
        read_bytes(b'[{"start": 0, "end": 1, "text": "a\\ud83d"}]', name="a.json")


def test_words_left_out_are_told() -> None:
    data = json.dumps(
        {"segments": [{"start": 0, "end": 1, "text": "um hi", "words": []}], "word_segments": []}
    ).encode()
    written = render(t := read_bytes(data, name="a.json"), whole(t, "Hi."))
    assert json.loads(written.data) == {"segments": [{"start": 0, "end": 1, "text": "Hi."}]}
    assert len(written.notes) == 2


def test_reading_grows_with_the_length_and_not_with_its_square() -> None:
    def took(cues: int) -> float:
        text = "".join(f"{i}\n00:00:01,000 --> 00:00:02,000\nso this is cue {i}\n\n" for i in range(cues))
        start = perf_counter()
        read_bytes(text.encode(), name="a.srt")
        return perf_counter() - start

    small, large = min(took(400) for _ in range(3)), min(took(3200) for _ in range(3))
    assert large < 24 * small  # 8 times the cues; a square would be 64


# --- encodings ---


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (SIMPLE, "gb18030"),
        (SHORT, "gb18030"),
        (TRADITIONAL, "gb18030"),
        (TRADITIONAL, "big5"),
        (SHORT_TRADITIONAL, "big5"),
        ("嗯 我们用 Milvus 来存向量", "gb18030"),
        (f"the talk is called {SIMPLE}", "gb18030"),
    ],
)
def test_chinese_encodings_are_told_apart(text: str, codec: str) -> None:
    data = text.encode(codec)
    transcript = read_bytes(data, name="a.txt")
    assert transcript.text == text
    assert "UTF-8" in transcript.notes[0]
    assert write(transcript, []) == data
    assert write(transcript, whole(transcript, "好的")) == "好的".encode(codec)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_the_byte_order_mark_stays(codec: str) -> None:
    transcript = read_bytes(SIMPLE.encode(codec), name="a.txt")
    assert transcript.text == SIMPLE
    assert write(transcript, whole(transcript, "好")) == "好".encode(codec)


def test_what_an_encoding_cannot_hold_is_written_as_utf8() -> None:
    transcript = read_bytes(TRADITIONAL.encode("big5"), name="a.txt")
    written = render(transcript, whole(transcript, "简体说话 😀"))
    assert written.data.decode("utf-8") == "简体说话 😀"
    assert "UTF-8" in written.notes[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "offset 8"),
        ("大家好我们开始".encode() + b"\xff" + "然后呢".encode(), "offset 21"),
        (b"\xff\xfea", "offset 2"),
        (b"ok \x81\x01\xff\x02\xfe\x03", "offset 3"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, says: str) -> None:
    with pytest.raises(EncodingError, match=says) as caught:
        read_bytes(data, name="a.txt")
    assert caught.value.remedy


# --- errors ---


@pytest.mark.parametrize("case", ERRORS, ids=lambda c: f"{c['name']}: {c['says']}")
def test_bad_files_say_what_and_where(case: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        read_bytes(case["text"].encode(), name=case["name"])
    assert case["says"] in str(caught.value)
    assert caught.value.remedy


# --- other formats ---


@pytest.mark.parametrize("to", ["srt", "vtt", "ass", "ssa", "json"])
def test_times_survive_a_conversion(to: str) -> None:
    transcript = read_bytes(SRT.encode(), name="a.srt")
    after = read_bytes(write(transcript, whole(transcript, "Hello, you & I."), to=to), name=f"a.{to}")
    assert [(s.begin, s.finish) for s in after.segments] == [(1.0, 2.5), (3.0, 4.0)]
    assert texts(after) == ["Hello,", "you & I."]


def test_a_subtitle_as_text_keeps_the_paragraphs_of_the_rewrite() -> None:
    transcript = read_bytes(SRT.encode(), name="a.srt")
    assert write(transcript, whole(transcript, "Hello.\n\nYou & I."), to="txt") == b"Hello.\n\nYou & I.\n"


def test_text_has_no_times_to_give() -> None:
    with pytest.raises(FormatError, match="no times"):
        write(read_bytes(b"hi", name="a.txt"), [], to="srt")
    with pytest.raises(UsageError, match="unknown format 'pdf'"):
        write(read_bytes(b"hi", name="a.txt"), [], to="pdf")


# --- inputs ---


def plant(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words", encoding="utf-8")


def test_folders_globs_and_stdin(tmp_path: Path) -> None:
    plant(tmp_path, "a.txt", "sub/b.SRT", ".hidden/c.txt", "run.jsonl", "summary.json", "x.pdf")
    assert [s.output.as_posix() for s in discover([str(tmp_path)])] == ["a.txt", "sub/b.SRT"]
    assert [s.output.as_posix() for s in discover([str(tmp_path / "**/*")])] == ["a.txt", "sub/b.SRT"]
    assert [s.output.as_posix() for s in discover([str(tmp_path / "a.txt"), str(tmp_path)])] == ["a.txt", "sub/b.SRT"]
    (source,) = discover(["-"])
    assert (source.path, source.name, source.output.as_posix()) == (None, "-", "stdin.txt")
    assert read_bytes(b"hi", name="-").format == "txt"


def test_standard_input_that_is_closed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match=r"^-: standard input is closed\. Pipe a text into it, or name a file\.$"):
        Source(None, Path("stdin.txt")).read()


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.txt", *(f"closed {n}/b.txt" for n in range(5)), ".closed/c.txt")
    scandir, told = os.scandir, list[str]()

    def closed(path: str) -> Any:  # root, who may run the tests, can read everything
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert [s.output.as_posix() for s in discover([str(tmp_path)], told.append)] == ["a.txt"]
    assert len(told) == 1 and all(f"closed {n}" in told[0] for n in range(3))
    assert told[0].endswith("and 2 more: left out, for the folder cannot be read.")
    with pytest.raises(InputError, match=r"closed 0: the folder cannot be read\. Check its permissions\."):
        discover([str(tmp_path / "closed 0")])


def test_a_file_named_like_a_glob_is_a_file(tmp_path: Path) -> None:
    plant(tmp_path, "talk [1].txt")
    assert [s.output.name for s in discover([str(tmp_path / "talk [1].txt")])] == ["talk [1].txt"]


def test_names_that_clash(tmp_path: Path) -> None:
    plant(tmp_path, "x/talk.txt", "y/talk.txt", "y/x/talk.txt")
    outputs = [s.output.as_posix() for s in discover([str(tmp_path / "x/talk.txt"), str(tmp_path / "y/talk.txt")])]
    assert outputs == ["x/talk.txt", "y/talk.txt"]
    with pytest.raises(UsageError, match="both be written"):
        discover([str(tmp_path / "x/talk.txt"), str(tmp_path / "y/x/talk.txt")])


def test_what_cannot_be_found(tmp_path: Path) -> None:
    plant(tmp_path, "no/x.pdf")
    for name, kind, says in [
        ("gone.txt", InputError, "no such file"),
        ("no", InputError, "no transcripts"),
        ("no/x.pdf", FormatError, "unknown format"),
        ("*.srt", InputError, "nothing matches"),
    ]:
        with pytest.raises(kind, match=says):
            discover([str(tmp_path / name)])
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "gone.txt")


def test_suffixes() -> None:
    assert {".txt", ".md", ".srt", ".vtt", ".ass", ".ssa", ".json"} <= set(suffixes())
    assert format_of(Path("A.VTT")) == "vtt"
