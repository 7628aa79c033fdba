"""The review desk in a real browser, served by a real `rewriter review`, with a model on loopback."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from desks import (
    ATTACKS,
    CUES,
    ENGLISH,
    Running,
    answers,
    desk,
    desk_process,
    make_run,
    moved,
    rewriter,
    srt,
    surroundings,
    tone,
)
from faulty_server import FaultyServer
from rewriter.report.desk.decisions import REVIEW, read_decisions

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from browser import Browse

pytest_plugins = ["browser"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(rewrite=answers) as running:
        for name, value in surroundings(running, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with FaultyServer(rewrite=answers) as running:
        return make_run(running, tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Path, server: FaultyServer, tmp_path: Path) -> Path:
    return moved(made, server, tmp_path)


def enter(browse: Browse, running: Running, path: str = "/", **options: Any) -> Page:
    """A page of the desk, behind the door."""
    page = browse(running.address, **options)
    page.wait_for_url("**/")
    page.wait_for_selector("#work")
    if path != "/":
        page.goto(running.origin + path)
    return page


def passage(page: Page, number: int) -> None:
    """Open the passage of that number from the list of all."""
    page.goto("/".join(page.url.split("/")[:3]) + "/?show=all")
    step_in(page, f".passages li:nth-child({number}) a")


def step_in(page: Page, link: str = ".passages a") -> None:
    """Follow a link of the list, until the page's script has run."""
    page.click(link)
    page.wait_for_selector("#compare")
    page.wait_for_load_state()


def said(page: Page, words: str) -> None:
    page.locator("#said", has_text=words).wait_for()


def until(page: Page, expression: str) -> None:
    """Wait until an expression holds. Playwright's own waiting evaluates strings in the page, which the CSP bars."""
    from playwright.sync_api import Error

    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(Error):  # the page is just being left
            if page.evaluate(expression):
                return
        page.wait_for_timeout(30)
    pytest.fail(expression)


def kinds(run: Path) -> list[str]:
    return [d.kind for d in read_decisions(run / REVIEW)]


# --- a review --------------------------------------------------------------------------------------------------------


def test_a_review_survives_a_kill_and_is_written(
    server: FaultyServer, run: Path, browse: Browse, tmp_path: Path
) -> None:
    with desk_process(server, run) as running:
        page = enter(browse, running)
        assert page.url == f"{running.origin}/"  # the token is gone from the address
        assert "0 of 1 to look at settled" in page.inner_text("#work")
        step_in(page)
        page.click('[data-act="restore"]')  # 4: its draft was gutted
        said(page, "Source restored")
        passage(page, 1)
        page.click('[data-act="accept"]')
        said(page, "Result accepted")
        passage(page, 6)
        page.fill("#edit", page.input_value("#edit").replace("八千", "8000"))
        until(page, "document.querySelector('#judged').textContent == 'accepted'")
        page.press("#edit", "Control+Enter")
        said(page, "Edited")
        passage(page, 2)
        page.fill("#instruction", "第二件事不要漏，保留")
        page.press("#instruction", "Enter")
        said(page, "The model gave the same text again")
        page.click('[data-act="done"]')
        said(page, "Done")
        assert running.process
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        page.click('[data-act="undo"]')
        said(page, "The desk does not answer")
    assert kinds(run) == ["restore", "accept", "edit", "done"]

    with desk(run) as running:
        page = enter(browse, running, "/?show=settled")
        labels = page.locator(".passages .settled").all_inner_texts()
        assert labels == ["✓ result accepted", "✓ done", "✓ source restored", "✓ edited"]
        page.goto(f"{running.origin}/")
        page.click('[data-act="export"]')
        said(page, "Written: ")
    final = (run / "reviewed" / "水站.srt").read_text(encoding="utf-8")
    assert "水泵8000" in final and "阀门的问题比水泵还麻烦" in final
    assert final.count("-->") == len(CUES) and "嗯" not in final
    assert browse.refused == []
    assert [e for e in browse.errors if "ERR_CONNECTION_REFUSED" not in e] == []


