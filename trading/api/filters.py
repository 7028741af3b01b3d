"""The parameters of the history's lists, each checked before a row is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django_filters import CharFilter, ChoiceFilter, Filter, FilterSet, NumberFilter
from django_filters.fields import IsoDateTimeField

from autotrader.core.audit.event_types import EventType
from trading.models.decision import DecisionState, DecisionType
from trading.models.order import OrderState, Role

LARGEST_SEQ = 2**63 - 1


class InstantField(IsoDateTimeField):  # type: ignore[misc]
    """A time with its zone, or in UTC where none is given."""

    default_error_messages = {"invalid": "Give an ISO time such as 2026-01-31T15:30:00Z."}

    def clean(self, value: Any) -> datetime | None:
        found = super().clean(value)
        try:
            return None if found is None else found.astimezone(UTC)
        except (OverflowError, ValueError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class TimeFilter(Filter):  # type: ignore[misc]
    """An instant."""

    field_class = InstantField


class WholeFilter(NumberFilter):  # type: ignore[misc]
    """A whole number from 0 to the largest that a row can have."""

    field_class = forms.IntegerField

    def get_max_validator(self) -> None:
        """The bounds are the field's own."""


def filters(name: str, /, **declared: Filter) -> type[FilterSet]:
    """A filter set of these parameters; the lists' own lookups make conditions of the checked values."""
    made: type[FilterSet] = type(FilterSet)(name, (FilterSet,), dict(declared))
    return made


def _text(longest: int, help_text: str) -> CharFilter:
    return CharFilter(max_length=longest, help_text=help_text)


def _choice(values: Sequence[str], help_text: str) -> ChoiceFilter:
    return ChoiceFilter(choices=[(value, value) for value in values], help_text=help_text)


def _owned() -> dict[str, Filter]:
    return {
        "account": _text(40, "The account's id."),
        "strategy": _text(80, "The strategy's name."),
        "symbol": _text(40, "The instrument's symbol, as it is written there."),
    }


def _between(what: str) -> dict[str, Filter]:
    return {
        "from": TimeFilter(help_text=f"{what} at this time or later."),
        "to": TimeFilter(help_text=f"{what} before this time."),
    }


CAUSED = "Everything that this request, cycle or execution caused."
EventFilters = filters(
    "EventFilters",
    type=_choice([kind.value for kind in EventType], "The event's type."),
    subject=_text(80, 'What it is about, such as "order:A2345-E".'),
    account=_text(40, "The account's id."),
    actor=_text(80, "Who acted."),
    correlation_id=_text(64, CAUSED),
    after=TimeFilter(help_text="Later than this time."),
    before=TimeFilter(help_text="Earlier than this time."),
    after_id=WholeFilter(min_value=0, max_value=LARGEST_SEQ, help_text="With a greater seq than this."),
)
OrderFilters = filters(
    "OrderFilters",
    **_owned(),
    state=_choice(OrderState.values, "The order's state."),
    role=_choice(Role.values, "What the order is for."),
    side=_choice(("BUY", "SELL"), "The side."),
    correlation_id=_text(64, CAUSED),
    **_between("Made"),
)
TradeFilters = filters(
    "TradeFilters",
    **_owned(),
    state=_choice(("OPEN", "CLOSED"), "Whether it is over."),
    side=_choice(("long", "short"), "The side."),
    **_between("Opened"),
)
DecisionFilters = filters(
    "DecisionFilters",
    **_owned(),
    type=_choice(DecisionType.values, "Buy, sell or hold."),
    state=_choice(DecisionState.values, "What the controls made of it."),
    correlation_id=_text(64, CAUSED),
    **_between("Decided"),
)
