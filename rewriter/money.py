"""What tokens cost, in US dollars."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from rewriter.errors import UsageError
from rewriter.records import Usage

MILLION = 1_000_000


class Chosen(Protocol):
    """The model in use."""

    @property
    def model(self) -> str: ...
    @property
    def embedded(self) -> bool: ...


def cost(usage: Usage, choice: Chosen) -> float | None:
    """Dollars for the usage: 0 for the embedded model, None for a model whose price is not known."""
    if choice.embedded:
        return 0.0
    price = prices().get(choice.model)
    if price is None:
        return None
    fresh = usage.input - usage.cached
    total = fresh * price["input"] + usage.cached * price.get("cached", price["input"]) + usage.output * price["output"]
    return round(float(total) / MILLION, 6)


@cache
def prices() -> dict[str, dict[str, float]]:
    """Dollars per million tokens by model: the package's table, then [prices] of `rewriter.toml`.

    Raises UsageError for a price without input or output.
    """
    table: dict[str, Any] = tomllib.loads((files("rewriter") / "prices.toml").read_text(encoding="utf-8"))
    own = Path("rewriter.toml")
    if own.is_file():
        table |= tomllib.loads(own.read_text(encoding="utf-8")).get("prices", {})
    for model, price in table.items():
        if not {"input", "output"} <= set(price):
            raise UsageError(
                f"the price of {model} needs input and output.",
                where=str(own),
                remedy="Give both in dollars per million tokens.",
            )
    return table
