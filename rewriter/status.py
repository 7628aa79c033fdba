"""How a run stands, from its folder alone: for one that is going on, was stopped, or is finished."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rewriter.errors import InputError
from rewriter.journal import BATCHES, JOURNAL, is_open, parse, read_journal, read_lines
from rewriter.money import cost_of
from rewriter.past import add_paid
from rewriter.records import STATUSES, Record, Usage
from rewriter.report.visible import on_one_line
from rewriter.summary import Spent, dump, total

# Batches whose answers are in the cache, the answers in them and the requests that got none; batches that the provider
# works on, those that wait for room there, and the requests of both.
BATCH_COUNTS = ("collected", "answered", "failed", "with_provider", "waiting", "requests_open")

# Failed files that are named for a person.
SHOWN = 8

State = Literal["running", "stopped", "finished"]


class RunStatus(Record):
    """A run at a moment. `files`, `passages` and what follows from them are of the last execution's inputs: finished by
    it or found finished. `passages` counts outcomes by status, of files finished and not; `passages_in_all` is what the
    files begun have, and for the rest by their size. `rate` is passages a second and `left` seconds, of the execution
    that is running (None where none is). `spent` is what all executions paid and `cost` that in dollars, None where a
    price is not known. `failures` says by file why it could not be read, `why` why a run stopped. `batches` counts
    those at a provider and their requests (see BATCH_COUNTS); empty where the run has none.
    """

    folder: str
    state: State
    exit: int | None
    why: str
    began: str
    files: int
    files_done: int
    files_failed: int
    failures: dict[str, str]
    passages: dict[str, int]
    passages_in_all: int
    usage: Usage
    spent: dict[str, dict[str, int]]
    cost: float | None
    batches: dict[str, int]
    rate: float | None
    left: float | None


@dataclass
class _Seen:
    """What the journal said so far."""

    began: str = ""
    time: float = 0.0
    now: int = 0  # passages that this execution answered
    files: int = 0
    size: int = 0
    exit: int | None = None
    stopped: bool = True
    why: str = ""
    embedded: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    paid: Spent = field(default_factory=dict)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)  # finished by earlier executions
    resumed: tuple[int, int] = (0, 0)  # passages and bytes of those among them that this execution found finished
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    begun: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        kind, file = event["event"], str(event.get("file"))
        if kind == "start":
            self.began, self.time = event["at"], event.get("time", _seconds(event["at"]))
            self.files, self.size = event.get("files", 0), event.get("bytes", 0)
            self.embedded = str(event["settings"]["endpoint"]).startswith("embedded:")
            self._begin(event["settings"])
        elif kind == "resumed" and file in self.before:
            self.done[file] = self.before[file]
            passages, size = self.resumed
            self.resumed = passages + sum(self.done[file]["passages"].values()), size + int(event["bytes"])
        elif kind == "begin":
            self.begun[file] = event
        elif kind == "paid":
            add_paid(self.paid, event)
        elif kind == "passage":
            self.open.setdefault(file, {})[event["key"]] = event["outcomes"]
            self.now += 1
        elif kind == "file" and "failed" in event:
            self.failed[file] = event["failed"]
        elif kind == "file":
            self.done[file] = event
            self.open.pop(file, None)
        elif kind == "end":
            self.exit, self.stopped, self.why = event["exit"], bool(event.get("stopped")), event.get("why") or ""

    def _begin(self, settings: dict[str, Any]) -> None:
        """A new execution: it may have other inputs, and with other settings nothing half-done is of use to it."""
        self.now, self.exit, self.stopped, self.why = 0, None, True, ""
        self.before |= self.done
        self.done, self.begun, self.failed, self.resumed = {}, {}, {}, (0, 0)
        if settings != self.settings:
            self.open = {}
        self.settings = settings


def status(folder: Path) -> RunStatus:
    """The status of the run in a folder. Raises InputError where there is no journal in it."""
    seen = _Seen()
    for event in read_journal(folder / JOURNAL):
        if event["event"] != "outcome":
            seen.take(event)
    if not seen.began:
        raise InputError(
            "there is no run in this folder.", where=str(folder), remedy=f"Name a folder with a {JOURNAL}."
        )
    running = is_open(folder)
    outcomes = [o for keys in seen.open.values() for found in keys.values() for o in found]
    counts: dict[str, int] = {s: sum(d["passages"][s] for d in seen.done.values()) for s in STATUSES}
    for outcome in outcomes:
        counts[outcome["status"]] += 1
    rate = seen.now / max(time.time() - seen.time, 0.001) if running and seen.now else None
    in_all = _in_all(seen, sum(counts.values()))
    return RunStatus(
        folder=str(folder),
        state="running" if running else "stopped" if seen.stopped else "finished",
        exit=None if running else seen.exit,
        why="" if running else seen.why,
        began=seen.began,
        files=seen.files,
        files_done=len(seen.done),
        files_failed=len(seen.failed),
        failures=seen.failed,
        passages=counts,
        passages_in_all=in_all,
        usage=total(seen.paid),
        spent=dump(seen.paid),
        cost=0.0 if seen.embedded else cost_of(seen.paid),
        batches=_batches(folder / BATCHES),
        rate=rate and round(rate, 3),
        left=rate and round((in_all - sum(counts.values())) / rate, 1),
    )


def _batches(path: Path) -> dict[str, int]:
    """What has become of the requests given to a provider's batch interface."""
    counts: Counter[str] = Counter()
    known: dict[str, tuple[int, bool]] = {}  # requests, and whether the provider has begun the batch

    def written(batch: dict[str, Any]) -> None:
        known[str(batch["token"])] = int(batch["requests"]), False

    for _, line in read_lines(path):
        event = parse(line) or {"event": ""}
        token = str(event.get("token", ""))
        if event["event"] == "written":
            written(event)
        elif event["event"] in {"submitted", "refused"} and token in known:
            known[token] = known[token][0], event["event"] == "submitted"
        elif event["event"] in {"split", "dropped", "collected"}:
            known.pop(token, None)
            for part in event.get("into", ()):
                written(part)
            counts["collected"] += event["event"] == "collected"
            counts["answered"] += int(event.get("answered", 0))
            counts["failed"] += sum(len(keys) for keys in event.get("failed", {}).values())
    counts["with_provider"] = sum(begun for _, begun in known.values())
    counts["waiting"] = len(known) - counts["with_provider"]
    counts["requests_open"] = sum(requests for requests, _ in known.values())
    return {name: counts[name] for name in BATCH_COUNTS} if known or counts["collected"] else {}


