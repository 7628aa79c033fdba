"""How a glossary scales: building, matching by letters and by sound, memory, coming back from disk.

    python benchmarks/glossary.py [--text FILE] [--sizes 1000 100000 1000000]

Names are made up: six of ten from Chinese characters, two to five long, the others from syllables of Latin letters; one
in three has an alias. Without --text, the text is made of ordinary words, as frequent as they are. Speeds are by CPU
time of this process, in millions of characters a second, best of three; memory is what the process grew by. Each size
runs in a process of its own. `ready` is the wall time of Glossary.load from the index on disk and a first match by
letters; `sound ready` the same by sound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

SOUND_UP_TO = 100_000
# The first is for the processor and the caches to warm up.
PIECES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--one", choices=["build", "ready", "sound"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    text = options.text.read_text(encoding="utf-8") if options.text else ordinary_text(PIECES * 60_000)
    if options.one:
        print(json.dumps({"build": build, "ready": ready, "sound": sound_ready}[options.one](options.file, text)))
        return
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["REWRITER_CACHE"] = f"{folder}/answers"
            file = Path(folder) / "names.txt"
            file.write_text(names(size), encoding="utf-8")
            shown = child("build", file, options)
            if size <= SOUND_UP_TO:
                shown |= child("ready", file, options) | child("sound", file, options)
            print(f"{size:>9} aliases:", ", ".join(f"{name} {value}" for name, value in shown.items()), flush=True)


def child(step: str, file: Path, options: argparse.Namespace) -> dict[str, str]:
    text = ["--text", str(options.text)] if options.text else []
    command = [sys.executable, __file__, "--one", step, "--file", str(file), *text]
    answer: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def build(file: Path, text: str) -> dict[str, str]:
    from rewriter.glossary.exact import Exact
    from rewriter.glossary.merging import merge
    from rewriter.glossary.reading import read
    from rewriter.glossary.sound import Sound
    from rewriter.glossary.table import Table

    table = Table.of(merge(read(file, []), []))
    before = resident()
    begin = time.process_time()
    exact = Exact.build(table)
    shown = {"built in": f"{time.process_time() - begin:.2f} s", "memory": f"{resident() - before} MB"}
    letters = seconds(exact.places, pieces(text))
    shown["by letters"] = f"{1 / min(letters) / 1e6:.2f} M/s"
    if len(table) <= SOUND_UP_TO:
        before = resident()
        begin = time.process_time()
        sound = Sound.build(table)
        sound.offers("云汐 graf", [])
        shown["sound built in"] = f"{time.process_time() - begin:.2f} s"
        by_letters, by_sound = turns(exact.places, lambda piece: sound.offers(piece, []), pieces(text))
        shown["by sound"] = f"{1 / min(by_sound) / 1e6:.2f} M/s"
        slower = statistics.median(b / a for a, b in zip(by_letters, by_sound, strict=True))
        shown["times"] = f"{slower:.1f}"
        shown["sound memory"] = f"{resident() - before} MB"
    from rewriter.glossary import Glossary

    if len(table) <= SOUND_UP_TO:
        Glossary.load(file)  # leaves the index on disk
    return shown


def ready(file: Path, text: str) -> dict[str, str]:
    from rewriter.glossary import Glossary

    begin = time.perf_counter()
    Glossary.load(file).match(text[:1000], sound=False)
    return {"ready": f"{time.perf_counter() - begin:.3f} s"}


def sound_ready(file: Path, text: str) -> dict[str, str]:
    from rewriter.glossary import Glossary

    begin = time.perf_counter()
    Glossary.load(file).match(text[:1000])
    return {"sound ready": f"{time.perf_counter() - begin:.3f} s"}


def pieces(text: str) -> list[str]:
    size = len(text) // PIECES
    return [text[at * size : (at + 1) * size] for at in range(PIECES)]


def seconds(run: Callable[[str], object], texts: Iterable[str]) -> list[float]:
    """CPU seconds a character for each text but the first."""
    found = []
    for text in texts:
        begin = time.process_time()
        run(text)
        found.append((time.process_time() - begin) / max(1, len(text)))
    return found[1:]


def turns(one: Callable[[str], object], other: Callable[[str], object], texts: list[str]) -> tuple[list[float], ...]:
    """The same for two, in turns; the first reads each text ten times over, for it is too short for its clock."""
    both = [(seconds(one, ["", text * 10]), seconds(other, ["", text])) for text in texts]
    return [a for (a,), _ in both[1:]], [b for _, (b,) in both[1:]]


def resident() -> int:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def words(language: str) -> tuple[list[str], list[float]]:
    data = json.loads(resources.files("rewriter.glossary").joinpath("common_words.json").read_text(encoding="utf-8"))
    pairs = [(word, 2.718 ** -float(cost)) for cost, listed in data[language].items() for word in listed.split()]
    return [word for word, _ in pairs], [share for _, share in pairs]


def names(size: int) -> str:
    pick = random.Random(7)
    characters = [word for word in words("zh")[0] if len(word) == 1]
    made: dict[str, None] = {}
    while len(made) < size:
        if pick.random() < 0.6:
            name = "".join(pick.choices(characters, k=pick.choice((2, 3, 3, 4, 5))))
        else:
            syllables = (pick.choice("bdfgklmnprstvz") + pick.choice("aeiou") for _ in range(pick.choice((2, 3, 4, 5))))
            name = "".join(syllables).capitalize() + pick.choice(("", "x", "n", "s"))
        made[name] = None
    lines, rest = [], list(made)
    while rest:
        name = rest.pop()
        lines.append(f"{name}: {rest.pop()}" if rest and len(lines) % 2 == 0 else name)
    return "\n".join(lines)


def ordinary_text(characters: int) -> str:
    pick = random.Random(8)
    chinese, shares = words("zh")
    english, english_shares = words("en")
    pieces: list[str] = []
    size = 0
    while size < characters:
        clause = "".join(pick.choices(chinese, shares, k=pick.randint(4, 12)))
        if pick.random() < 0.15:
            clause += pick.choices(english, english_shares)[0]
        pieces.append(clause + pick.choice("，，，。"))
        size += len(pieces[-1])
    return "".join(pieces)


if __name__ == "__main__":
    main()
