"""How numbers, times and states are written on every page; also the template library `desk`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

ABSENT = "–"
LONGEST = 18
NUMERIC = re.compile(r"-?[0-9]+\.[0-9]+(E[-+]?[0-9]+)?", re.ASCII)
GOOD = frozenset(
    {
        "DONE",
        "FILLED",
        "ALLOWED",
        "ACCEPTED",
        "ACKED",
        "ACTIVE",
        "SENT",
        "APPLIED",
        "USED",
        "buy",
        "bullish",
        "ok",
        "ordered",
    }
)
BAD = frozenset(
    {"FAILED", "REFUSED", "REJECTED", "HALTED", "BLOCKED", "ERROR", "error", "failed", "sell", "bearish", "refused"}
)
WARN = frozenset(
    {
        "UNKNOWN",
        "ABSENT",
        "VOID",
        "REDUCING",
        "EXPIRED",
        "WAITING",
        "PENDING",
        "PENDING_APPROVAL",
        "pending_approval",
        "SIMULATED",
        "simulated",
        "dry_run",
    }
)
BUSY = frozenset(
    {"QUEUED", "RUNNING", "SENDING", "SUBMITTED", "APPROVED", "PARTIALLY_FILLED", "OPEN", "shadow", "PROPOSED", "new"}
)


def tone_of(state: str) -> str:
    """The tone of a state: good, bad, warn, busy or plain."""
    for tone, states in (("good", GOOD), ("bad", BAD), ("warn", WARN), ("busy", BUSY)):
        if state in states:
            return tone
    return "plain"


@register.filter
def badge(state: object, text: object = "") -> SafeString:
    """A state as a coloured word; its own text is the message, the colour only helps."""
    if state in (None, ""):
        return SafeString(ABSENT)
    shown = str(text or state).replace("_", " ")
    return format_html('<span class="desk-badge desk-{}">{}</span>', tone_of(str(state)), shown)


def _is_plain(value: Decimal) -> bool:
    """False for what has no sensible place in a table: infinite, not a number, or of absurd length."""
    return value.is_finite() and value.adjusted() < LONGEST


@register.filter
def number(value: Decimal | float | None, places: int | None = None) -> str:
    """A number with thousands separators; without `places` as many decimals as it needs."""
    if value is None or value == "":
        return ABSENT
    exact = Decimal(str(value))
    if not _is_plain(exact):
        return str(exact)
    if places is not None:
        exact = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        return f"{exact:,f}"
    text = f"{exact:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def price(value: Decimal | float | None) -> str:
    """A price: at least two decimals, more only where they are not zero."""
    if value is None or value == "":
        return ABSENT
    text = number(value)
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


@register.filter
def money(value: Decimal | float | None) -> str:
    """An amount with two decimals."""
    return number(value, 2)


@register.filter
def signed(value: Decimal | float | None) -> str:
    """An amount with its sign."""
    if value is None or value == "":
        return ABSENT
    return ("+" if Decimal(str(value)) > 0 else "") + money(value)


@register.filter
def gain(value: Decimal | float | None) -> SafeString:
    """A profit in green, a loss in red, both with their sign."""
    if value is None:
        return SafeString(ABSENT)
    tone = "up" if value > 0 else "down" if value < 0 else "flat"
    return format_html('<span class="desk-{}">{}</span>', tone, signed(value))


@register.filter
def percent(value: Decimal | float | None) -> str:
    """A fraction of 1 as per cent."""
    return ABSENT if value is None else f"{number(Decimal(str(value)) * 100, 2)}\N{NO-BREAK SPACE}%"


@register.filter
def instant(value: datetime | None) -> SafeString:
    """A time in UTC to the second, never broken over lines."""
    if value is None:
        return SafeString(ABSENT)
    at = value.astimezone(UTC)
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return format_html('<time class="desk-time" datetime="{}">{} UTC</time>', at.isoformat(), text)


@register.filter
def duration(milliseconds: float | None) -> str:
    """A length of time in the unit that reads best."""
    if milliseconds is None:
        return ABSENT
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"


@register.filter
def document(value: Any) -> str:
    """A JSON value or JSON text as indented text; text that is no JSON stays as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False, default=str, sort_keys=isinstance(value, Mapping))


def document_box(value: Any) -> SafeString:
    """A document as a field of a page, its indentation kept."""
    return format_html('<pre class="desk-text">{}</pre>', document(value))


@register.filter
def words(name: object) -> str:
    """An identifier as words: `max_order_value` becomes "max order value"."""
    return str(name).replace("_", " ")


def _short(value: Decimal) -> str:
    """To four decimals where the number is 1 or more, else to four significant digits."""
    if not _is_plain(value):
        return str(value)
    return number(round(value, 4) if abs(value) >= 1 else Decimal(f"{value:.4g}"))


@register.filter
def figure(value: Any) -> str:
    """A value of a JSON document as a person reads it: numbers shortened, lists joined, nothing as a dash."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (float, Decimal)) or (isinstance(value, str) and NUMERIC.fullmatch(value)):
        return _short(Decimal(str(value)))
    if isinstance(value, (list, tuple)):
        return ", ".join(figure(part) for part in value) or ABSENT
    if isinstance(value, Mapping):
        return ", ".join(f"{words(name)} {figure(part)}" for name, part in value.items()) or ABSENT
    return str(value)
