"""One run of schemathesis over the OpenAPI document: which requests are made, what is checked, and what came of it."""

from __future__ import annotations

import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.house import errors_page

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "negative_data_rejection", "missing_required_header", "ignored_auth",
    "unsupported_method",
)  # fmt: skip
# These send requests of their own, which the WSGI client cannot.
PROBES = {"ignored_auth"}
# 502 is the broker's own word on what it has no prices for; `known_code` looks whether it is that.
NO_PRICES = {"MARKET_DATA_ERROR", "NOT_SUBSCRIBED", "BAD_REQUEST", "NO_BAR_YET"}
SOUND = {"enabled": True, "expected-statuses": ["2xx", "3xx", "4xx", "502"]}
KEY = "Idempotency-Key"
KEPT_WITH_ORDERS = "/api/orders/"
# A request that follows another one's key is worth making, but most must get further than that.
FRESH = 0.8
KNOWN = 0.5
WAIT_S = 30


@dataclass
class Known:
    """What the desk knows: values by the name of a field or parameter, whole bodies by path."""

    values: dict[str, list[Any]] = field(default_factory=dict)
    bodies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass
class Figures:
    """What a run came to: requests by operation and by status, and one entry a distinct failure."""

    by_operation: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many requests were answered."""
        return self.by_status.total()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.failures and not self.errors

    def add(self, event: events.EngineEvent) -> None:
        """Count what an event of the engine tells."""
        if isinstance(event, events.ScenarioFinished):
            self._scenario(event.recorder)
        elif isinstance(event, events.NonFatalError):
            self.errors.append(f"{event.label}: {event.value!r}"[:2000])
        elif isinstance(event, events.FatalError):
            self.errors.append(f"{event.exception!r}"[:2000])

    def _scenario(self, recorder: Any) -> None:
        for interaction in recorder.interactions.values():
            self.by_operation[recorder.label] += 1
            self.by_status[interaction.response.status_code if interaction.response is not None else 0] += 1
        for case, checks in recorder.checks.items():
            for check in checks:
                if check.status == Status.FAILURE:
                    self._failure(recorder, case, check)

    def _failure(self, recorder: Any, case: str, check: Any) -> None:
        failure, found = check.failure_info.failure, recorder.interactions.get(case)
        status = found.response.status_code if found is not None and found.response is not None else 0
        name = f"{recorder.label} · {check.name} · {failure.title} · {status}"
        if name not in self.failures:
            told = bytes(found.response.content or b"")[:600].decode(errors="replace") if status else ""
            sent = check.failure_info.code_sample
            self.failures[name] = f"{failure.message[:600]}\n  answered {status}: {told}\n  again: {sent}"


@schemathesis.check
def known_code(ctx: Any, response: Any, case: Any) -> None:
    """Every refusal is in the envelope, with a code that docs/errors.md lists and the id of the request."""
    if response.status_code < 400 or "json" not in (response.headers.get("content-type") or [""])[0]:
        return
    error = response.json()["error"]
    assert response.status_code != 502 or error["code"] in NO_PRICES, f"502 with {error['code']}"
    assert error["code"] in known_codes(), f"{error['code']} is not in docs/errors.md"
    if response.headers.get("idempotent-replayed") or case.operation.path.startswith(KEPT_WITH_ORDERS):
        return  # the body is that of the first request
    said = response.headers.get("x-correlation-id")
    assert said == [error["correlation_id"]], f"{said} is not {error['correlation_id']}"


_known: set[str] = set()
_chance = random.Random()
_target = Known()


def known_codes() -> set[str]:
    """The codes that docs/errors.md lists."""
    if not _known:
        _known.update(errors_page.codes(), errors_page.verdicts())
    return _known


def fuzz(
    document: dict[str, Any],
    key: str,
    *,
    examples: int,
    seconds: float | None = None,
    seed: int = 1,
    app: Any = None,
    url: str = "",
    only: str = "",
    known: Known | None = None,
    phases: Mapping[str, bool] | None = None,
    heard: Callable[[Figures], bool] = lambda figures: True,
) -> Figures:
    """Make requests with the key, to `app` in this process or to `url`; `examples` an operation and phase.

    `known` is mixed into sound requests; `only` names an operation's path; `heard` is asked after each scenario whether
    to go on.
    """
    checks = tuple(name for name in CHECKS if app is None or name not in PROBES)
    config = SchemathesisConfig.from_dict(_config(key, url, examples, seconds, seed, checks, phases or {}))
    loaded = schemathesis.openapi.from_dict(document, config=config)
    schema = loaded.exclude(path_regex="/events/stream$")
    if only:
        schema = schema.include(path=only)
    if app is not None:
        schema.app = app
    _chance.seed(seed)
    _target.values, _target.bodies = (known.values, known.bodies) if known else ({}, {})
    figures = Figures()
    stream = from_schema(schema).execute()
    for event in stream:
        figures.add(event)
        if isinstance(event, events.ScenarioFinished) and not heard(figures):
            stream.stop()
            break
    return figures


def _config(
    key: str,
    url: str,
    examples: int,
    seconds: float | None,
    seed: int,
    checks: Sequence[str],
    phases: Mapping[str, bool],
) -> dict[str, Any]:
    chosen = {"examples": True, "coverage": True, "fuzzing": True, "stateful": False, **phases}
    config: dict[str, Any] = {
        "seed": seed,
        "workers": 1,
        "headers": {"Authorization": f"Bearer {key}"},
        "continue-on-failure": True,
        "request-timeout": WAIT_S,
        "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
        "checks": {
            "enabled": False,
            **{name: {"enabled": True} for name in (*checks, "known_code")},
            "not_a_server_error": SOUND,
        },
        "phases": {name: {"enabled": enabled} for name, enabled in chosen.items()},
        "suppress-health-check": ["all"],
    }
    if url:
        config["base-url"] = url
    if seconds is not None:
        config["max-time"] = int(seconds)
    return config


@schemathesis.hook("before_call")
def sharpen(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let many sound requests get further than the first check: a key of their own, and what the desk knows."""
    # The engine hands this to the WSGI client too, which does not know it (schemathesis 4.32.5).
    kwargs.pop("max_redirects", None)
    told = (case.headers or {}).get(KEY)
    if isinstance(told, str) and re.fullmatch("[!-~]{1,80}", told) and _chance.random() < FRESH:
        case.headers[KEY] = uuid.UUID(int=_chance.getrandbits(128)).hex
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    bodies = _target.bodies.get(case.operation.path)
    if bodies and isinstance(case.body, dict) and _chance.random() < KNOWN:
        case.body = dict(_chance.choice(bodies))
    for part in (case.body, case.query, case.path_parameters):
        if isinstance(part, dict):
            for name in sorted(part.keys() & _target.values.keys()):
                value = _chance.choice(_target.values[name])
                if type(value) is type(part[name]) and _chance.random() < KNOWN:
                    part[name] = value
