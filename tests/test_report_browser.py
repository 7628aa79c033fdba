"""The report in a real browser, opened from disk: look, filter, jump, print, and hostile transcripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reported import ATTACKS, ENGLISH, GLOSSARY, TALK, Editor, conversation, make_run, subtitles
from rewriter.report.page import write_report
from rewriter.report.runs import RunView, read_run
from talks import talk

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from browser import Browse

pytest_plugins = ["browser"]

CUES = [f"第{n}天早上六点，水位是{n + 20}厘米，我们没有打开闸门。" for n in range(1, 41)]
TURNS = [("主持人", "请问你们那里下雨了吗"), ("站长", "没有下雨，但是风很大，嗯大概七级"), ("主持人", "好的谢谢")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five files and about a hundred passages: some kept, some repaired, names put right and missed."""
    home = tmp_path_factory.mktemp("run")
    (home / "terms.yaml").write_text(GLOSSARY, encoding="utf-8")
    files = {
        "talk.txt": TALK,
        "ridge.txt": ENGLISH,
        "days.srt": subtitles(CUES),
        "calls.json": conversation(TURNS),
        "finds.txt": talk(200),
    }
    editor = Editor(
        always=["最喜欢", "第1033号", "第1150号"],
        once=["旧手机", "第1071号", "第1102号"],
        says={"奥伯西迪恩": "黑曜石笔记"},
    )
    out = make_run(home, files, editor, "--glossary", str(home / "terms.yaml"), "--budget", "120")
    write_report(out)
    return out


@pytest.fixture
def run(folder: Path) -> RunView:
    return read_run(folder)


