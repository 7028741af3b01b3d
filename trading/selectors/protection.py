"""What each ledger holds against what protects and closes it: the facts by which a naked position is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q, Sum

from broker.types import Position
from trading.models import Fill, Instrument, Order, Strategy, Trade
from trading.models.order import AT_BROKER, UNSENT, WORKING, Role
from trading.selectors.orders import AT_BROKER_UNSENT
from trading.selectors.positions import SIGNED

ZERO = Decimal(0)
CLOSERS = (Role.STOP, Role.TARGET, Role.EXIT)
PROTECTS = "protects_trade"  # in the configuration of a stop that was placed again: what opened its trade
Ledger = tuple[int | None, int]  # strategy and instrument


@dataclass(frozen=True, slots=True)
class Cover:
    """One ledger (account, strategy, instrument) at the moment of a look; quantities are positive.

    `held`: what is ours to protect. `entering`: what live entries may still add. `stopped`: what working stops would
    close. `closing`: what working orders could close at most, each OCA group counted once. `unproven`: stops that may
    be at the broker or not. `last_stop`: the newest stop of this trade that had a price.

    A row of an older copy that was never sent by it counts as the broker's book shows it; where it told of the order
    before and does not show it now, that is not proven.
    """

    account_id: str
    strategy: Strategy | None
    instrument: Instrument
    side: str
    trade: Trade | None
    held: Decimal
    entering: Decimal
    stopped: Decimal
    closing: Decimal
    unproven: tuple[Order, ...]
    targets: tuple[Order, ...]
    last_stop: Order | None

    @property
    def naked(self) -> Decimal:
        """What is held and not covered by a working stop."""
        return max(self.held - self.stopped, ZERO)

    def surplus(self, missing: Decimal) -> Decimal:
        """What working orders could close beyond what is held or still to be entered; `missing`: what of it the
        broker does not hold any more."""
        return max(self.closing - max(self.held - missing, ZERO) - self.entering, ZERO)

    @property
    def signed(self) -> Decimal:
        """What is held, negative = short."""
        return self.held if self.side == "SELL" else -self.held

    @property
    def key(self) -> str:
        """The subject of a difference about this ledger."""
        return f"ledger:{self.strategy.pk if self.strategy else 'desk'}.{self.instrument.pk}"


def covers(account_id: str, working: Mapping[int, str]) -> list[Cover]:
    """Every ledger of the account that holds something or has closing orders at the broker.

    `working`: the OCA group of every order that the broker's book shows as working, by permId.
    """
    trades = {(trade.strategy_id, trade.instrument_id): trade for trade in _open_trades(account_id)}
    orders: dict[Ledger, list[Order]] = {key: [] for key in trades}
    there = Q(state__in=AT_BROKER) | AT_BROKER_UNSENT
    ours = Order.objects.filter(there, account=account_id).exclude(role=Role.EXTERNAL)
    for order in ours.select_related("strategy", "instrument").order_by("id"):
        orders.setdefault((order.strategy_id, order.instrument_id), []).append(order)
    return [_cover(account_id, trades.get(key), found, working) for key, found in orders.items()]


def unheld(cover: Cover, others: Iterable[Cover], positions: Sequence[Position]) -> Decimal:
    """By how much the broker holds less of the contract, on this ledger's side, than all our ledgers together.

    What is missing was closed by somebody else, or by a fill that was never told: a stop for it would open a position.
    """
    ours = sum((other.signed for other in others if other.instrument.pk == cover.instrument.pk), ZERO)
    mine = [row for row in positions if (row.account, row.con_id) == (cover.account_id, cover.instrument.con_id)]
    missing = ours - sum((row.quantity for row in mine), ZERO)
    return max(missing if cover.side == "SELL" else -missing, ZERO)


def open_quantity(order: Order) -> Decimal:
    """What may still fill; an OCA group, or the fills of its parent, may have cut it at the broker."""
    size: Decimal = order.quantity if order.broker_quantity is None else order.broker_quantity
    left: Decimal = size - order.filled_quantity
    return max(left, ZERO)


def _open_trades(account_id: str) -> list[Trade]:
    return list(Trade.objects.filter(account=account_id, state="OPEN").select_related("strategy", "instrument"))


def _cover(account_id: str, trade: Trade | None, orders: list[Order], working: Mapping[int, str]) -> Cover:
    first = trade or orders[0]
    side = _away(trade, orders)
    closers = [order for order in orders if order.role in CLOSERS and order.side == side]
    stops = [order for order in closers if order.role == Role.STOP]
    entries = [order for order in orders if order.role == Role.ENTRY and order.side != side]
    return Cover(
        account_id,
        first.strategy,
        first.instrument,
        side,
        trade,
        held=_ours_to_protect(trade) if trade is not None else ZERO,
        entering=sum((max(order.quantity - order.filled_quantity, ZERO) for order in entries), ZERO),
        stopped=sum((open_quantity(order) for order in stops if _works(order, working)), ZERO),
        closing=_closing(closers, working),
        unproven=tuple(order for order in stops if order.state not in WORKING and not _works(order, working)),
        targets=tuple(order for order in closers if order.role == Role.TARGET and _works(order, working)),
        last_stop=_last_stop(account_id, first.strategy, first.instrument, side, trade),
    )


def _away(trade: Trade | None, orders: list[Order]) -> str:
    """The side that closes."""
    if trade is not None:
        return "SELL" if trade.side == "long" else "BUY"
    closer = next((order for order in orders if order.role in CLOSERS), None)
    if closer is not None:
        return closer.side
    return "SELL" if orders[0].side == "BUY" else "BUY"


def _works(order: Order, working: Mapping[int, str]) -> bool:
    return order.state in (*WORKING, *UNSENT) and order.perm_id in working


def _closing(closers: list[Order], working: Mapping[int, str]) -> Decimal:
    groups: dict[str, Decimal] = {}
    for order in closers:
        if _works(order, working):
            group = working[order.perm_id or 0] or order.group
            groups[group] = max(groups.get(group, ZERO), open_quantity(order))
    return sum(groups.values(), ZERO)


def _ours_to_protect(trade: Trade) -> Decimal:
    """A strategy's whole position; beside the desk's own orders, what others bought in its ledger is not ours."""
    held: Decimal = trade.open_quantity
    if trade.strategy_id is not None:
        return held
    fills = Fill.objects.filter(trade=trade, superseded=False).exclude(order__role=Role.EXTERNAL)
    total: Decimal = fills.aggregate(total=Sum(SIGNED))["total"] or ZERO
    return max(min(held, total if trade.side == "long" else -total), ZERO)


def _last_stop(
    account_id: str, strategy: Strategy | None, instrument: Instrument, side: str, trade: Trade | None
) -> Order | None:
    """Of a bracket whose entry filled in this trade, or placed again for it: another's price is not this trade's."""
    if trade is None:
        return None
    entries = Fill.objects.filter(trade=trade, superseded=False, order__role=Role.ENTRY).values("order")
    stops = Order.objects.filter(
        Q(parent__in=entries) | Q(**{f"configuration__{PROTECTS}": trade.opening_exec_id}),
        account=account_id,
        strategy=strategy,
        instrument=instrument,
        role=Role.STOP,
        side=side,
    ).exclude(stop_price=None)
    return stops.order_by("-id").first()
