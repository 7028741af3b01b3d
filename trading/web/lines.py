"""One event as the line that a person reads: its sentence, its tone, where it leads, and which panels it touches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connection
from django.template.base import Template
from django.template.context import Context
from django.template.exceptions import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from autotrader.core.formats import ABSENT, money, number, price, signed
from autotrader.core.live.documents import event_document
from autotrader.core.live.rows import RowList
from trading.selectors.pages.lines import events_recent, symbols_of
from trading.web.line_kinds import FILLS, POKES, tone
from trading.web.line_names import NAMES
from trading.web.orders import ORDER_ROWS
from trading.web.trades import TRADE_ROWS

logger = logging.getLogger(__name__)
LONGEST = 300
LONGEST_KEY = 64
OTHER = "web/lines/_other.html"
QUANTITIES = frozenset({"quantity", "open", "filled_quantity"})
PRICES = frozenset(
    {"price", "limit_price", "stop_price", "average_price", "claimed_price", "target_price", "entry_price"}
)
AMOUNTS = frozenset({"commission", "value", "net_liquidation", "cash", "day_base", "peak", "equity", "day_began_at"})
GAINS = frozenset({"pnl", "realized_pnl"})
DONE_WORDS = {"BUY": "Bought", "SELL": "Sold"}
ORDER_WORDS = {"BUY": "buy", "SELL": "sell"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the feed: `cause` is the correlation id of what it belongs to, `pokes` the words of its panels.

    `rows` are those of lists that a fill changed, as "orders:<reference>" or "trades:<id>".
    """

    seq: int
    cause: str
    html: str
    pokes: tuple[str, ...]
    rows: tuple[str, ...] = ()


class LineMaker:
    """Makes the lines of events, and knows the lists whose rows they name."""

    lists: Mapping[str, RowList] = {"orders": ORDER_ROWS, "trades": TRADE_ROWS}

    def rows_of(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        """The rows that a fill or what it sets off names, none of another event."""
        return _rows(document) if document.get("type") in FILLS else ()

    def __call__(self, document: Mapping[str, Any]) -> Line:
        """The line of an event document. Asks no database, and no document is too odd for it."""
        kind = str(document.get("type") or "")
        cause = str(document.get("correlation_id") or "")
        html = _template(kind).render(Context(_told(document, kind)))
        rows = self.rows_of(document)
        return Line(int(document.get("seq") or 0), cause, SafeString(html.strip()), POKES.get(kind, ()), rows)


line_of = LineMaker()


def lines_recent(limit: int, about: str = "") -> list[Line]:
    """The newest lines first: of everything, or of one correlation id and the executions that belong to it."""
    documents = [event_document(event) for event in events_recent(limit, about)]
    NAMES.learn(symbols_of(NAMES.unknown(reversed(documents))))
    return [line_of(document) for document in documents]


def learn_names() -> None:
    """Know the instruments before the first event comes; a database that is away leaves the references alone."""
    try:
        NAMES.learn(symbols_of(set()))
    except DatabaseError as error:
        logger.info("the names of the instruments are not known yet: %s", error)
    finally:
        connection.close()


@lru_cache(maxsize=256)
def _template(kind: str) -> Template:
    name = f"web/lines/{kind}.html" if kind in POKES else OTHER
    try:
        found = get_template(name)
    except TemplateDoesNotExist:
        found = get_template(OTHER)
    template: Template = found.template  # type: ignore[attr-defined]
    return template


def _told(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What the templates know."""
    facts = _part(document, "document")
    subject = str(document.get("subject") or "")
    side = str(facts.get("side") or _leg(facts).get("side") or "").upper()
    return {
        "seq": document.get("seq"),
        "version": document.get("version"),
        "at": _time(document.get("at")),
        "kind": kind,
        "tone": tone(kind),
        "account": document.get("account"),
        "actor": document.get("actor"),
        "subject": subject,
        "name": subject.partition(":")[2],
        "old": document.get("old_state"),
        "new": document.get("new_state"),
        "why": _short(document.get("cause")),
        "quarantined": bool(document.get("quarantined")),
        "d": _shown(facts),
        "leg": _shown(_leg(facts)),
        "saved": _shown(_part(facts, "now")),
        "done": DONE_WORDS.get(side, "Filled"),
        "side": ORDER_WORDS.get(side, "order"),
        "symbol": NAMES.symbol(document),
        "url": _url(subject, facts),
    }


def _rows(document: Mapping[str, Any]) -> tuple[str, ...]:
    room, _, name = str(document.get("subject") or "").partition(":")
    facts = _part(document, "document")
    if room not in ("order", "trade"):
        room, name = "order", str(facts.get("order_ref") or facts.get("order") or "")
    return (f"{room}s:{name}",) if name and len(name) <= LONGEST_KEY else ()


def _leg(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first leg of an approval's terms."""
    legs = _part(facts, "terms").get("legs")
    first = legs[0] if isinstance(legs, list) and legs else None
    return first if isinstance(first, Mapping) else {}


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, Mapping) else {}


def _shown(facts: Mapping[str, Any]) -> dict[str, str]:
    """Each plain value as text, numbers by what they are; what is empty is left out."""
    shown = {str(name): _text(str(name), value) for name, value in facts.items() if value not in (None, "", [], {})}
    return {name: text for name, text in shown.items() if text and text != ABSENT}


def _text(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ""
    if isinstance(value, (list, tuple)):
        return _short(", ".join(str(part) for part in value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        if name in QUANTITIES:
            return number(Decimal(str(value)))
        if name in PRICES:
            return price(Decimal(str(value)))
        if name in AMOUNTS:
            return money(Decimal(str(value)))
        if name in GAINS:
            return signed(Decimal(str(value)))
    except InvalidOperation:
        return _short(value)
    return _short(value)


def _short(value: Any) -> str:
    text = " ".join(str(value or "").split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _url(subject: str, facts: Mapping[str, Any]) -> str:
    """The page of what the event is about; "" where there is none."""
    room, _, name = subject.partition(":")
    if room in ("order", "decision", "cycle", "execution", "approval", "strategy"):
        return _address(room, name)
    if room == "step":
        return _address("execution", name.partition(".")[0])
    if room == "change":
        return _address("order", name.rpartition(".")[0])
    if room in ("fill", "discrepancy"):
        return _address("order", str(facts.get("order_ref") or facts.get("order") or ""))
    return {"halt": _address("halt"), "broker": _address("gateway")}.get(room, "")


@lru_cache(maxsize=4096)
def _address(page: str, key: str | None = None) -> str:
    if key == "":
        return ""
    try:
        return reverse(page, args=[] if key is None else [key])
    except NoReverseMatch:
        return ""
