"""Real runs to look at: transcripts written for it, rewritten through a server by an editor who sometimes fails.

    folder = make_run(tmp_path, {"talk.txt": TALK}, Editor(always=["仓库"]))       # returns the run's folder

The pictures of the documentation and the report's benchmark use it as well as the tests.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from faulty_server import FaultyServer, Messages, light_edit, passage_between_markers
from rewriter.cli import main

# Paragraphs of a talk: a loop, stutters, fillers, misheard names, numbers, denials.
TALK = """嗯大家好，我是渔港小学的老师，我们我们今天讲一讲怎么用Obsidain来写观察日记，一共有四十二个孩子参加了这个项目。

去年九月开始的时候，我们没有买任何设备，就是用旧手机拍照，然后用语音把看到的东西说出来，再由电脑转成文字。

你看这一段就卡住了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，海鸥飞过来了，后面的就没有了。

孩子们最喜欢的是退潮以后的滩涂，他们在那里数过螃蟹，最多的一天数到三百一十七只，这个数字后来写进了学校的年报。

但是有一件事情要说清楚，我们不是在训练孩子当科学家，我们是想让他们学会把看到的事情说完整，一句话也不少。

用奥伯西迪恩整理的时候，每一篇日记都连到前一天的日记，所以到了冬天，就有了一张很大的网，家长来看的时候都很惊讶。

问题也有，比如说风很大的时候录音听不清楚，识别出来的东西没有办法读，我们就让孩子回到教室里再说一遍。

最后说一下明年的打算，我们准备再找两所学校一起做，每个月交换一次日记，费用由镇里的图书馆出，大概是八千块钱一年。
"""

ENGLISH = """So um good morning everyone, I run the the small weather station on the ridge. Today: gauges.

We started with eleven gauges in 2019, and we did not calibrate any of them, which was a mistake, a costly one.

The second winter taught us that ice blocks the funnel, so we wrapped the gauges in foil and heated them with a lamp.

If you remember one thing from this talk, remember that a gauge nobody visits is a gauge that lies to you.
"""

GLOSSARY = """terms:
  - canonical: Obsidian
    aliases: [Obsidain]
    certain: true
  - canonical: 黑曜石笔记
    aliases: [奥伯西迪恩]
  - canonical: 渔光小学
    aliases: [渔港小学]
"""

# What a hostile transcript may hold, and what must be seen of it.
ATTACKS = (
    "<script>window.pwned=1</script>",
    "</script><img src=x onerror=window.pwned=2>",
    "<!--<script>window.pwned=3//",
    '<a href="javascript:window.pwned=4">点这里</a>',
    "<svg onload=window.pwned=5>",
    "{{ 7*7 }}${window.pwned=6}",
    "<style>body{display:none}</style>",
    "<iframe src=https://example.com/></iframe>",
    "看这里\x1b[31m红色\x1b]0;title\x07",
    "\u202e倒过来\u202c",
)


def subtitles(sentences: Sequence[str], seconds: float = 4.0) -> str:
    """Cues of so many seconds each."""

    def stamp(second: float) -> str:
        return f"{int(second) // 3600:02}:{int(second) // 60 % 60:02}:{second % 60:06.3f}".replace(".", ",")

    cues = (f"{n}\n{stamp((n - 1) * seconds)} --> {stamp(n * seconds)}\n{s}\n" for n, s in enumerate(sentences, 1))
    return "\n".join(cues)


def conversation(turns: Sequence[tuple[str, str]], seconds: float = 6.0) -> str:
    """A recogniser's JSON: each turn a segment with its speaker."""
    segments = [
        {"start": n * seconds, "end": (n + 1) * seconds, "speaker": who, "text": said}
        for n, (who, said) in enumerate(turns)
    ]
    return json.dumps({"segments": segments}, ensure_ascii=False)


class Editor:
    """Rewrites a passage carefully, and badly where it holds one of these words.

    `always`: every draft loses its middle, so that the passage is kept. `once`: only the first draft does, so that it
    is repaired. `says`: what is put in for a word in every draft.
    """

    def __init__(
        self, *, always: Sequence[str] = (), once: Sequence[str] = (), says: dict[str, str] | None = None
    ) -> None:
        self.always, self.once, self.says = tuple(always), tuple(once), says or {}
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, messages: Messages) -> str:
        passage = passage_between_markers(messages)
        with self._lock:
            first = not self._asked[passage]
            self._asked[passage] += 1
        good = light_edit(passage)
        for word, instead in self.says.items():
            good = good.replace(word, instead)
        spoilt = any(w in passage for w in self.always) or (first and any(w in passage for w in self.once))
        return _without_its_middle(good) if spoilt else good


def _without_its_middle(text: str) -> str:
    clauses = re.split(r"(?<=[，。,.])", text)
    return "".join([*clauses[:1], *clauses[-2:]]) if len(clauses) > 3 else text[: len(text) // 3]


def make_run(folder: Path, files: dict[str, str], editor: Editor | None = None, *options: str) -> Path:
    """Rewrite `files` (name to text) by the command line; the run is in folder/out, which is returned."""
    inputs = folder / "in"
    for name, text in files.items():
        (inputs / name).parent.mkdir(parents=True, exist_ok=True)
        (inputs / name).write_text(text, encoding="utf-8")
    with FaultyServer(rewrite=editor or Editor()) as server:
        model = ("--base-url", server.base_url, "--model", "m", "--cache", str(folder / "cache"))
        try:
            main(["rewrite", str(inputs), "-o", str(folder / "out"), "--quiet", *model, *options])
        except SystemExit as ended:
            assert ended.code in {0, 1, 3}, f"the run ended with {ended.code}"
    return folder / "out"