@pytest.fixture
def url(folder: Path) -> str:
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(browse: Browse, url: str) -> Page:
    page = browse(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


COUNTED = "count => document.querySelectorAll('article:not([hidden])').length === count"


def shown(page: Page) -> list[int]:
    """Numbers in the report, from 0, of the passages that the filters let through."""
    return [int(i) for i in page.eval_on_selector_all("article:not([hidden])", "all => all.map(a => a.dataset.index)")]


def here(page: Page) -> int:
    return int(page.eval_on_selector("article.here", "a => a.dataset.index"))


def numbers(run: RunView, wanted: Callable[[Any, Any], bool]) -> list[int]:
    return [i for i, (file, passage) in enumerate(run.passages) if wanted(file, passage)]


def needs_a_look(_: Any, passage: Any) -> bool:
    kinds = {finding.kind for finding in passage.outcome.findings}
    return passage.outcome.status == "kept" or bool(kinds - {"untouched"})


def is_on_screen(page: Page, index: int) -> bool:
    return bool(
        page.evaluate(
            "i => { const b = document.getElementById('p' + (i + 1)).getBoundingClientRect();"
            " return b.top >= 0 && b.top < innerHeight / 2; }",
            index,
        )
    )


# --- opening it ------------------------------------------------------------------------------------------------------


def test_it_opens_from_disk_and_reaches_for_nothing(page: Page, browse: Browse, run: RunView) -> None:
    assert browse.errors == [] and browse.refused == []
    assert page.inner_text("#count") == str(sum(len(f.passages) for f in run.files))
    assert "kept as they were said" in page.inner_text(".headline")
    assert shown(page) == numbers(run, lambda f, p: True)


def test_plots_are_drawn_to_scale(page: Page, run: RunView) -> None:
    passages = sum(len(f.passages) for f in run.files)
    assert page.locator(".strip rect[data-target]").count() == passages
    box = page.locator(".strip").bounding_box()
    assert box and box["width"] > 1000 and box["height"] > 40
    kept = numbers(run, lambda f, p: p.outcome.status == "kept")
    tall = page.eval_on_selector_all(".strip .s-kept", "all => all.map(r => Number(r.dataset.target))")
    assert tall == kept
    assert page.locator(".retention polyline").get_attribute("points")
    widths = page.eval_on_selector_all(".bars rect", "all => all.map(r => r.getBoundingClientRect().width)")
    assert max(widths) > 50


def test_only_what_is_near_is_drawn(page: Page) -> None:
    page.wait_for_selector("article[data-drawn]")
    drawn = page.locator("article[data-drawn]").count()
    assert 0 < drawn < page.locator("article").count() / 2
    assert page.locator("article:last-of-type").text_content() == ""
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("() => document.querySelector('article:last-of-type').textContent.includes('rewritten')")


def test_a_link_leads_to_its_passage(browse: Browse, url: str, run: RunView) -> None:
    target = numbers(run, lambda f, p: "第1150号" in p.outcome.source)[0]
    page = browse(f"{url}#p{target + 1}")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert here(page) == target and is_on_screen(page, target)
    assert "第1150号" in str(page.text_content(f"#p{target + 1}"))


# --- filters ---------------------------------------------------------------------------------------------------------


def test_filters_show_what_they_say(page: Page, run: RunView) -> None:
    def has(kind: str) -> Callable[[Any, Any], bool]:
        return lambda f, p: any(x.kind == kind for x in p.outcome.findings)

    cases: list[tuple[Callable[[], object], Callable[[Any, Any], bool]]] = [
        (lambda: page.click(".modes [data-mode=kept]"), lambda f, p: p.outcome.status == "kept"),
        (lambda: page.click(".modes [data-mode=repaired]"), lambda f, p: p.outcome.status == "repaired"),
        (lambda: page.click(".modes [data-mode=look]"), needs_a_look),
        (lambda: page.select_option("#f-kind", "lost"), has("lost")),
        (lambda: page.click(".bars [data-kind=glossary]"), has("glossary")),
        (lambda: page.select_option("#f-term", "Obsidian"), lambda f, p: "Obsidian" in [x.fix.after for x in p.fixes]),
        (lambda: page.select_option("#f-term", "黑曜石笔记"), lambda f, p: "黑曜石笔记" in p.outcome.terms),
        (lambda: page.click("[data-term=渔光小学]"), lambda f, p: "渔光小学" in p.outcome.terms),
        (lambda: page.select_option("#f-file", label="days.srt"), lambda f, p: f.name == "days.srt"),
        (lambda: page.click(".files [data-file] >> text=ridge.txt"), lambda f, p: f.name == "ridge.txt"),
        (lambda: page.fill("#f-text", "第1033号"), lambda f, p: "第1033号" in p.heard),
        (lambda: page.fill("#f-text", "RAIN"), lambda f, p: "rain" in (p.heard + p.outcome.text).lower()),
        (lambda: page.fill("#f-text", "站长"), lambda f, p: "站长" in (p.speaker or "")),
    ]
    everything = len(shown(page))
    for act, wanted in cases:
        act()
        expected = numbers(run, wanted)
        page.wait_for_function(
            "n => document.querySelectorAll('article:not([hidden])').length === n", arg=len(expected)
        )
        assert shown(page) == expected
        assert page.inner_text("#count") == f"{len(expected)} of {everything}"
        assert page.locator(".file:visible").count() == len({list(run.passages)[i][0].name for i in expected})
        page.keyboard.press("Escape")
        assert len(shown(page)) == everything and page.input_value("#f-text") == ""


def test_filters_add_up_and_nothing_is_said(page: Page, run: RunView) -> None:
    page.select_option("#f-file", label="finds.txt")
    page.click(".modes [data-mode=kept]")
    both = numbers(run, lambda f, p: f.name == "finds.txt" and p.outcome.status == "kept")
    assert shown(page) == both and 0 < len(both) < 10
    page.fill("#f-text", "no such words anywhere")
    page.wait_for_selector("#empty:visible")
    page.click("#empty button")
    assert len(shown(page)) > 50


def test_what_is_searched_for_is_lit(page: Page) -> None:
    page.fill("#f-text", "第1033号")
    page.wait_for_function("() => CSS.highlights.get('search')?.size > 0")
    lit = page.evaluate("[...CSS.highlights.get('search')].map(range => range.toString())")
    assert set(lit) == {"第1033号"}


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_go_from_place_to_place(page: Page, run: RunView) -> None:
    looks = numbers(run, needs_a_look)
    visited = []
    for _ in looks:
        page.keyboard.press("n")
        visited.append(here(page))
        assert is_on_screen(page, here(page))
    assert visited == looks
    page.keyboard.press("p")
    assert here(page) == looks[-2]
    page.keyboard.press("j")
    assert here(page) == looks[-2] + 1
    page.keyboard.press("k")
    page.keyboard.press("k")
    assert here(page) == looks[-2] - 1
    assert page.evaluate("location.hash") == f"#p{here(page) + 1}"
    assert page.evaluate("document.activeElement.id") == f"p{here(page) + 1}"


def test_keys_for_search_filters_and_help(page: Page, run: RunView) -> None:
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-text"
    page.keyboard.type("njk3?")  # letters, not commands, while one writes
    assert page.input_value("#f-text") == "njk3?"
    page.keyboard.press("Escape")
    assert page.input_value("#f-text") == "" and page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("3")
    assert shown(page) == numbers(run, lambda f, p: p.outcome.status == "kept")
    page.keyboard.press("?")
    assert page.is_visible("#keys") and "next, previous passage" in page.inner_text("#keys")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")


def test_the_strip_is_a_way_in_for_mouse_and_keys(page: Page, run: RunView) -> None:
    kept = numbers(run, lambda f, p: p.outcome.status == "kept")[-1]
    box = page.locator(f".strip rect[data-target='{kept}']").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert here(page) == kept and is_on_screen(page, kept)
    page.focus("#strip")
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute("#strip", "aria-valuenow") == "4"
    assert "passage" in str(page.get_attribute("#strip", "aria-valuetext"))
    page.keyboard.press("Enter")
    assert here(page) == 3


def test_tab_reaches_every_control(page: Page) -> None:
    page.wait_for_selector("article[data-drawn]")
    count = page.locator("article").count()
    page.evaluate("n => [...document.querySelectorAll('article')].slice(3).forEach(a => a.remove())", count)
    wanted = set(
        page.eval_on_selector_all(
            "a[href], button, select, input, [tabindex='0']",
            "all => all.filter(e => e.checkVisibility()).map((e, i) => (e.dataset.probe = i, String(i)))",
        )
    )
    reached = set()
    for _ in range(3 * len(wanted)):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.probe"))
    assert wanted <= reached and len(wanted) > 30


# --- what a passage shows --------------------------------------------------------------------------------------------


def test_a_kept_passage_has_the_draft_beside_it(page: Page, run: RunView) -> None:
    target = numbers(run, lambda f, p: p.outcome.status == "kept" and f.name == "talk.txt")[0]
    page.evaluate("i => { location.hash = '#p' + (i + 1) }", target)
    article = page.locator(f"#p{target + 1}")
    article.locator(".found-list").first.wait_for()
    assert "Kept as it was said. No draft passed the check" in str(article.text_content())
    assert "as said: this is in the output" in str(article.text_content())
    lost = article.locator(".source del.lost.found").all_text_contents()
    assert any("他们在那里数过螃蟹" in text for text in lost)
    assert "他们在那里数过螃蟹" not in "".join(article.locator(".result").all_text_contents())
    remark = article.locator(".found-list li.reject").first.text_content() or ""
    assert remark.startswith("1 lost: «") and "said in the source, missing from the draft" in remark


def test_a_loop_is_shown_with_its_count_and_a_fix_with_what_it_was(page: Page, run: RunView) -> None:
    target = numbers(run, lambda f, p: any(x.fix.count for x in p.fixes))[0]
    page.evaluate("i => { location.hash = '#p' + (i + 1) }", target)
    page.locator(f"#p{target + 1} s.fix").first.wait_for()
    assert "×8" in str(page.text_content(f"#p{target + 1}"))
    first = numbers(run, lambda f, p: any(x.fix.name == "alias" for x in p.fixes))[0]
    page.evaluate("i => { location.hash = '#p' + (i + 1) }", first)
    page.locator(f"#p{first + 1} s.fix").first.wait_for()
    assert "Obsidain" in page.locator(f"#p{first + 1} s.fix").all_text_contents()
    assert "Obsidian" in page.locator(f"#p{first + 1} ins.fix").all_text_contents()


def test_times_and_speakers_stand_beside_what_was_said(page: Page, run: RunView) -> None:
    page.select_option("#f-file", label="calls.json")
    article = page.locator("article:visible").first
    article.locator(".row").first.wait_for()
    rows = article.locator(".row").all_text_contents()
    assert rows[0].startswith("0:00主持人请问你们") and rows[1].startswith("0:06站长没有下雨")
    assert "0:00–0:18" in str(article.locator(".side").text_content())
    page.select_option("#f-file", label="days.srt")
    last = page.locator("article:visible").last
    last.scroll_into_view_if_needed()
    last.locator(".row").first.wait_for()
    assert "2:36" in last.locator(".at").all_text_contents()


def test_marks_differ_in_shape_as_well_as_colour(page: Page) -> None:
    page.click("#help")
    shapes = page.eval_on_selector_all(
        "#keys .m:not(.found)",
        "all => all.map(e => { const s = getComputedStyle(e);"
        " return [s.textDecorationLine, s.textDecorationStyle, s.boxShadow === 'none' ? '' : 'box'].join(' '); })",
    )
    assert len(shapes) == 5
    assert all(a != b for a, b in combinations(shapes, 2)), shapes


def test_each_text_is_set_in_its_language(page: Page, run: RunView) -> None:
    for name, lang in (("talk.txt", "zh"), ("ridge.txt", "en")):
        page.select_option("#f-file", label=name)
        page.locator("article:visible .said").first.wait_for()
        assert page.locator("article:visible .said").first.get_attribute("lang") == lang
    heights = page.evaluate(
        "['zh', 'en'].map(l => { const e = document.createElement('p'); e.className = 'said'; e.lang = l;"
        " document.body.append(e); return parseFloat(getComputedStyle(e).lineHeight); })"
    )
    assert heights[0] > heights[1]


# --- print, width, access --------------------------------------------------------------------------------------------


def test_print_has_every_passage_and_no_controls(page: Page) -> None:
    pdf = page.pdf()
    assert page.locator("article:not([data-drawn])").count() == 0
    assert len(re.findall(rb"/Type ?/Page\b", pdf)) > 5
    page.emulate_media(media="print")
    assert not page.is_visible(".bar") and page.is_visible("article >> nth=3")


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2200])
def test_nothing_is_wider_than_the_window(width: int, browse: Browse, url: str) -> None:
    page = browse(url, width=width)
    page.wait_for_selector("article[data-drawn]")
    page.keyboard.press("n")
    wide, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_accessible_and_its_picture_is_taken(
    width: int, dark: bool, browse: Browse, url: str, run: RunView
) -> None:
    page = browse(url, width=width, dark=dark)
    page.wait_for_selector("article[data-drawn]")
    browse.shoot(page, "report")
    assert browse.serious(page) == []
    kept = numbers(run, lambda f, p: p.outcome.status == "kept" and f.name == "talk.txt")[0]
    page.evaluate("i => { location.hash = '#p' + (i + 1) }", kept)
    page.locator(f"#p{kept + 1} .found-list").first.wait_for()
    browse.shoot(page, "report-kept")
    assert browse.serious(page) == []
    page.select_option("#f-file", label="calls.json")
    page.locator("article:visible .row").first.wait_for()
    browse.shoot(page, "report-times")
    page.keyboard.press("?")
    browse.shoot(page, "report-keys")
    assert browse.serious(page) == []


