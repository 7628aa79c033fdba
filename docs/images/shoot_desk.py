"""Make the picture of docs/review.md: a run by the tests' server, on a real desk, in Chromium.

python docs/images/shoot_desk.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from browser import ARGUMENTS, Browse, executable
from desks import desk, make_run, surroundings, tone
from faulty_server import FaultyServer, Messages, light_edit, passage_between_markers

PICTURE = Path(__file__).parent / "desk.png"
# The clauses that this model leaves out, however often it is asked, and the name that it puts right.
DROPPED = ("来一趟要四十分钟", "数据是两年的水压记录")
HEARD, WRITTEN = "飞讲", "飞桨"
WIDTH, HEIGHT = 1280, 842


def hasty(messages: Messages) -> str:
    """A rewrite without those clauses; all else is well."""
    text = light_edit(passage_between_markers(messages)).replace("\n", "").replace(HEARD, WRITTEN)
    for clause in DROPPED:
        text = text.replace(f"，{clause}", "").replace(clause, "")
    return text


def main() -> None:
    """Write docs/images/desk.png."""
    with tempfile.TemporaryDirectory() as name, FaultyServer(rewrite=hasty) as server:
        folder = Path(name)
        terms = folder / "terms.yaml"
        terms.write_text(f"terms:\n  - canonical: {WRITTEN}\n    aliases: [{HEARD}]\n", encoding="utf-8")
        run = make_run(server, folder, "--glossary", terms, "--budget", "120")
        sound = tone(folder / "水站.wav")
        with patch.dict(os.environ, surroundings(server, folder)), desk(run, media=[sound]) as running:
            shoot(running.address)


def shoot(address: str) -> None:
    """The first passage that wants a look."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        page = Browse(browser)(address, width=WIDTH)
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.wait_for_url("**/")
        page.click(".passages a")
        page.wait_for_selector("#compare")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
