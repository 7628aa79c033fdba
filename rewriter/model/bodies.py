"""What servers send back: a chat completion, or a status with a reason; lenient about what they add."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from rewriter.records import Request, Usage

# Tokens of a byte of UTF-8 in o200k, over Chinese (0.25: three bytes a character) and English (0.23) transcripts and
# prompts; older and smaller vocabularies take up to 0.33. What is expected is corrected by what came (`pace.py`).
TOKENS_PER_BYTE = 0.28
# Of the tokens an answer may have, what it usually has: the limit is twice the passage (`pipeline.py`).
OF_LIMIT = 0.5


def expected_tokens(request: Request) -> int:
    """About how many tokens a call will take, in and out: to be fast, not exact. Counting them would take 1 ms."""
    size = sum(len(text.encode("utf-8", "surrogatepass")) for m in request.messages for text in m.values())
    limit = request.parameters.get("max_tokens")
    out = OF_LIMIT * limit if isinstance(limit, int) else TOKENS_PER_BYTE * size
    return max(1, round(TOKENS_PER_BYTE * size + out))


class Body(BaseModel):
    """Something a server sent: lenient about what it adds, strict about what we read."""

    model_config = ConfigDict(extra="ignore")


class Details(Body):
    cached_tokens: int | None = None


class UsageBody(Body):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached_tokens

    def counted(self) -> Usage:
        details = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return Usage(
            calls=1,
            input=self.prompt_tokens or 0,
            cached=details or self.prompt_cache_hit_tokens or 0,
            output=self.completion_tokens or 0,
        )


class Message(Body):
    content: str | list[dict[str, Any]] | None = None

    def text(self) -> str:
        """The content as one text; some servers send it in parts, and none at all for a refusal."""
        if isinstance(self.content, list):
            return "".join(part["text"] for part in self.content if isinstance(part.get("text"), str))
        return self.content or ""


class Choice(Body):
    message: Message
    finish_reason: str | None = None


class Reply(Body):
    choices: list[Choice] | None = None
    usage: UsageBody | None = None
    model: str | None = None


class Refusal(Body):
    """A status that says no, and what the body said about it; servers differ in how they say it."""

    status: int
    message: str = ""
    code: str = ""
    kind: str = ""
    param: str = ""

    @classmethod
    def of(cls, status: int, body: bytes) -> Refusal:
        """From a body that is JSON with an `error` or `detail`, or any text."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return cls(status=status, message=body.decode("utf-8", "replace"))
        inner = said.get("error", said) if isinstance(said, Mapping) else said
        if not isinstance(inner, Mapping):
            return cls(
                status=status, message=inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
            )
        message = inner.get("message") or inner.get("detail") or inner
        return cls(
            status=status,
            message=message if isinstance(message, str) else json.dumps(message, ensure_ascii=False),
            code=str(inner.get("code") or ""),
            kind=str(inner.get("type") or ""),
            param=str(inner.get("param") or ""),
        )

    def says(self, *codes: str) -> bool:
        """Whether code or type is one of these."""
        return self.code in codes or self.kind in codes

    def too_long(self) -> bool:
        """Whether the request did not fit the model's context."""
        return self.says("context_length_exceeded", "exceed_context_size_error") or "context length" in self.message

    def no_such_model(self) -> bool:
        """Whether it is about the model's name; not every server says so with a 404."""
        said = self.message.lower()
        phrases = (
            "not found",
            "does not exist",
            "not a valid model",
            "unknown model",
            "invalid model",
            "no such model",
        )
        return self.says("model_not_found", "invalid_model") or ("model" in said and any(p in said for p in phrases))
