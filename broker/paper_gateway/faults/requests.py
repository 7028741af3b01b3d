"""What faults know of requests: where their id is, and which of them need the link to the broker's servers."""

from __future__ import annotations

from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.wire.fields import BadField, integer

HISTORIES = frozenset(
    {"reqHistoricalData", "reqHeadTimeStamp", "reqHistogramData", "reqHistoricalTicks", "reqHistoricalNews"}
)
STREAMS = frozenset({"reqMktData", "reqMktDepth", "reqRealTimeBars", "reqTickByTickData"})
SERVED_REMOTELY = (
    HISTORIES
    | STREAMS
    | {"reqContractDetails", "reqMatchingSymbols", "reqSecDefOptParams", "reqFundamentalData", "reqNewsArticle"}
    | {"reqScannerSubscription", "reqScannerParameters", "reqWshMetaData", "reqWshEventData"}
    | {"calculateImpliedVolatility", "calculateOptionPrice"}
)


def request_id(fields: list[str]) -> int:
    """The request or order id of a message, -1 where it has none or it cannot be read."""
    route = ROUTES.get(fields[0]) if fields else None
    if route is None or not route.has_id:
        return -1
    try:
        return integer(fields[2 if route.has_version else 1])
    except (BadField, IndexError):
        return -1