# --- hostile transcripts ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which names, terms, speakers, sources and drafts are hostile."""
    home = tmp_path_factory.mktemp("hostile")
    said = "今天讲一讲怎么写观察日记，一共有四十二个孩子参加，没有一个人缺席。"
    text = "\n\n".join(f"{attack}，{said}" for attack in ATTACKS)
    files = {
        "<img src=x onerror=window.pwned=7>.txt": text,
        "calls.json": conversation([(f"<b>{attack}</b>", said) for attack in ATTACKS]),
    }
    terms = "terms:\n  - canonical: '<i onclick=window.pwned=8>日记</i>'\n    aliases: [观察日记]\n    certain: true\n"
    (home / "terms.yaml").write_text(terms, encoding="utf-8")
    draft = "<script>window.pwned=9</script><img src=x onerror=window.pwned=10>"
    out = make_run(
        home, files, Editor(says={"四十二": draft}), "--glossary", str(home / "terms.yaml"), "--budget", "120"
    )
    write_report(out)
    return out


def test_a_hostile_transcript_is_shown_and_never_run(hostile: Path, browse: Browse) -> None:
    page = browse((hostile / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.pdf()  # draws every passage
    page.click("#strip")
    for control in page.locator(".bars button, .plain").all():
        if control.is_visible():
            control.click()
    page.keyboard.press("Escape")
    assert page.evaluate("window.pwned") is None
    assert browse.refused == [] and browse.errors == []
    assert page.locator("script").count() == 2
    assert page.locator("img, iframe, object, embed, link, base, form:not([method=dialog])").count() == 0
    assert page.locator("a:not([href^='#'])").count() == 0
    page.evaluate("document.querySelectorAll('sup').forEach(number => number.remove())")  # they stand inside words
    text = str(page.text_content("main"))
    for attack in ATTACKS[:8]:
        assert attack in text, attack
    assert "␛[31m红色␛]0;title␇" in text and "⟦RLO⟧倒过来⟦PDF⟧" in text
    assert not set("\x1b\x07\u202e\u202c") & set(page.content())
    assert "<img src=x onerror=window.pwned=7>.txt" in text
    assert "window.pwned=9" in text  # the draft, turned down or not, is text as well


def test_the_page_forbids_itself_what_it_does_not_need(page: Page, browse: Browse) -> None:
    page.evaluate(
        """() => {
        const script = document.createElement('script');
        script.textContent = 'window.pwned = 1';
        document.body.append(script);
        const image = new Image(); image.src = 'https://example.com/x.png'; document.body.append(image);
        document.body.insertAdjacentHTML('beforeend', '<b onclick="window.pwned = 2">x</b>');
        document.body.lastElementChild.click();
        fetch('https://example.com/').catch(() => {});
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert browse.refused == []  # the policy stopped them before the test's own barrier
    assert sum("Content Security Policy" in error for error in browse.errors) >= 4
