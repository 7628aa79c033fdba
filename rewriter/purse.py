"""What a run may spend, and what it has spent: asked before every model call, told after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rewriter.errors import BudgetExceeded, UsageError
from rewriter.money import Chosen, cost_of, price_of
from rewriter.records import Request, Usage
from rewriter.tokens import TokenCounter

MESSAGES_HELD = 64


@dataclass
class Account:
    """One call's expected usage until it is paid."""

    model: str
    expected: Usage
    paid: Usage = field(default_factory=Usage)

    def pay(self, usage: Usage) -> None:
        """What the call really took."""
        self.paid = usage


class MessageTokens:
    """Counts tokens of messages; the prompt's own, which come again and again, are counted once."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Tokens of one message."""
        if text not in self._known:
            if len(self._known) >= MESSAGES_HELD:
                self._known.clear()
            self._known[text] = self._counter.count(text)
        return self._known[text]


class Purse:
    """Limits for the calls of one process: `most_cost` in US dollars, `most_tokens` input and output together.

    A call is let through where what was spent, what the calls under way are expected to take, and what it is expected
    to take itself stay within the limits. So the limits hold to within the error of the expectations of the calls under
    way, and the same command again, with the same limits, goes on from there.
    """

    def __init__(self, most_cost: float | None = None, most_tokens: int | None = None) -> None:
        self.most_cost, self.most_tokens = most_cost, most_tokens
        self.spent: dict[str, Usage] = {}
        self.on_paid: Callable[[str, Usage], None] | None = None  # hears of every payment, by model
        self._open: dict[int, Account] = {}
        self._calls: set[int] = set()  # accounts that will be closed without anybody's help
        self._closed = asyncio.Event()
        self._count: MessageTokens | None = None

    @asynccontextmanager
    async def open(self, request: Request, counter: TokenCounter, choice: Chosen) -> AsyncIterator[Account]:
        """An account for one call, closed at the end of the block; see `room_for`."""
        expected = Usage()
        if self.limited:
            self._count = self._count or MessageTokens(counter)
            expected = expected_usage(request, self._count)
        account = await self.room_for(request.model, expected, choice)
        try:
            yield account
        finally:
            self.close(account)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.most_cost is not None or self.most_tokens is not None

    async def room_for(self, model: str, expected: Usage, choice: Chosen) -> Account:
        """As `book`, for a call that is made now: where the calls under way hold the room, it waits for what they take.

        Otherwise a small budget would be taken up by expectations, and the run stopped with most of it unspent.
        """
        while True:
            try:
                account = self.book(model, expected, choice)
            except BudgetExceeded:
                if not self._calls:
                    raise
                await self._closed.wait()
                continue
            self._calls.add(id(account))
            return account

    def book(self, model: str, expected: Usage, choice: Chosen) -> Account:
        """An account for a call of a model (for a batch, its name with BATCH) that is expected to take so much.

        Raises BudgetExceeded where a limit leaves no room for it, UsageError where there is a limit in dollars and the
        model has no price.
        """
        if self.limited:
            self._look(Account(model, expected), choice)
        return self.inherit(model, expected)

    def inherit(self, model: str, expected: Usage) -> Account:
        """An account for what an earlier process has ordered already: it takes room, and is not asked about."""
        account = Account(model, expected)
        self._open[id(account)] = account
        return account

    def add(self, account: Account, expected: Usage, choice: Chosen) -> None:
        """Expect so much more of an open account: for a batch that is still being filled. Raises as `book`."""
        before, account.expected = account.expected, account.expected + expected
        try:
            if self.limited:
                self._look(account, choice)
        except (BudgetExceeded, UsageError):
            account.expected = before
            raise

    def close(self, account: Account) -> None:
        """The call is over: what was paid for counts from now on."""
        del self._open[id(account)]
        self._calls.discard(id(account))
        self._closed.set()  # who waits is woken, and waits for the next one
        self._closed.clear()
        self.spent[account.model] = self.spent.get(account.model, Usage()) + account.paid
        if self.on_paid is not None and account.paid.calls:
            self.on_paid(account.model, account.paid)

    def _look(self, account: Account, choice: Chosen) -> None:
        booked = dict(self.spent)
        for other in {**self._open, id(account): account}.values():
            booked[other.model] = booked.get(other.model, Usage()) + other.expected
        tokens = sum(u.input + u.output for u in booked.values())
        if self.most_tokens is not None and tokens > self.most_tokens:
            raise self._empty(f"--max-tokens {self.most_tokens}", f"{tokens} tokens")
        if self.most_cost is None or choice.embedded:
            return
        total = cost_of(booked)
        if total is None:
            without = next(m for m in booked if price_of(m) is None)
            raise UsageError(
                f"--max-cost needs the price of {without}.",
                remedy=f'Put input and output (dollars a million tokens) under [prices."{without}"] in rewriter.toml.',
            )
        if total > self.most_cost:
            raise self._empty(f"--max-cost {self.most_cost:g}", f"${total:.6f}")

    def _empty(self, limit: str, needed: str) -> BudgetExceeded:
        """Which sentence is due: who gives the same command again must get on with it."""
        if not any(usage.calls for usage in self.spent.values()) and len(self._open) == 0:
            return BudgetExceeded(
                f"{limit} is too little for a single call, which is expected to take {needed}.", remedy="Give more."
            )
        return BudgetExceeded(
            f"stopped by {limit}: the next call might exceed it.", remedy="The same command continues from here."
        )


def expected_usage(request: Request, count: MessageTokens) -> Usage:
    """Tokens of the messages, and an answer as long as the last of them: a rewrite is hardly longer."""
    counts = [count(m["content"]) for m in request.messages]
    return Usage(calls=1, input=sum(counts), output=counts[-1] if counts else 0)
