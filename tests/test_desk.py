"""The review desk without a browser: its door, recordings, questions, terms, final transcripts."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from desks import (
    CLI,
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
from rewriter.errors import InputError, OutputError, UsageError
from rewriter.model import client
from rewriter.model.retry import RetryPolicy
from rewriter.report.desk.asking import Asker
from rewriter.report.desk.book import Book
from rewriter.report.desk.decisions import REVIEW, Review, read_decisions
from rewriter.report.desk.desk import write_final
from rewriter.report.desk.media import recording_of, recordings
from rewriter.report.desk.selection import Choice, chosen, progress
from rewriter.report.runs import FileView


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


class Client:
    """A client that says of itself what it likes."""

    def __init__(self, running: Running) -> None:
        parts = urlsplit(running.address)
        self.host, self.token = parts.netloc, parts.query
        self.cookie = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; a header that is None is not sent."""
        sent: dict[str, str | None] = {"host": self.host, "cookie": self.cookie or None}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if method == "POST":
            sent |= {"origin": f"http://{self.host}", "content-type": "application/json"}
            sent["content-length"] = str(len(data or b""))
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def enter(self) -> Client:
        status, headers, _ = self.ask("GET", f"/?{self.token}")
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]
        return self

    def post(self, path: str, body: Any) -> dict[str, Any]:
        return dict(json.loads(self.ask("POST", path, body)[2]))

    def keys(self) -> list[str]:
        """The passages' names, in order."""
        return re.findall(r'href="/passage/([\w-]+)', self.ask("GET", "/?show=all")[2].decode())


# --- the door --------------------------------------------------------------------------------------------------------


def test_who_may_come_in(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running)
        status, headers, body = guest.ask("GET", f"/?{guest.token}")
        assert status == 200 and b'content="0;url=/"' in body and b"token" not in body
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert attribute in headers["set-cookie"]
        assert guest.token.partition("=")[2] not in headers["set-cookie"]
        guest.enter()
        (key, *_) = guest.keys()
        act, decision = f"/passage/{key}/decide", {"kind": "accept"}
        other = "http://127.0.0.1:1"
        refused = [
            ("no cookie", guest.ask("GET", "/", cookie=None)),
            ("another cookie", guest.ask("GET", "/", cookie=f"{guest.cookie[:-1]}x")),
            ("a wrong token", guest.ask("GET", "/?token=x", cookie=None)),
            ("a wrong token, in letters that are none", guest.ask("GET", "/?token=%FF%00é".replace("é", "%C3%A9"))),
            ("the token elsewhere", guest.ask("GET", f"/terms?{guest.token}", cookie=None)),
            ("another name (DNS rebinding)", guest.ask("GET", "/", host=f"evil.example:{guest.host.split(':')[1]}")),
            ("another name, with the token", guest.ask("GET", f"/?{guest.token}", host="evil.example")),
            ("no name", guest.ask("GET", "/", host="")),
            ("a name that looks alike", guest.ask("GET", "/", host="127.0.0.1.evil.example")),
            ("a name with a user", guest.ask("GET", "/", host="127.0.0.1@evil.example")),
            ("another site", guest.ask("GET", "/", sec_fetch_site="cross-site")),
            ("another port", guest.ask("GET", "/", sec_fetch_site="same-site")),
            ("another origin, reading", guest.ask("GET", "/", origin=other)),
            ("another origin", guest.ask("POST", act, decision, origin=other)),
            ("the same, by https", guest.ask("POST", act, decision, origin=f"https://{guest.host}")),
            ("no origin", guest.ask("POST", act, decision, origin=None)),
            ("an origin that is none", guest.ask("POST", act, decision, origin="null")),
            ("no cookie, writing", guest.ask("POST", act, decision, cookie=None)),
            ("another method", guest.ask("PUT", act, decision)),
            ("another method, with the token", guest.ask("DELETE", f"/?{guest.token}")),
        ]
        assert [(what, status) for what, (status, _, _) in refused if status != 403] == []
        assert not (run / REVIEW).read_bytes()
        assert {h["content-security-policy"].count("'unsafe") for _, (_, h, _) in refused} == {0}
        # A desk behind an SSH tunnel has another port, and its own page may speak there.
        assert guest.ask("POST", act, decision, host="localhost:9", origin="http://localhost:9")[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 4_000_001, {}, 413),
        (b"{}", {"content_length": None, "transfer_encoding": "chunked"}, 413),
        (b"not json", {}, 400),
        (b"[1]", {}, 400),
        (b'{"kind":"accept"}', {"content_type": "text/plain"}, 400),  # what a form can send
        ({"kind": "burn"}, {}, 400),
        ({"kind": "asked"}, {}, 400),
        ({"kind": ["accept"]}, {}, 400),
        ({"kind": "edit", "text": 7}, {}, 400),
        ({"kind": "undo"}, {}, 400),
        ({"kind": "edit", "text": "半个\ud800"}, {}, 200),
    ],
)
def test_what_may_be_said(
    server: FaultyServer, run: Path, body: Any, headers: dict[str, str | None], status: int
) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        (key, *_) = guest.keys()
        try:
            found, _, answer = guest.ask("POST", f"/passage/{key}/decide", body, **headers)
        except ConnectionError:  # refused while it was still being sent
            found, answer = 413, b""
        assert found == status
        assert status != 400 or json.loads(answer)["error"]
        assert guest.ask("GET", f"/passage/{key}")[0] == 200
    assert len(list(read_decisions(run / REVIEW))) == (status == 200)


