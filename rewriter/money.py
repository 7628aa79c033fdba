"""What tokens cost, in US dollars."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from rewriter.errors import UsageError
from rewriter.records import Usage

MILLION = 1_000_000

# Behind a model's name in accounts: used through a provider's batch interface, at the price of that.
BATCH = "@batch"

# What a price may tell.
PRICED = frozenset({"input", "cached", "output", "batch"})

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Chosen(Protocol):
    """The model in use."""

    @property
    def model(self) -> str: ...
    @property
    def embedded(self) -> bool: ...


def cost(usage: Usage, choice: Chosen) -> float | None:
    """Dollars for the usage: 0 for the embedded model, None for a model whose price is not known."""
    return 0.0 if choice.embedded else cost_of({choice.model: usage})


def cost_of(spent: Mapping[str, Usage]) -> float | None:
    """Dollars for usage by model; None where the price of one is not known.

    A model's name with BATCH behind it stands for what went through a provider's batch interface.
    """
    dollars = 0.0
    for name, usage in spent.items():
        price = price_of(name.removesuffix(BATCH))
        if price is None:
            return None
        fresh = usage.input - usage.cached
        total = (
            fresh * price["input"] + usage.cached * price.get("cached", price["input"]) + usage.output * price["output"]
        )
        dollars += total / MILLION * (price.get("batch", 1.0) if name.endswith(BATCH) else 1.0)
    return round(dollars, 6)


def price_of(model: str) -> dict[str, float] | None:
    """Dollars per million tokens of a model; a dated name (gpt-4.1-mini-2025-04-14) has the undated one's price."""
    table = prices()
    return table.get(model) or table.get(_DATE.sub("", model))


@cache
def prices() -> dict[str, dict[str, float]]:
    """Dollars per million tokens by model: the package's table, then [prices] of `rewriter.toml`.

    `batch` is the factor by which a provider's batch interface is cheaper.

    Raises UsageError for a price without input or output, or that is no number.
    """
    table: dict[str, Any] = tomllib.loads((files("rewriter") / "prices.toml").read_text(encoding="utf-8"))
    own = Path("rewriter.toml")
    if own.is_file():
        try:
            found = tomllib.loads(own.read_text(encoding="utf-8")).get("prices", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise _wrong(f"no prices can be read: {error}.") from None
        if not isinstance(found, dict):
            raise _wrong("[prices] must be a table.")
        for model, price in found.items():
            _look(model, price)
        table |= found
    return table


def _look(model: str, price: Any) -> None:
    """Raise UsageError for a price that cannot be reckoned with."""
    if not isinstance(price, dict) or not {"input", "output"} <= set(price):
        raise _wrong(f"the price of {model} needs input and output.")
    if unknown := sorted(set(price) - PRICED):
        raise _wrong(f"the price of {model} has {', '.join(unknown)}, which is none of {', '.join(sorted(PRICED))}.")
    for name, value in price.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise _wrong(f"the price of {model} has {name} = {value!r}, which is no amount.")


def _wrong(what: str) -> UsageError:
    return UsageError(
        what,
        where="rewriter.toml",
        remedy='Under [prices."model name"] give input and output in dollars per million tokens.',
    )
