"""Beside two other tools that send subtitles to a model: how long, how many calls, how many tokens for each character?

    python benchmarks/rivals_runs.py [--cues 600] [--latency 0.5] [--videocaptioner COMMAND] [--pysubtrans PYTHON]

COMMAND is `videocaptioner` (PyPI `videocaptioner` with `openai<3`), PYTHON a Python with PyPI `pysubtrans`, each in an
environment of its own. All three get the same subtitle file and the same server, which answers after so many seconds in
the form that is asked for, so that nobody has to ask twice. Each runs as it is set up by itself. Tokens are counted by
the server, with the tokenizer of gpt-4.1; characters are those of the subtitles' text. What is not given is left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from faulty_server import FaultyServer, Messages, light_edit, passage_between_markers  # noqa: E402
from rewriter.tokens import counter_for  # noqa: E402
from talks import sentence  # noqa: E402

CUE_SECONDS = 4
PYSUBTRANS = """
import sys
from PySubtrans import SaveSettings, init_options, init_subtitles, init_translator
url, source, target = sys.argv[1:]
options = init_options(provider="Custom Server", server_address=url, endpoint="/v1/chat/completions", model="m",
    api_key="k", supports_conversation=True, prompt="Correct these Chinese subtitles; do not translate them")
subtitles = init_subtitles(filepath=source, options=options)
init_translator(options).TranslateSubtitles(subtitles)
subtitles.SaveTranslation(target, save_settings=SaveSettings(options))
"""
_NUMBERED = re.compile(r"^#(\d+)\n(?:Speaker>.*\n)?Original>\n(.*?)\nTranslation>", re.MULTILINE | re.DOTALL)


def subtitles(cues: int) -> tuple[str, int]:
    """A subtitle file of so many cues, two for each sentence, and the characters of their text."""
    texts = [part for n in range(-(-cues // 2)) for part in re.split(r"(?<=的，)", sentence(n), maxsplit=1)][:cues]
    blocks = [
        f"{n + 1}\n{_time(n * CUE_SECONDS)} --> {_time((n + 1) * CUE_SECONDS)}\n{text}\n"
        for n, text in enumerate(texts)
    ]
    return "\n".join(blocks), sum(map(len, texts))


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},000"


def answer(messages: Messages) -> str:
    """The passage, lightly edited, in the form that its request shows."""
    last = str(messages[-1]["content"])
    if found := re.search(r"<input_subtitle>(.*?)</input_subtitle>", last, re.DOTALL):
        cues = ast.literal_eval(found[1])
        return json.dumps({number: light_edit(text) for number, text in cues.items()}, ensure_ascii=False)
    if numbered := _NUMBERED.findall(last):
        return "\n\n".join(f"#{n}\nOriginal>\n{text}\nTranslation>\n{light_edit(text)}" for n, text in numbered)
    return light_edit(passage_between_markers(messages))


def measure(name: str, command: list[str], latency: float, characters: int, home: Path) -> None:
    """Run one tool with a home of its own, so that nothing is cached; a line of the table."""
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "OPENAI_API_KEY": "none"}
    with FaultyServer(rewrite=answer, delay=latency, count=counter_for("gpt-4.1").count) as server:
        url = server.base_url
        arguments = [part.replace("URL", url).replace("ROOT", url.removesuffix("/v1")) for part in command]
        began = time.monotonic()
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=home, check=False)
        seconds, account = time.monotonic() - began, server.account
    outcome = "" if done.returncode == 0 else f" (exit {done.returncode}: {done.stderr.strip()[-200:]})"
    print(
        f"| {name}{outcome} | {seconds:.1f} | {account.calls} | {account.input / characters:.2f} | "
        f"{account.output / characters:.2f} | {server.most_at_once} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cues", type=int, default=600)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--videocaptioner")
    parser.add_argument("--pysubtrans")
    options = parser.parse_args()
    text, characters = subtitles(options.cues)
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        source = tmp / "talk.srt"
        source.write_text(text, encoding="utf-8")
        own = ["-o", str(tmp / "out"), "--cache", str(tmp / "cache"), "--base-url", "URL", "--model", "m", "--quiet"]
        tools = {"rewriter": [sys.executable, "-m", "rewriter.cli", "rewrite", str(source), *own]}
        if options.videocaptioner:
            more = ["--api-base", "URL", "--api-key", "k", "--model", "m", "--no-translate", "--no-split"]
            where = ["-o", str(tmp / "videocaptioner.srt")]
            tools["videocaptioner"] = [options.videocaptioner, "subtitle", str(source), *more, *where]
        if options.pysubtrans:
            files = [str(source), str(tmp / "pysubtrans.srt")]
            tools["pysubtrans"] = [options.pysubtrans, "-c", PYSUBTRANS, "ROOT", *files]
        print(f"{options.cues} cues, {characters} characters, {options.latency} s a call")
        print("| tool | seconds | calls | tokens in a character | tokens out a character | most calls at once |")
        print("|---|---|---|---|---|---|")
        for name, command in tools.items():
            measure(name, command, options.latency, characters, tmp / f"home-{name}")


if __name__ == "__main__":
    main()
