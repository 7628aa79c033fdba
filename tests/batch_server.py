"""An OpenAI-compatible server on loopback with files and batches, which remembers everything while its callers die.

    with BatchServer() as server:
        ... server.base_url, server.executed, server.files, server.batches

Chat completions are answered too, with the same texts. A batch goes one step on with every look at it. What happens to
it is its fate, taken from `fates` in turn (default: completed):

    completed, truncated (its last answer line is torn), missing (the last answer line is not there),
    expired, cancelled (the second half has no answer), lost (404 for ever after), failed:CODE (not begun),
    stuck (it never ends)

`line_faults` says by custom_id and time what a line gets: a status, "error" (an error object), "rubbish". `http` has
faults by endpoint ("upload", "create", "look", "list", "content", "delete", "list_files"), taken in turn: a status,
"cut" (half of a file's content) or "lost" (it is done, and the connection closed without a word). A `Gate` in `gates`
holds a request at a moment until the test opens it: an endpoint with ":before" or ":after", or "content:middle". With a
gate "finish" no batch comes to its end before it is open.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from faulty_server import Messages, completion, light_edit, passage_between_markers

STEPS = ("validating", "in_progress", "finalizing", "completed")
ENDED = ("completed", "failed", "expired", "cancelled")


class Gate:
    """A moment at which the server stops until it is let go on."""

    def __init__(self, skip: int = 0) -> None:
        self.reached, self._open, self._skip = threading.Event(), threading.Event(), skip

    def wait(self) -> None:
        if self._skip:
            self._skip -= 1
            return
        self.reached.set()
        self._open.wait(30)

    def open(self) -> None:
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()


@dataclass
class Held:
    """A file."""

    id: str
    filename: str
    content: bytes
    created_at: int

    def told(self) -> dict[str, Any]:
        size = len(self.content)
        return {"id": self.id, "object": "file", "bytes": size, "filename": self.filename, "purpose": "batch",
                "created_at": self.created_at}  # fmt: skip


@dataclass
class Job:
    """A batch."""

    id: str
    file: str
    metadata: dict[str, str]
    fate: str
    created_at: int
    lines: list[dict[str, Any]]
    tokens: int
    step: int = 0
    status: str = "validating"
    output: str | None = None
    errors_file: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "input_file_id": self.file,
            "output_file_id": self.output,
            "error_file_id": self.errors_file,
            "status": self.status,
            "metadata": self.metadata,
            "created_at": self.created_at,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": {"total": len(self.lines), "completed": 0, "failed": 0, **self.counts},
        }


class BatchServer:
    """See the module. `most_requests`, `most_bytes` and `enqueued` (tokens, half the code points) are its limits."""

    def __init__(
        self,
        *,
        rewrite: Callable[[Messages], str] | None = None,
        fates: Iterable[str] = (),
        most_requests: int = 50_000,
        most_bytes: int = 200_000_000,
        enqueued: int | None = None,
        api_key: str | None = None,
        models: Iterable[str] = (),
        without_batches: bool = False,
    ) -> None:
        self.rewrite = rewrite or (lambda messages: light_edit(passage_between_markers(messages)))
        self.fates, self.api_key, self.models = list(fates), api_key, tuple(models)
        self.most_requests, self.most_bytes, self.enqueued = most_requests, most_bytes, enqueued
        self.without_batches = without_batches
        self.files: dict[str, Held] = {}
        self.batches: dict[str, Job] = {}
        self.line_faults: Callable[[str, int], Any] = lambda key, time: None
        self.chat_refusal: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda body: None
        self.http: defaultdict[str, list[Any]] = defaultdict(list)
        self.gates: dict[str, Gate] = {}
        self.executed: Counter[str] = Counter()  # custom_ids for which an answer was made and charged
        self.tried: Counter[str] = Counter()  # custom_ids that were worked on
        self.chats: list[dict[str, Any]] = []
        self.requests: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.charged = Counter[str]()
        self._numbers, self._lock = 0, threading.RLock()

    # --- life ---

    def __enter__(self) -> BatchServer:
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for gate in self.gates.values():
            gate.open()
        self._http.shutdown()
        self._http.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def hold(self, moment: str, skip: int = 0) -> Gate:
        self.gates[moment] = gate = Gate(skip)
        return gate

    def held(self, moment: str) -> bool:
        """Whether a gate is there and not open."""
        return moment in self.gates and not self.gates[moment].is_open

    def pass_gate(self, moment: str) -> None:
        gate = self.gates.get(moment)
        if gate is not None:
            gate.wait()

    def number(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers

    # --- files ---

    def add_file(self, name: str, content: bytes) -> Held:
        n = self.number()
        held = self.files[f"file-{n}"] = Held(f"file-{n}", name, content, 1_000_000_000_000 + n)
        return held

    def page(self, found: Iterable[Any], query: dict[str, list[str]]) -> dict[str, Any]:
        """Newest first, as the provider's lists are."""
        listed = sorted((f.told() for f in found), key=lambda f: -f["created_at"])
        after = query.get("after", [""])[0]
        if after:
            listed = listed[[f["id"] for f in listed].index(after) + 1 :]
        limit = min(3, int(query.get("limit", ["20"])[0]))  # short pages, so that a second one is asked for
        return {"object": "list", "data": listed[:limit], "has_more": len(listed) > limit}

    # --- batches ---

    def create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        held = self.files.get(body["input_file_id"])
        if held is None:
            return 404, wrong("No such File object", "not_found")
        assert body["completion_window"] == "24h" and body["endpoint"] == "/v1/chat/completions"
        lines = [json.loads(line) for line in held.content.splitlines()]
        tokens = sum(len(str(line["body"]["messages"])) // 2 for line in lines)
        with self._lock:
            n = self.number()
            fate = self.fates.pop(0) if self.fates else "completed"
            job = Job(f"batch_{n}", held.id, body["metadata"], fate, 1_000_000_000_000 + n, lines, tokens)
            if (code := self._refused(job)) is not None:
                job.fate = f"failed:{code}"
            self.batches[job.id] = job
        return 200, job.told()

    def _refused(self, job: Job) -> str | None:
        """The code for which it will not be begun."""
        if len(job.lines) > self.most_requests:
            return "too_many_tasks"
        if len({line["custom_id"] for line in job.lines}) < len(job.lines):
            return "duplicate_custom_id"
        if len({line["body"]["model"] for line in job.lines}) > 1:
            return "mismatched_model"
        busy = sum(j.tokens for j in self.batches.values() if j.status not in ENDED and not j.fate.startswith("failed"))
        return "token_limit_exceeded" if self.enqueued is not None and busy + job.tokens > self.enqueued else None

    def look(self, name: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            job = self.batches.get(name)
            if job is None or (job.fate == "lost" and job.step):
                return 404, wrong("No such Batch object", "not_found")
            self._step(job)
            return 200, job.told()

    def _step(self, job: Job) -> None:
        if job.status in ENDED:
            return
        job.step += 1
        if job.fate.startswith("failed:"):
            code = job.fate.partition(":")[2]
            job.status, job.errors = "failed", [{"code": code, "message": f"It was not begun: {code}.", "line": None}]
        elif job.step < len(STEPS) - 1 or job.fate == "stuck" or self.held("finish"):
            job.status = STEPS[min(job.step, 2)]
        else:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        job.status = job.fate if job.fate in ENDED else "completed"
        answered = job.lines if job.status == "completed" else job.lines[: len(job.lines) // 2]
        output, errors = [], []
        for line in job.lines:
            reply = self._reply(line) if line in answered else _unasked(line, job.status)
            bad = reply["error"] is not None or reply["response"]["status_code"] != 200
            (errors if bad else output).append(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
        output.reverse()  # the order of a provider's answers is not that of the requests
        if job.fate == "truncated":
            output[-1] = output[-1][: len(output[-1]) // 2]
        if job.fate == "missing":
            output.pop()
        job.counts = {"completed": len(output), "failed": len(errors)}
        job.output = self.add_file("output.jsonl", b"".join(output)).id if output else None
        job.errors_file = self.add_file("errors.jsonl", b"".join(errors)).id if errors else None

    def _reply(self, line: dict[str, Any]) -> dict[str, Any]:
        key = line["custom_id"]
        fault = self.line_faults(key, self.tried[key])
        self.tried[key] += 1
        made = {"id": f"batch_req_{self.number()}", "custom_id": key, "response": None, "error": None}
        if fault == "error":
            return {**made, "error": {"code": "server_error", "message": "The server had an error."}}
        if isinstance(fault, tuple):
            status, code, message = fault
            return {**made, "response": {"status_code": status, "request_id": "r", "body": wrong(message, code)}}
        body = {"error": "upstream"} if fault == "rubbish" else self.answer(line["body"])
        if fault != "rubbish":
            self.executed[key] += 1
        return {**made, "response": {"status_code": 200, "request_id": "r", "body": body}}

    # --- answers ---

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        whole = completion(body, self.rewrite(body["messages"]), None)
        with self._lock:
            self.charged.update(input=whole["usage"]["prompt_tokens"], output=whole["usage"]["completion_tokens"])
        return whole

    def chat(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.chats.append(body)
        if self.models and body["model"] not in self.models:
            return 404, wrong(f"The model `{body['model']}` does not exist", "model_not_found")
        if (refusal := self.chat_refusal(body)) is not None:
            return 400, refusal
        return 200, self.answer(body)

    # --- account ---

    def begun(self) -> list[Job]:
        """Batches that were begun: those that cost money."""
        return [j for j in self.batches.values() if not j.fate.startswith("failed:")]

    def submitted(self) -> Counter[str]:
        """How often each request stands in a batch that was begun."""
        return Counter(line["custom_id"] for job in self.begun() for line in job.lines)


def wrong(message: str, code: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": param}}


def _unasked(line: dict[str, Any], status: str) -> dict[str, Any]:
    error = {"code": f"batch_{status}", "message": f"This request could not be executed: batch {status}."}
    return {"id": "batch_req_0", "custom_id": line["custom_id"], "response": None, "error": error}


class _Handler(BaseHTTPRequestHandler):
    owner: BatchServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        path, query = parts.path.removeprefix("/v1"), parse_qs(parts.query)
        kind = self._kind(path)
        server = self.owner
        server.requests[kind] += 1
        if server.api_key is not None and self.headers.get("authorization") != f"Bearer {server.api_key}":
            return self._send(401, wrong("Incorrect API key provided", "invalid_api_key"))
        if kind == "none" or (server.without_batches and kind != "chat"):
            return self._send(404, wrong("no such path", "not_found"))
        fault = server.http[kind].pop(0) if server.http[kind] else None
        if isinstance(fault, int):
            return self._send(fault, wrong("a fault on purpose", "on_purpose"))
        if isinstance(fault, tuple):
            return self._send(fault[0], wrong("a fault on purpose", fault[1]))
        server.pass_gate(f"{kind}:before")
        if kind == "content":
            return self._content(path.split("/")[2], cut=fault == "cut")
        answer = self._answered(kind, path, query, body)
        server.pass_gate(f"{kind}:after")
        if fault == "lost":
            self.close_connection = True
            return None
        return self._send(*answer)

    def _kind(self, path: str) -> str:
        method = self.command
        kinds = [
            ("POST", r"/chat/completions", "chat"),
            ("GET", r"/models", "models"),
            ("POST", r"/files", "upload"),
            ("GET", r"/files", "list_files"),
            ("GET", r"/files/[^/]+/content", "content"),
            ("DELETE", r"/files/[^/]+", "delete"),
            ("POST", r"/batches", "create"),
            ("GET", r"/batches", "list"),
            ("GET", r"/batches/[^/]+", "look"),
        ]
        return next((k for m, p, k in kinds if m == method and re.fullmatch(p, path)), "none")

    def _answered(self, kind: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, Any]]:
        server = self.owner
        if kind == "chat":
            return server.chat(json.loads(body))
        if kind == "models":
            return 200, {"object": "list", "data": [{"id": name, "object": "model"} for name in server.models]}
        if kind == "upload":
            return self._upload(body)
        if kind == "create":
            return server.create(json.loads(body))
        if kind == "look":
            return server.look(path.split("/")[2])
        if kind == "delete":
            name = path.split("/")[2]
            if server.files.pop(name, None) is None:
                return 404, wrong("No such File object", "not_found")
            server.deleted.append(name)
            return 200, {"id": name, "object": "file", "deleted": True}
        found = server.files if kind == "list_files" else server.batches
        return 200, server.page(list(found.values()), query)

    def _upload(self, body: bytes) -> tuple[int, dict[str, Any]]:
        if len(body) > self.owner.most_bytes:
            return 413, wrong("too large", "file_too_large")
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        whole = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        fields = {part.get_param("name", header="content-disposition"): part for part in whole.iter_parts()}
        assert fields["purpose"].get_content().strip() == "batch"
        content = fields["file"].get_payload(decode=True)
        return 200, self.owner.add_file(str(fields["file"].get_filename()), content).told()

    def _content(self, name: str, *, cut: bool) -> None:
        held = self.owner.files.get(name)
        if held is None:
            return self._send(404, wrong("No such File object", "not_found"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(held.content)))
        self.end_headers()
        half = len(held.content) // 2
        self.wfile.write(held.content[:half])
        self.wfile.flush()
        self.owner.pass_gate("content:middle")
        if cut:
            self.close_connection = True
            return None
        self.wfile.write(held.content[half:])
        return None

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
