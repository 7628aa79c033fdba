"""The main job with the embedded model, as a user's own command: nothing lost, resumable, timed files intact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rewriter import formats
from talks import talk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("model_file")]


def rewrite(source: Path, out: Path, cache: Path, *options: str) -> dict[str, object]:
    """One run in a process of its own, with the embedded model because no endpoint is configured."""
    command = ["rewrite", str(source), "-o", str(out), "--cache", str(cache), "--json", *options]
    done = subprocess.run([sys.executable, "-m", "rewriter.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr
    summary: dict[str, object] = json.loads(done.stdout)
    assert str(summary["settings"]["endpoint"]).startswith("embedded:")  # type: ignore[index]
    return summary


def test_a_talk(tmp_path: Path) -> None:
    source = tmp_path / "talk.txt"
    source.write_text(talk(6), encoding="utf-8")
    first = rewrite(source, tmp_path / "out", tmp_path / "cache")
    text = (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8")
    words = ["1003", "木箱", "码头", "没有", "卖掉", "20"]
    assert all(word in text for word in words) and "嗯" not in text
    assert sum(first["characters"].values()) == len(talk(6))  # type: ignore[attr-defined]
    assert first["calls_now"] > 0  # type: ignore[operator]
    again = rewrite(source, tmp_path / "out", tmp_path / "cache")
    assert again["calls_now"] == 0
    assert (tmp_path / "out" / "talk.txt").read_text(encoding="utf-8") == text
    elsewhere = rewrite(source, tmp_path / "elsewhere", tmp_path / "cache")
    assert elsewhere["calls_now"] == 0
    assert (tmp_path / "elsewhere" / "talk.txt").read_text(encoding="utf-8") == text


def test_subtitles(tmp_path: Path) -> None:
    lines = ["嗯今天我们先讲缓存，", "然后呢再讲一讲索引。", "我们我们最后留十分钟提问。"]
    cues = [f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{line}\n" for n, line in enumerate(lines, 1)]
    source = tmp_path / "talk.srt"
    source.write_text("\n".join(cues), encoding="utf-8")
    rewrite(source, tmp_path / "out", tmp_path / "cache", "--style", "correct")
    before, after = formats.read(source), formats.read(tmp_path / "out" / "talk.srt")
    assert formats.cue_times(before) == formats.cue_times(after)
    assert all(word in after.text for word in ("缓存", "索引", "十分钟"))
