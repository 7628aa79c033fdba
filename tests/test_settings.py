"""Flags over environment over rewriter.toml; mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewriter.errors import UsageError
from rewriter.money import cost, prices
from rewriter.records import Usage
from rewriter.settings import Settings, fingerprint, load_settings


def test_the_nearer_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewriter.toml").write_text('style = "formal"\nbudget = 300\nconcurrency = 2\n')
    monkeypatch.setenv("REWRITER_BUDGET", "200")
    settings = load_settings({"concurrency": 5, "style": None, "glossary": ()}, tmp_path)
    assert (settings.style, settings.budget, settings.concurrency) == ("formal", 200, 5)


@pytest.mark.parametrize(
    ("config", "given", "says"),
    [
        ("style = ", {}, "not valid TOML"),
        ('stlye = "clean"', {}, "unknown setting: stlye"),
        ("", {"budget": 3}, "budget cannot be 3"),
        ("", {"concurrency": 0}, "concurrency cannot be 0"),
        ("budget = 'many'", {}, "--budget"),
        ("", {"limit": 0}, "limit cannot be 0"),
        ("", {"base_url": ""}, "base_url is an empty text. Look at --base-url"),
        ('language = ""', {}, "language is an empty text"),
        ("", {"max_cost": -1.0}, "Look at --max-cost, rewriter.toml"),
        ("", {"budget": 3}, "Look at --budget, REWRITER_BUDGET, rewriter.toml"),
        ("", {"timeout": 0.0}, "Look at REWRITER_TIMEOUT, rewriter.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, config: str, given: dict[str, object], says: str) -> None:
    (tmp_path / "rewriter.toml").write_text(config)
    with pytest.raises(UsageError, match=says):
        load_settings(given, tmp_path)


def test_a_key_is_in_no_dump() -> None:
    settings = Settings.model_validate({"api_key": "sk-very-secret"})
    assert "sk-very-secret" not in repr(settings) + settings.model_dump_json() + str(settings)


def test_fingerprints_do_not_depend_on_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})


class Chosen:
    def __init__(self, model: str, embedded: bool = False) -> None:
        self.model, self.embedded = model, embedded


def test_cost_counts_cached_input_at_its_own_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewriter.toml").write_text('[prices."m"]\ninput = 2.0\ncached = 0.5\noutput = 8.0\n')
    prices.cache_clear()
    usage = Usage(calls=1, input=1_000_000, cached=400_000, output=500_000)
    assert cost(usage, Chosen("m")) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)
    assert cost(usage, Chosen("unheard of")) is None
    assert cost(usage, Chosen("any", embedded=True)) == 0
    prices.cache_clear()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[prices."m"]\ninput = 2.0\n', "the price of m needs input and output"),
        ("prices = 3\n", "must be a table"),
        ("[prices]\nm = 3\n", "the price of m needs"),
        ("prices.m = {input = '2', output = 1}\n", "input = '2'"),
        ("prices.m = {input = 2, output = -1}\n", "output = -1"),
        ("prices.m = {input = nan, output = 1}\n", "input = nan"),
        ("prices.m = {input = true, output = 1}\n", "input = True"),
        ("prices.m = {input = 2, output = 1, cache = 1}\n", "has cache, which is none of"),
        ("[prices\n", "no prices can be read"),
        ("prices = '\udcff'\n", "no prices can be read"),
    ],
)
def test_a_price_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewriter.toml").write_text(table, encoding="utf-8", errors="surrogateescape")
    prices.cache_clear()
    with pytest.raises(UsageError, match=says):
        prices()
    prices.cache_clear()
