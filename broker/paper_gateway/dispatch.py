"""Message id to handler: the one table of all requests, and what happens to those that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.handlers import (
    account,
    contracts,
    depth,
    fundamentals,
    history,
    market_data,
    news,
    orders,
    other,
    scanner,
    start,
    ticks,
)
from broker.paper_gateway.session import Session
from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire.answers import NO_REQUEST
from broker.paper_gateway.wire.fields import BadField, FieldReader

logger = logging.getLogger(__name__)

Handler = Callable[[Request, FieldReader], None]
START_API = 71
UNREADABLE, UNKNOWN_MESSAGE, INTERNAL = 320, 505, 322


@dataclass(frozen=True, slots=True)
class Route:
    """A kind of request: whether a message version and an id come before its own fields, and who answers it."""

    name: str
    has_version: bool
    has_id: bool
    handler: Handler


def _routes(*, has_version: bool, has_id: bool, rows: dict[int, tuple[str, Handler]]) -> dict[int, Route]:
    return {key: Route(name, has_version, has_id, handler) for key, (name, handler) in rows.items()}


_VERSION_AND_ID: dict[int, tuple[str, Handler]] = {
    1: ("reqMktData", market_data.market_data),
    2: ("cancelMktData", market_data.cancel_market_data),
    4: ("cancelOrder", orders.cancel_order),
    7: ("reqExecutions", orders.executions),
    9: ("reqContractDetails", contracts.contract_details),
    10: ("reqMktDepth", depth.market_depth),
    11: ("cancelMktDepth", depth.cancel_market_depth),
    21: ("exerciseOptions", other.not_simulated),
    23: ("cancelScannerSubscription", scanner.cancel),
    25: ("cancelHistoricalData", history.cancel_history),
    50: ("reqRealTimeBars", ticks.real_time_bars),
    51: ("cancelRealTimeBars", ticks.cancel_real_time_bars),
    52: ("reqFundamentalData", fundamentals.fundamental_data),
    53: ("cancelFundamentalData", other.accept),
    54: ("calculateImpliedVolatility", other.not_simulated),
    55: ("calculateOptionPrice", other.not_simulated),
    56: ("cancelCalculateImpliedVolatility", other.accept),
    57: ("cancelCalculateOptionPrice", other.accept),
    62: ("reqAccountSummary", account.account_summary),
    63: ("cancelAccountSummary", account.cancel_account_summary),
    67: ("queryDisplayGroups", other.not_simulated),
    68: ("subscribeToGroupEvents", other.not_simulated),
    69: ("updateDisplayGroup", other.not_simulated),
    70: ("unsubscribeFromGroupEvents", other.accept),
    START_API: ("startApi", start.start_api),
    74: ("reqPositionsMulti", account.positions_multi),
    75: ("cancelPositionsMulti", account.cancel_positions_multi),
    76: ("reqAccountUpdatesMulti", account.account_updates_multi),
    77: ("cancelAccountUpdatesMulti", account.cancel_account_updates_multi),
}
_VERSION_ONLY: dict[int, tuple[str, Handler]] = {
    5: ("reqOpenOrders", orders.open_orders),
    6: ("reqAccountUpdates", account.account_updates),
    8: ("reqIds", start.request_ids),
    12: ("reqNewsBulletins", other.accept),
    13: ("cancelNewsBulletins", other.accept),
    14: ("setServerLogLevel", other.accept),
    15: ("reqAutoOpenOrders", orders.auto_open_orders),
    16: ("reqAllOpenOrders", orders.all_open_orders),
    17: ("reqManagedAccts", start.managed_accounts),
    18: ("requestFA", other.not_simulated),
    19: ("replaceFA", other.not_simulated),
    24: ("reqScannerParameters", scanner.parameters),
    49: ("reqCurrentTime", start.current_time),
    58: ("reqGlobalCancel", orders.global_cancel),
    59: ("reqMarketDataType", market_data.market_data_type),
    61: ("reqPositions", account.positions),
    64: ("cancelPositions", account.cancel_positions),
    65: ("verifyRequest", other.not_simulated),
    66: ("verifyMessage", other.not_simulated),
    72: ("verifyAndAuthRequest", other.not_simulated),
    73: ("verifyAndAuthMessage", other.not_simulated),
}
_ID_ONLY: dict[int, tuple[str, Handler]] = {
    3: ("placeOrder", orders.place_order),
    20: ("reqHistoricalData", history.historical_data),
    22: ("reqScannerSubscription", scanner.subscribe),
    78: ("reqSecDefOptParams", contracts.option_parameters),
    79: ("reqSoftDollarTiers", other.soft_dollar_tiers),
    81: ("reqMatchingSymbols", contracts.matching_symbols),
    83: ("reqSmartComponents", other.smart_components),
    84: ("reqNewsArticle", news.news_article),
    86: ("reqHistoricalNews", news.historical_news),
    87: ("reqHeadTimeStamp", history.head_timestamp),
    88: ("reqHistogramData", history.histogram),
    89: ("cancelHistogramData", other.accept),
    90: ("cancelHeadTimeStamp", other.accept),
    92: ("reqPnL", account.profit_and_loss),
    93: ("cancelPnL", account.cancel_profit_and_loss),
    94: ("reqPnLSingle", account.profit_and_loss_single),
    95: ("cancelPnLSingle", account.cancel_profit_and_loss_single),
    96: ("reqHistoricalTicks", history.historical_ticks),
    97: ("reqTickByTickData", ticks.tick_by_tick),
    98: ("cancelTickByTickData", ticks.cancel_tick_by_tick),
    100: ("reqWshMetaData", fundamentals.event_kinds),
    101: ("cancelWshMetaData", fundamentals.cancel_event_kinds),
    102: ("reqWshEventData", fundamentals.event_data),
    103: ("cancelWshEventData", fundamentals.cancel_event_data),
    104: ("reqUserInfo", other.user_info),
}
_BARE: dict[int, tuple[str, Handler]] = {
    80: ("reqFamilyCodes", other.family_codes),
    82: ("reqMktDepthExchanges", other.depth_exchanges),
    85: ("reqNewsProviders", news.news_providers),
    91: ("reqMarketRule", contracts.market_rule),
    99: ("reqCompletedOrders", orders.completed_orders),
}

ROUTES: dict[str, Route] = {
    str(message_id): route
    for group in (
        _routes(has_version=True, has_id=True, rows=_VERSION_AND_ID),
        _routes(has_version=True, has_id=False, rows=_VERSION_ONLY),
        _routes(has_version=False, has_id=True, rows=_ID_ONLY),
        _routes(has_version=False, has_id=False, rows=_BARE),
    )
    for message_id, route in group.items()
}


def dispatch(desk: Desk, session: Session, fields: list[str]) -> None:
    """Have one message answered; whatever is wrong with it, the client gets an error and keeps its connection."""
    request_id = NO_REQUEST
    try:
        route = ROUTES.get(fields[0]) if fields else None
        if route is None:
            raise GatewayError(UNKNOWN_MESSAGE, f"Fatal Error: Unknown message id. ({''.join(fields[:1])[:20]!r})")
        reader = FieldReader(fields)
        reader.skip(2 if route.has_version else 1)
        if route.has_id:
            request_id = reader.integer()
        route.handler(Request(desk, session, route.name, request_id), reader)
    except GatewayError as error:
        session.error(request_id, error.code, error.message)
    except BadField as error:
        text = f"Server error when reading an API client request. Message id {fields[0][:20]!r}: {error}"
        session.error(request_id, UNREADABLE, text)
    except Exception:
        logger.exception("message %s of client %s failed", fields[0][:20], session.client_id)
        session.error(request_id, INTERNAL, "Error processing request.-'bX' : cause - Internal error of the gateway")


def is_start(fields: list[str]) -> bool:
    """Whether this is startApi, the only message that may come first."""
    return fields[:1] == [str(START_API)]
