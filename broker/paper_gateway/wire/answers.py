"""The small answers: session, errors, account, positions, results."""

from __future__ import annotations

from decimal import Decimal

from broker.paper_gateway.types import AccountValue, PositionView, SymbolSpec
from broker.paper_gateway.wire.contracts import contract_block
from broker.paper_gateway.wire.fields import ascii_text, message, price, size, unset_or
from broker.paper_gateway.wire.versions import ADVANCED_REJECT

NO_REQUEST = -1


def handshake(version: int, connected_at: str) -> bytes:
    """The answer to a client's version offer."""
    return message(version, connected_at)


def error(version: int, request_id: int, code: int, text: str) -> bytes:
    """Message 4: an error, a warning or a notice; id -1 when it belongs to no request or order."""
    return message(4, 2, request_id, code, ascii_text(text), *([""] if version >= ADVANCED_REJECT else []))


def managed_accounts(account: str) -> bytes:
    """Message 15: the accounts of this gateway."""
    return message(15, 1, account)


def next_valid_id(order_id: int) -> bytes:
    """Message 9: the lowest order id this client may use next."""
    return message(9, 1, order_id)


def current_time(seconds: int) -> bytes:
    """Message 49: the gateway's clock."""
    return message(49, 1, seconds)


def account_value(value: AccountValue, account: str) -> bytes:
    """Message 6: one account value."""
    return message(6, 2, value.key, value.value, value.currency, account)


def clock_moved(epoch_seconds: int, account: str) -> bytes:
    """Message 6 under a key of our own: the set clock's time at which everything after it happened."""
    return message(6, 2, "PaperTime", epoch_seconds, "", account)


def account_time(clock: str) -> bytes:
    """Message 8: `hh:mm` of the last account update."""
    return message(8, 1, clock)


def account_download_end(account: str) -> bytes:
    """Message 54: the first account update is complete."""
    return message(54, 1, account)


def portfolio(version: int, view: PositionView, spec: SymbolSpec) -> bytes:
    """Message 7: one holding with its market value."""
    return message(
        7,
        8,
        *contract_block(spec, spec.primary_exchange, right="0"),
        size(view.quantity, version),
        price(view.market_price),
        price(view.market_value),
        price(view.avg_cost),
        price(view.unrealized_pnl),
        price(view.realized_pnl),
        view.account,
    )


def position(version: int, view: PositionView, spec: SymbolSpec) -> bytes:
    """Message 61: one holding at its listing exchange."""
    contract = contract_block(spec, spec.primary_exchange)
    return message(61, 3, view.account, *contract, size(view.quantity, version), price(view.avg_cost))


def positions_end() -> bytes:
    """Message 62: that was the last position."""
    return message(62, 1)


def position_multi(version: int, request_id: int, view: PositionView, spec: SymbolSpec) -> bytes:
    """Message 71: one holding, for a request by account and model."""
    contract = contract_block(spec, spec.primary_exchange)
    return message(71, 1, request_id, view.account, *contract, size(view.quantity, version), price(view.avg_cost), "")


def position_multi_end(request_id: int) -> bytes:
    """Message 72: that was the last one."""
    return message(72, 1, request_id)


def account_summary(request_id: int, account: str, value: AccountValue) -> bytes:
    """Message 63: one account value of a summary."""
    return message(63, 1, request_id, account, value.key, value.value, value.currency)


def account_summary_end(request_id: int) -> bytes:
    """Message 64: the summary is complete."""
    return message(64, 1, request_id)


def account_update_multi(request_id: int, account: str, value: AccountValue) -> bytes:
    """Message 73: one account value, for a request by account and model."""
    return message(73, 1, request_id, account, "", value.key, value.value, value.currency)


def account_update_multi_end(request_id: int) -> bytes:
    """Message 74: that was the last value."""
    return message(74, 1, request_id)


def profit(request_id: int, daily: Decimal | None, unrealized: Decimal | None, realized: Decimal | None) -> bytes:
    """Message 94: the profit of the account."""
    return message(94, request_id, unset_or(daily), unset_or(unrealized), unset_or(realized))


def profit_single(
    version: int,
    request_id: int,
    quantity: Decimal,
    daily: Decimal,
    unrealized: Decimal,
    realized: Decimal,
    value: Decimal,
) -> bytes:
    """Message 95: the profit of one holding."""
    amounts = [price(amount) for amount in (daily, unrealized, realized, value)]
    return message(95, request_id, size(quantity, version), *amounts)
