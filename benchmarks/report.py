"""How quickly the report is made, opens and filters in Chromium.

    python benchmarks/report.py                     a run of 5,000 passages, made for it by the tests' server
    python benchmarks/report.py --passages 200
    python benchmarks/report.py out/                a run you have

Opening is timed from the order to open the file to the first passages drawn and the next frame painted; a filter from
the click to the next frame painted, a search from the last letter (its wait of 40 ms for more letters included).
Medians of seven; browser and this script share the machine's cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser import ARGUMENTS, Browse, executable
from reported import Editor, make_run
from rewriter.report.page import write_report
from rewriter.report.runs import read_run
from talks import talk

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIMES = 7
PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
CLICK = f"""async selector => {{
    const start = performance.now();
    document.querySelector(selector).click();
    await {PAINTED};
    return performance.now() - start;
}}"""
SEARCH = f"""async text => {{
    const field = document.getElementById('f-text'), count = document.getElementById('count');
    const told = new Promise(done => new MutationObserver(done).observe(count, {{childList: true}}));
    const start = performance.now();
    field.value = text;
    field.dispatchEvent(new Event('input'));
    await told;
    await {PAINTED};
    return performance.now() - start;
}}"""
JUMP = f"""async number => {{
    const start = performance.now();
    location.hash = '#p' + number;
    while (!document.querySelector('#p' + number + '[data-drawn]')) await new Promise(done => setTimeout(done));
    await {PAINTED};
    return performance.now() - start;
}}"""


def made(passages: int, folder: Path) -> Path:
    """A run of about so many passages, one in forty kept, one in twenty repaired."""
    sentences = passages * 9 // 4  # at 85 tokens a passage
    always = [f"第{1000 + n}号" for n in range(40, sentences, 80)]
    once = [f"第{1000 + n}号" for n in range(11, sentences, 40)]
    with contextlib.redirect_stdout(io.StringIO()):
        return make_run(folder, {"talk.txt": talk(sentences)}, Editor(always=always, once=once), "--budget", "85")


def opened(browse: Browse, url: str) -> tuple[float, Page]:
    """Milliseconds until the page can be used, and the page."""
    page = browse("about:blank")
    browse.origins += ("file:",)
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("html[data-ready] article[data-drawn]", state="attached")
    page.evaluate(PAINTED)
    return 1000 * (time.perf_counter() - start), page


def median(act: Callable[[int], float]) -> str:
    """Median and worst of TIMES."""
    taken = [act(n) for n in range(TIMES)]
    return f"{statistics.median(taken):7.0f} ms   (worst {max(taken):.0f})"


def measure(path: Path) -> None:
    """Print what opening and filtering take."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        browse = Browse(browser)
        print("opened          ", median(lambda _: opened(browse, path.as_uri())[0]))
        page = opened(browse, path.as_uri())[1]
        modes = ["kept", "repaired", "look", "all"]
        select: Any = [f".modes [data-mode={mode}]" for mode in modes]
        print("filter, a click ", median(lambda n: page.evaluate(CLICK, select[n % 4])))
        page.evaluate(CLICK, ".modes [data-mode=all]")
        print("search, a word  ", median(lambda n: page.evaluate(SEARCH, ["我们", "没有", "no such", "the"][n % 4])))
        page.keyboard.press("Escape")
        last = page.locator("article").count()
        print("jump to passage ", median(lambda n: page.evaluate(JUMP, 1 + (last - 1) * (n % 5) // 4)))
        start = time.perf_counter()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        print(f"all drawn         {1000 * (time.perf_counter() - start):5.0f} ms   (what printing needs)")
        browser.close()


def main() -> None:
    """Make or take a run, write its report, measure."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("run", nargs="?", type=Path)
    arguments.add_argument("--passages", type=int, default=5000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.run or made(given.passages, Path(temporary))
        path = Path(temporary) / "report.html"
        start = time.perf_counter()
        write_report(folder, path)
        taken = time.perf_counter() - start
        files = read_run(folder).files
        passages = [p for file in files for p in file.passages]
        heard = sum(len(p.heard.encode()) for p in passages)
        size = path.stat().st_size
        print(f"passages {len(passages):,}, transcripts {heard / 1e6:.2f} MB")
        print(f"page {size / 1e6:.2f} MB, {size / heard:.1f} times the text, made in {taken:.2f} s")
        measure(path)


if __name__ == "__main__":
    main()