def test_the_guard_judges_while_one_types(server: FaultyServer, run: Path, browse: Browse) -> None:
    with desk(run) as running:
        page = enter(browse, running)
        passage(page, 2)
        whole = page.input_value("#edit")
        assert page.locator(".verdict.accepted").count() == 1 and page.locator(".found-list").count() == 0
        page.fill("#edit", whole.replace("来一趟要四十分钟", ""))
        page.wait_for_selector(".found-list .reject")
        assert "来一趟要四十分钟" in page.inner_text(".found-list")
        assert "来一趟要四十分钟" in page.inner_text(".source del.lost.found")
        page.fill("#edit", whole)
        page.wait_for_selector(".found-list", state="detached")
        assert page.locator(".verdict.accepted").count() == 1
        # What the guard rejects may still be kept by a person, and says so.
        page.fill("#edit", "维修师傅住在隔壁县城。")
        page.click('[data-act="edit"]')
        said(page, "Edited")
        assert "against the guard" in page.inner_text(".facts")
    assert [d.accepted for d in read_decisions(run / REVIEW)] == [False]
    assert browse.errors == []


def test_an_answer_with_an_instruction_is_judged(server: FaultyServer, run: Path, browse: Browse) -> None:
    with desk(run) as running:
        page = enter(browse, running)
        passage(page, 6)
        page.fill("#instruction", "钱数写作阿拉伯数字")
        page.click("#ask button")
        said(page, "A new answer, and the guard accepts it")
        assert "水泵8000" in page.input_value("#edit") and "new answer to look at" in page.inner_text(".facts")
        before = len(server.requests)
        page.fill("#instruction", "删掉后面的")
        page.click("#ask button")
        said(page, "turned the new answer down")
        assert len(server.requests) == before + 2  # once more, its losses named
        assert page.inner_text('.versions [aria-current="true"]') == "New answer, turned down"
        assert page.locator(".verdict.rejected").count() == 1
        page.click('[data-act="undo"]')
        said(page, "Undone")
        assert "水泵8000" in page.input_value("#edit")
        page.click('[data-act="undo"]')
        said(page, "Undone")
        page.locator('[data-act="undo"]:disabled').wait_for()
        assert "水泵八千" in page.input_value("#edit")
    told = server.requests[-1].messages
    assert "删掉后面的" in told[-1]["content"] and told[-2]["role"] == "assistant"
    assert kinds(run) == ["asked", "asked", "undo", "undo"]


def test_a_term_from_a_selection_re_asks_what_it_touches(
    server: FaultyServer, run: Path, browse: Browse, tmp_path: Path
) -> None:
    terms = tmp_path / "names.yaml"
    terms.write_text("# 名字\nterms:\n  - canonical: 听漏仪\n", encoding="utf-8")
    with desk(run, terms=terms) as running:
        page = enter(browse, running)
        passage(page, 3)
        page.evaluate(
            """() => {
              const node = document.querySelector('.source').firstChild, at = node.data.indexOf('飞讲');
              const range = document.createRange();
              range.setStart(node, at); range.setEnd(node, at + 2);
              getSelection().removeAllRanges(); getSelection().addRange(range);
            }"""
        )
        page.keyboard.press("t")
        assert page.input_value('[name="heard"]') == "飞讲"
        assert page.locator('[data-act="anew"]').is_hidden()
        browse.shoot(page, "desk-term")
        page.keyboard.type("飞桨")
        asked = len(server.requests)
        page.keyboard.press("Enter")
        page.wait_for_selector('[data-act="anew"]:not([hidden])')
        assert "1 passage that is not settled is touched" in page.inner_text("#touched")
        assert len(server.requests) == asked  # nothing is asked before one says so
        page.click('[data-act="anew"]')
        said(page, "Asked 1 again: 1 new")
        assert page.input_value("#edit").count("飞桨") == 2
        assert "term: 飞桨" in page.inner_text(".past")
        # Names that a person settles are offered as aliases to learn; this one is known already.
        page.click('[data-act="done"]')
        said(page, "Done")
        page.goto(f"{running.origin}/terms")
        assert "飞桨" not in page.inner_text("#work")
    assert terms.read_text(encoding="utf-8") == (
        "# 名字\nterms:\n  - canonical: 听漏仪\n  - canonical: 飞桨\n    aliases: [飞讲]\n"
    )
    asked_about = {m.messages[-1]["content"] for m in server.requests[asked:]}
    assert asked_about and all("飞讲" in content for content in asked_about)


