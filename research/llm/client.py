"""One question to an OpenAI-compatible endpoint, within a total deadline and a size limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from autotrader.core.ops import measures
from research.types import ModelSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
OPENAI_URL = "https://api.openai.com/v1"
CLOSING_SECONDS = 1.0
DETAIL_LENGTH = 300
_schema_refused: set[tuple[str, str]] = set()
_schema_refused_lock = threading.Lock()


class ModelCallFailed(Exception):
    """The endpoint gave no answer to work with; `raw` is what there was of one."""

    def __init__(self, code: str, detail: str, raw: RawAnswer | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail[:DETAIL_LENGTH]
        self.raw = raw


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back; tokens are None where the endpoint does not count them."""

    text: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None
    response_format: str


def ask(
    settings: ModelSettings,
    messages: Sequence[Mapping[str, Any]],
    schema_name: str,
    schema: Mapping[str, Any],
    deadline: float,
) -> RawAnswer:
    """Ask once, by JSON schema, or as a JSON object where the endpoint refuses schemas (which is remembered).

    `deadline` is a reading of `time.monotonic()`; it ends a call that drips as well as one that is silent. Failures
    raise ModelCallFailed. Nothing is retried. Must not be called from a running event loop.
    """
    if deadline <= time.monotonic():
        raise ModelCallFailed("model_timeout", "the time for this answer is used up")
    began, outcome = time.monotonic(), "model_error"
    try:
        answer = _run(lambda: _ask(settings, messages, schema_name, schema, deadline))
        outcome = "ok"
        return answer
    except ModelCallFailed as error:
        outcome = error.code
        raise
    finally:
        measures.model_call(time.monotonic() - began, outcome)


def response_format(settings: ModelSettings) -> str:
    """What the endpoint is asked for: `json_schema`, or `json_object` since it refused schemas."""
    with _schema_refused_lock:
        return "json_object" if (settings.base_url, settings.model) in _schema_refused else "json_schema"


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in a loop of its own which, unlike `asyncio.run`, does not wait at its end for a hanging name lookup."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _ask(
    settings: ModelSettings,
    messages: Sequence[Mapping[str, Any]],
    schema_name: str,
    schema: Mapping[str, Any],
    deadline: float,
) -> RawAnswer:
    from httpx2 import HTTPError, InvalidURL
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    remaining = deadline - time.monotonic()
    client = None
    try:
        client = _client(settings, remaining)
        async with asyncio.timeout(remaining):
            return await _ask_in_either_way(client, settings, messages, schema_name, schema)
    except (TimeoutError, APITimeoutError) as error:
        raise ModelCallFailed("model_timeout", f"no whole answer within {settings.timeout_s:g} s") from error
    except APIConnectionError as error:
        raise ModelCallFailed("model_error", f"no connection to the model: {error.__cause__ or error}") from error
    except APIStatusError as error:
        raise ModelCallFailed("model_error", f"the model endpoint answered {error.status_code}") from error
    except (OpenAIError, HTTPError, InvalidURL) as error:
        raise ModelCallFailed("model_error", f"{type(error).__name__}: {error}") from error
    finally:
        if client is not None:
            await _close(client)


async def _ask_in_either_way(
    client: AsyncOpenAI,
    settings: ModelSettings,
    messages: Sequence[Mapping[str, Any]],
    schema_name: str,
    schema: Mapping[str, Any],
) -> RawAnswer:
    from openai import BadRequestError

    if response_format(settings) == "json_schema":
        wanted = {"type": "json_schema", "json_schema": {"name": schema_name, "strict": True, "schema": dict(schema)}}
        try:
            return await _send(client, settings, messages, wanted)
        except BadRequestError as error:
            if not _refuses_schema(error.param, error.message):
                raise
        with _schema_refused_lock:
            _schema_refused.add((settings.base_url, settings.model))
    told = {"role": "system", "content": f"Answer with a JSON object that follows this schema: {json.dumps(schema)}"}
    return await _send(client, settings, [*messages, told], {"type": "json_object"})


def _refuses_schema(param: str | None, message: str) -> bool:
    return (param or "").startswith("response_format") or "response_format" in message


async def _send(
    client: AsyncOpenAI, settings: ModelSettings, messages: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]
) -> RawAnswer:
    options: dict[str, Any] = {"max_completion_tokens": settings.max_output_tokens}
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    send: Any = client.chat.completions.with_streaming_response.create
    body = bytearray()
    async with send(model=settings.model, messages=messages, response_format=wanted, **options) as response:
        async for part in response.iter_bytes():
            body += part
            if len(body) > settings.max_answer_bytes:
                raise ModelCallFailed(
                    "answer_too_large", f"the answer is longer than {settings.max_answer_bytes} bytes"
                )
    return _read(bytes(body), str(wanted["type"]))


def _read(body: bytes, wanted: str) -> RawAnswer:
    """The first choice of a chat completion, read with care: the endpoint may be anybody's."""
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        text, refusal, finish = message.get("content"), message.get("refusal"), str(choice.get("finish_reason") or "")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise ModelCallFailed("model_error", f"the answer is no chat completion: {type(error).__name__}") from error
    usage = document.get("usage")
    tokens_in, tokens_out = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    text = text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""
    raw = RawAnswer(text, finish[:40], tokens_in, tokens_out, wanted)
    if refusal or finish == "content_filter":
        raise ModelCallFailed("model_refused", str(refusal or "the answer was withheld by a content filter"), raw)
    if finish == "length":
        raise ModelCallFailed("answer_truncated", f"the answer passed {len(raw.text)} characters and was cut off", raw)
    return raw


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _client(settings: ModelSettings, remaining: float) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        base_url=settings.base_url or OPENAI_URL,
        api_key=settings.api_key or "none",
        timeout=remaining,
        max_retries=0,
    )


async def _close(client: AsyncOpenAI) -> None:
    """Close without waiting long for a peer that does not answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            await client.close()
