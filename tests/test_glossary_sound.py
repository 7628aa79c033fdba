"""Terms found by sound: what is found, what must not be, and how syllables and letters compare."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewriter.glossary import Glossary, phones, pinyin
from rewriter.glossary.hanzi import Runs
from rewriter.glossary.sound import _prior
from rewriter.glossary.words import UNKNOWN_WORD, Reading, alone, heard_cost, known_names, latin_cost

CASES = Path(__file__).parent / "cases"


def load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text(encoding="utf-8"))]


def by_sound(case: dict[str, Any]) -> list[list[str]]:
    text = case["text"]
    hits = [hit for hit in Glossary.from_terms(case["terms"]).match(text) if hit.how == "sound"]
    assert all(0 < hit.score < 1 and not hit.certain for hit in hits)
    return [[text[hit.start : hit.end], hit.canonical] for hit in hits]


@pytest.mark.parametrize("case", load("glossary_sound.json"))
def test_case(case: dict[str, Any]) -> None:
    assert by_sound(case) == case["hits"]


@pytest.mark.parametrize("case", load("glossary_known_failures.json"))
@pytest.mark.xfail(strict=True, reason="sound and word frequency know nothing of meaning")
def test_known_failure(case: dict[str, Any]) -> None:
    assert by_sound(case) == case["hits"]


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (("zhi", "zi"), ("zhi", "ji")),
        (("chen", "cheng"), ("chen", "chan")),
        (("nan", "lan"), ("nan", "dan")),
        (("fei", "hui"), ("fei", "lei")),
        (("xu", "xi"), ("xu", "xao")),
        (("yuan", "yan"), ("yuan", "mou")),
        (("shi", "shi"), ("shi", "si")),
    ],
)
def test_syllables_that_are_confused_are_nearer(near: tuple[str, str], far: tuple[str, str]) -> None:
    assert pinyin.apart(*near) < pinyin.apart(*far)
    assert pinyin.apart(*near) == pinyin.apart(*reversed(near))


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("Zilliz", "ziliz"),
        ("Phoenix", "foeniks"),
        ("bridge", "briJ"),
        ("Naïve", "nev"),
        ("Ｓhip", "Sip"),
        ("voice", "vois"),
        ("!", ""),
    ],
)
def test_sounds_of_letters(word: str, sounds: str) -> None:
    assert phones.sound(word) == sounds


SOUNDS = st.text("aeioubdfgklmnprstvzCJS", max_size=8)


@given(SOUNDS, SOUNDS, SOUNDS)
def test_distance_of_sounds_is_one(a: str, b: str, c: str) -> None:
    assert phones.apart(a, a) == 0
    assert phones.apart(a, b) == pytest.approx(phones.apart(b, a))
    assert phones.apart(a, c) <= 2 * (phones.apart(a, b) + phones.apart(b, c)) + 1e-9


@given(st.text("我们今天说的数据库云西蓝桥芯片一不", min_size=1, max_size=20), st.data())
def test_the_cost_of_a_stretch_is_what_it_adds(run: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(1, len(run)))
    start = data.draw(st.integers(0, end - 1))
    whole, before, behind = (Reading(part).cost(0, len(part)) for part in (run, run[:start], run[end:]))
    assert Reading(run).cost(start, end) == pytest.approx(whole - before - behind)


NAMES = ["云汐", "南桥芯片", "Grafana", "Zentrix", "瑞恒医药"]


@given(st.text("云西汐蓝南桥芯片graf anZentrixcs，锐恒瑞医药 0é🚀", max_size=60))
def test_offers_are_apart_from_each_other_and_from_what_is_spelt_right(text: str) -> None:
    hits = Glossary.from_terms(NAMES).match(text)
    assert all(a.end <= b.start for a, b in pairwise(hits))
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    right = [h for h in hits if h.how == "canonical"]
    assert right == Glossary.from_terms(NAMES).match(text, sound=False)


@given(st.integers(21, 60), st.text("云西汐蓝南桥芯片graf anZentrixcs，锐恒瑞医药资源有", max_size=60))
def test_one_term_more_moves_no_other(count: int, text: str) -> None:
    """Passages in which a new term does not occur keep their prompts; but for where the number of terms doubles."""
    others = [f"鑫淼{a}{b}" for a in "焱垚霁岚沅钰琛璟" for b in "翊晟骁珩瑜禾澜瑾"][:count]
    before = Glossary.from_terms([*NAMES, *others[:-1]])
    after = Glossary.from_terms([*NAMES, *others])
    if before._sound._prior == after._sound._prior:
        assert before.for_prompt(text) == after.for_prompt(text)


def test_the_odds_move_seldom() -> None:
    priors = {_prior(count) for count in range(100_000)}
    assert len(priors) == 13


def test_a_known_alias_is_found_by_its_letters_not_offered_by_sound() -> None:
    text = "数据放在云西上面"
    hits = Glossary.from_terms([{"canonical": "云汐", "aliases": ["云西"]}]).match(text)
    assert [(hit.how, text[hit.start : hit.end]) for hit in hits] == [("alias", "云西")]


def test_many_terms_keep_to_nearer_sounds() -> None:
    """With 6,000 names about, the one that sounds the same is still found, and everyday text stays clean."""
    syllables = "雯瑾澜汐禾瑜珩骁晟钰琛璟翊霁岚沅淼焱垚鑫"
    many = [f"{a}{b}{c}" for a in syllables for b in syllables for c in syllables if len({a, b, c}) == 3][:6000]
    terms = Glossary.from_terms([*many, "瑞恒医药"])
    text = "今天下午我们去河边散步，跟锐恒医药的朋友一起看风筝，晚上回家做饭。"
    assert [text[h.start : h.end] for h in terms.match(text)] == ["锐恒医药"]


@pytest.mark.parametrize("unit", ["哈", "云西", "a", "graf ", "graf云", "Grafana-", "。"])
def test_hostile_texts_take_linear_time(unit: str) -> None:
    """A bound against blow-up only: about fifty times what it takes."""
    terms = Glossary.from_terms(NAMES)
    terms.match("云西graf")
    begin = time.perf_counter()
    terms.match(unit * (40_000 // len(unit)))
    assert time.perf_counter() - begin < 30


@given(
    st.lists(st.text("我们今天说的数据库云西蓝桥芯片一不", min_size=1, max_size=12), min_size=1, max_size=4), st.data()
)
def test_what_is_read_in_windows_costs_what_it_does_in_the_whole_run(runs: list[str], data: st.DataObject) -> None:
    """In whatever order stretches are asked for, across windows that were read before."""
    text = "，".join(runs)
    windows = Runs(text)
    for _ in range(6):
        number = data.draw(st.integers(0, len(runs) - 1))
        run, begin = runs[number], sum(len(one) + 1 for one in runs[:number])
        end = data.draw(st.integers(1, len(run)))
        start = data.draw(st.integers(0, end - 1))
        cost = Reading(run).cost(start, end)
        assert windows.at_most(begin + start, begin + end) >= cost - 1e-9 <= alone(run[start:end])
        assert windows.cost(begin + start, begin + end) == pytest.approx(cost)
    windows.read_all()
    assert windows.at_most(0, len(runs[0])) == pytest.approx(Reading(runs[0]).cost(0, len(runs[0])))


def test_what_lies_across_runs_is_known_once_all_are_read() -> None:
    runs = Runs("云汐，看 graf 板")
    assert runs.at_most(0, 4) == math.inf
    runs.read_all()
    assert runs.at_most(0, 4) < 0 and runs.at_most(5, 7) < 0 <= runs.at_most(0, 2)


def test_text_in_classes_is_as_long_and_changes_only_what_has_a_sound() -> None:
    """Twice, for the first time fills the table; a character of the private use area is no class."""
    text = "云\uffff汐 Graf\ue123 \U00020000🙂\ud800"
    for _ in range(2):
        classes = pinyin.ClassTable(pinyin.narrow).of(text)
        assert len(classes) == len(text)
        assert classes[3:8] + classes[9:] == text[3:8] + text[9:]
        assert [classes[1], classes[8]] == ["\ufffd", "\ufffd"]
        assert classes[0] == pinyin.narrow("yun") and classes[2] == pinyin.narrow("xi")


@given(SOUNDS, SOUNDS, st.floats(0, 4))
def test_a_limit_on_the_distance_of_sounds_changes_only_what_is_beyond_it(a: str, b: str, limit: float) -> None:
    whole, bounded = phones.apart(a, b), phones.apart(a, b, limit)
    assert bounded == whole if whole <= limit else bounded > limit


def test_the_table_of_sounds_is_read_without_the_tables_of_phrases() -> None:
    """They take ten times as long, and a glossary that comes back from its index never needs them."""
    code = (
        "import sys; from rewriter.glossary import pinyin;"
        "assert pinyin.syllables('重') == ('zhong', 'chong', 'tong');"
        "assert 'pypinyin' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_where_the_table_of_sounds_is_not_to_be_found_the_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    table = dict(pinyin._dictionary())
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert pinyin._dictionary.__wrapped__() == table


def test_known_names_cost_less_than_unknown_words_and_no_more_than_listed() -> None:
    names, cost = known_names()
    assert len(names) > 300 and all(name.isalpha() and name == name.lower() and len(name) > 3 for name in names)
    assert all(heard_cost(name) == min(cost, latin_cost(name)) < UNKNOWN_WORD for name in names)
    assert heard_cost("zqvelomir") == UNKNOWN_WORD and heard_cost("the") == latin_cost("the")
    assert latin_cost("strengthener") == UNKNOWN_WORD > heard_cost("strengthener") > latin_cost("strengthen")