def test_names_put_right_by_hand_are_offered_and_learned(
    server: FaultyServer, run: Path, browse: Browse, tmp_path: Path
) -> None:
    with desk(run, terms=tmp_path / "new.yaml") as running:
        page = enter(browse, running)
        passage(page, 3)
        page.fill("#edit", page.input_value("#edit").replace("飞讲", "飞桨"))
        page.press("#edit", "Control+Enter")
        said(page, "Edited")
        page.goto(f"{running.origin}/terms")
        assert page.locator(".learned tbody tr").count() == 1
        browse.shoot(page, "desk-names")
        assert browse.serious(page) == []
        page.click(".learned button")
        said(page, "飞桨 is in ")
    assert "飞讲" in (tmp_path / "new.yaml").read_text(encoding="utf-8")
    learned = json.loads(rewriter("review", run, "--learn", "--json", server=server, cwd=tmp_path))
    assert [(s["canonical"], [f["text"] for f in s["forms"]]) for s in learned["suggestions"]] == [("飞桨", ["飞讲"])]


# --- keys, sound, looks ----------------------------------------------------------------------------------------------


def test_everything_can_be_done_with_keys(server: FaultyServer, run: Path, browse: Browse) -> None:
    with desk(run) as running:
        page = enter(browse, running, "/?show=all")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("#compare")
        page.wait_for_load_state()
        assert "2 of 6" in page.inner_text("h1")
        page.keyboard.press("j")
        page.locator("h1", has_text="3 of 6").wait_for()
        page.keyboard.press("k")
        page.locator("h1", has_text="2 of 6").wait_for()
        page.keyboard.press("n")  # the one that is open
        page.locator("h1", has_text="4 of 6").wait_for()
        shown = page.inner_text('.versions [aria-current="true"]')
        page.keyboard.press("v")
        page.locator('.versions [aria-current="true"]').filter(has_not_text=shown).wait_for()
        for key, words in {"a": "accepted", "r": "restored", "f": "Draft accepted", "d": "Done", "u": "Undone"}.items():
            page.keyboard.press(key)
            said(page, words)
        page.keyboard.press("e")
        page.keyboard.type("jk")  # letters in the box are letters
        assert "jk" in page.input_value("#edit")
        page.click('[data-act="reset"]')
        page.keyboard.press("Escape")
        page.keyboard.press("i")
        assert page.evaluate("document.activeElement.id") == "instruction"
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert page.locator("#help[open]").count() == 1
        browse.shoot(page, "desk-keys")
        page.keyboard.press("Escape")
        page.keyboard.press("l")
        page.wait_for_selector(".bar")
        page.wait_for_load_state()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "text"
        page.keyboard.type("没有花钱")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.passages li').length == 1")
    assert kinds(run) == ["accept", "restore", "draft", "done", "undo"]


def test_an_input_method_keeps_its_keys(run: Path, browse: Browse) -> None:
    """While pinyin is being composed, Escape and Enter belong to the input method, and half a word is not judged."""
    with desk(run) as running:
        page = enter(browse, running)
        passage(page, 2)
        judged: list[str] = []
        page.on("request", lambda request: judged.append(request.url) if request.url.endswith("/judge") else None)
        page.focus("#edit")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Input.imeSetComposition", {"text": "shui'b", "selectionStart": 6, "selectionEnd": 6})
        page.evaluate(
            "for (const key of ['Escape', 'Enter']) document.activeElement.dispatchEvent("
            "new KeyboardEvent('keydown', {key, ctrlKey: true, isComposing: true, bubbles: true}))"
        )
        page.wait_for_timeout(600)
        assert page.evaluate("document.activeElement.id") == "edit" and judged == []
        devtools.send("Input.insertText", {"text": "水泵"})
        page.locator("#judged", has_text="accepted").or_(page.locator("#judged", has_text="rejected")).wait_for()
        assert len(judged) == 1 and "水泵" in page.input_value("#edit")
    assert kinds(run) == []


def test_passages_being_asked_are_followed_from_any_page(server: FaultyServer, run: Path, browse: Browse) -> None:
    with desk(run) as running:
        page = enter(browse, running)
        passage(page, 3)
        page.keyboard.press("t")
        page.fill('[name="heard"]', "水泵")
        page.fill('[name="written"]', "水磅")
        page.press('[name="written"]', "Enter")
        page.wait_for_selector('[data-act="anew"]:not([hidden])')
        server.delay = 1.0
        page.click('[data-act="anew"]')
        said(page, "Asking again: 0 of 4")
        page.goto(f"{running.origin}/?show=all")
        said(page, "Asking again: ")
        server.delay = 0.0
        said(page, "Asked 4 again")


def test_a_text_that_is_not_kept_is_not_left_by_accident(server: FaultyServer, run: Path, browse: Browse) -> None:
    with desk(run) as running:
        page = enter(browse, running)
        passage(page, 2)
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
        page.fill("#edit", "半句话")
        page.click('[data-act="accept"]')
        page.click('[data-key="j"]')
        assert page.input_value("#edit") == "半句话"
        assert len(asked) == 2 and "not kept yet" in asked[0]
    assert kinds(run) == []


def test_the_recording_plays_from_the_passage(server: FaultyServer, run: Path, browse: Browse, tmp_path: Path) -> None:
    with desk(run, media=[tone(tmp_path / "水站.wav")]) as running:
        page = enter(browse, running)
        passage(page, 4)
        page.keyboard.press("Space")
        until(page, "document.querySelector('audio').currentTime > 12.1")
        page.keyboard.press("Space")
        at = page.evaluate("[document.querySelector('audio').currentTime, document.querySelector('audio').paused]")
        assert 12 <= at[0] < 14 and at[1]
        page.keyboard.press("j")  # the recording stays; the next passage begins elsewhere
        page.locator("h1", has_text="5 of 6").wait_for()
        page.keyboard.press("Space")
        until(page, "document.querySelector('audio').currentTime > 14.1")
    assert browse.errors == [] and browse.refused == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_violation_and_pictures_to_look_at(
    server: FaultyServer, tmp_path: Path, browse: Browse, width: int, dark: bool
) -> None:
    files = {"水站.srt": srt(CUES), "porter.txt": ENGLISH}
    run = make_run(server, tmp_path, files=files)
    with desk(run, media=[tone(tmp_path / "水站.wav")]) as running:
        page = enter(browse, running, "/?show=all", width=width, dark=dark)
        passage(page, 6 if "水站" in page.inner_text(".passages li:first-child") else 8)
        page.click('[data-act="done"]')
        said(page, "Done")
        page.goto(f"{running.origin}/?show=all")
        assert browse.serious(page) == []
        browse.shoot(page, "desk-list")
        page.goto(f"{running.origin}/")
        step_in(page)
        assert browse.serious(page) == []
        browse.shoot(page, "desk-passage")
        page.fill("#instruction", "删掉后面的")
        page.press("#instruction", "Enter")
        said(page, "turned the new answer down")
        browse.shoot(page, "desk-answer")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert browse.serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert browse.errors == [] and browse.refused == []


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_a_hostile_transcript_is_text(server: FaultyServer, browse: Browse, tmp_path: Path) -> None:
    spoken = [f"第{n}句说的是水泵。{attack}" for n, attack in enumerate(ATTACKS)]
    run = make_run(server, tmp_path, files={"<b>坏&名\"'.txt": "\n\n".join(spoken) + "\n"})
    with desk(run) as running:
        page = enter(browse, running, "/?show=all")
        seen = page.inner_text("#work")
        addresses = page.eval_on_selector_all(".passages a", "links => links.map(link => link.href)")
        for address in addresses:
            page.goto(address)
            seen += page.inner_text("h1") + page.inner_text("#compare") + page.inner_text(".past")
            for act in ("accept", "edit", "undo"):
                page.click(f'[data-act="{act}"]')
                until(page, "document.querySelector('#said').textContent != ''")
                page.evaluate("document.querySelector('#said').textContent = ''")
            page.fill("#edit", "".join(ATTACKS).replace("\x00", ""))
            until(page, "document.querySelector('#judged').textContent != ''")
            page.click('[data-act="reset"]')
            page.click('[data-act="edit"]')
            said(page, "Edited")
        page.goto(f"{running.origin}/?text=%3Cscript%3Edocument.title%3D%27owned%27%3C%2Fscript%3E&file=%22%3E%3Cb%3E")
        page.goto(f"{running.origin}/terms")
        assert page.evaluate("document.title") != "owned"
    assert "<script>document.title='owned'</script>" in seen and "{{ 7*7 }}" in seen and "\x1b" not in seen
    assert "⟦RLO⟧" in seen and "␛[31m" in seen and '<b>坏&名"' in seen
    assert browse.errors == [] and browse.refused == []


