"""Make the pictures of docs/report.md: a run of examples/talk_zh.txt by the tests' server, in Chromium.

    python docs/images/shoot.py

The server's editor puts the glossary's names right, is turned down twice on purpose, and is repaired once.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from browser import ARGUMENTS, Browse, executable
from reported import Editor, make_run
from rewriter.glossary import Glossary
from rewriter.report.page import write_report
from rewriter.report.runs import read_run

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "examples" / "glossary.yaml"
# What a good editor does to this talk beside the names: sentences, and a word left out here and there.
BEGINNINGS = ("但是", "后来", "所以", "如果", "比如说", "你看", "用的是", "好，")
SENTENCES = {f"，{word}": f"。{word}" for word in BEGINNINGS}
SHORTER = {"手上呢": "手上", "一开始呢": "一开始", "这个这个东西": "这些录音", "所以说你算一下": "你算一下"}
# Words of the passages that the editor spoils: in every draft, and in the first one.
ALWAYS, ONCE = ("第五步入库", "一百分之十五"), ("四十个小时",)
OPTIONS = ("--glossary", str(GLOSSARY), "--budget", "100", "--model", "gpt-4.1-mini")
WIDTH, HEIGHT = 1280, 800


def main() -> None:
    """Write docs/images/report-*.png."""
    from playwright.sync_api import sync_playwright

    names = Glossary.load([str(GLOSSARY)]).aliases()
    says = {alias: name for alias, name in names.items() if alias != "波斯特格瑞"} | SENTENCES | SHORTER
    talk = (ROOT / "examples" / "talk_zh.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        editor = Editor(always=ALWAYS, once=ONCE, says=says)
        out = make_run(Path(temporary), {"talk_zh.txt": talk}, editor, *OPTIONS)
        url = write_report(out).as_uri()
        kept = next(i for i, (_, p) in enumerate(read_run(out).passages, 1) if p.outcome.status == "kept")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
            for name, link in (("glance", ""), ("kept", f"#p{kept}")):
                page = Browse(browser)(url + link, width=WIDTH)
                page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                page.wait_for_selector("article[data-drawn]", state="attached")
                page.screenshot(path=Path(__file__).parent / f"report-{name}.png")
            browser.close()


if __name__ == "__main__":
    main()
