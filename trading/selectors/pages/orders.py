"""The list of orders, page by page and whole, and one order with everything that became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from django.db.models import Model, QuerySet

from autotrader.core.formats import tone_of
from autotrader.core.rest.paging import Place, cursor_of, place_of
from trading.models import Account, Order, Strategy, Trade
from trading.models.account import AccountKind
from trading.selectors.history import ORDERS, Lookups, history_count, history_page
from trading.selectors.stories import OrderStory, order_story
from trading.selectors.trade_costs import TradeResult, results_of

SHOWN = 50
CHUNK = 500
SHOWN_REPLAYS = 20
# Where few rows are looked at, a name need not be made a key first.
NAMED = {"symbol": "instrument__symbol", "strategy": "strategy__name"}
# What a row of the list shows. What the file and the API tell beside it takes five joins more, for which no row that a
# fill changed need wait.
ROWS = replace(
    ORDERS,
    read=(
        "id", "order_ref", "account_id", "strategy__name", "instrument__symbol", "role", "side", "quantity",
        "order_type", "limit_price", "stop_price", "tif", "state", "filled_quantity", "average_price", "reason",
        "decision_id", "created_at",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: `older` is the cursor of the next one, "" where there is none."""

    rows: Sequence[Mapping[str, Any]]
    older: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A state that an order came to; `by` and `why` are empty where the log is not for this reader."""

    state: str
    at: datetime
    by: str = ""
    why: str = ""

    @property
    def tone(self) -> str:
        """Good, bad, warn, busy or plain."""
        return tone_of(self.state)


@dataclass(frozen=True, slots=True)
class OrderPage:
    """An order's story, the states it went through, oldest first, and the trades that its fills changed."""

    story: OrderStory
    steps: list[Step]
    trades: list[TradeResult]


def orders_listed(asked: Mapping[str, Any], cursor: str) -> Listed:
    """The orders that are asked for, newest first. Raises Invalid for a cursor that is none of this list."""
    return listed(Order, ROWS, "orders", asked, cursor)


def orders_among(asked: Mapping[str, Any], refs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Those of these orders that are asked for, newest first, in one query."""
    return among(Order, ROWS, asked, {"order_ref__in": refs})


def orders_whole(asked: Mapping[str, Any], most: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """At most `most` of the orders that are asked for, newest first, some hundred at a time."""
    return whole(Order, ORDERS, asked, most)


def orders_count(asked: Mapping[str, Any], most: int) -> int:
    """How many rows `orders_whole` gives."""
    return history_count(Order.objects.all(), ORDERS, asked, most)


def listed(model: type[Model], lookups: Lookups, of: str, asked: Mapping[str, Any], cursor: str) -> Listed:
    """A page of a table of the history. Raises Invalid for a cursor that is none of the list `of`."""
    by_time = lookups.is_by_time(asked)
    place = place_of(cursor, of, by_time=by_time) if cursor else None
    found = history_page(model._default_manager.all(), lookups, asked, place, SHOWN, is_limited=False)
    return Listed(list(found.rows), cursor_of(found.place, of, by_time=by_time) or "")


def among(
    model: type[Model], lookups: Lookups, asked: Mapping[str, Any], few: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """The rows of `few`, a condition that leaves few of them, which a list of what is asked for would show."""
    told = {NAMED.get(name) or lookups.columns[name]: value for name, value in asked.items()}
    return sorted(_reading(model, lookups.read).filter(**told, **few), key=itemgetter("id"), reverse=True)


@cache
def _reading(model: type[Model], columns: tuple[str, ...]) -> QuerySet[Any, Any]:
    """To be narrowed: to find out what the columns are takes as long as to read some rows."""
    return model._default_manager.order_by().values(*columns)


def whole(
    model: type[Model], lookups: Lookups, asked: Mapping[str, Any], most: int
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The rows of a table of the history, at most `most`, in pieces that are read one after the other."""
    place: Place | None = None
    while most > 0:
        limit = min(CHUNK, most)
        found = history_page(model._default_manager.all(), lookups, asked, place, limit, is_limited=False)
        rows = list(found.rows)
        yield rows
        most -= len(rows)
        place = found.place
        if place is None:
            return


def strategy_names() -> list[str]:
    """What a list may be narrowed to, by name."""
    return list(Strategy.objects.order_by("name").values_list("name", flat=True))


def account_names() -> list[str]:
    """The ledgers, those of the broker and of shadows first, then the newest replays."""
    kept = Account.objects.exclude(kind=AccountKind.REPLAY).order_by("id").values_list("id", flat=True)
    replays = Account.objects.filter(kind=AccountKind.REPLAY).order_by("-created_at").values_list("id", flat=True)
    return [*kept, *replays[:SHOWN_REPLAYS]]


def order_found(order_ref: str) -> Order | None:
    """The order of this reference."""
    found = Order.objects.select_related("instrument", "account").filter(order_ref=order_ref)
    return found.first() if order_ref.isprintable() else None


def order_read(order_ref: str, *, with_events: bool) -> OrderPage | None:
    """One order; without `with_events` its states are told by its own times alone."""
    order = order_found(order_ref)
    if order is None:
        return None
    story = order_story(order)
    steps = _told(story) if with_events else _known(order)
    trades = Trade.objects.filter(fills__order=order).select_related("instrument").distinct().order_by("id")
    return OrderPage(story, steps, results_of(list(trades)))


def _told(story: OrderStory) -> list[Step]:
    """Each change of the order's state, by the audit log."""
    own = f"order:{story.order.order_ref}"
    return [
        Step(event.new_state, event.at, event.actor, event.cause)
        for event in story.events
        if event.subject == own and event.new_state and event.new_state != event.old_state
    ]


def _known(order: Order) -> list[Step]:
    times = [("written", order.created_at), ("SENDING", order.sending_at), ("cancel asked", order.cancel_requested_at)]
    steps = [Step(state, at) for state, at in times if at is not None]
    return [*steps, Step(order.state, order.ended_at)] if order.ended_at is not None else steps