_EVIL = """<!doctype html><title>evil</title>
<iframe src="{desk}/"></iframe><img src="{desk}/static/icon.svg"><script src="{desk}/static/desk.js"></script>
<form id="f" method="post" action="{desk}/export" target="_blank" enctype="text/plain">
<input name='{{"a":"' value='"}}'></form>
<script>
const tries = [
  fetch("{desk}/passage/{key}/decide", {{method: "POST", mode: "no-cors", credentials: "include",
        headers: {{"content-type": "text/plain"}}, body: '{{"kind":"accept"}}'}}),
  fetch("{desk}/passage/{key}/decide", {{method: "POST", credentials: "include",
        headers: {{"content-type": "application/json"}}, body: '{{"kind":"accept"}}'}}),
  fetch("{desk}/?show=all", {{credentials: "include"}}).then(a => a.text()),
];
Promise.allSettled(tries).then(done => {{
  document.getElementById("f").submit();
  document.title = JSON.stringify(done.map(d => typeof d.value == "string" ? d.value : d.status));
}});
</script>"""


def test_another_page_of_this_machine_cannot_speak_for_the_user(
    server: FaultyServer, run: Path, browse: Browse
) -> None:
    """A page on another port is the same site: the browser sends the cookie along, and the Origin has to stop it."""
    with desk(run) as running:
        page = enter(browse, running, "/?show=all")
        key = re.search(r"/passage/([\w-]+)", page.get_attribute(".passages a", "href") or "")
        assert key
        html = _EVIL.format(desk=running.origin, key=key[1]).encode()

        class Evil(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(html)

            def log_message(self, *arguments: object) -> None:
                pass

        evil = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
        threading.Thread(target=evil.serve_forever, daemon=True).start()
        try:
            browse.origins = (*browse.origins, "http://127.0.0.1:")
            other = page.context.new_page()
            other.goto(f"http://127.0.0.1:{evil.server_address[1]}/")
            other.wait_for_function("document.title.startsWith('[')")
            assert json.loads(other.title())[1:] == ["rejected", "rejected"]
            frame = other.frames[1]
            assert "0 of 1" not in frame.content()
        finally:
            evil.shutdown()
            evil.server_close()
        page.reload()
        assert "0 of 1 to look at settled" in page.inner_text("#work")
    assert kinds(run) == [] and not (run / "reviewed").exists()
