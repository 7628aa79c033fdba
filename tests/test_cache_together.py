"""Puts from an event loop: one flush for all that wait, acknowledged only when on disk, errors to whom they concern."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rewriter.cache.together import MOST, Sealed, Together

from rewriter.cache import PassageCache
from rewriter.errors import CacheError
from rewriter.records import Answer

KEYS = [f"{n:064x}" for n in range(3 * MOST)]


async def test_what_is_put_at_once_is_stored_in_few_transactions(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        real, batches = cache.store.write_all, []

        def counted(entries: list[Sealed]) -> None:
            batches.append(len(entries))
            real(entries)

        cache.store.write_all = counted  # type: ignore[method-assign]
        await asyncio.gather(*(cache.aput(key, Answer(text=key)) for key in KEYS))
        assert sum(batches) == len(KEYS) and max(batches) <= MOST and len(batches) <= 6
    with PassageCache(tmp_path) as again:
        assert [again.get(key) for key in KEYS] == [Answer(text=key) for key in KEYS]


async def test_the_last_of_several_puts_of_a_key_wins(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:
        await asyncio.gather(*(cache.aput(KEYS[0], Answer(text=str(n))) for n in range(50)))
        assert cache.get(KEYS[0]) == Answer(text="49") and len(cache) == 1


async def test_the_event_loop_runs_on_while_the_disk_is_waited_for() -> None:
    """The write ends only when the loop has done something meanwhile; if it were held up, it never would."""
    free = threading.Event()

    def write(entries: list[Sealed]) -> list[Exception | None]:
        assert free.wait(10)
        return [None] * len(entries)

    together = Together(write, lambda: None)
    waiting = asyncio.create_task(together.put(Sealed(b"k", b"v", 1.0)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    free.set()
    await waiting
    together.close()


async def test_an_error_reaches_whose_entry_it_was_and_nobody_else() -> None:
    def write(entries: list[Sealed]) -> list[Exception | None]:
        return [CacheError("no") if e.key == b"bad" else None for e in entries]

    together = Together(write, lambda: None)
    puts = (together.put(Sealed(key, b"", 1.0)) for key in (b"good", b"bad", b"fine"))
    told = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(t) for t in told] == [type(None), CacheError, type(None)]
    together.close()


async def test_a_writer_that_breaks_leaves_nobody_waiting() -> None:
    def write(entries: list[Sealed]) -> list[Exception | None]:
        raise MemoryError

    together = Together(write, lambda: None)
    for _ in range(2):  # and it goes on after that
        with pytest.raises(MemoryError):
            await asyncio.wait_for(together.put(Sealed(b"k", b"v", 1.0)), 10)
    together.close()


async def test_who_is_cancelled_while_storing_has_the_answer_stored(tmp_path: Path) -> None:
    async def ask() -> Answer:
        return Answer(text="paid for")

    with PassageCache(tmp_path) as cache:
        begun, free = asyncio.Event(), threading.Event()
        loop, real = asyncio.get_running_loop(), cache.store.write_all

        def held(entries: list[Sealed]) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert free.wait(10)
            real(entries)

        cache.store.write_all = held  # type: ignore[method-assign]
        task = asyncio.create_task(cache.once(KEYS[0], ask))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free.set()
    with PassageCache(tmp_path) as again:  # closing waited for it
        assert again.get(KEYS[0]) == Answer(text="paid for")


def test_a_loop_that_ends_early_loses_nothing(tmp_path: Path) -> None:
    cache = PassageCache(tmp_path)

    async def leave() -> None:
        tasks = [asyncio.ensure_future(cache.aput(key, Answer(text=key))) for key in KEYS[:20]]
        await asyncio.sleep(0)
        assert not all(t.done() for t in tasks)  # and the loop closes over them

    asyncio.run(leave())
    cache.close()
    gc.collect()
    with PassageCache(tmp_path) as again:
        assert len(again) == 20 and again.notices == []


def test_several_loops_in_several_threads(tmp_path: Path) -> None:
    with PassageCache(tmp_path) as cache:

        async def puts(own: int) -> None:
            await asyncio.gather(*(cache.aput(key, Answer(text=key)) for key in KEYS[own * 50 : own * 50 + 50]))

        threads = [threading.Thread(target=lambda n=n: asyncio.run(puts(n))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(cache.get(key) == Answer(text=key) for key in KEYS[:200])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_reads_and_writes_by_itself(tmp_path: Path) -> None:
    cache = PassageCache(tmp_path, memory=0)
    asyncio.run(cache.aput(KEYS[0], Answer(text="parent")))
    assert cache.get(KEYS[0])
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # rather killed than waited for
        asyncio.run(cache.aput(KEYS[1], Answer(text="child")))
        os._exit(0 if cache.get(KEYS[0]) == Answer(text="parent") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get(KEYS[1]) == Answer(text="child")
    cache.close()


WRITER = """
import asyncio, os, sys
from rewriter.cache import PassageCache
from rewriter.records import Answer
cache, start = PassageCache(sys.argv[1]), int(sys.argv[2])
async def one(n):
    key = f"{n:064x}"
    await cache.aput(key, Answer(text=key * 10))
    os.write(1, key.encode() + b"\\n")
async def main():
    for n in range(start, start + 1_000_000, 64):
        await asyncio.gather(*(one(m) for m in range(n, n + 64)))
asyncio.run(main())
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for turn in range(6):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(turn * 10_000_000)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().decode().strip() for _ in range(64 + 13 * turn)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line for line in writer.communicate()[0].decode().splitlines() if len(line) == 64]
    with PassageCache(tmp_path) as cache:
        assert len(acknowledged) > 500
        assert [key for key in acknowledged if cache.get(key) != Answer(text=key * 10)] == []
        assert cache.verify().damaged == 0 and cache.notices == []