@pytest.mark.parametrize(
    "path",
    [
        "/passage/0-none",
        "/passage/%2e%2e%2f%2e%2e",
        "/static/../templates/list.html",
        "/static/%2e%2e%2ftemplates%2flist.html",
        "/media/1",
        "/media/-1",
        "/media/..%2f..%2fetc%2fpasswd",
        "/review.jsonl",
    ],
)
def test_nothing_else_is_there(server: FaultyServer, run: Path, path: str, tmp_path: Path) -> None:
    with desk(run, media=[tone(tmp_path / "水站.wav", 1)]) as running:
        assert Client(running).enter().ask("GET", path)[0] == 404


def test_filters_take_any_address(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        for query in (
            "show=x&status=y&page=0",
            "page=99999",
            "page=-1",
            f"text={quote('a' * 5000)}",
            "file=%00",
            "show=",
        ):
            assert guest.ask("GET", f"/?{query}")[0] == 200, query


def test_no_key_of_the_model_reaches_a_page(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        (key, *_) = guest.keys()
        server.script.extend(["401"] * 3)
        answer = guest.post(f"/passage/{key}/ask", {"instruction": "短一点"})
        pages = guest.ask("GET", f"/passage/{key}")[2].decode() + guest.ask("GET", "/")[2].decode()
    assert answer["error"] and "sk-test-desk" not in json.dumps(answer) + pages
    assert "sk-test-desk" not in (run / REVIEW).read_text()


# --- recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [(None, 200, 0, None), ("bytes=0-99", 206, 0, 99), ("bytes=1000-", 206, 1000, None), ("bytes=-44", 206, -44, None)],
)
def test_a_recording_is_sent_in_ranges(
    server: FaultyServer, run: Path, tmp_path: Path, asked: str | None, status: int, first: int, last: int | None
) -> None:
    sound = tone(tmp_path / "水站.wav", 2)
    with desk(run, media=[sound]) as running:
        found, headers, body = Client(running).enter().ask("GET", "/media/0", range=asked)
    whole = sound.read_bytes()
    assert (found, headers["content-type"]) == (status, "audio/x-wav")
    assert body == whole[first : None if last is None else last + 1]


@pytest.mark.parametrize(
    ("name", "among", "files", "found"),
    [
        ("talk.srt", ["talk.mp3", "other.mp3"], 2, "talk.mp3"),
        ("talk.zh.srt", ["talk.mp4"], 3, "talk.mp4"),
        ("a/talk.srt", ["x/talk.opus"], 3, "talk.opus"),
        ("talk.srt", ["recording.m4a"], 1, "recording.m4a"),
        ("talk.srt", ["recording.m4a"], 2, None),
        ("talk.srt", ["a.mp3", "b.mp3"], 1, None),
        ("talk.srt", [], 1, None),
    ],
)
def test_which_recording_is_whose(tmp_path: Path, name: str, among: list[str], files: int, found: str | None) -> None:
    for path in among:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    recording = recording_of(FileView(name=name), files, recordings([str(tmp_path / path) for path in among]))
    assert (recording.path.name if recording else None) == found


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets.txt").write_text("x")
    with pytest.raises(UsageError, match="no audio or video"):
        recordings([str(tmp_path / "secrets.txt")])
    with pytest.raises(InputError, match="no such file"):
        recordings([str(tmp_path / "talk.mp3")])


# --- decisions and runs ----------------------------------------------------------------------------------------------


def test_decisions_find_their_passages_after_a_rerun(server: FaultyServer, tmp_path: Path) -> None:
    """Cues are put before the talk and one is taken out: what was decided about the others still counts."""
    run = make_run(server, tmp_path)
    with Book([run]) as book:
        for entry in book.entries:
            book.decide(entry, "edit", f"定稿{entry.view.number}")
        heard = {entry.heard: f"定稿{entry.view.number}" for entry in book.entries}
    opening = "大家好，欢迎来到社区的年会，今天的会由我来主持，一共开两个小时，中间休息十分钟。"
    changed = [opening, "先请水站的同志发言，大家鼓掌欢迎他，他准备了很久，请不要中途离开座位。", *CUES[:-2]]
    make_run(server, tmp_path, files={"水站.srt": srt(changed)})
    with Book([run]) as book:
        again = {entry.heard: book.standing(entry) for entry in book.entries if book.state(entry).settled}
        assert again and all(heard[text] == decided for text, decided in again.items())
        lost = [state.last.text for _, state in book.orphans() if state.last]
        assert sorted([*again.values(), *lost]) == sorted(heard.values())
        assert not any(book.renewed(entry) for entry in book.entries if book.state(entry).settled)


def test_a_new_result_of_a_passage_that_was_settled_is_told(server: FaultyServer, tmp_path: Path) -> None:
    run = make_run(server, tmp_path)
    with Book([run]) as book:
        last = book.entries[-1]
        book.decide(last, "accept", last.outcome.text)
    server.rewrite = lambda messages: answers(messages).replace("八千", "8000")
    make_run(server, tmp_path, "--refresh")
    with Book([run]) as book:
        last = book.entries[-1]
        assert "8000" in last.outcome.text and "八千" in book.standing(last)
        assert book.renewed(last)


def test_the_desk_sees_a_rerun_without_being_started_anew(server: FaultyServer, tmp_path: Path) -> None:
    run = make_run(server, tmp_path)
    with desk(run) as running:
        guest = Client(running).enter()
        before = guest.keys()
        make_run(server, tmp_path, files={"水站.srt": srt(CUES[2:])})
        assert guest.keys() != before
        assert guest.post(f"/passage/{before[0]}/decide", {"kind": "accept"})["error"].startswith("That passage is not")


def test_two_desks_cannot_share_a_run_and_a_reader_can(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        guest.post(f"/passage/{guest.keys()[0]}/decide", {"kind": "accept"})
        told = rewriter("review", run, "--no-browser", server=server, cwd=run.parent, check=False)
        assert "another review desk has this run open" in told
        assert "1 settled" in rewriter("review", run, "--export", server=server, cwd=run.parent)


def test_several_runs_and_files_on_one_desk(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = make_run(server, tmp_path / "a", files={"水站.srt": srt(CUES), "porter.txt": ENGLISH})
    two = make_run(server, tmp_path / "b")
    with Book([one, two]) as book:
        files = {(entry.run, entry.file.name) for entry in book.entries}
        assert files == {(0, "水站.srt"), (0, "porter.txt"), (1, "水站.srt")}
        first, same = (next(e for e in book.entries if e.run == n and e.file.name == "水站.srt") for n in (0, 1))
        assert first.name == same.name and first.key != same.key
        book.decide(first, "accept", first.outcome.text)
        assert book.state(first).settled and not book.state(same).settled
        ends = [e for e in book.entries if book.after(e) is None]
        assert len(ends) == 3 and [book.before(e) for e in book.entries].count(None) == 3
        only = chosen(book, Choice(show="all", file="0/porter.txt"))
        assert only and {e.file.name for e in only} == {"porter.txt"}
        assert progress(book, book.entries).settled == 1
    with (
        pytest.raises(OutputError, match="two runs would write the same file"),
        Book([one, two], writing=False) as book,
    ):
        write_final(book, tmp_path / "final")
    with Book([one, two], writing=False) as book:
        assert len(write_final(book, None)) == 3
    assert (one / "reviewed" / "porter.txt").exists() and (two / "reviewed" / "水站.srt").exists()


def test_choices_show_what_they_say(server: FaultyServer, run: Path) -> None:
    with Book([run]) as book:
        kept = next(e for e in book.entries if e.outcome.status == "kept")
        assert chosen(book, Choice()) == [kept]
        assert chosen(book, Choice(show="all", status="kept")) == chosen(book, Choice(finding="lost")) == [kept]
        assert chosen(book, Choice(show="all", text="没有花钱")) == [book.entries[-1]]
        book.decide(kept, "restore", kept.outcome.source)
        assert chosen(book, Choice()) == [] and chosen(book, Choice(show="settled")) == [kept]
        book.decide(book.entries[0], "asked", "新的", accepted=True)
        assert chosen(book, Choice(show="new")) == chosen(book, Choice()) == [book.entries[0]]
        choice = Choice(show="all", text="a&b=c", status="kept")
        assert Choice.of(dict(p.split("=") for p in choice.query.replace("%26", "&").split("&")[:1])).show == "all"


# --- asking ----------------------------------------------------------------------------------------------------------


def test_a_decision_made_while_the_model_writes_is_not_overruled(server: FaultyServer, run: Path) -> None:
    with desk(run) as running, ThreadPoolExecutor() as pool:
        guest = Client(running).enter()
        key = guest.keys()[-1]
        server.delay = 1.0
        asked = pool.submit(guest.post, f"/passage/{key}/ask", {"instruction": "钱数写作阿拉伯数字"})
        while server.under_way == 0:
            assert not asked.done()
        guest.post(f"/passage/{key}/decide", {"kind": "accept"})
        assert asked.result()["result"] == "left aside"
    assert [d.kind for d in read_decisions(run / REVIEW)] == ["accept"]


def test_an_answer_once_given_is_not_paid_for_again(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        key = guest.keys()[-1]
        question = {"instruction": "钱数写作阿拉伯数字"}
        assert guest.post(f"/passage/{key}/ask", question)["result"] == "new"
        guest.post(f"/passage/{key}/decide", {"kind": "undo"})
        asked = len(server.requests)
        assert guest.post(f"/passage/{key}/ask", question)["result"] == "new"
    assert len(server.requests) == asked


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry policy of a user in a hurry, so that no test waits for seconds."""
    monkeypatch.setattr(client, "RetryPolicy", lambda: RetryPolicy(attempts=2, first=0.01, longest=0.02, jitter=0.0))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["500", "429_quota", "empty", "refusal", "gutted", "length", "null"])
def test_a_model_that_fails_changes_nothing(server: FaultyServer, run: Path, fault: str) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        key = guest.keys()[-1]
        text = re.search(r"<textarea[^>]*>\n([^<]*)", guest.ask("GET", f"/passage/{key}")[2].decode())
        server.script.extend([fault] * 12)
        guest.post(f"/passage/{key}/ask", {"instruction": "钱数写作阿拉伯数字"})
        export = guest.post("/export", {})
    assert text and "Written" in export["said"]
    assert "水泵八千" in (run / "reviewed" / "水站.srt").read_text(encoding="utf-8")
    assert all(not d.accepted for d in read_decisions(run / REVIEW))


def test_an_endpoint_that_only_the_journal_names_gets_no_key(server: FaultyServer, run: Path) -> None:
    journal = run / "run.jsonl"
    journal.write_text(
        journal.read_text(encoding="utf-8").replace(server.base_url, "https://models.example/v1"), encoding="utf-8"
    )
    with desk(run) as running:
        guest = Client(running).enter()
        answer = guest.post(f"/passage/{guest.keys()[0]}/ask", {"instruction": "短一点"})
    assert "https://models.example/v1, which your settings do not name" in answer["error"]


def test_terms_that_cannot_be_added_change_nothing(server: FaultyServer, run: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.yaml"
    terms.write_text("terms:\n  - canonical: 飞桨\n    aliases: [飞讲]\n", encoding="utf-8")
    with desk(run, terms=terms) as running:
        guest = Client(running).enter()
        assert "Say how" in guest.post("/terms/add", {"heard": "飞讲", "written": " "})["error"]
        assert "can be only one's" in guest.post("/terms/add", {"heard": "飞讲", "written": "飞浆"})["error"]
        assert "is to be text" in guest.post("/terms/add", {"heard": 1, "written": "x"})["error"]
        assert guest.post("/terms/add", {"heard": "飞讲", "written": "飞桨"})["touched"] == []
    assert terms.read_text(encoding="utf-8").count("飞") == 2


def test_only_passages_that_a_term_touches_are_asked_again(server: FaultyServer, run: Path, tmp_path: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        keys = guest.keys()
        guest.post(f"/passage/{keys[4]}/decide", {"kind": "accept"})
        # 水泵 is in 1, 2, 4 and 6; 听漏仪 in 5 (settled) and 6.
        assert guest.post("/terms/add", {"heard": "水泵", "written": "水磅"})["touched"] == [
            keys[n] for n in (0, 1, 3, 5)
        ]
        added = guest.post("/terms/add", {"heard": "听漏仪", "written": "听音仪", "certain": True})
        assert added["touched"] == [keys[5]]
        asked = len(server.requests)
        guest.post("/terms/ask", {"keys": [*added["touched"], "0-none", 7], "why": "term: 听音仪"})
        done = errand_of(guest)
        assert (done["total"], done["done"], done["error"]) == (1, 1, "")
    assert all("听音仪" in seen.messages[-1]["content"] for seen in server.requests[asked:])
    assert (run / "terms.yaml").read_text(encoding="utf-8").count("canonical") == 2


def test_several_passages_are_asked_at_once(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        server.delay = 0.2
        guest.post("/terms/ask", {"keys": guest.keys(), "why": "test"})
        assert "already" in guest.post("/terms/ask", {"keys": guest.keys(), "why": "test"})["error"]
        assert errand_of(guest)["done"] == 6
    assert server.most_at_once > 1


@pytest.mark.usefixtures("impatient")
def test_a_model_that_is_down_ends_the_errand_and_says_so(server: FaultyServer, run: Path) -> None:
    with desk(run) as running:
        guest = Client(running).enter()
        guest.post("/terms/add", {"heard": "水泵", "written": "水磅"})
        server.rate, server.faults = 1.0, ("500",)
        guest.post("/terms/ask", {"keys": guest.keys(), "why": "test"})
        errand = errand_of(guest)
    assert errand["error"] and errand["done"] < 6
    assert not (run / REVIEW).read_bytes()


def errand_of(guest: Client) -> dict[str, Any]:
    """What came of the passages that are asked in the background."""
    while True:
        errand = json.loads(guest.ask("GET", "/errand")[2])
        if not errand["running"]:
            return dict(errand)
        time.sleep(0.05)


# --- final transcripts -----------------------------------------------------------------------------------------------


def test_without_decisions_the_final_transcript_is_the_runs(server: FaultyServer, tmp_path: Path) -> None:
    for number, (name, text) in enumerate(
        {"a.srt": srt(CUES), "b.txt": ENGLISH, "c.md": f"# 标题\n\n{ENGLISH}"}.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = make_run(server, folder, files={name: text})
        with Book([run], writing=False) as book:
            (written,) = write_final(book, folder / "final")
        assert (folder / "final" / name).read_bytes() == (run / name).read_bytes()
        assert sum(written.characters.values()) > 0


@pytest.mark.parametrize("extra", [("--to", "txt"), ("--limit", "2"), ("--style", "correct")])
def test_every_way_of_a_run_is_followed(server: FaultyServer, tmp_path: Path, extra: tuple[str, ...]) -> None:
    run = make_run(server, tmp_path, *extra)
    with Book([run]) as book:
        (plain,) = write_final(book, tmp_path / "plain")
        output = Path(plain.output).name
        assert (tmp_path / "plain" / output).read_bytes() == (run / output).read_bytes()
        first = book.entries[0]
        book.decide(first, "edit", "改过的第一段。")
        (written,) = write_final(book, None)
    text = (run / "reviewed" / output).read_text(encoding="utf-8")
    assert "改过的第一段。" in text.replace("\n", "") or "改过的" in text
    assert written.passages == {"edit": 1, "result": len(book.entries) - 1, "settled": 1}
    assert sum(written.characters.values()) == sum(plain.characters.values())


def test_a_character_that_the_files_encoding_has_not_is_told(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "porter.txt").write_bytes(f"{ENGLISH}\nThe café was closed, naïve as we were.\n".encode("cp1252"))
    run = tmp_path / "out"
    rewriter("rewrite", tmp_path / "porter.txt", "-o", run, "-q", server=server, cwd=tmp_path)
    with Book([run]) as book:
        book.decide(book.entries[0], "edit", f"{book.entries[0].outcome.text}🙂")
    told = rewriter("review", run, "--export", server=server, cwd=tmp_path)
    assert "Written as UTF-8: " in told and "has no character '🙂'" in told
    assert "🙂" in (run / "reviewed" / "porter.txt").read_text(encoding="utf-8")


def test_text_from_standard_input_is_written_too(server: FaultyServer, tmp_path: Path) -> None:
    subprocess.run(
        [*CLI, "rewrite", "-", "-o", tmp_path / "out", "-q"],
        input=ENGLISH,
        text=True,
        check=True,
        cwd=tmp_path,
        env=surroundings(server, tmp_path),
        capture_output=True,
    )
    with Book([tmp_path / "out"], writing=False) as book:
        (written,) = write_final(book, tmp_path / "final")
    assert Path(written.output).read_bytes() == (tmp_path / "out" / "stdin.txt").read_bytes()


@pytest.mark.parametrize(
    ("harm", "error", "match"),
    [
        (lambda run: (run.parent / "水站.srt").unlink(), InputError, "no such file"),
        (lambda run: (run.parent / "水站.srt").write_text(srt(CUES[1:]), encoding="utf-8"), InputError, "has changed"),
        (
            lambda run: _in_journal(run, '"output":"水站.srt"', '"output":"../水站.srt"'),
            OutputError,
            "outside the folder",
        ),
        (
            lambda run: _in_journal(run, '"output":"水站.srt"', '"output":"/tmp/x.srt"'),
            OutputError,
            "outside the folder",
        ),
        (lambda run: _in_journal(run, '"output":"水站.srt"', '"output":""'), OutputError, "outside the folder"),
        (lambda run: _in_journal(run, '"before":"嗯"', '"before":"哦"'), InputError, "does not belong"),
    ],
)
def test_what_cannot_be_trusted_is_not_written(
    server: FaultyServer, run: Path, harm: Any, error: type[Exception], match: str
) -> None:
    harm(run)
    with Book([run], writing=False) as book, pytest.raises(error, match=match):
        write_final(book, run.parent / "final")
    assert not (run.parent / "final").exists()


def _in_journal(run: Path, old: str, new: str) -> None:
    text = (run / "run.jsonl").read_text(encoding="utf-8")
    assert old in text
    (run / "run.jsonl").write_text(text.replace(old, new), encoding="utf-8")


def test_the_input_is_never_overwritten(server: FaultyServer, run: Path) -> None:
    with Book([run], writing=False) as book, pytest.raises(OutputError, match="would overwrite"):
        write_final(book, run.parent)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no run here"),
        (["out", "--media", "none.mp3"], "no such file"),
        (["out", "--export", "--learn"], "--export or --learn"),
        (["out", "--port", "99999"], "cannot be used"),
        (["out", "--glossary", "bad.yaml"], "not valid YAML"),
    ],
)
def test_a_wrong_call_says_what_to_do(server: FaultyServer, run: Path, arguments: list[str], words: str) -> None:
    (run.parent / "bad.yaml").write_text("terms: [")
    told = rewriter("review", *arguments, "--no-browser", server=server, cwd=run.parent, check=False)
    assert words in told and "Traceback" not in told


def test_a_run_without_a_finished_file_has_no_final_transcript(run: Path) -> None:
    lines = (run / "run.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "run.jsonl").write_text("".join(line for line in lines if '"event":"file"' not in line), encoding="utf-8")
    with Book([run], writing=False) as book, pytest.raises(InputError, match="no file of this run is finished"):
        assert book.entries  # they can be looked at already
        write_final(book, None)


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_web_packages_it_says_how_to_get_them(run: Path, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from rewriter.cli import main; main(['review', {str(run)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=run.parent)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "pip install 'transcript-rewriter[review]'" in done.stderr


def test_a_port_that_is_taken_is_said(server: FaultyServer, run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    with desk(run) as running:
        port = running.origin.rpartition(":")[2]
        told = rewriter("review", other, "--no-browser", "--port", port, server=server, cwd=tmp_path, check=False)
    assert f"port {port} is taken" in told


def test_a_desk_is_ended_with_an_interrupt(server: FaultyServer, run: Path) -> None:
    with desk_process(server, run) as running:
        Client(running).enter()
        assert running.process
        running.process.send_signal(signal.SIGINT)
        _, errors = running.process.communicate(timeout=20)
        assert (running.process.returncode, errors) == (0, "")
    with Review(run):
        pass


def test_glossaries_of_the_run_are_read_and_missed_ones_named(server: FaultyServer, tmp_path: Path) -> None:
    terms = tmp_path / "terms.yaml"
    terms.write_text("terms:\n  - canonical: 飞桨\n    aliases: [飞讲]\n    certain: true\n", encoding="utf-8")
    run = make_run(server, tmp_path, "--glossary", terms)
    asker = Asker(run)
    assert asker.glossary.aliases() == {"飞讲": "飞桨"} and asker.missing == []
    terms.unlink()
    assert Asker(run).missing == [str(terms)]
