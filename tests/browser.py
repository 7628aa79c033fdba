"""A real Chromium for tests, driven by Playwright: `pytest_plugins = ["browser"]` in a test module gives `browse`.

    page = browse("file:///...")            # or browse(url, width=390, dark=True)
    browse.refused, browse.errors           # what the page tried to reach, and what it complained of
    browse.serious(page)                    # what axe-core objects to
    browse.shoot(page, "report")            # build/screenshots/report-1280-light.png

The browser is the system's (Debian's package chromium), nothing is downloaded. It lives as long as a test, because
Playwright's synchronous face keeps an event loop running in its thread: while it lives nothing in this thread may call
asyncio.run (start `rewriter` as a process, or do it in a fixture that is asked for before `browse`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SHOTS = Path(__file__).parent.parent / "build" / "screenshots"
HEIGHT = 900
# No sandbox for root; whatever is not loopback resolves to nothing, so that what no route sees cannot leave either.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--autoplay-policy=no-user-gesture-required",
)
# Violations that count: axe-core's two upper grades.
SERIOUS = ("serious", "critical")
AXE = "axe_playwright_python"  # carries axe-core's axe.min.js


class Browse:
    """Opens pages in one Chromium and keeps account of what they do.

    A request to another place than `origins` (beginnings of addresses) and the origin of the page first opened is
    aborted and recorded in `refused`. `errors` holds uncaught errors and console errors.
    """

    def __init__(self, browser: Browser, origins: tuple[str, ...] = ("data:", "blob:", "about:")) -> None:
        self.browser, self.origins = browser, origins
        self.refused: list[str] = []
        self.errors: list[str] = []

    def __call__(
        self, url: str, *, width: int = 1280, dark: bool = False, reduced: bool = True, **context: Any
    ) -> Page:
        """A new page, of a profile of its own, that has loaded `url`; more keywords go to `browser.new_context`."""
        options = {"viewport": {"width": width, "height": HEIGHT}, "color_scheme": "dark" if dark else "light"}
        new = self.browser.new_context(**options, reduced_motion="reduce" if reduced else None, **context)  # type: ignore[arg-type]
        new.route("**/*", lambda route: self._judge(route, url))
        page = new.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("websocket", lambda socket: self.refused.append(socket.url))
        page.goto(url)
        return page

    def _judge(self, route: Route, url: str) -> None:
        wanted = route.request.url
        if wanted.startswith(self.origins) or _place(url) == _place(wanted):
            route.continue_()
        else:
            self.refused.append(wanted)
            route.abort()

    def serious(self, page: Page) -> list[str]:
        """What axe-core finds serious or critical in the page as it is now, each with the elements it names."""
        page.evaluate(files(AXE).joinpath("axe.min.js").read_text(encoding="utf-8"))  # not held up by the page's CSP
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            f"{v['id']} ({v['impact']}): {v['help']}: " + "; ".join(n["html"][:200] for n in v["nodes"][:5])
            for v in found
            if v["impact"] in SERIOUS
        ]

    def shoot(self, page: Page, name: str, *, whole: bool = False) -> Path:
        """A picture for a person to look at, named after the page's width and colours. Returns where it is."""
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        width = page.viewport_size["width"] if page.viewport_size else 0
        path = SHOTS / f"{name}-{width}-{'dark' if dark else 'light'}.png"
        page.screenshot(path=path, full_page=whole)
        return path


def _place(url: str) -> tuple[str, str]:
    """An address's origin; of a file, which has none, the file itself."""
    parts = urlsplit(url)
    return parts.scheme, parts.path if parts.scheme == "file" else parts.netloc


def executable() -> str:
    """The system's Chromium; skips the test where there is none, but fails it in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed; .ci/run installs it")
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture
def browse() -> Iterator[Browse]:
    """A Chromium of the test's own."""
    from playwright.sync_api import sync_playwright

    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield Browse(browser)
        finally:
            browser.close()