def _in_all(seen: _Seen, found: int) -> int:
    known = sum(int(e["passages"]) for e in seen.begun.values()) + seen.resumed[0]
    size = sum(int(e["bytes"]) for e in seen.begun.values()) + seen.resumed[1]
    if not known or not size or not seen.stopped:
        return max(known, found)
    return max(round(known * max(1.0, seen.size / size)), found)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def lines(found: RunStatus) -> list[str]:
    """The status for a person."""
    counts = ", ".join(f"{n} {name}" for name, n in found.passages.items() if n)
    done, price = sum(found.passages.values()), "cost unknown" if found.cost is None else f"${found.cost:.4f}"
    failed = f", {found.files_failed} failed" if found.files_failed else ""
    said = [
        f"{on_one_line(found.folder)}: {found.state}" + ("" if found.exit is None else f", exit code {found.exit}"),
        f"files: {found.files_done} of {found.files} done{failed}",
        f"passages: {done} of {found.passages_in_all}: {counts or 'none yet'}",
        f"tokens: {found.usage.input} in, {found.usage.output} out in {found.usage.calls} calls, {price}",
    ]
    said += [on_one_line(f"failed: {why}") for why in list(found.failures.values())[:SHOWN]]
    if found.files_failed > SHOWN:
        said.append(f"... and {found.files_failed - SHOWN} more that failed: see --json")
    if found.batches:
        b = found.batches
        said.append(
            f"batches: {b['collected']} collected ({b['answered']} answers, {b['failed']} requests without one), "
            f"{b['with_provider']} with the provider, {b['waiting']} waiting; {b['requests_open']} requests open"
        )
    if found.rate and found.left is not None:
        said.append(f"{found.rate:.2f} passages a second; about {found.left / 60:.0f} min left")
    if found.why:
        said.append(on_one_line(found.why))
    elif found.state == "stopped":
        said.append("The command that began it continues it.")
    return said
