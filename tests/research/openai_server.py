"""A loopback server that speaks the OpenAI chat-completions protocol, well or badly, as its script says."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATA_URL = "data:image/png;base64,"


@dataclass(frozen=True)
class Question:
    """One request as it arrived."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body["messages"])

    @property
    def response_format(self) -> dict[str, Any]:
        return dict(self.body["response_format"])

    @property
    def images(self) -> list[bytes]:
        parts = [part for message in self.messages for part in _parts(message) if part["type"] == "image_url"]
        return [base64.b64decode(part["image_url"]["url"].removeprefix(DATA_URL)) for part in parts]

    @property
    def data(self) -> dict[str, Any]:
        """The block <data> of the first question."""
        texts = [part["text"] for message in self.messages for part in _parts(message) if part["type"] == "text"]
        found = re.search(r"<data>\n(.*)\n</data>", "\n".join(texts), re.DOTALL)
        return dict(json.loads(found.group(1))) if found else {}


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message["content"] if isinstance(message["content"], list) else []


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered; `drip` seconds lie between single bytes of the body."""

    status: int = 200
    body: bytes = b""
    drip: float = 0.0
    drip_headers: bool = False
    hang_up: bool = False


def says(
    content: dict[str, Any] | str | None, *, finish: str = "stop", refusal: str | None = None, usage: bool = True,
    drip: float = 0.0,
) -> Behaviour:  # fmt: skip
    """A chat completion with this content."""
    text = json.dumps(content) if isinstance(content, dict) else content
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal, "annotations": []}
    document: dict[str, Any] = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-4.1-2025-04-14",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "service_tier": "default",
        "system_fingerprint": "fp_loopback",
    }
    if usage:
        document["usage"] = {"prompt_tokens": 1200, "completion_tokens": 150, "total_tokens": 1350}
    return Behaviour(body=json.dumps(document).encode(), drip=drip)


def fails(status: int, message: str = "The server had an error.", param: str | None = None) -> Behaviour:
    """An error in the shape of the API."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return Behaviour(status=status, body=json.dumps({"error": error}).encode())


REFUSES_SCHEMA = fails(
    400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported", "response_format"
)


def agreeable(
    kind: str = "buy", target: float = 1.08, stop: float = 0.96, **changes: Any
) -> Callable[[Question], Behaviour]:
    """Answers every question soundly; a decision of that kind with target and stop as multiples of the quote."""

    def answer(question: Question) -> Behaviour:
        data = question.data
        if "quote" in data:
            return says(sound_decision(data, kind, target, stop) | changes)
        return says(sound_view(data["code"]))

    return answer


def sound_view(code: str, **changes: Any) -> dict[str, Any]:
    view = {"code": code, "direction": "bullish", "strength": 0.7, "supports": [], "resistances": []}
    return view | {"summary": "The trend is up on rising volume."} | changes


def sound_decision(data: dict[str, Any], kind: str = "buy", target: float = 1.08, stop: float = 0.96) -> dict[str, Any]:
    quote = float(data["quote"])
    held = kind == "hold"
    return {
        "code": data["code"],
        "type": kind,
        "current_price": quote,
        "target_price": None if held else round(quote * target, 2),
        "stop_loss": None if held else round(quote * stop, 2),
        "profit_margin": None if held else abs(target - 1),
        "R_coefficient": None if held else abs(target - 1) / abs(1 - stop),
        "strategy_used": data["strategy_used"],
        "confidence": 0.7,
        "rationale": "Both timeframes rise and the stop lies behind the last swing.",
        "evidence": ["quote", *data["evidence_ids"][:1]],
    }


@dataclass
class LoopbackModelServer:
    """`script` is used up first, one behaviour a request; then `otherwise` answers. `questions` is what arrived."""

    otherwise: Callable[[Question], Behaviour] = field(default_factory=agreeable)
    script: list[Behaviour] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def __enter__(self) -> LoopbackModelServer:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=5)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def respond(self, question: Question) -> Behaviour:
        with self._lock:
            self.questions.append(question)
            if self.script:
                return self.script.pop(0)
        return self.otherwise(question)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                question = Question(dict(self.headers), json.loads(self.rfile.read(length)))
                try:
                    self._send(server.respond(question))
                except ConnectionError:
                    self.close_connection = True

            def _send(self, behaviour: Behaviour) -> None:
                self.close_connection = True
                if behaviour.hang_up:
                    return
                head = f"HTTP/1.1 {behaviour.status} Answer\r\nContent-Type: application/json\r\n"
                head += f"Content-Length: {len(behaviour.body)}\r\nConnection: close\r\n\r\n"
                self._write(head.encode(), behaviour.drip if behaviour.drip_headers else 0.0)
                self._write(behaviour.body, behaviour.drip)

            def _write(self, data: bytes, drip: float) -> None:
                if not drip:
                    self.wfile.write(data)
                    return
                for place in range(len(data)):
                    if server._stopped.wait(drip):
                        return
                    self.wfile.write(data[place : place + 1])

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler
