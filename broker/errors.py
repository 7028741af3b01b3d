"""What can go wrong at the broker; the class tells the caller what to do."""

from __future__ import annotations

from autotrader.core.errors import AutoTraderError


class BrokerError(AutoTraderError):
    """Something at or on the way to the broker."""

    code = "BROKER_ERROR"
    status = 502


class BrokerUnavailable(BrokerError):
    """No answer from the broker or its owner: nothing is known; ask again later, never assume."""

    code = "BROKER_UNAVAILABLE"
    status = 503


class ContractNotFound(BrokerError):
    """The broker knows no such contract: correct the symbol."""

    code = "CONTRACT_NOT_FOUND"
    status = 404


class MarketDataError(BrokerError):
    """No usable bars or quote: do not decide on them."""

    code = "MARKET_DATA_ERROR"
    status = 502


class AccountError(BrokerError):
    """The account is unknown or has not said what was asked."""

    code = "ACCOUNT_ERROR"
    status = 502


class OrderError(BrokerError):
    """An order was not taken."""

    code = "ORDER_ERROR"
    status = 422


class TradingDisabled(OrderError):
    """A gate is shut: nothing was sent, and nothing will be until a person opens it."""

    code = "TRADING_DISABLED"
    status = 403


class OrderInvalid(OrderError):
    """The order's terms are wrong: correct them; nothing was sent."""

    code = "ORDER_INVALID"
    status = 422


class OrderRejected(OrderError):
    """The broker refused the order."""

    code = "ORDER_REJECTED"
    status = 422


CLASSES: dict[str, type[BrokerError]] = {
    cls.__name__: cls
    for cls in (
        BrokerError,
        BrokerUnavailable,
        ContractNotFound,
        MarketDataError,
        AccountError,
        OrderError,
        TradingDisabled,
        OrderInvalid,
        OrderRejected,
    )
}
