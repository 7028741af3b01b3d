"""docs/broker.md, made from the port's table: `python -m broker.docs` writes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from broker import errors
from broker.ib import codes
from broker.ib.codes import Kind
from broker.port import TABLE, Call

PATH = Path(__file__).resolve().parent.parent / "docs" / "broker.md"
INTRO = """# The broker's port

Made from `broker/port.py` by `python -m broker.docs`; do not edit.

```python
from broker import get_broker
from broker.types import ContractQuery

with get_broker() as broker:
    (contract,) = broker.contracts(ContractQuery("SPY"))
```

Each call has an asynchronous twin (`await broker.acontracts(...)`). In the owner's process the call goes straight to
the connection; elsewhere it is `POST /call/<name>` at the owner's address with the request as JSON (Decimals as text,
times as ISO text, arrays as base64 of little-endian 8-byte items), `Authorization: Bearer <secret>` and `X-Deadline`
in seconds since 1970. `drain()` waits until everything the broker has said so far is applied to our rows.

A **read** may be asked again when its connection broke; it raises BrokerUnavailable where no answer came, never an
empty answer in its place. A **send** passes the gates, and `place` and `modify` leave at most one frame for each
(order_ref, revision), however often they are called. Every call may raise BrokerUnavailable, so the table leaves it
out; one that names a `con_id` raises ContractNotFound where `contracts` has never resolved it. The time-out is that of
the whole call, pacing included.
"""
CODES_INTRO = """
## Codes of TWS

`broker/ib/codes.py` gives each code that TWS sends exactly one class, and the class alone decides what it does here,
whichever client library runs. A code that stands nowhere is logged as a warning, counted in
`BrokerStatus.unmapped_codes`, and ends the request whose id it carries.
"""
PERSON_INTRO = "What a person must do is shown as `BrokerStatus.action`:\n"
KINDS = {
    Kind.WARNING: "ends nothing",
    Kind.REQUEST: "ends the request of its id with the error class of the call",
    Kind.ORDER: "becomes an OrderMessage of that order; ends a preview",
    Kind.CONNECTIVITY: "changes the phase or a farm of the status",
    Kind.PERSON: "ends a request, too, and asks for a person",
}


def render() -> str:
    """The page's text."""
    parts = [INTRO, "## Calls\n", *_calls(), "\n## Errors\n", *_errors(), *_codes(), "\n## Types\n", *_types()]
    return "\n".join(parts) + "\n"


def _calls() -> list[str]:
    head = [
        "| call | request → answer | time-out | kind | TWS messages | errors | |",
        "|---|---|---|---|---|---|---|",
    ]
    return head + [_row(call) for call in TABLE.values()]


def _row(call: Call) -> str:
    answer = f"{'list of ' if call.many else ''}{call.answer_item.__name__}"
    messages = ", ".join(f"`{name}`" for name in call.messages) or "none"
    return (
        f"| `{call.name}` | {call.request.__name__} → {answer} | {call.timeout:g} s | {call.kind} | {messages} "
        f"| {', '.join(call.errors) or '–'} | {call.doc} |"
    )


def _errors() -> list[str]:
    head = ["| class | code | HTTP | |", "|---|---|---|---|"]
    return head + [
        f"| {name} | `{cls.code}` | {cls.status} | {_first_line(cls)} |" for name, cls in errors.CLASSES.items()
    ]


def _codes() -> list[str]:
    """Every code of TWS by its class, and what a person must do about some."""
    rows = [f"| {kind} | {KINDS[kind]} | {text} |" for kind, text in codes.CODES.items()]
    actions = [f"- {code}: {action}" for code, action in sorted(codes.ACTIONS.items())]
    actions.append(f"- {codes.VALIDATION} that speaks of read-only: {codes.READ_ONLY}")
    return [CODES_INTRO, "| class | what it does | codes |", "|---|---|---|", *rows, "", PERSON_INTRO, *actions]


def _types() -> list[str]:
    found: dict[str, Any] = {}
    for call in TABLE.values():
        for cls in (call.request, call.answer_item):
            _gather(cls, found)
    return [line for name in sorted(found) for line in _type(found[name])]


def _gather(cls: Any, found: dict[str, Any]) -> None:
    if not dataclasses.is_dataclass(cls) or not isinstance(cls, type) or cls.__name__ in found:
        return
    found[cls.__name__] = cls
    for hint in get_type_hints(cls).values():
        for inner in (hint, *getattr(hint, "__args__", ())):
            _gather(inner, found)


def _type(cls: Any) -> list[str]:
    fields = [f"- `{field.name}`: `{field.type}`" for field in dataclasses.fields(cls)]
    return [f"### {cls.__name__}\n", " ".join(str(cls.__doc__).split()) + "\n", *fields, ""]


def _first_line(cls: type) -> str:
    return str(cls.__doc__).splitlines()[0]


if __name__ == "__main__":
    PATH.write_text(render())
